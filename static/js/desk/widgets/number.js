/* A number, and a rating with a range too long for buttons: typed. */
import { element, say } from "../page.js";

export function build(question, { change }) {
  const input = field(question);
  const holder = element("div", { class: "number-field" }, input);
  if (question.unit) holder.append(element("span", { "aria-hidden": "true", text: question.unit }));
  input.addEventListener("input", () => change(input.value === "" || !input.validity.valid ? undefined : Number(input.value)));
  return {
    element: holder,
    hint: question.hint,
    options: [],
    draw(value) {
      // What does not fit stays to be seen and mended.
      if (input !== document.activeElement && (input.validity.valid || value !== undefined)) input.value = value ?? "";
      input.setAttribute("aria-invalid", String(!input.validity.valid));
    },
    // A new item: what was typed for the one before goes, also from a field that still has the focus.
    reset() { input.value = ""; },
    tell: (value) => `${value}${question.unit ? ` ${question.unit}` : ""}`,
    fault: () => (input.validity.valid ? "" : say(question.hint ? "number_first" : "answer_first", { question: question.text, hint: question.hint })),
    focus() { input.focus({ preventScroll: true }); },
    // Typed at once: the first key takes the focus into the field and is written there.
    takeKey(event) {
      if (!/^[\d.-]$/.test(event.key)) return false;
      input.focus();
      input.select();
      return true;
    },
  };
}

function field(question) {
  const step = question.step ?? 1;
  const input = element("input", { type: "number", step, "aria-label": [question.text, question.unit, question.hint].filter(Boolean).join(", ") });
  if (question.min != null) input.min = question.min;
  if (question.max != null) input.max = question.max;
  // The small keypad of a phone has no minus.
  if (question.min != null && question.min >= 0) input.inputMode = Number.isInteger(step) ? "numeric" : "decimal";
  // Turning the wheel over the field scrolls the page; it changes no answer.
  input.addEventListener("wheel", () => input.blur(), { passive: true });
  return input;
}
