// Reports of plays to the server. Each is kept in the browser until the server has answered, so that none is lost
// when the network drops or the tab closes; the server counts a play once however often it is told of it.

import { csrfToken } from "./csrf.js";

const KEPT = "quasimusic.plays";
const MOST_KEPT = 200;
const RETRY_MS = 30_000;
const listener = document.querySelector('meta[name="listener"]').content;
const address = document.getElementById("player").dataset.plays;

export function report(play) {
  const kept = { ...play, listener };
  keep(kept);
  send(kept);
}

function sendKept() {
  // Another listener may have used this browser: their plays wait until they are back.
  const own = Object.values(readKept()).filter((play) => play.listener === listener);
  own.forEach(send);
}

async function send(play) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      keepalive: true,
      redirect: "manual",
      headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
      body: JSON.stringify(play),
    });
    // 400 and 404 would be the answer every time; anything else is worth another try.
    if (answer.ok || answer.status === 400 || answer.status === 404) forget(play);
  } catch {
    // No network: it stays kept.
  }
}

function keep(play) {
  const kept = readKept();
  kept[play.key] = play;
  writeKept(kept);
}

function forget(play) {
  const kept = readKept();
  // The play may have gone on while this report was under way.
  if (kept[play.key]?.seconds_heard !== play.seconds_heard) return;
  delete kept[play.key];
  writeKept(kept);
}

function readKept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

function writeKept(kept) {
  const newest = Object.entries(kept).slice(-MOST_KEPT);
  try {
    localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(newest)));
  } catch {
    // Storage is full or forbidden: reports are still sent, only not kept.
  }
}

export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Browsers give randomUUID to secure pages only; over plain http in a home network it is made by hand.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

window.addEventListener("online", sendKept);
setInterval(sendKept, RETRY_MS);
sendKept();
