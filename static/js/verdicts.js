// Verdicts: what is blocked leaves the shelves at once, and comes back when that is taken back.

import { outlive } from "./notices.js";

const menu = document.getElementById("menu");
const notices = document.getElementById("notices");
const blocked = new Set(); // what was blocked since this page was loaded, such as "artist 7"

// What may block a song: itself, its artist, its genre.
export function thingsOf({ dataset }) {
  return [`song ${dataset.song}`, `artist ${dataset.ofArtist}`, `genre ${dataset.ofGenre}`];
}

export function isBlocked(things) {
  return things.some((thing) => blocked.has(thing));
}

function hideCards() {
  for (const button of document.querySelectorAll(".card .play")) {
    button.closest(".card").hidden = isBlocked(thingsOf(button));
  }
}

document.addEventListener("verdict", (event) => {
  const { of, id, blocks } = event.detail;
  if (blocks) blocked.add(`${of} ${id}`);
  else blocked.delete(`${of} ${id}`);
  hideCards();
  const wasOpen = menu.open;
  menu.close();
  // The card that the menu was opened from may be gone, and the focus with it.
  if (wasOpen) notices.querySelector("button")?.focus();
  outlive(notices.firstElementChild);
  document.dispatchEvent(new CustomEvent("blocked"));
});

document.addEventListener("htmx:afterSettle", (event) => {
  const settled = event.detail.elt;
  if (settled.id === "menu-choices") menu.showModal();
  if (settled.matches(".verdict") && document.activeElement === document.body) settled.querySelector("button").focus();
  if (settled.id === "page") hideCards();
});
document.addEventListener("htmx:historyRestore", hideCards);

menu.addEventListener("click", (event) => {
  if (event.target === menu || event.target.closest("a")) menu.close(); // a press beside it, or a way out of it
});
