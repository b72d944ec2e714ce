/* One or several of more answers than can be overlooked: buttons, and a field above that narrows them. */
import { element } from "../page.js";
import { narrow } from "../marks/narrow.js";
import * as buttons from "./buttons.js";

export function build(question, tools) {
  const widget = buttons.build(question, tools);
  const field = narrow(widget.element);
  widget.element.classList.add("is-searched");
  return {
    ...widget,
    element: element("div", {}, field, widget.element),
    reset: field.narrowing.empty,
    takeKey(event) {
      if (event.key !== "/") return false;
      event.preventDefault();
      field.narrowing.focus();
      return true;
    },
  };
}
