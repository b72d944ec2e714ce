/* Every key of the page. A key belongs to the viewer that the focus is in, then to the question that is active, then to any
   answer, then to the viewer in use, then to the desk's actions. */
import { $, desk } from "./page.js";
import * as questions from "./questions.js";

const keyed = { enter: "submit", "?": "help", ...Object.fromEntries(Object.entries(desk.keys).map(([action, key]) => [key, action])) };

/* `answers()`: those of the item shown, or null; `refresh()` draws the questions anew; `viewers`: see item.js. */
export function listenForKeys({ actions, answers, refresh, viewers, leaveComment }) {
  let held = null; // the key that a viewer took: held down it goes on, other keys count once
  document.addEventListener("keydown", (event) => {
    if (event.repeat && event.key === held && (viewers.takeKeyInside(event) || viewers.takeKey(event))) { event.preventDefault(); return; }
    if (event.isComposing || isForWidgetFirst(event) || event.repeat || event.altKey || event.metaKey) return;
    held = null;
    const key = event.key.toLowerCase();
    if (event.target === $("comment")) {
      if (key === "escape") leaveComment();
      if (key === "enter" && event.ctrlKey) { event.preventDefault(); actions.submit(); }
      return;
    }
    const typed = event.target.closest("#questions input, #questions textarea");
    if (typed && key === "enter" && (event.ctrlKey || typed.tagName === "INPUT")) { event.preventDefault(); actions.submit(); return; }
    if (typed && key === "escape") { questions.leave(); $("item").focus({ preventScroll: true }); refresh(); return; }
    if (event.ctrlKey || event.target.closest("input, textarea, select")) return;
    if ($("reasons").open) {
      const button = document.querySelectorAll("#reasons button[value]")[Number(key) - 1];
      if (button?.value) { event.preventDefault(); button.click(); }
      return;
    }
    if ($("history").open && keyed[key] === "reveal") { event.preventDefault(); actions.words(); }
    if (document.querySelector("dialog[open]")) return;
    if (key === "enter" && event.target.closest("a, summary, button:not(.choice[aria-pressed=true], [data-submits])")) return;
    if (isForViewer(event, viewers.takeKeyInside)) return;
    if (answers() && isForQuestion(event, key)) return;
    if (isForViewer(event, viewers.takeKey)) return;
    if (keyed[key]) { event.preventDefault(); actions[keyed[key]](); }
  });

  function isForViewer(event, take) {
    if (!answers() || event.defaultPrevented || !take(event)) return false;
    held = event.key === " " ? null : event.key;
    event.preventDefault();
    return true;
  }

  function isForWidgetFirst(event) {
    if (event.target.closest("input, textarea, select") || document.querySelector("dialog[open]")) return false;
    const given = answers();
    return Boolean(given && questions.active(given)?.widget.takeFirst?.(event));
  }

  function isForQuestion(event, key) {
    const given = answers();
    const at = questions.active(given);
    const isNext = key === "arrowdown" || key === "j";
    const isOwn = at?.widget.options.some((option) => option.key === key);
    // With Shift a letter means the desk's action, where an answer has that letter too.
    const isAction = event.shiftKey && /^\p{L}$/u.test(key);
    if (!isAction && !isOwn && at?.widget.takeKey?.(event)) return true;
    if ((isNext || key === "arrowup" || key === "k") && !isOwn) {
      if (questions.move(given, isNext ? 1 : -1)) {
        event.preventDefault();
        // What was marked in the item belongs to the question that is left.
        if ($("item").contains(document.activeElement)) $("item").focus({ preventScroll: true });
        refresh();
        questions.active(given).field.scrollIntoView({ block: "nearest" });
      }
      return true;
    }
    const option = isAction ? null : questions.findOption(given, key);
    if (!option) return false;
    event.preventDefault();
    option.press();
    return true;
  }
}
