/* Rectangles on the item's images, each with a label: drawn, moved and resized with a pointer or with keys. */
import { $, announce, element, say } from "../page.js";
import { layOver } from "../marks/follow.js";
import { buildPanel } from "../marks/panel.js";

const LEAST_PX = 4; // a shorter drag is a click
const STEP = 0.01;
const FINE_STEP = 0.001;
const LEAST_SIDE = 0.001;
const SIDES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const round = (share) => Math.round(share * 1e5) / 1e5;
const within = (share, most) => Math.min(Math.max(share, 0), most);

/* The box between two corners, inside the image. */
function span(a, b) {
  const [left, right] = [a.x, b.x].map((one) => within(one, 1)).sort((one, other) => one - other);
  const [top, bottom] = [a.y, b.y].map((one) => within(one, 1)).sort((one, other) => one - other);
  return place({ x: left, y: top, w: right - left, h: bottom - top });
}
/* A box of that size as near to that place as it fits. */
function place({ x, y, w, h }) {
  const size = { w: round(within(Math.max(w, LEAST_SIDE), 1)), h: round(within(Math.max(h, LEAST_SIDE), 1)) };
  return { x: round(within(x, 1 - size.w)), y: round(within(y, 1 - size.h)), ...size };
}

export function build(question, { change, claim }) {
  let layers = []; // [{part, layer, share, nodes: Map(mark -> element)}]
  let isAsked = true;
  let isActive = false;
  let drag = null; // {layer, pointer, from, mark, side, now}

  const panel = buildPanel(question, { change, claim }, {
    isArmed: true,
    order: (a, b) => rank(a.part) - rank(b.part) || a.x - b.x || a.y - b.y || a.w - b.w || a.h - b.h || (a.label < b.label ? -1 : 1),
    tell: (mark) => `${percent(mark.x)} ${percent(mark.y)} ${percent(mark.w)} ${percent(mark.h)}`,
    show: (mark) => say("box_place", { x: percent(mark.x), y: percent(mark.y), w: percent(mark.w), h: percent(mark.h) }),
    place: () => false,
    redraw,
    reveal: (mark) => find(mark.part)?.nodes.get(mark)?.focus(),
  });
  const percent = (share) => `${Math.round(share * 100)}%`;
  const rank = (part) => layers.findIndex((one) => one.part === part);
  const find = (part) => layers.find((one) => one.part === part);
  panel.element.prepend(
    element("p", { class: "quiet small marks-how only-keyboard", text: say("boxes_how") }),
    element("p", { class: "quiet small marks-how only-touch", text: say("boxes_how_touch") }),
    element("button", { class: "button button-small marks-new", type: "button", click: addInTheMiddle, text: say("box_new") }),
  );
  panel.element.querySelector(".marks-new").append(" ", element("kbd", { "aria-hidden": "true", text: "N" }));

  // --- drawing ---
  function redraw() {
    for (const one of layers) {
      one.layer.hidden = !isAsked;
      const focused = [...one.nodes].find(([, node]) => node === document.activeElement);
      const marks = panel.marks.filter((mark) => mark.part === one.part);
      const nodes = new Map();
      for (const mark of marks) nodes.set(mark, one.nodes.get(mark) ?? drawBox(mark));
      const suggested = panel.marks.length ? [] : panel.suggested.filter((mark) => mark.part === one.part).map((mark) => drawBox(mark, true));
      for (const node of one.layer.querySelectorAll(".box")) if (![...nodes.values()].includes(node)) node.remove();
      // Small ones above large ones, or they could not be reached.
      const sorted = [...nodes].sort(([a], [b]) => b.w * b.h - a.w * a.h).map(([, node]) => node);
      for (const node of [...suggested, ...sorted]) if (node.parentElement !== one.layer) one.layer.append(node);
      for (const [index, node] of sorted.entries()) node.style.zIndex = index + 1;
      one.nodes = nodes;
      for (const [mark, node] of nodes) {
        const isSelected = mark === panel.selected;
        node.classList.toggle("is-selected", isSelected);
        node.setAttribute("aria-pressed", String(isSelected));
        node.setAttribute("aria-label", say("box_name", { label: panel.textOf(mark.label), i: panel.marks.indexOf(mark) + 1, n: panel.marks.length, place: say("box_place", { x: percent(mark.x), y: percent(mark.y), w: percent(mark.w), h: percent(mark.h) }) }));
      }
      // A box that was changed is another one, and keeps the focus.
      if (focused && !nodes.has(focused[0])) nodes.get(panel.selected)?.focus({ preventScroll: true });
    }
  }
  function drawBox(mark, isSuggested = false) {
    const box = element("div", isSuggested ? { class: "box is-suggested", "aria-hidden": "true" } : { class: "box", role: "button", tabindex: "0" });
    box.append(element("span", { class: "box-tag", text: isSuggested ? say("suggested_label", { label: panel.textOf(mark.label) }) : panel.textOf(mark.label) }));
    if (!isSuggested) {
      for (const side of SIDES) box.append(element("span", { class: `box-handle is-${side}`, "data-side": side }));
      box.addEventListener("focus", () => panel.select(mark));
    }
    box.style.setProperty("--mark", panel.colour(mark.label));
    setPlace(box, mark);
    return box;
  }
  function setPlace(node, { x, y, w, h }) {
    Object.assign(node.style, { left: `${x * 100}%`, top: `${y * 100}%`, width: `${w * 100}%`, height: `${h * 100}%` });
    node.classList.toggle("is-high", y < 0.08); // no room above it for its label
  }

  // --- pointer ---
  function begin(event, one) {
    if (drag || !event.isPrimary) { giveUp(); return; } // a second finger: the picture is zoomed
    if (event.button) return;
    claim();
    const node = event.target.closest(".box:not(.is-suggested)");
    const mark = [...one.nodes].find(([, other]) => other === node)?.[0] ?? null;
    const isOwn = mark && mark === panel.selected && !event.ctrlKey && !event.shiftKey;
    event.preventDefault();
    one.layer.setPointerCapture(event.pointerId);
    drag = { one, pointer: event.pointerId, start: one.share(event), from: [event.clientX, event.clientY], pressed: mark, mark: isOwn ? mark : null, side: isOwn ? event.target.dataset.side : undefined, now: null };
  }
  function go(event) {
    if (!drag || event.pointerId !== drag.pointer) return;
    if (!drag.now && Math.hypot(event.clientX - drag.from[0], event.clientY - drag.from[1]) < LEAST_PX) return;
    drag.now = placeOf(drag, drag.one.share(event));
    if (drag.mark) setPlace(drag.one.nodes.get(drag.mark), drag.now);
    else {
      drag.node ??= drag.one.layer.appendChild(drawBox({ ...drag.now, label: panel.armed }, true));
      drag.node.classList.replace("is-suggested", "is-drawn");
      setPlace(drag.node, drag.now);
    }
  }
  function placeOf({ mark, side, start }, at) {
    if (!mark) return span(start, at);
    if (!side) return place({ ...mark, x: mark.x + at.x - start.x, y: mark.y + at.y - start.y });
    const [a, b] = [{ x: mark.x, y: mark.y }, { x: mark.x + mark.w, y: mark.y + mark.h }];
    if (side.includes("w")) a.x = at.x;
    if (side.includes("e")) b.x = at.x;
    if (side.includes("n")) a.y = at.y;
    if (side.includes("s")) b.y = at.y;
    return span(a, b);
  }
  function end(event) {
    if (!drag || event.pointerId !== drag.pointer) return;
    const { one, pressed, mark, now, node } = drag;
    drag = null;
    node?.remove();
    if (!now) {
      panel.select(pressed);
      one.nodes.get(pressed)?.focus({ preventScroll: true });
    } else if (mark) panel.replace(mark, { ...mark, ...now });
    else if (now.w > LEAST_SIDE && now.h > LEAST_SIDE) panel.add({ part: one.part, ...now, label: panel.armed });
  }
  function giveUp() {
    if (!drag) return false;
    const { one, mark, node } = drag;
    if (mark) setPlace(one.nodes.get(mark), mark);
    node?.remove();
    drag = null;
    return true;
  }

  // --- keys ---
  function addInTheMiddle() {
    claim();
    const one = find(panel.selected?.part) ?? layers[0];
    if (!one) return;
    const made = { part: one.part, x: 0.375, y: 0.375, w: 0.25, h: 0.25, label: panel.armed };
    // Not on top of one that is there already.
    while (panel.marks.some((mark) => mark.part === one.part && mark.x === made.x && mark.y === made.y) && made.x < 0.7) {
      made.x = round(made.x + 0.02);
      made.y = round(made.y + 0.02);
    }
    if (panel.add(made)) one.nodes.get(panel.selected)?.focus({ preventScroll: true });
  }
  function push(mark, [right, down], isResize, isFine) {
    const by = isFine ? FINE_STEP : STEP;
    const next = isResize
      ? { w: within(mark.w + right * by, 1 - mark.x), h: within(mark.h + down * by, 1 - mark.y) }
      : { x: mark.x + right * by, y: mark.y + down * by };
    panel.replace(mark, { ...mark, ...place({ ...mark, ...next }) }, `${isResize}`);
    const { x, y, w, h } = panel.selected;
    announce(say("box_place", { x: percent(x), y: percent(y), w: percent(w), h: percent(h) }));
  }

  const takeShared = panel.takeFirst;
  function takeFirst(event) {
    if (event.key === "Escape" && giveUp()) return true;
    if (takeShared(event)) return true;
    if (event.altKey || event.metaKey) return false;
    if (panel.selected && ARROWS[event.key]) {
      event.preventDefault();
      push(panel.selected, ARROWS[event.key], event.shiftKey, event.ctrlKey);
      return true;
    }
    if (event.key.toLowerCase() !== "n" || event.ctrlKey || event.shiftKey || event.repeat || question.options.some((one) => one.key === "n")) return false;
    event.preventDefault();
    addInTheMiddle();
    return true;
  }

  const drawPanel = panel.draw;
  return Object.assign(panel, {
    attach(views) {
      giveUp();
      for (const { layer } of layers) layer.remove();
      layers = views.filter(({ part }) => part.kind === "image" && (!question.parts || question.parts.includes(part.name))).map((view) => {
        const layer = element("div", { class: "boxes", role: "application", "aria-label": say("boxes_on", { name: view.part.name }) });
        const one = { part: view.part.name, layer, nodes: new Map(), ...layOver(view.element, layer) };
        // Before the viewer that it lies in has them.
        layer.addEventListener("keydown", (event) => { if (isActive && takeFirst(event)) event.stopPropagation(); });
        layer.addEventListener("pointerdown", (event) => begin(event, one));
        layer.addEventListener("pointermove", go);
        layer.addEventListener("pointerup", end);
        layer.addEventListener("pointercancel", giveUp);
        return one;
      });
      redraw();
    },
    draw(value, how) {
      ({ isAsked, isActive } = how);
      // Of several questions about one image the one that keys belong to has the pointer too.
      if (isActive) for (const { layer } of layers) for (const other of layer.parentElement.querySelectorAll(":scope > .boxes")) other.classList.toggle("is-behind", other !== layer);
      drawPanel(value);
    },
    focus() { $("item").focus({ preventScroll: true }); },
    takeFirst,
  });
}
