/* The questions of a schema version on the page: built once, then only their state changes. What an answer looks like and
   how it is given is its widget's affair, a module of widgets/ that exports build(question, {change, claim}):

   `question`   as its kind renders it
   `change(value, {isDone, option})`   the answer is now `value`, undefined for none; `isDone`: the next question is up;
                `option`: the value of the option that was pressed
   `claim()`    keys belong to this question from now on
   and returns
   `element`    what stands below the question's text; `hint`: words beside that text
   `options`    [{value, key, text, clause, press()}]: what can be pressed with a key
   `isOneKey`   an answer is whole with one key
   `draw(value, {isActive, isAsked})`   show this answer; undefined: none. `isActive`: keys belong to this question;
                `isAsked`: the answers so far call for it
   `tell(value)`   it in words
   and where it has them
   `reset()`    another item is shown        `attach(views)`   what that item's parts are drawn with: see item.js
   `fault()`    words for what stands there and is no answer, or ""
   `isEmpty(value)`  whether the value is no answer, where it is another one than nothing and []
   `focus()`    put the cursor in            `takeKey(event)`  true where the key is its own
   `takeFirst(event)`  the same, asked before options and actions, also with Ctrl, Alt and Meta and while a key repeats
   `chosen()`   the options that the answer stands for
   `suggest(value)`   mark what a model suggests; undefined: nothing
   What `tell` says outlives the page in this browser: answers, never content. */
import { $, desk, element, say, schemas } from "./page.js";

const widgets = Object.fromEntries(await Promise.all(Object.entries(desk.widgets).map(async ([name, url]) => [name, await import(url)])));

let rows = []; // [{question, field, widget}]
let version = null;
let activeName = null; // the question that keys belong to, where somebody chose one

const isRequired = (question) => question.required !== false;
const isNothing = (value) => value === undefined || value === null || (Array.isArray(value) && !value.length);
const isUnanswered = ({ question, widget }, answers) => (widget.isEmpty ?? isNothing)(answers[question.name]);

/* `change(name, value, {isDone, option})` is called with each answer, `claim()` when keys belong to another question. */
export function build(schemaVersion, change, claim) {
  if (version === schemaVersion) return;
  version = schemaVersion;
  rows = schemas[version].questions.map((question) => {
    const widget = widgets[question.widget].build(question, {
      change(value, how = {}) {
        activeName = how.isDone ? null : question.name;
        change(question.name, value, how);
      },
      claim() {
        if (activeName === question.name) return;
        activeName = question.name;
        claim();
      },
    });
    const hint = [widget.hint, isRequired(question) ? "" : say("optional")].filter(Boolean).join(", ");
    const legend = element("legend", { class: "question-text", text: question.text || question.name });
    if (hint) legend.append(" ", element("span", { class: "quiet", text: hint }));
    return { question, widget, field: element("fieldset", { class: "question" }, legend, widget.element) };
  });
  $("questions").replaceChildren(...rows.map((row) => row.field));
}

/* Another item: `views` as item.js gives them. */
export function attach(views) {
  activeName = null;
  for (const { widget } of rows) { widget.reset?.(); widget.attach?.(views); }
}
export function mend(views) { for (const { widget } of rows) widget.attach?.(views); }

/* The rows that are asked, given the answers so far. */
export function asked(answers) {
  const shown = [];
  for (const row of rows) {
    const when = row.question.when;
    if (!when || (shown.some((one) => one.question.name === when.question) && [].concat(answers[when.question] ?? []).some((value) => when.in.includes(value)))) shown.push(row);
  }
  return shown;
}

/* The row that keys belong to: the one chosen, else the first without an answer, else the last. */
export function active(answers) {
  const shown = asked(answers);
  return shown.find((row) => row.question.name === activeName) || shown.find((row) => isUnanswered(row, answers)) || shown[shown.length - 1];
}
export function leave() { activeName = null; }
export function move(answers, by) {
  const shown = asked(answers);
  if (shown.length < 2) return false;
  activeName = shown[Math.min(Math.max(shown.indexOf(active(answers)) + by, 0), shown.length - 1)].question.name;
  return true;
}

export function draw(answers) {
  const shown = asked(answers);
  const at = active(answers);
  for (const row of rows) {
    row.field.hidden = !shown.includes(row);
    row.field.classList.toggle("is-active", row === at);
    row.widget.draw(answers[row.question.name], { isActive: row === at, isAsked: shown.includes(row) });
  }
  // One question, one key: the button would only be in the way.
  $("submit").hidden = isOneKey() && isUnanswered(rows[0], answers);
}
export const isOneKey = () => rows.length === 1 && isRequired(rows[0].question) && Boolean(rows[0].widget.isOneKey);

/* The clauses that the answers so far stand for. */
export const clauses = () => new Set(rows.flatMap((row) => row.widget.chosen?.() ?? []).map((option) => option.clause).filter(Boolean));

export function suggest(answers) { for (const row of rows) row.widget.suggest?.(answers[row.question.name]); }

/* The answers in words. */
export function tell(answers) {
  const parts = [];
  for (const row of rows) {
    const { question, widget } = row;
    if (isUnanswered(row, answers)) continue;
    const text = widget.tell(answers[question.name]);
    parts.push(rows.length > 1 ? `${question.text || question.name}: ${text}` : text);
  }
  return parts.join("; ");
}

/* What is asked and answered, ready to be sent; or {fault}: why it cannot be, with the place in view and the focus there. */
export function collect(answers) {
  const shown = asked(answers);
  const wrong = shown.find((row) => row.widget.fault?.());
  const row = wrong || shown.find((one) => isRequired(one.question) && isUnanswered(one, answers));
  if (!row) return { answers: Object.fromEntries(shown.filter((one) => !isUnanswered(one, answers)).map(({ question }) => [question.name, answers[question.name]])) };
  activeName = row.question.name;
  draw(answers);
  row.field.scrollIntoView({ block: "nearest" });
  // The next key belongs to this question.
  if (row.widget.focus) row.widget.focus();
  else if (document.activeElement?.closest("#questions input, #questions textarea")) $("item").focus({ preventScroll: true });
  return { fault: wrong?.widget.fault() || say("answer_first", { question: row.question.text || row.question.name }) };
}

/* The option that a key presses: of the active question; a letter works from any, a digit only where the eye is, as
   several questions count from 1. */
export function findOption(answers, key) {
  const own = active(answers)?.widget.options.find((option) => option.key === key);
  if (own || /\d/.test(key)) return own;
  return asked(answers).flatMap((row) => row.widget.options).find((option) => option.key === key);
}
