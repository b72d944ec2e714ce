/* What sound and moving pictures share: play, seek, speed, and a part that is played over and over. */
import { desk, element, nameButton, say, showFault, toolButton } from "../page.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3];
const SHORTEST = 0.05; // seconds that a loop has at least

let speed = 1; // kept from item to item: who listens at twice the speed goes on so

const prepared = new WeakMap(); // part -> its player, which knows its length already

function fetchPlayer(part) {
  const player = element(part.kind, { preload: "metadata", "data-part": part.name, "aria-label": part.name, playsinline: "" });
  player.src = part.src;
  return player;
}

export function prepare(part) { prepared.set(part, fetchPlayer(part)); }

/* What the server has made out of a part's file (docs/media.md): {name: {src, ...}}; empty where there is nothing, or nothing yet. Never rejects: all of it is a help, none is needed. */
export async function findMade(part) {
  if (!part.media) return {};
  const token = new URL(part.src, location.href).searchParams.get("t") || "";
  try {
    const answer = await fetch(`${desk.media_url}${part.media}?t=${encodeURIComponent(token)}`, { credentials: "same-origin", headers: { Accept: "application/json" } });
    return (answer.ok && (await answer.json()).derivatives) || {};
  } catch { return {}; }
}

export function showTime(seconds) {
  const whole = Math.max(0, Number.isFinite(seconds) ? seconds : 0);
  const tenths = Math.floor(whole * 10 + 1e-6);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = `${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/* `tools`: further buttons; `keys`: further keys, {key: what it does}. */
export function buildPlayer(part, { onBroken, state }, { tools = [], keys = {} } = {}) {
  const player = prepared.get(part) || fetchPlayer(part);
  prepared.delete(part);
  player.muted = state ? state.isMuted : part.kind === "video";
  player.playbackRate = speed;
  let loop = state?.loop || { start: null, end: null };

  const played = element("div", { class: "timeline-played" });
  const looped = element("div", { class: "timeline-loop", hidden: "" });
  const head = element("div", { class: "timeline-head" });
  const timeline = element("div", { class: "timeline", tabindex: "0", role: "slider", "aria-label": say("position", { name: part.name }), "aria-valuemin": "0", "aria-valuenow": "0", "aria-valuemax": "0" }, played, looped, head);
  const time = element("span", { class: "number viewer-told" });
  const play = toolButton("play", say("space"), toggle, "play");
  const rate = element("span", { class: "number quiet small viewer-told", "aria-live": "polite" });
  const mute = toolButton("mute", "", () => { player.muted = !player.muted; }, "sound");
  const from = toolButton("loop_start", "[", () => setLoop({ ...loop, start: player.currentTime }));
  const to = toolButton("loop_end", "]", () => setLoop({ ...loop, end: player.currentTime }));
  const off = toolButton("loop_off", say("backspace"), () => setLoop({ start: null, end: null }));
  const bar = element("div", { class: "viewer-tools" }, play, time,
    toolButton("slower", "<", () => changeSpeed(-1), "minus"), rate, toolButton("faster", ">", () => changeSpeed(1), "plus"),
    mute, from, to, off, ...tools);
  const box = element("div", { class: `viewer viewer-${part.kind}`, role: "group", "aria-label": part.name }, player, timeline, bar);

  const length = () => (Number.isFinite(player.duration) ? player.duration : 0);
  const share = (seconds) => (length() ? Math.min(Math.max(seconds / length(), 0), 1) * 100 : 0);

  function draw() {
    const at = player.currentTime;
    const text = say("of", { time: showTime(at), length: showTime(length()) });
    time.textContent = text;
    timeline.setAttribute("aria-valuemax", length().toFixed(1));
    timeline.setAttribute("aria-valuenow", at.toFixed(1));
    timeline.setAttribute("aria-valuetext", text);
    timeline.style.setProperty("--played", `${share(at)}%`);
  }
  function drawLoop() {
    const isAny = loop.start !== null || loop.end !== null;
    looped.hidden = !isAny;
    off.hidden = !isAny;
    const [start, end] = [share(loop.start ?? 0), share(loop.end ?? length())];
    Object.assign(looped.style, { left: `${start}%`, width: `${Math.max(end - start, 0)}%` });
    from.setAttribute("aria-pressed", String(loop.start !== null));
    to.setAttribute("aria-pressed", String(loop.end !== null));
  }
  /* The other end goes where the new one leaves it no room. */
  function setLoop(wanted) {
    const isSwapped = wanted.start !== null && wanted.end !== null && wanted.end - wanted.start < SHORTEST;
    loop = !isSwapped ? wanted : wanted.start === loop.start ? { start: null, end: wanted.end } : { start: wanted.start, end: null };
    drawLoop();
    if (isLooping() && player.currentTime > loop.end) player.currentTime = loop.start ?? 0;
  }
  const isLooping = () => loop.start !== null || loop.end !== null;
  function keepInLoop() {
    const end = loop.end ?? length() - SHORTEST;
    if (isLooping() && length() && !player.paused && player.currentTime >= end) player.currentTime = loop.start ?? 0;
  }

  function toggle() {
    if (!player.paused) { player.pause(); return; }
    if (player.ended || (loop.end !== null && player.currentTime >= loop.end)) player.currentTime = loop.start ?? 0;
    start();
  }
  function start() {
    player.play().catch(() => { /* it is gone, or broken: that is told where it is noticed */ });
  }
  function seek(to) {
    if (!length()) return;
    player.currentTime = Math.min(Math.max(to, 0), length());
    draw();
  }
  function changeSpeed(by) {
    speed = SPEEDS[Math.min(Math.max(SPEEDS.indexOf(speed) + by, 0), SPEEDS.length - 1)];
    player.playbackRate = speed;
    drawSpeed();
  }
  const drawSpeed = () => { rate.textContent = say("speed", { speed }); };
  const drawMute = () => nameButton(mute, player.muted ? "unmute" : "mute", "", player.muted ? "no-sound" : "sound");

  const step = (event) => (event.shiftKey ? 5 : 1);
  const own = {
    " ": toggle, ArrowLeft: (event) => seek(player.currentTime - step(event)), ArrowRight: (event) => seek(player.currentTime + step(event)),
    Home: () => seek(0), End: () => seek(length()), "<": () => changeSpeed(-1), ">": () => changeSpeed(1),
    "[": () => from.click(), "(": () => from.click(), "]": () => to.click(), ")": () => to.click(), Backspace: () => off.click(), Delete: () => off.click(),
    ...keys,
  };

  // One frame after the other while it plays, so that the line runs smoothly and a loop ends where it should.
  let request = 0;
  function follow() {
    keepInLoop();
    draw();
    request = player.paused || !player.isConnected ? 0 : requestAnimationFrame(follow);
  }
  const listeners = {
    play: () => { nameButton(play, "pause", say("space"), "pause"); if (!request) follow(); },
    pause: () => { nameButton(play, "play", say("space"), "play"); draw(); },
    seeked: draw,
    ended: () => { if (isLooping()) { player.currentTime = loop.start ?? 0; start(); } }, // it came there between two looks
    timeupdate: keepInLoop, // a tab in the background draws no frames
    volumechange: drawMute,
    durationchange: () => { draw(); drawLoop(); },
    loadedmetadata: () => { if (state?.time) player.currentTime = state.time; draw(); drawLoop(); player.dispatchEvent(new Event("viewchange")); },
    error: () => {
      if (player.dataset.broken) return;
      player.dataset.broken = "1";
      showFault(box, part, onBroken());
    },
  };
  for (const [name, listen] of Object.entries(listeners)) player.addEventListener(name, listen);
  if (player.readyState >= 1) listeners.loadedmetadata();
  if (player.error) queueMicrotask(listeners.error);
  listenForPointer(timeline, (x) => seek(x * length()));
  const watch = new ResizeObserver(() => player.dispatchEvent(new Event("viewchange")));
  watch.observe(timeline);
  draw();
  drawLoop();
  drawSpeed();
  drawMute();

  return {
    box,
    element: player,
    timeline,
    seek,
    takeKey(event) {
      if (!Object.hasOwn(own, event.key)) return false;
      own[event.key](event);
      return true;
    },
    focus() { timeline.focus({ preventScroll: true }); box.scrollIntoView({ block: "nearest" }); },
    state: () => ({ time: player.currentTime, loop, isMuted: player.muted }),
    // Taken off the page it stops; without an address it gives back its connection, too.
    leave() {
      watch.disconnect();
      cancelAnimationFrame(request);
      for (const [name, listen] of Object.entries(listeners)) player.removeEventListener(name, listen);
      player.pause();
      player.removeAttribute("src");
      player.load();
    },
  };
}

/* `seek(share)`: from 0 at the left end to 1 at the right one, while the pointer is held. What a question has laid over the
   line comes first, and keeps the event by preventDefault. */
function listenForPointer(timeline, seek) {
  let isHeld = false;
  const seekTo = (event) => {
    const rect = timeline.getBoundingClientRect();
    seek(Math.min(Math.max((event.clientX - rect.left) / rect.width, 0), 1));
  };
  timeline.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.defaultPrevented) return;
    isHeld = true;
    timeline.setPointerCapture(event.pointerId);
    seekTo(event);
  });
  timeline.addEventListener("pointermove", (event) => { if (isHeld) seekTo(event); });
  for (const end of ["pointerup", "pointercancel"]) timeline.addEventListener(end, () => { isHeld = false; });
}
