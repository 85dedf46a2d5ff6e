// The player: a queue taken from the list whose button was pressed, one audio element outside of what htmx swaps.

import { notice } from "./notices.js";
import { newKey, report } from "./plays.js";
import { isBlocked, thingsOf } from "./verdicts.js";

const COUNTED_SHARE = 0.5; // a play counts once half the song was heard ...
const COUNTED_SECONDS = 240; // ... or four minutes of it
const SLACK_SECONDS = 0.5; // the server measures for itself; a little more than half leaves no doubt
const SEEK_SECONDS = 5;
const RESTART_SECONDS = 3; // further in, "previous" begins the song again
const MOST_BROKEN = 3; // songs in a row that fail before the player gives up
const PAUSE_AFTER_BROKEN_MS = 1500;
const VOLUME = "quasimusic.volume";

const player = document.getElementById("player");
const audio = document.getElementById("audio");
const part = Object.fromEntries([...player.querySelectorAll("[data-player]")].map((el) => [el.dataset.player, el]));

let queue = [];
let place = -1;
let play = null; // the listening event under way
let lastAt = null; // where the song was when it was last looked at; null while seeking
let broken = 0;

// Queue

function songOf(button) {
  const { song, title, artist, audio: address, cover, link, source, impression } = button.dataset;
  return { song: Number(song), title, artist, address, cover, link, source, impression, things: thingsOf(button) };
}

function press(button) {
  const pressed = songOf(button);
  if (play && pressed.song === queue[place].song) return toggle();
  const buttons = [...button.closest("[data-queue]").querySelectorAll("button[data-song]")];
  // What the listener blocked plays when it is pressed itself, and not because it stands in the same list.
  const isBarred = (each) => isBlocked(thingsOf(each)) || each.closest(".row-barred");
  const list = buttons.filter((each) => each.dataset.song === button.dataset.song || !isBarred(each));
  // Each song once: a page may hold a button at its head besides the one in its list.
  const songs = new Map(list.map((each) => [each.dataset.song, songOf(each)]));
  songs.set(button.dataset.song, pressed);
  queue = [...songs.values()];
  broken = 0;
  begin(queue.indexOf(pressed));
}

function begin(at) {
  finish();
  place = at;
  const song = queue[place];
  play = { key: newKey(), song: song.song, started_at: new Date().toISOString(), seconds_heard: 0, source: song.source };
  if (song.impression) play.impression = Number(song.impression);
  lastAt = null;
  audio.src = song.address;
  show(song);
  start();
}

function start() {
  // Refused where the browser wants a gesture first (then the button waits) or the song is broken (then "error" tells).
  audio.play().catch(() => {});
}

function toggle() {
  if (!audio.paused) audio.pause();
  else if (!play) begin(place);
  else start();
}

function step(by) {
  const to = place + by;
  if (by < 0 && (audio.currentTime > RESTART_SECONDS || to < 0)) audio.currentTime = 0;
  else if (to < queue.length) begin(to);
}

// Listening: only what was really heard counts, so seeking adds nothing.

function listen() {
  const now = audio.currentTime;
  if (play && lastAt !== null && now > lastAt) {
    const before = play.seconds_heard;
    play.seconds_heard += now - lastAt;
    const counts = Math.min(audio.duration * COUNTED_SHARE, COUNTED_SECONDS) + SLACK_SECONDS;
    if (before < counts && play.seconds_heard >= counts) report(play);
  }
  lastAt = audio.seeking ? null : now;
}

function finish() {
  if (!play) return;
  if (play.seconds_heard > 0) report(play);
  play = null;
}

// What is seen

function show(song) {
  player.hidden = false;
  document.body.classList.add("has-player");
  part.title.textContent = song.title;
  part.artist.textContent = song.artist;
  part.cover.src = song.cover;
  part.link.href = song.link;
  part.next.disabled = place === queue.length - 1;
  if ("mediaSession" in navigator) {
    navigator.mediaSession.metadata = new MediaMetadata({
      title: song.title,
      artist: song.artist,
      artwork: [{ src: song.cover, sizes: "any", type: "image/svg+xml" }],
    });
  }
  markButtons();
  showTime();
}

function markButtons() {
  const current = queue[place]?.song;
  for (const button of document.querySelectorAll("button[data-song]")) {
    const isCurrent = Number(button.dataset.song) === current;
    button.toggleAttribute("data-current", isCurrent);
    button.toggleAttribute("data-playing", isCurrent && !audio.paused);
    button.setAttribute("aria-pressed", String(isCurrent && !audio.paused));
  }
}

function showState() {
  player.toggleAttribute("data-playing", !audio.paused);
  part.toggle.setAttribute("aria-label", audio.paused ? player.dataset.wordPlay : player.dataset.wordPause);
  markButtons();
}

function showTime() {
  const length = Number.isFinite(audio.duration) ? audio.duration : 0;
  part.at.textContent = clock(audio.currentTime);
  part.length.textContent = clock(length);
  part.seek.max = length || 100;
  part.seek.value = audio.currentTime;
  part.seek.setAttribute("aria-valuetext", `${clock(audio.currentTime)} / ${clock(length)}`);
  fill(part.seek);
}

function fill(range) {
  range.style.setProperty("--done", `${(100 * range.value) / range.max}%`);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// Volume

function setVolume(volume) {
  audio.volume = volume;
  part.volume.value = volume;
  fill(part.volume);
}

function remembered() {
  const volume = Number.parseFloat(localStorage.getItem(VOLUME));
  return volume >= 0 && volume <= 1 ? volume : 1;
}

// Doors

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-song]");
  if (button) press(button);
});

part.toggle.addEventListener("click", toggle);
part.next.addEventListener("click", () => step(1));
part.previous.addEventListener("click", () => step(-1));
part.seek.addEventListener("input", () => {
  // Before the length is known the range says nothing about seconds: a pull would land behind the song's end.
  if (Number.isFinite(audio.duration)) audio.currentTime = Number(part.seek.value);
  else showTime();
});
part.volume.addEventListener("input", () => {
  setVolume(Number(part.volume.value));
  localStorage.setItem(VOLUME, part.volume.value);
});
for (const button of [part.love, part.no]) {
  button.addEventListener("click", () => {
    const address = player.dataset.verdict.replace("/0/", `/${queue[place].song}/`);
    htmx.ajax("POST", address, { source: button, swap: "none", select: "unset", values: { say: button.dataset.say } });
  });
}

// What was just blocked is not played on, nor later in the queue.
document.addEventListener("blocked", () => {
  const current = queue[place];
  if (!current) return;
  const goesOn = queue.slice(place + 1).filter((song) => !isBlocked(song.things));
  queue = [...queue.slice(0, place + 1), ...goesOn];
  part.next.disabled = !goesOn.length;
  if (!isBlocked(current.things) || !play) return;
  if (goesOn.length) begin(place + 1);
  else audio.pause();
});
part.mute.addEventListener("click", () => {
  audio.muted = !audio.muted;
  part.mute.setAttribute("aria-pressed", String(audio.muted));
});

document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input, textarea, select, button, a, summary, [contenteditable]");
  if (!play || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " ") toggle();
  else if (event.key === "ArrowRight") audio.currentTime += SEEK_SECONDS;
  else if (event.key === "ArrowLeft") audio.currentTime -= SEEK_SECONDS;
  else return;
  event.preventDefault();
});

audio.addEventListener("timeupdate", () => {
  listen();
  showTime();
});
audio.addEventListener("seeking", () => {
  lastAt = null;
});
audio.addEventListener("seeked", () => {
  lastAt = audio.currentTime;
  showTime();
});
audio.addEventListener("durationchange", showTime);
audio.addEventListener("play", showState);
audio.addEventListener("pause", showState);
audio.addEventListener("waiting", () => player.setAttribute("data-loading", ""));
audio.addEventListener("playing", () => {
  player.removeAttribute("data-loading");
  broken = 0;
});
audio.addEventListener("ended", () => {
  listen();
  finish();
  if (place + 1 < queue.length) begin(place + 1);
  else showState();
});
audio.addEventListener("error", () => {
  player.removeAttribute("data-loading");
  finish();
  broken += 1;
  const goesOn = place + 1 < queue.length && broken < MOST_BROKEN;
  notice(goesOn ? player.dataset.wordBroken : player.dataset.wordBrokenLast);
  const failed = place;
  if (goesOn) setTimeout(() => failed === place && !play && begin(place + 1), PAUSE_AFTER_BROKEN_MS);
});

// The tab may close, or a phone may put it to sleep without a word: what was heard so far is told.
function tellSoFar() {
  if (play && play.seconds_heard > 0) report(play);
}
window.addEventListener("pagehide", tellSoFar);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") tellSoFar();
});

if ("mediaSession" in navigator) {
  navigator.mediaSession.setActionHandler("play", start);
  navigator.mediaSession.setActionHandler("pause", () => audio.pause());
  navigator.mediaSession.setActionHandler("nexttrack", () => step(1));
  navigator.mediaSession.setActionHandler("previoustrack", () => step(-1));
  navigator.mediaSession.setActionHandler("seekto", ({ seekTime }) => {
    audio.currentTime = seekTime;
  });
}

document.addEventListener("htmx:afterSettle", markButtons);
document.addEventListener("htmx:historyRestore", markButtons);
setVolume(remembered());
