const SHOWN_MS = 6000;
const UNDO_MS = 20_000;

export function notice(words) {
  const line = document.createElement("p");
  line.className = "notice";
  line.textContent = words;
  document.getElementById("notices").replaceChildren(line);
  setTimeout(() => line.remove(), SHOWN_MS);
}

// A notice with something to press stays longer, and while somebody is at it.
export function outlive(line) {
  setTimeout(() => (line.matches(":hover, :focus-within") ? outlive(line) : line.remove()), UNDO_MS);
}
