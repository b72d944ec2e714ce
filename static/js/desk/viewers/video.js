/* A video, muted at first: one frame on or back, and where the server has made one a sheet of its pictures, each of
   which leads to its place. */
import { element, say, toolButton } from "../page.js";
import { buildPlayer, findMade, prepare, showTime } from "./player.js";

export { prepare };

const FRAME = 1 / 30; // seconds, until it is known from what was played

export function build(part, given) {
  let frame = FRAME;
  let viewer = null;
  const step = (by) => {
    viewer.element.pause();
    viewer.seek(viewer.element.currentTime + by * frame);
  };
  const sheetButton = toolButton("sheet", "", () => {
    const isOpen = viewer.box.querySelector(".contact-sheet").toggleAttribute("hidden");
    sheetButton.setAttribute("aria-expanded", String(!isOpen));
  });
  sheetButton.hidden = true;
  sheetButton.setAttribute("aria-expanded", "false");
  viewer = buildPlayer(part, given, {
    tools: [toolButton("frame_back", ",", () => step(-1), "frame-back"), toolButton("frame_on", ".", () => step(1), "frame-on"), sheetButton],
    keys: { ",": () => step(-1), ".": () => step(1) },
  });
  viewer.element.classList.add("item-video");
  measureFrames(viewer.element, (seconds) => { frame = seconds; });
  addSheet(part, viewer, sheetButton);
  return viewer;
}

/* The shortest time between two pictures that followed each other. */
function measureFrames(video, tell) {
  if (!video.requestVideoFrameCallback) return;
  let [last, shortest] = [null, Infinity];
  const look = (_now, { mediaTime, presentedFrames }) => {
    if (last && presentedFrames === last.presentedFrames + 1 && mediaTime > last.mediaTime + 0.001) shortest = Math.min(shortest, mediaTime - last.mediaTime);
    if (shortest < 1) tell(shortest);
    last = { mediaTime, presentedFrames };
    if (video.isConnected) video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

async function addSheet(part, viewer, button) {
  const { sheet, poster } = await findMade(part);
  if (poster) viewer.element.poster = poster.src;
  if (!sheet || !Array.isArray(sheet.seconds)) return;
  const holder = element("div", { class: "contact-sheet", hidden: "" }, element("img", { src: sheet.src, alt: say("sheet_of", { name: part.name }), loading: "lazy" }));
  // Blurred or grey like the video itself.
  const isLook = (name) => name === "view" || name.startsWith("view-blur") || name === "view-grey";
  holder.firstChild.classList.add(...[...viewer.element.classList].filter(isLook));
  const { columns, rows } = sheet;
  sheet.seconds.slice(0, columns * rows).forEach((seconds, at) => {
    const place = element("button", { class: "sheet-place", type: "button", "aria-label": say("go_to", { time: showTime(seconds) }), click: () => viewer.seek(seconds) }, element("span", { class: "number", text: showTime(seconds) }));
    Object.assign(place.style, { left: `${((at % columns) / columns) * 100}%`, top: `${(Math.floor(at / columns) / rows) * 100}%`, width: `${100 / columns}%`, height: `${100 / rows}%` });
    holder.append(place);
  });
  viewer.box.append(holder);
  button.hidden = false;
}
