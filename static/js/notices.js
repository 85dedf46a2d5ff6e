const SHOWN_MS = 6000;

export function notice(words) {
  const line = document.createElement("p");
  line.className = "notice";
  line.textContent = words;
  document.getElementById("notices").replaceChildren(line);
  setTimeout(() => line.remove(), SHOWN_MS);
}
