/* An image: fitted to its place, nearer, moved about, turned. A tiny one is shown several times as large, pixel by pixel.
   An animation stands still, on its first frame, until it is played. */
import { element, nameButton, say, showFault, toolButton } from "../page.js";

const STEP = 1.25; // of one key press
const NEAREST = 16; // screen pixels for one of the image's
const TINY = 96; // pixels along the longer side up to which every pixel is to be seen
const TINY_SHOWN = 320;
const CRISP = 3; // screen pixels for one of the image's, from which on they are not blurred into each other
const ROOMS = { "view-medium": [420, 320], "view-small": [200, 160] }; // pixels that somebody lets images have (care.js)
const MOVE = 60; // pixels by one arrow

const prepared = new WeakMap(); // part -> its <img>, loading

function fetchImage(part) {
  const image = element("img", { class: "item-image", alt: say("image", { name: part.name }), draggable: "false" });
  image.src = part.src;
  return image;
}

export function prepare(part) { prepared.set(part, fetchImage(part)); }

export function build(part, { onBroken, state }) {
  const image = prepared.get(part) || fetchImage(part);
  prepared.delete(part);
  const sheet = element("div", { class: "image-sheet" }, image);
  const frame = element("div", { class: "image-frame" }, sheet);
  const stage = element("div", { class: "image-stage", tabindex: "0", role: "group", "aria-label": say("image_stage", { name: part.name }) }, frame);
  const told = element("span", { class: "number quiet small viewer-told", "aria-live": "polite" });
  const tools = element("div", { class: "viewer-tools" },
    toolButton("zoom_out", "−", () => zoom(1 / STEP), "minus"), told, toolButton("zoom_in", "+", () => zoom(STEP), "plus"),
    toolButton("fit", "Home", fit), toolButton("actual", "End", actual, "actual"),
    toolButton("turn_left", ",", () => turn(-90), "turn-left"), toolButton("turn_right", ".", () => turn(90), "turn-right"));
  const box = element("div", { class: "viewer viewer-image", role: "group", "aria-label": part.name }, stage, tools);
  const still = part.is_animated ? layStill(image, tools, state?.isPlaying) : null;

  let { nearness, degrees } = state || { nearness: 1, degrees: 0 }; // nearness: times the fitted size
  let fitted = 0; // screen pixels for one of the image's, where all of it is seen

  const isSide = () => degrees % 180 !== 0;
  const size = () => (isSide() ? [image.naturalHeight, image.naturalWidth] : [image.naturalWidth, image.naturalHeight]);

  function measure() {
    const [width, height] = size();
    const room = [stage.clientWidth, parseFloat(getComputedStyle(stage).maxHeight) || innerHeight];
    const [own] = Object.keys(ROOMS).filter((name) => image.classList.contains(name)).map((name) => ROOMS[name]);
    const whole = Math.min(Math.min(room[0], own?.[0] ?? Infinity) / width, Math.min(room[1], own?.[1] ?? Infinity) / height);
    if (Math.max(width, height) > TINY) return Math.min(whole, 1);
    return Math.max(1, Math.floor(Math.min(whole, TINY_SHOWN / Math.max(width, height))));
  }

  /* `at`: the point of the stage, in its pixels, that stays where it is; its middle, unless said. */
  function draw(at) {
    if (!image.naturalWidth || !stage.isConnected) return;
    const before = [frame.offsetWidth, frame.offsetHeight, frame.offsetLeft, frame.offsetTop];
    fitted = measure();
    nearness = Math.min(Math.max(nearness, 1), Math.max(1, NEAREST / fitted));
    const scale = fitted * nearness;
    const [width, height] = size().map((one) => Math.max(1, Math.round(one * scale)));
    const [x, y] = at || [stage.clientWidth / 2, stage.clientHeight / 2];
    const held = [(stage.scrollLeft + x - before[2]) / (before[0] || 1), (stage.scrollTop + y - before[3]) / (before[1] || 1)];
    Object.assign(frame.style, { width: `${width}px`, height: `${height}px` });
    Object.assign(sheet.style, { width: `${isSide() ? height : width}px`, height: `${isSide() ? width : height}px`, transform: `translate(-50%, -50%) rotate(${degrees}deg)` });
    stage.scrollLeft = held[0] * width + frame.offsetLeft - x;
    stage.scrollTop = held[1] * height + frame.offsetTop - y;
    image.classList.toggle("is-crisp", scale >= CRISP);
    image.dataset.turn = degrees;
    still?.draw();
    stage.classList.toggle("is-near", width > stage.clientWidth + 1 || height > stage.clientHeight + 1);
    told.textContent = say("percent", { percent: Math.round(scale * 100) });
    changed();
  }
  const changed = () => image.dispatchEvent(new Event("viewchange"));
  function zoom(by, at) { nearness *= by; draw(at); }
  function fit() { nearness = 1; draw(); }
  function actual() { nearness = 1 / fitted; draw(); }
  function turn(by) { degrees = (degrees + by + 360) % 360; draw(); }
  function move(x, y) {
    if (!stage.classList.contains("is-near")) return false;
    stage.scrollBy(x, y);
    return true;
  }

  const keys = {
    "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), ",": () => turn(-90), ".": () => turn(90), Home: fit, End: actual,
    ...(still ? { " ": still.toggle } : {}),
    ArrowLeft: () => move(-MOVE, 0), ArrowRight: () => move(MOVE, 0), ArrowUp: () => move(0, -MOVE), ArrowDown: () => move(0, MOVE),
  };
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // a pinch on a touchpad says that Ctrl is held
    event.preventDefault();
    zoom(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) * 0.005), pointOf(event));
  }, { passive: false });
  stage.addEventListener("scroll", changed, { passive: true });
  const pointOf = (event) => { const rect = stage.getBoundingClientRect(); return [event.clientX - rect.left, event.clientY - rect.top]; };
  listenForDrag(stage);
  listenForPinch(stage, zoom, pointOf);

  let width = 0;
  const watch = new ResizeObserver(() => { if (stage.clientWidth !== width) { width = stage.clientWidth; draw(); } });
  watch.observe(stage);
  const loaded = () => { delete image.dataset.broken; draw(); };
  const broken = () => {
    if (image.dataset.broken) return;
    image.dataset.broken = "1";
    showFault(box, part, onBroken());
  };
  image.addEventListener("load", loaded, { once: true });
  image.addEventListener("error", broken, { once: true });
  // What was fetched ahead, and did not come, says so no more.
  if (image.complete && !image.naturalWidth) queueMicrotask(broken);

  return {
    box,
    element: image,
    sheet,
    takeKey: (event) => (Object.hasOwn(keys, event.key) && Boolean(image.naturalWidth) ? keys[event.key]() !== false : false),
    focus() { stage.focus({ preventScroll: true }); box.scrollIntoView({ block: "nearest" }); },
    state: () => ({ nearness, degrees, isPlaying: still?.isPlaying() }),
    leave: () => watch.disconnect(),
    drawn: draw,
  };
}

/* The first frame of an animation, seen through it until it is played. What a canvas draws of an animation is its first frame. */
function layStill(image, tools, wasPlaying = false) {
  let isPlaying = wasPlaying;
  const frame = element("canvas", { "aria-hidden": "true" });
  const button = toolButton("play_animation", say("space"), toggle);
  image.before(frame); // below it, as what a question lays over the image is to stay on top
  tools.prepend(button);

  function draw() {
    if (frame.width !== image.naturalWidth || frame.height !== image.naturalHeight) {
      [frame.width, frame.height] = [image.naturalWidth, image.naturalHeight];
      frame.getContext("2d").drawImage(image, 0, 0);
    }
    image.classList.toggle("is-stilled", !isPlaying);
    // As blurred, as grey and as crisp as the image.
    frame.className = ["image-still", ...[...image.classList].filter((name) => name.startsWith("view") || name === "is-crisp")].join(" ");
    frame.hidden = isPlaying;
  }
  function toggle() {
    isPlaying = !isPlaying;
    name();
    draw();
  }
  // Nobody is to judge the first frame alone and not know that there are more.
  function name() {
    nameButton(button, isPlaying ? "stop_animation" : "play_animation", say("space"));
    button.classList.toggle("button-main", !isPlaying);
  }
  name();
  image.classList.toggle("is-stilled", !isPlaying);
  return { draw, toggle, isPlaying: () => isPlaying };
}

/* The mouse holds the picture; what a question has laid over it comes first, and keeps the event by preventDefault. The
   middle button always moves. */
function listenForDrag(stage) {
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || !stage.classList.contains("is-near")) return;
    if (event.button !== 1 && (event.button !== 0 || event.defaultPrevented)) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("is-held");
    from = [event.clientX + stage.scrollLeft, event.clientY + stage.scrollTop];
  });
  stage.addEventListener("pointermove", (event) => { if (from) stage.scrollTo(from[0] - event.clientX, from[1] - event.clientY); });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { from = null; stage.classList.remove("is-held"); });
}

/* Two fingers; one finger scrolls, as everywhere. */
function listenForPinch(stage, zoom, pointOf) {
  let apart = 0;
  const distance = (touches) => Math.hypot(touches[0].clientX - touches[1].clientX, touches[0].clientY - touches[1].clientY);
  stage.addEventListener("touchstart", (event) => { apart = event.touches.length === 2 ? distance(event.touches) : 0; }, { passive: true });
  stage.addEventListener("touchmove", (event) => {
    if (event.touches.length !== 2 || !apart) return;
    event.preventDefault();
    const now = distance(event.touches);
    const [a, b] = [...event.touches].map(pointOf);
    zoom(now / apart, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
    apart = now;
  }, { passive: false });
  stage.addEventListener("touchend", () => { apart = 0; });
}
