/* Choices in order, best first: put there by their keys one after the other, moved by arrows, buttons or with a pointer. */
import { $, announce, element, say, toast } from "../page.js";

const DRAG_PX = 5;

export function build(question, { change, claim }) {
  const wanted = question.top ?? question.options.length;
  let places = []; // [[value, ...], ...] best first
  let held = null; // the choice that arrows move
  let drag = null;
  let suggested = [];

  const listRanked = element("ol", { class: "ranking", "aria-label": say("ranked") });
  const listLeft = element("ul", { class: "ranking is-left", "aria-label": say("not_ranked") });
  const count = element("p", { class: "quiet small", text: "" });
  const rows = new Map(); // value -> {row, button, number, note, tools}
  const options = question.options.map((one) => ({ value: one.value, key: (one.key || "").toLowerCase(), text: one.text, clause: one.clause, press: () => toggle(one.value) }));
  const textOf = (value) => options.find((one) => one.value === value)?.text ?? value;
  const ranked = () => places.flat();
  const placeOf = (value) => places.findIndex((place) => place.includes(value));

  for (const option of options) rows.set(option.value, buildRow(option));
  function buildRow(option) {
    const number = element("span", { class: "rank-number number" });
    const note = element("span", { class: "choice-clause", text: option.clause || "" });
    const button = element("button", { class: "choice rank-choice", type: "button" }, element("span", { class: "rank-grip", "aria-hidden": "true", text: "≡" }), number);
    if (option.key) button.append(element("span", { class: "key", "aria-hidden": "true", text: option.key.toUpperCase() }));
    button.append(element("span", { class: "choice-text", text: option.text }), note);
    button.addEventListener("click", (event) => {
      if (drag?.isMoving) return;
      // A click by mouse or finger puts in what is not in yet; by key it picks up and puts down.
      if (placeOf(option.value) < 0) toggle(option.value);
      else if (!event.detail) hold(held === option.value ? null : option.value);
    });
    button.addEventListener("focus", claim);
    const tools = element("span", { class: "rank-tools" });
    for (const [word, text, act] of [["rank_up", "↑", () => move(option.value, -1)], ["rank_down", "↓", () => move(option.value, 1)], ...(question.ties ? [["rank_tie", "=", () => tie(option.value)]] : []), ["rank_out", "×", () => toggle(option.value)]]) {
      const tool = element("button", { class: "button button-plain button-small", type: "button", "aria-label": say(word, { choice: option.text }), title: say(word, { choice: option.text }), text, click: () => { act(); if (!tool.isConnected || tool.closest("[hidden]")) button.focus({ preventScroll: true }); else tool.focus({ preventScroll: true }); } });
      tools.append(tool);
    }
    const row = element("li", { "data-value": option.value }, button, tools);
    button.addEventListener("pointerdown", (event) => begin(event, option.value));
    return { row, button, number, note, tools };
  }

  // --- changes: each takes the answer as it is and gives the next one ---
  function give(next, value) {
    places = next.filter((place) => place.length);
    change(places.length ? places : undefined);
    const at = placeOf(value);
    announce(at < 0 ? say("rank_is_out", { choice: textOf(value) }) : say(places[at].length > 1 ? "rank_tied_at" : "rank_at", { choice: textOf(value), i: at + 1, n: wanted }));
  }
  const without = (value) => places.map((place) => place.filter((one) => one !== value));
  function isFull() {
    if (ranked().length < wanted) return false;
    const words = say("rank_full", { n: wanted });
    toast(words);
    announce(words);
    return true;
  }
  function toggle(value) {
    if (placeOf(value) >= 0) { if (held === value) held = null; give(without(value), value); } else if (!isFull()) give([...places, [value]], value);
  }
  function move(value, by) {
    const at = placeOf(value);
    if (at < 0) { if (by < 0 && !isFull()) give([...places, [value]], value); return; }
    if (places[at].length > 1) { // out of a tie first
      const left = without(value);
      left.splice(by < 0 ? at : at + 1, 0, [value]);
      give(left, value);
      return;
    }
    if (at + by < 0 || at + by >= places.length) return;
    const next = places.filter((place, index) => index !== at);
    next.splice(at + by, 0, [value]);
    give(next, value);
  }
  /* Level with the place above; what is level already gets a place of its own again. */
  function tie(value) {
    const at = placeOf(value);
    if (at < 0) return;
    if (places[at].length > 1) { move(value, 1); return; }
    if (!at) return;
    const next = without(value);
    next[at - 1] = sort([...next[at - 1], value]);
    give(next, value);
  }
  const sort = (values) => options.map((one) => one.value).filter((one) => values.includes(one));
  function hold(value) {
    held = value;
    paint();
    if (value) announce(say("rank_held", { choice: textOf(value) }));
    else announce(say("rank_put_down"));
  }

  // --- drawing ---
  const left = () => options.map((one) => one.value).filter((one) => placeOf(one) < 0);
  let painted = "";
  function paint() {
    // A button that is taken out and put back while the mouse is down on it is not clicked.
    const picture = JSON.stringify([places, held, suggested]);
    if (picture === painted) return;
    painted = picture;
    const focused = document.activeElement;
    const isMine = holder.contains(focused);
    listRanked.replaceChildren(...places.map((place, index) => {
      const group = element("li", { class: `rank-place${place.length > 1 ? " is-tied" : ""}` }, element("ul", {}));
      for (const value of place) {
        const { row, button, number, tools } = rows.get(value);
        number.textContent = place.length > 1 ? `${index + 1}=` : `${index + 1}`;
        button.setAttribute("aria-pressed", String(held === value));
        button.setAttribute("aria-label", say(place.length > 1 ? "rank_tied_at" : "rank_at", { choice: textOf(value), i: index + 1, n: wanted }));
        button.setAttribute("aria-description", say("rank_how"));
        button.dataset.submits = ""; // Enter does, Space picks up
        tools.hidden = false;
        group.firstElementChild.append(row);
      }
      return group;
    }));
    listLeft.replaceChildren(...left().map((value) => {
      const { row, button, number, tools } = rows.get(value);
      number.textContent = "";
      button.removeAttribute("aria-pressed");
      button.removeAttribute("aria-description");
      delete button.dataset.submits;
      button.setAttribute("aria-label", say("rank_not_yet", { choice: textOf(value) }));
      tools.hidden = true;
      return row;
    }));
    const n = wanted - ranked().length;
    listLeft.hidden = !left().length;
    count.textContent = !ranked().length ? say(question.top && question.top < options.length ? "rank_start_top" : "rank_start", { n: wanted }) : n > 0 ? say("rank_left", { n }) : "";
    for (const [value, { note }] of rows) {
      const at = suggested.findIndex((place) => place.includes(value));
      note.textContent = at >= 0 ? say("suggested_place", { i: at + 1 }) : options.find((one) => one.value === value).clause || "";
    }
    if (isMine && document.activeElement !== focused) focused.focus({ preventScroll: true });
  }

  // --- pointer: a row follows it, and lies where it is let go ---
  function begin(event, value) {
    if (event.button || drag) return;
    const { button } = rows.get(value);
    // A finger scrolls the page; it moves a row by its grip, or by the buttons beside it.
    if (event.pointerType === "touch" && !event.target.closest(".rank-grip")) return;
    const listening = new AbortController();
    drag = { value, button, listening, y: event.clientY, isMoving: false };
    for (const [name, handle] of [["pointermove", go], ["pointerup", end], ["pointercancel", end]]) document.addEventListener(name, handle, { signal: listening.signal });
  }
  function go(event) {
    if (!drag.isMoving && Math.abs(event.clientY - drag.y) < DRAG_PX) return;
    drag.isMoving = true;
    event.preventDefault();
    rows.get(drag.value).row.classList.add("is-dragged");
    drag.target = findTarget(event.clientY);
    for (const node of holder.querySelectorAll(".is-before, .is-onto, .is-end")) node.classList.remove("is-before", "is-onto", "is-end");
    drag.target.node?.classList.add(drag.target.kind);
  }
  /* Where it would go: before a place, onto it (a tie), or behind the last. */
  function findTarget(y) {
    const groups = [...listRanked.children];
    for (const [index, node] of groups.entries()) {
      const box = node.getBoundingClientRect();
      const share = (y - box.top) / box.height;
      const isOwn = places[index].includes(drag.value);
      if (question.ties && !isOwn && share > 0.3 && share < 0.7) return { node, kind: "is-onto", at: index };
      if (share < 0.5) return { node, kind: "is-before", at: index };
    }
    if (groups.length && y > listLeft.getBoundingClientRect().top + 12 && left().length) return { node: listLeft, kind: "is-onto", at: -1 };
    return { node: groups[groups.length - 1] ?? listRanked, kind: "is-end", at: groups.length };
  }
  function end(event) {
    const { value, listening, isMoving, target } = drag;
    listening.abort();
    rows.get(value).row.classList.remove("is-dragged");
    for (const node of holder.querySelectorAll(".is-before, .is-onto, .is-end")) node.classList.remove("is-before", "is-onto", "is-end");
    setTimeout(() => { drag = null; }); // after the click that ends it
    if (!isMoving || !target || event.type === "pointercancel") return;
    claim();
    if (target.at < 0) { if (placeOf(value) >= 0) toggle(value); return; }
    if (placeOf(value) < 0 && isFull()) return;
    const next = without(value);
    if (target.kind === "is-onto") next[target.at] = sort([...next[target.at], value]);
    else next.splice(target.at, 0, [value]);
    give(next, value);
    paint();
  }

  // --- keys, while the focus is in the list ---
  function focusOn(value) { rows.get(value)?.button.focus(); }
  const holder = element("div", { class: "ranking-field" }, count, listRanked, element("p", { class: "choice-group ranking-left", text: say("not_ranked") }), listLeft);
  holder.addEventListener("keydown", (event) => {
    const value = event.target.closest(".rank-choice")?.closest("li").dataset.value;
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (value === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    if (by && (held === value || event.shiftKey)) move(value, by);
    else if (by) focusOn([...ranked(), ...left()][[...ranked(), ...left()].indexOf(value) + by]);
    else if (event.key === "Enter" && held === value) hold(null);
    else if (event.key === " " && placeOf(value) >= 0) hold(held === value ? null : value);
    else if (event.key === "=" && question.ties) tie(value);
    else if ((event.key === "Delete" || event.key === "Backspace") && placeOf(value) >= 0) toggle(value);
    else if (event.key === "Escape") { if (held) hold(null); else $("item").focus({ preventScroll: true }); } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return {
    element: holder,
    hint: question.ties ? say("ties_allowed") : "",
    options,
    draw(value) {
      places = value ?? [];
      paint();
    },
    reset() { held = null; },
    fault() {
      const n = wanted - ranked().length;
      return ranked().length && n > 0 ? say("rank_fault", { n, question: question.text || question.name }) : "";
    },
    tell: (value) => value.map((place) => place.map(textOf).join(" = ")).join(" > "),
    suggest(value) { suggested = Array.isArray(value) ? value : []; },
    focus() { focusOn(left()[0] ?? ranked()[0]); },
    takeKey(event) {
      if (event.key !== "ArrowDown" || holder.contains(event.target)) return false;
      event.preventDefault();
      focusOn(ranked()[0] ?? left()[0]);
      return true;
    },
  };
}
