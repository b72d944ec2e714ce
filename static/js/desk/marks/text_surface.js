/* A text that can be marked: where its selection lies, a caret for the keyboard, and marks drawn into it. Places here are
   UTF-16 units of the text as stored. Several questions may mark one text: each has a layer of its own. */
import { countPoints } from "./code_points.js";

const MAX_TAG = 24; // characters of a label that are shown in the text

const surfaces = new Map(); // element -> its surface, of the item on the page

document.addEventListener("selectionchange", () => { for (const one of surfaces.values()) one.readSelection(); });

/* `view` as item.js gives it: the text of its element is the stored text. Elements in it, such as badges around characters
   that cannot be seen, are kept. */
export function surfaceOf(view) {
  const { element } = view;
  for (const other of surfaces.keys()) if (!other.isConnected) surfaces.delete(other);
  if (!surfaces.has(element)) surfaces.set(element, buildSurface(element, String(view.part.text ?? "")));
  return surfaces.get(element);
}

/* [{start, end, frame}]: the stored text in pieces, with the element that stands around each, or null. */
function readPieces(element, text) {
  const pieces = [];
  let at = 0;
  for (const node of element.childNodes) {
    const end = at + node.textContent.length;
    pieces.push({ start: at, end, frame: node.nodeType === Node.TEXT_NODE ? null : node });
    at = end;
  }
  return element.textContent === text ? pieces : [{ start: 0, end: text.length, frame: null }];
}

function buildSurface(element, text) {
  const points = countPoints(text);
  const pieces = readPieces(element, text);
  const layers = new Map(); // owner -> {marks: [{start, end, text, colour, isSelected, isSuggested, mark}], pick(mark)}
  let leaves = []; // [{node, start, end}] the text nodes, in order
  let range = null; // {anchor, focus}: the selection, where it is in here
  let last = 0; // where it was last

  element.classList.add("is-markable");
  element.tabIndex = 0;
  element.dir ||= "auto"; // the arrow keys go by it
  element.setAttribute("role", "textbox");
  element.setAttribute("aria-readonly", "true");
  element.setAttribute("aria-multiline", "true");
  for (const [name, value] of [["spellcheck", "false"], ["autocorrect", "off"], ["autocapitalize", "off"], ["inputmode", "none"], ["translate", "no"]]) element.setAttribute(name, value);

  /* A place of the document's selection as a unit of the text; null where it is elsewhere. */
  function toUnit(node, offset) {
    if (!node || !element.contains(node)) return null;
    const leaf = node.nodeType === Node.TEXT_NODE ? leaves.find((one) => one.node === node) : null;
    if (leaf) return leaf.start + Math.min(offset, leaf.end - leaf.start);
    const before = document.createRange();
    before.setStart(element, 0);
    before.setEnd(node, offset);
    return Math.min(before.toString().length, text.length);
  }
  function toPlace(unit) {
    const leaf = leaves.find((one) => unit <= one.end);
    return leaf ? [leaf.node, unit - leaf.start] : [element, 0];
  }

  function readSelection() {
    const found = getSelection();
    const anchor = toUnit(found.anchorNode, found.anchorOffset);
    const focus = toUnit(found.focusNode, found.focusOffset);
    if (anchor !== null && focus !== null) { range = { anchor, focus }; last = focus; }
    else if (!document.activeElement?.matches("input, textarea")) range = null; // a field takes nothing away from here
  }
  function setSelection(anchor, focus = anchor) {
    range = { anchor, focus };
    last = focus;
    getSelection().setBaseAndExtent(...toPlace(anchor), ...toPlace(focus));
  }

  /* What is selected, without the white space at its ends (unless it is nothing else), in whole code points; or null. */
  function selected() {
    readSelection(); // the event about it comes later
    if (!range || range.anchor === range.focus) return null;
    let [start, end] = [Math.min(range.anchor, range.focus), Math.max(range.anchor, range.focus)];
    const inner = text.slice(start, end);
    if (inner.trim()) {
      start += inner.length - inner.trimStart().length;
      end -= inner.length - inner.trimEnd().length;
    }
    start = points.toUnit(points.toPoint(start) - (isInPair(start) ? 1 : 0));
    return { start, end: points.toUnit(points.toPoint(end)) };
  }
  /* What stands there, for elsewhere on the page: words that are covered in the text are covered there too. */
  function quote(start, end) {
    const isMasked = (piece) => element.classList.contains("view-mask") && piece.frame?.classList.contains("masked");
    return pieces.filter((piece) => piece.end > start && piece.start < end).map((piece) => {
      const part = text.slice(Math.max(piece.start, start), Math.min(piece.end, end));
      return isMasked(piece) ? "•".repeat(part.length) : part;
    }).join("");
  }
  const isInPair = (unit) => unit > 0 && /[\udc00-\udfff]/.test(text[unit] ?? "") && /[\ud800-\udbff]/.test(text[unit - 1]);

  // --- drawing ---
  let drawnAs = "";
  function draw() {
    const marks = [...layers.values()].flatMap((layer) => layer.marks);
    const as = JSON.stringify(marks.map(({ mark, ...one }) => one));
    if (as === drawnAs) return;
    drawnAs = as;
    readSelection();
    const isHeld = range && element.contains(getSelection().anchorNode);
    const sorted = [...marks].sort((a, b) => a.start - b.start || b.end - a.end);
    const cuts = new Set([0, text.length]);
    for (const one of sorted) { cuts.add(one.start); cuts.add(one.end); }
    for (const piece of pieces) { cuts.add(piece.start); cuts.add(piece.end); }
    const at = [...cuts].sort((a, b) => a - b);
    const made = document.createDocumentFragment();
    leaves = [];
    let open = [];
    let next = 0;
    let atPiece = 0;
    for (let i = 0; i + 1 < at.length; i += 1) {
      const [start, end] = [at[i], at[i + 1]];
      open = open.filter((one) => one.end > start);
      while (next < sorted.length && sorted[next].start === start) open.push(sorted[next++]);
      while (pieces[atPiece].end <= start) atPiece += 1;
      const node = document.createTextNode(text.slice(start, end));
      const framed = pieces[atPiece].frame?.cloneNode(false);
      framed?.append(node);
      leaves.push({ node, start, end });
      made.append(open.length ? drawMarked(framed ?? node, end, open) : framed ?? node);
    }
    // With dir=auto the direction would be found out anew with each piece.
    element.removeAttribute("dir");
    element.replaceChildren(made);
    element.dir = "auto";
    if (isHeld) setSelection(range.anchor, range.focus);
  }
  function drawMarked(piece, end, open) {
    const [top] = [...open].sort((a, b) => b.isSelected - a.isSelected || a.isSuggested - b.isSuggested || (a.end - a.start) - (b.end - b.start));
    const under = open.find((one) => one !== top);
    const drawn = document.createElement("mark");
    drawn.className = `span${top.isSuggested ? " is-suggested" : ""}${open.some((one) => one.isSelected) ? " is-selected" : ""}${under ? " is-several" : ""}`;
    drawn.style.setProperty("--mark", top.colour);
    if (under) drawn.style.setProperty("--mark-under", under.colour);
    drawn.append(piece);
    drawn.covering = open.filter((one) => !one.isSuggested).sort((a, b) => (a.end - a.start) - (b.end - b.start));
    for (const one of open) {
      if (one.end !== end) continue;
      const tag = document.createElement("span");
      tag.className = `span-tag${one.isSuggested ? " is-suggested" : ""}`;
      tag.contentEditable = "false";
      tag.dataset.label = [...one.text].length > MAX_TAG ? `${[...one.text].slice(0, MAX_TAG - 1).join("")}…` : one.text; // drawn by the stylesheet: it is no part of the text
      tag.style.setProperty("--mark", one.colour);
      drawn.append(tag);
    }
    return drawn;
  }

  // --- the caret: the browser's own, as long as keys move it; nothing that is typed gets in ---
  const canType = (is) => { if (is) element.contentEditable = "true"; else element.removeAttribute("contenteditable"); };
  function enter() {
    const { anchor, focus } = range ?? { anchor: last, focus: last };
    canType(true);
    element.focus();
    setSelection(anchor, focus);
  }
  for (const name of ["beforeinput", "paste", "cut", "drop", "dragstart"]) element.addEventListener(name, (event) => event.preventDefault());
  // What an input method writes cannot be held back; it is taken out again.
  element.addEventListener("input", () => { drawnAs = ""; draw(); });
  element.addEventListener("compositionend", () => { drawnAs = ""; draw(); });
  element.addEventListener("pointerdown", () => canType(false));
  element.addEventListener("focus", () => { if (element.matches(":focus-visible") && !element.isContentEditable) enter(); });
  element.addEventListener("blur", () => canType(false));
  element.addEventListener("click", (event) => {
    const covering = event.target.closest("mark")?.covering;
    if (!covering?.length || selected()) return;
    // The shortest first; another click on the same place goes on to the one around it.
    const one = covering[(covering.findIndex((other) => other.isSelected) + 1) % covering.length];
    layers.get(one.owner).pick(one.mark);
  });

  return {
    element, points, quote, selected, setSelection, readSelection, enter,
    keeper: null, // the owner whose question keys belong to while the focus is here
    get hasFocus() { return document.activeElement === element; },
    put(owner, layer) { for (const one of layer.marks) one.owner = owner; layers.set(owner, layer); draw(); },
    reveal(start) {
      leaves.find((one) => start < one.end)?.node.parentElement.closest("mark")?.scrollIntoView({ block: "nearest" });
    },
  };
}
