/* One button an answer: `choice`, `choices` (several may be pressed) and `rating`. */
import { $, element, say } from "../page.js";

export function build(question, { change }) {
  const isRating = question.kind === "rating";
  const isSeveral = question.kind === "choices";
  const isMany = !isRating && question.options.length > 8;
  const list = element("div", { class: isRating ? "rating" : `choices${isMany ? " is-many" : ""}`, role: "group" });
  const options = [];
  let chosen = [];

  function choose(value) {
    if (!isSeveral) { change(value, { isDone: true, option: value }); return; }
    const is = new Set(chosen);
    if (!is.delete(value)) is.add(value);
    change(options.map((one) => one.value).filter((one) => is.has(one)), { option: value });
  }

  for (const one of question.options) {
    if (!one.is_leaf) { list.append(element("p", { class: "choice-group", "data-depth": one.depth, text: one.text })); continue; }
    const key = (one.key || "").toLowerCase();
    const note = element("span", { class: "choice-clause", text: one.clause || "" });
    // Of many answers two stand side by side, those with long names alone.
    const button = element("button", { class: isMany && one.text.length + (one.clause || "").length > 18 ? "choice is-long" : "choice", type: "button", "aria-pressed": "false", value: one.value, "data-depth": one.depth ?? 0, click: () => choose(one.value) });
    if (key) button.append(element("span", { class: "key", "aria-hidden": "true", text: key.toUpperCase() }));
    const tick = element("span", { class: "choice-tick" });
    tick.append($("tick").content.cloneNode(true));
    button.append(element("span", { class: "choice-text", text: one.text }), note, tick);
    list.append(button);
    options.push({ value: one.value, key, text: one.text, clause: one.clause, button, note, press: () => choose(one.value) });
  }

  return {
    element: list,
    hint: isSeveral ? say("several") : "",
    options,
    isOneKey: !isSeveral,
    draw(value) {
      chosen = [].concat(value ?? []);
      for (const option of options) option.button.setAttribute("aria-pressed", String(chosen.includes(option.value)));
    },
    tell: (value) => [].concat(value).map((one) => options.find((option) => option.value === one)?.text ?? String(one)).join(", "),
    // The options that this answer stands for: the open guideline points at their clauses.
    chosen: () => options.filter((option) => chosen.includes(option.value)),
    suggest(value) {
      const suggested = [].concat(value ?? []);
      for (const option of options) option.note.textContent = suggested.includes(option.value) ? say("suggested") : option.clause || "";
    },
  };
}
