/* Places in the item's texts, each with a label: marked with the mouse, a finger, or a caret that keys move. */
import { $, announce, element, say } from "../page.js";
import { buildPanel } from "../marks/panel.js";
import { surfaceOf } from "../marks/text_surface.js";

const MAX_SHOWN = 60;
const CARET_KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);

export function build(question, { change, claim }) {
  let surfaces = new Map(); // name of the part -> {surface, index}
  let atPress = null; // what was selected as a finger came down on a label: the browser lets go of it
  let isAsked = true;
  let isActive = false;

  const panel = buildPanel(question, { change, claim }, {
    order: (a, b) => rank(a.part) - rank(b.part) || a.start - b.start || a.end - b.end || (a.label < b.label ? -1 : 1),
    tell: (mark) => `${mark.start}–${mark.end}`,
    show: quote,
    beforePress() {
      atPress = findSelected();
      setTimeout(() => { atPress = null; }, 1000);
    },
    place(label) {
      const found = findSelected() ?? atPress;
      atPress = null;
      return Boolean(found) && mark(found, label);
    },
    redraw,
    reveal: (mark) => surfaces.get(mark.part)?.surface.reveal(unitsOf(mark).start),
  });
  const rank = (part) => surfaces.get(part)?.index ?? surfaces.size;
  panel.element.prepend(element("p", { class: "quiet small marks-how only-keyboard", text: say("spans_how") }));
  panel.element.prepend(element("p", { class: "quiet small marks-how only-touch", text: say("spans_how_touch") }));

  function unitsOf({ part, start, end }) {
    const { points } = surfaces.get(part).surface;
    return { start: points.toUnit(Math.min(start, points.n)), end: points.toUnit(Math.min(end, points.n)) };
  }
  function quote(mark) {
    if (!surfaces.has(mark.part)) return `${mark.start}–${mark.end}`;
    const { start, end } = unitsOf(mark);
    const text = surfaces.get(mark.part).surface.quote(start, end).replace(/\s+/g, " ");
    return `“${text.length > MAX_SHOWN ? `${[...text].slice(0, MAX_SHOWN).join("")}…` : text}”`;
  }
  function findSelected() {
    for (const [part, { surface }] of surfaces) {
      const found = surface.selected();
      if (found) return { part, surface, start: surface.points.toPoint(found.start), end: surface.points.toPoint(found.end), units: found };
    }
    return null;
  }

  /* Marks what is selected; true also where that may not be, which is said. */
  function mark({ part, surface, start, end, units }, label, isSelected = true) {
    const made = { part, start, end, label };
    const near = panel.marks.filter((one) => one.part === part && one.start < end && start < one.end);
    const same = near.find((one) => one.start === start && one.end === end && (!question.overlapping || one.label === label));
    const other = near.find((one) => one !== same);
    surface.setSelection(units.end);
    if (same && same.label === label) panel.select(same);
    else if (same) panel.relabel(same, label);
    else if (other && !question.overlapping) panel.complain(say("spans_overlap", { label: panel.textOf(other.label), place: quote(other) }));
    else panel.add(made, isSelected);
    drawSelecting();
    return true;
  }

  function redraw() {
    for (const [part, { surface }] of surfaces) {
      const shown = isAsked ? panel.marks.filter((one) => one.part === part).map((one) => draw(one, one === panel.selected, false)) : [];
      if (isAsked && !panel.marks.length) shown.push(...panel.suggested.filter((one) => one.part === part).map((one) => draw(one, false, true)));
      surface.put(panel, { marks: shown, pick: (one) => panel.select(one) });
    }
  }
  const draw = (one, isSelected, isSuggested) => ({ ...unitsOf(one), text: isSuggested ? say("suggested_label", { label: panel.textOf(one.label) }) : panel.textOf(one.label), colour: panel.colour(one.label), isSelected, isSuggested, mark: one });

  // On a phone the labels come to the text while something is selected.
  function drawSelecting() {
    const isSelecting = isActive && Boolean(findSelected());
    panel.element.classList.toggle("is-selecting", isSelecting);
    if (isSelecting && panel.selected) panel.select(null); // a label is for what is selected now
  }
  document.addEventListener("selectionchange", drawSelecting);
  // With a label in hand, letting go of the mouse marks.
  document.addEventListener("pointerup", (event) => {
    if (event.pointerType !== "mouse" || event.button || !panel.armed || !isActive) return;
    setTimeout(() => {
      const found = event.target instanceof Element && event.target.closest("#item, .desk") ? findSelected() : null;
      if (found && panel.armed) mark(found, panel.armed, false);
    });
  });

  function leave() {
    getSelection().removeAllRanges();
    $("item").focus({ preventScroll: true });
  }
  function walk(by) {
    const next = panel.neighbour(by);
    if (!next) return false;
    panel.select(next);
    const { surface } = surfaces.get(next.part) ?? {};
    if (!surface) return true;
    surface.setSelection(unitsOf(next).end);
    if (!surface.hasFocus) surface.enter();
    surface.reveal(unitsOf(next).start);
    return true;
  }

  const takeShared = panel.takeFirst;
  function takeFirst(event) {
    const focused = [...surfaces.values()].find(({ surface }) => surface.hasFocus)?.surface;
    if (takeShared(event)) return true;
    const isPlain = !event.ctrlKey && !event.altKey && !event.metaKey;
    if (focused) {
      if (event.key === "Tab" && isPlain) {
        if (walk(event.shiftKey ? -1 : 1)) event.preventDefault();
        else panel.letGo(); // past the last mark the focus goes on
        return true;
      }
      if (event.key === "Escape") { leave(); return true; }
      const isCopy = !isPlain && ["a", "c"].includes(event.key.toLowerCase());
      if (!CARET_KEYS.has(event.key) && !isCopy) return false;
      if (!focused.element.isContentEditable) focused.enter();
      return true;
    }
    if (!["ArrowLeft", "ArrowRight"].includes(event.key) || !isPlain || !surfaces.size || event.target.closest("button, a, [role=slider]")) return false;
    event.preventDefault();
    surfaces.values().next().value.surface.enter();
    announce(say("spans_caret"));
    return true;
  }

  const drawPanel = panel.draw;
  return Object.assign(panel, {
    attach(views) {
      const mine = views.filter(({ part }) => (part.kind ?? "text") === "text" && (!question.parts || question.parts.includes(part.name)));
      surfaces = new Map(mine.map((view, index) => [view.part.name, { surface: surfaceOf(view), index }]));
      for (const view of mine) {
        view.element.setAttribute("aria-label", say("spans_text", { name: view.part.name }));
        const { surface } = surfaces.get(view.part.name);
        surface.keeper ??= panel;
        view.element.addEventListener("focus", () => { if (surface.keeper === panel) claim(); });
        // Before the viewer that it stands in has them.
        view.element.addEventListener("keydown", (event) => { if (isAsked && isActive && takeFirst(event)) event.stopPropagation(); });
      }
      panel.renew();
    },
    draw(value, how) {
      ({ isAsked, isActive } = how);
      for (const { surface } of surfaces.values()) {
        if (isActive) surface.keeper = panel;
        else if (surface.keeper === panel && !isAsked) surface.keeper = null;
      }
      drawPanel(value);
    },
    focus() { surfaces.values().next().value?.surface.enter(); },
    takeFirst,
  });
}
