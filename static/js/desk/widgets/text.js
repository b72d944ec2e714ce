/* A text of several lines, with a count of what is left. */
import { element, say } from "../page.js";

let nextId = 0;

export function build(question, { change }) {
  const id = `text-count-${(nextId += 1)}`;
  const area = element("textarea", { class: "answer-text", rows: "4", dir: "auto", "aria-label": question.text || question.name, "aria-describedby": id });
  const left = element("span", { class: "number", id });
  const holder = element("div", {}, area, element("p", { class: "quiet small text-count" }, left, element("span", { class: "only-keyboard" }, element("kbd", { text: "T" }), ` ${say("text_writes")} · `, element("kbd", { text: "Ctrl" }), " ", element("kbd", { text: "Enter" }), ` ${say("text_submits")}`)));
  const least = question.min_length ?? 1;
  const most = question.max_length;
  const count = () => [...area.value].length; // code points, as the server counts

  function countDown() {
    const n = count();
    const isLong = n > most;
    left.textContent = n && n < least ? say("text_short", { n: least - n }) : isLong ? say("text_long", { n: n - most }) : say("text_left", { n: most - n });
    area.setAttribute("aria-invalid", String(isLong));
  }
  area.addEventListener("input", () => change(area.value.trim() ? area.value : undefined));

  return {
    element: holder,
    hint: least > 1 ? say("text_least", { n: least }) : "",
    options: [],
    draw(value) {
      // Spaces alone are no answer, and stay as long as somebody writes.
      if (area.value.trim() || value !== undefined) if (area.value !== (value ?? "")) area.value = value ?? "";
      countDown();
    },
    reset() { area.value = ""; },
    tell: (value) => value,
    fault() {
      const n = area.value.trim() ? count() : 0;
      if (!n || (n >= least && n <= most)) return "";
      return say(n < least ? "text_too_short" : "text_too_long", { question: question.text || question.name, least, most, n });
    },
    focus() { area.focus({ preventScroll: true }); },
    takeKey(event) {
      if (event.key.toLowerCase() !== "t" || event.shiftKey) return false;
      event.preventDefault();
      area.focus();
      return true;
    },
  };
}
