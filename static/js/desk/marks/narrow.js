/* A field that narrows a long list of answers to those that hold what is typed. */
import { $, announce, element, say } from "../page.js";

const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/* The field for `list`, whose children are buttons of the class `choice` and, before those that belong to it, a heading of
   the class `choice-group` with data-depth. A button is found by its own words and by those of the headings above it.
   Down goes into the list, Enter presses the first that is left, Esc empties the field and then leaves it. */
export function narrow(list) {
  const input = element("input", { type: "search", class: "choice-search", placeholder: say("search_choices"), "aria-label": say("search_choices"), "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false" });
  const none = element("p", { class: "quiet small choice-none", text: say("search_none") });
  none.hidden = true;
  const entries = []; // {node, words, above: entries of the headings}
  let open = [];
  for (const node of list.children) {
    const isGroup = node.classList.contains("choice-group");
    const depth = Number(node.dataset.depth || 0);
    open = open.filter((one) => one.depth < depth);
    const entry = { node, depth, isGroup, above: [...open], words: fold(`${isGroup ? node.textContent : node.querySelector(".choice-text").textContent} ${node.value ?? ""}`) };
    if (isGroup) open.push(entry);
    entries.push(entry);
  }
  const shown = () => entries.filter((one) => !one.isGroup && !one.node.hidden).map((one) => one.node);

  function draw() {
    const wanted = fold(input.value).split(/\s+/).filter(Boolean);
    const kept = new Set();
    for (const entry of entries) {
      if (entry.isGroup) continue;
      const words = [entry, ...entry.above].map((one) => one.words).join(" ");
      entry.node.hidden = !wanted.every((word) => words.includes(word));
      if (!entry.node.hidden) for (const one of [entry, ...entry.above]) kept.add(one);
    }
    for (const entry of entries) if (entry.isGroup) entry.node.hidden = !kept.has(entry);
    list.scrollTop = 0;
    list.classList.toggle("is-narrowed", wanted.length > 0);
    none.hidden = shown().length > 0;
    if (wanted.length) announce(say("search_found", { n: shown().length }));
  }
  function empty() { if (input.value) { input.value = ""; draw(); } }

  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const [first] = shown();
    if (event.key === "ArrowDown" && first) first.focus();
    else if (event.key === "Enter" && !event.ctrlKey && input.value) { if (first) { $("item").focus({ preventScroll: true }); first.click(); } }
    else if (event.key === "Escape" && input.value) empty();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const buttons = shown();
    const next = buttons.indexOf(document.activeElement) + by;
    (next < 0 ? input : buttons[Math.min(next, buttons.length - 1)]).focus();
    event.preventDefault();
    event.stopPropagation();
  });
  const holder = element("div", { class: "choice-search-holder" }, input, element("kbd", { class: "only-keyboard", "aria-hidden": "true", text: "/" }), none);
  return Object.assign(holder, { narrowing: { empty, focus() { input.focus(); input.select(); } } });
}
