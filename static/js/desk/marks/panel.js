/* What spans, boxes and segments have beside the item: the labels, the list of what is marked, and the way back. The
   widget draws the marks in the item and makes new ones; here is which there are, which is selected, and what keys and
   buttons do to them. A mark is an object as it stands in the answer; it is never changed, another one takes its place. */
import { turnTo } from "../guideline.js";
import { $, announce, element, say, toast } from "../page.js";
import { narrow } from "./narrow.js";

const MANY_LABELS = 5;
const SEARCHED_LABELS = 30;
const MAX_PAST = 200;
const N_COLOURS = 6;

/* `question` and `{change, claim}` as a widget has them, and what the widget knows of its marks:
   `order(a, b)`    which comes first
   `tell(mark)`     its place in words, without content       `show(mark)`   the same for the list, content allowed
   `place(label)`   a label was pressed: true where the widget made a mark of it
   `redraw()`       marks, selection or label in hand changed
   `reveal(mark)`   bring it into view, where it was selected in the list
   `extras(mark)`   more for its row of the list, optional
   `isArmed`        a label is always in hand (boxes) */
export function buildPanel(question, { change, claim }, widget) {
  const labels = question.options.filter((one) => one.is_leaf);
  const indexOf = Object.fromEntries(labels.map((one, index) => [one.value, index]));
  const textOf = (label) => labels[indexOf[label]]?.text ?? label;
  const least = question.min ?? 0;
  const most = question.max ?? Infinity;

  let marks = [];
  let isNothing = false; // somebody said that there is nothing to mark
  let selected = null;
  let armed = widget.isArmed ? labels[0].value : null;
  let suggested = [];
  let past = []; // the answers before this one
  let lastStep = null;
  let drawn = null;

  const panel = {
    get marks() { return marks; },
    get selected() { return selected; },
    get armed() { return armed; },
    get suggested() { return suggested; },
    textOf,
    colour: (label) => `var(--mark-${((indexOf[label] ?? 0) % N_COLOURS) + 1})`,
    isFull() {
      if (marks.length < most) return false;
      complain(say("marks_full", { n: most }));
      return true;
    },
    /* A new mark. `isSelected`: keys change this one until another is selected. */
    add(mark, isSelected = true) {
      if (panel.isFull()) return false;
      commit([...marks, mark], isSelected ? mark : null);
      tellOf("marked", mark);
      turnTo(labels[indexOf[mark.label]]?.clause);
      return true;
    },
    /* `step`: changes with one name that follow each other are taken back together. */
    replace(old, mark, step = null) { commit(marks.map((one) => (one === old ? mark : one)), mark, step); },
    relabel(mark, label) {
      const other = { ...mark, label };
      panel.replace(mark, other);
      tellOf("marked", other);
      turnTo(labels[indexOf[label]]?.clause);
    },
    remove(mark) {
      const at = marks.indexOf(mark);
      const left = marks.filter((one) => one !== mark);
      commit(left, left.length ? left[Math.min(at, left.length - 1)] : null);
      tellOf("mark_removed", mark);
    },
    select(mark, isQuiet = false) {
      claim();
      if (selected === mark) return;
      selected = mark;
      drawPanel();
      if (mark && !isQuiet) tellOf("mark_at", mark);
    },
    /* The mark before or after the one selected; null past the ends. */
    neighbour(by) {
      if (!selected) return marks[by > 0 ? 0 : marks.length - 1] ?? null;
      return marks[marks.indexOf(selected) + by] ?? null;
    },
    /* Nothing selected, no label in hand; false where that was so. */
    letGo() {
      if (!selected && (widget.isArmed || !armed)) return false;
      selected = null;
      if (!widget.isArmed) armed = null;
      drawPanel();
      return true;
    },
    undo() {
      if (!past.length) { announce(say("nothing_to_take_back")); return; }
      const before = past.pop();
      lastStep = null;
      selected = null;
      change(before);
      announce(say("taken_back"));
    },
    /* Keys of every kind of mark; true where the key was one of them. */
    takeFirst(event) {
      if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
        event.preventDefault();
        panel.undo();
        return true;
      }
      if (event.ctrlKey || event.metaKey || event.altKey) return false;
      if ((event.key === "Delete" || event.key === "Backspace") && selected) {
        event.preventDefault();
        panel.remove(selected);
        return true;
      }
      return event.key === "Escape" && !event.repeat && panel.letGo();
    },
    /* The item is drawn anew, or another one is: what the rows say of it may be another thing. */
    renew() {
      rows = new WeakMap();
      drawn = null;
      drawPanel();
    },
    complain,
    // What a widget hands on as its own.
    element: element("div", { class: "marks" }),
    options: [],
    isEmpty: (value) => value === undefined || value === null,
    draw(value) {
      marks = value ?? [];
      isNothing = Array.isArray(value) && !value.length;
      if (!marks.includes(selected)) selected = null;
      drawPanel();
    },
    reset() {
      past = [];
      marks = [];
      selected = lastStep = null;
      isNothing = false;
    },
    fault: () => (marks.length && marks.length < least ? say("marks_few", { n: least, question: question.text || question.name }) : ""),
    suggest(value) { suggested = Array.isArray(value) ? value : []; drawn = null; },
    tell: (value) => (value.length ? value.map((one) => `${textOf(one.label)} ${widget.tell(one)}`).join(", ") : say("nothing_marked")),
    chosen: () => panel.options.filter((option) => marks.some((one) => one.label === option.value)),
  };

  function complain(text) { toast(text); announce(text); }
  function tellOf(word, mark) { announce(say(word, { label: textOf(mark.label), place: widget.show(mark), i: marks.indexOf(mark) + 1, n: marks.length })); }

  function commit(next, picked, step = null) {
    if (!step || step !== lastStep) past.push(isNothing ? [] : marks.length ? marks : undefined);
    if (past.length > MAX_PAST) past.shift();
    lastStep = step;
    const sorted = [...next].sort(widget.order);
    selected = picked;
    marks = sorted;
    change(sorted.length ? sorted : undefined);
  }

  function press(label) {
    claim();
    if (widget.place(label)) return;
    if (selected && (widget.isArmed || !armed)) {
      if (widget.isArmed) armed = label;
      if (selected.label !== label) panel.relabel(selected, label);
      return;
    }
    armed = armed === label && !widget.isArmed ? null : label;
    drawPanel();
    announce(armed ? say("label_in_hand", { label: textOf(label) }) : say("label_put_down", { label: textOf(label) }));
  }
  function sayNothing() {
    if (marks.length) { complain(say("marks_stand")); return; }
    past.push(isNothing ? [] : undefined);
    change(isNothing ? undefined : []);
    if (!isNothing) return;
    announce(say("nothing_marked"));
  }

  // --- the labels ---
  const isMany = labels.length > MANY_LABELS;
  const bar = element("div", { class: `choices marks-labels${isMany ? " is-many" : ""}`, role: "group", "aria-label": say("labels") });
  function addButton(option, kind, text, note) {
    const button = element("button", { class: `choice ${kind}${isMany && text.length > 14 ? " is-long" : ""}`, type: "button", "aria-pressed": "false", click: option.press });
    if (option.key) button.append(element("span", { class: "key", "aria-hidden": "true", text: option.key.toUpperCase() }));
    button.append(element("span", { class: "mark-colour", "aria-hidden": "true" }), element("span", { class: "choice-text", text }), element("span", { class: "choice-clause", text: note || "" }));
    // What is marked in the text stays marked while a label is pressed.
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("pointerdown", () => widget.beforePress?.());
    bar.append(button);
    option.button = button;
    panel.options.push(option);
  }
  for (const one of labels) {
    addButton({ value: one.value, key: (one.key || "").toLowerCase(), text: one.text, clause: one.clause, press: () => press(one.value) }, "", one.text, one.clause);
    panel.options[panel.options.length - 1].button.style.setProperty("--mark", panel.colour(one.value));
  }
  if (!least) addButton({ value: null, key: ["0", "-"].find((key) => !panel.options.some((one) => one.key === key)) ?? "", text: say("nothing_to_mark"), press: sayNothing }, "is-nothing", say("nothing_to_mark"));

  // --- the list of marks ---
  let rows = new WeakMap(); // mark -> its row
  const list = element("ol", { class: "mark-list", "aria-label": say("marked_list") });
  const suggestion = element("button", { class: "button button-small marks-suggested", type: "button", click: takeSuggestion });
  list.addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const next = by && event.target.closest(".mark-name") ? marks[[...list.children].indexOf(event.target.closest("li")) + by] : null;
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    panel.select(next);
    widget.reveal(next);
    list.children[marks.indexOf(next)].firstElementChild.focus({ preventScroll: true });
  });
  panel.element.append(...(labels.length > SEARCHED_LABELS ? [narrow(bar)] : []), bar, suggestion, list);

  function takeSuggestion() {
    claim();
    commit(suggested.map((one) => ({ ...one })), null);
    announce(say("suggestion_taken", { n: suggested.length }));
  }
  function drawPanel() {
    for (const option of panel.options) {
      const isOn = option.value === null ? isNothing : (widget.isArmed ? selected?.label ?? armed : armed ?? selected?.label) === option.value;
      option.button.setAttribute("aria-pressed", String(isOn));
    }
    suggestion.hidden = !suggested.length || marks.length > 0;
    suggestion.textContent = say("suggestion_take", { n: suggested.length });
    if (drawn !== marks) drawList();
    for (const [index, row] of [...list.children].entries()) row.firstElementChild.setAttribute("aria-pressed", String(marks[index] === selected));
    showRow(list.children[marks.indexOf(selected)]);
    widget.redraw();
  }
  /* In the column beside the item; where that is below it, the page stays where it is. */
  function showRow(row) {
    const column = list.closest(".desk-answers");
    if (!row || !column || column.scrollHeight <= column.clientHeight) return;
    const [outer, inner] = [column.getBoundingClientRect(), row.getBoundingClientRect()];
    const bottom = outer.bottom - (column.querySelector(".desk-actions")?.offsetHeight ?? 0);
    if (inner.bottom > bottom) column.scrollTop += inner.bottom - bottom;
    else if (inner.top < outer.top) column.scrollTop -= outer.top - inner.top;
  }
  function drawList() {
    const focused = [...list.children].findIndex((row) => row.contains(document.activeElement));
    drawn = marks;
    for (const mark of marks) if (!rows.has(mark)) rows.set(mark, buildRow(mark));
    list.replaceChildren(...marks.map((mark) => rows.get(mark)));
    if (focused >= 0) (list.children[Math.min(focused, marks.length - 1)]?.firstElementChild ?? $("item")).focus({ preventScroll: true });
  }
  function buildRow(mark) {
    const extras = widget.extras?.(mark) ?? [];
    const name = element("button", { class: "mark-name", type: "button", "aria-pressed": "false", "aria-label": `${textOf(mark.label)}, ${widget.show(mark)}`, click: () => { panel.select(mark); widget.reveal(mark); } },
      element("span", { class: "mark-tag", text: textOf(mark.label) }), ...(extras.length ? [] : [element("span", { class: "mark-place", text: widget.show(mark) })]));
    const drop = element("button", { class: "button button-plain button-small mark-drop", type: "button", "aria-label": say("mark_drop", { label: textOf(mark.label), place: widget.show(mark) }), click: () => { panel.remove(mark); refocus(); } }, $("cross").content.cloneNode(true));
    const row = element("li", {}, name, ...extras, drop);
    row.style.setProperty("--mark", panel.colour(mark.label));
    return row;
  }
  function refocus() { if (!list.contains(document.activeElement)) (list.querySelector("[aria-pressed=true]") ?? $("item")).focus({ preventScroll: true }); }

  return panel;
}
