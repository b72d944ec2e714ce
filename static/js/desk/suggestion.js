/* What a model suggests, drawn unlike an answer: nothing of it can be pressed, and none of it is sent. */
import { $, element, say } from "./page.js";
import * as questions from "./questions.js";

export function draw(suggestion) {
  const box = $("suggestion");
  box.hidden = !suggestion;
  questions.suggest(suggestion?.answers || {});
  if (!suggestion) { box.replaceChildren(); return; }
  const score = Number(suggestion.score);
  box.replaceChildren(
    $("robot").content.cloneNode(true),
    element("span", {},
      element("span", { text: say("suggestion", { model: suggestion.model, answer: questions.tell(suggestion.answers) || say("none_of_them") }) }),
      " ",
      element("span", { class: "nowrap quiet", text: say("suggestion_score", { score: score.toFixed(2) }) })),
    element("meter", { min: "0", max: "1", value: String(score), "aria-hidden": "true" }));
}
