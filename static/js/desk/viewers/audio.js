/* A sound: its waveform, where the server has made one, else a plain line. */
import { buildPlayer, findMade, prepare } from "./player.js";

export { prepare };

export function build(part, given) {
  const viewer = buildPlayer(part, given);
  drawWave(part, viewer);
  return viewer;
}

async function drawWave(part, { timeline }) {
  const src = (await findMade(part)).peaks?.src;
  if (!src) return;
  let found;
  try { found = await (await fetch(src, { credentials: "same-origin" })).json(); } catch { return; /* a plain line, then */ }
  if (!Array.isArray(found.peaks) || !timeline.isConnected) return;
  const path = outline(found.peaks);
  timeline.classList.add("has-wave");
  // Once quiet, and once over it in the colour of what was played, cut off where the head stands.
  timeline.prepend(drawOutline(path, "wave"), drawOutline(path, "wave wave-played"));
}

/* [low, high, low, high, ...] from -127 to 127, as one closed line around them. */
function outline(peaks) {
  const n = Math.floor(peaks.length / 2);
  const at = (value) => (127 - Math.max(-127, Math.min(127, Number(value) || 0))).toFixed(0);
  const points = [];
  for (let i = 0; i < n; i += 1) points.push(`${i},${at(peaks[2 * i + 1])}H${i + 1}`);
  for (let i = n - 1; i >= 0; i -= 1) points.push(`${i + 1},${Number(at(peaks[2 * i])) + 1}H${i}`);
  return { n, line: n ? `M${points.join("L")}Z` : "" };
}

function drawOutline({ n, line }, classes) {
  const make = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const picture = make("svg", { class: classes, viewBox: `0 0 ${Math.max(n, 1)} 255`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" });
  picture.append(make("path", { d: line }));
  return picture;
}
