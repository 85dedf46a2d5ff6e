// What every page does: changes of page by htmx, told to readers and shown in the navigation.

import { csrfToken } from "./csrf.js";
import { notice } from "./notices.js";

const words = document.getElementById("notices").dataset;
const isListeners = document.querySelector('meta[name="listener"]') !== null;
let pressedStar = -1;
let askedForMore = false;

function markPlace() {
  for (const place of document.querySelectorAll("a.place")) {
    const here = place.pathname === "/" ? location.pathname === "/" : location.pathname.startsWith(place.pathname);
    if (here) place.setAttribute("aria-current", "page");
    else place.removeAttribute("aria-current");
  }
}

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = csrfToken();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  // A fault is a page of its own; it has no place inside a part of one.
  if (xhr.status >= 400 && target.id !== "page") {
    event.detail.shouldSwap = false;
    notice(words.wordFault);
  }
  // Logged out meanwhile: the way in has no place inside the shell of a listener. Loading anew leads there, and back.
  if (isListeners && new URL(xhr.responseURL).pathname === words.login) {
    event.detail.shouldSwap = false;
    location.reload();
  }
  askedForMore = target.matches(".more") && target.contains(document.activeElement);
  pressedStar = [...target.querySelectorAll(".star")].indexOf(document.activeElement);
});

document.addEventListener("htmx:afterSettle", (event) => {
  const settled = event.detail.elt;
  if (settled.id === "page") (settled.querySelector("[autofocus]") ?? settled).focus({ preventScroll: true });
  // Rating replaces the stars: whoever pressed one finds the focus where it was.
  if (settled.matches(".stars")) settled.querySelectorAll(".star")[pressedStar]?.focus();
  // "Show more" gives way to what it brought: there the reader goes on.
  const brought = askedForMore && settled.querySelector("a[href]:not([tabindex])");
  if (brought) {
    askedForMore = false;
    brought.focus({ preventScroll: true });
  }
  markPlace();
});

document.addEventListener("htmx:sendError", () => notice(words.wordOffline));
document.addEventListener("htmx:historyRestore", markPlace);

// Pages are kept for the way back as they were written, not as they were filled in: what was searched for goes along.
document.addEventListener("htmx:beforeHistorySave", () => {
  const searched = document.getElementById("words");
  searched?.setAttribute("value", searched.value);
});

markPlace();
