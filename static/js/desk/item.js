/* Draws an item: its parts in order, each by the viewer of its kind, then its facts. A viewer is a module of viewers/ that
   exports

   `prepare(part)`   fetches what can be fetched before the part is shown, and keeps it for `build`
   `build(part, {onBroken, state})`   draws it, at once; `state`: what `state()` of the same part gave before
   and whose build returns
   `box`        what stands on the page, picture and buttons
   `element`    what shows the content itself: the <p> whose text is the stored text, character by character, the <img>,
                the <audio>, the <video>. "viewchange" is dispatched on it after its place or size changed
   and where it has them
   `timeline`   of a player: time runs over its whole width; what is laid over it stays in place
   `sheet`      of an image: has the box of the <img> before it is turned; what is laid over it moves, grows and turns
                with the picture. `element.dataset.turn`: by how many degrees, clockwise
   `takeKey(event)`  true where the key is its own        `focus()`   put the focus on it
   `state()`    what a new drawing goes on from           `leave()`   another item is shown
   `drawn()`    it stands on the page: what has to be measured

   A key that no answer wants goes to the viewer in use: the one used last, else the first of those to be judged. Where the
   focus is inside a viewer, its keys are its own before they are an answer's. */
import * as care from "./care.js";
import { $, desk, drawKey, element, say } from "./page.js";

const viewers = {}; // kind -> module, fetched when the first part of that kind comes in
const kindOf = (part) => (part.kind in desk.viewers ? part.kind : "text");

let shown = []; // [{part, box, element, ...}] of the item on the page
let inUse = null;
let told = ""; // the item in words, for those who listen

/* Those to be judged first. */
const byRole = () => [...shown.filter((one) => one.part.role !== "context"), ...shown.filter((one) => one.part.role === "context")];

/* Null where these items can be drawn at once, else a promise of that. */
export function fetchViewers(items) {
  const missing = [...new Set(items.flatMap((item) => item.parts.map(kindOf)))].filter((kind) => !viewers[kind]);
  return missing.length ? Promise.all(missing.map(async (kind) => { [viewers[kind]] = await Promise.all(desk.viewers[kind].map((url) => import(url))); })) : null;
}

/* Fetches what can be fetched before the item is shown. */
export function preload(item) {
  for (const part of item.parts) if (!care.isCovered(item, part)) viewers[kindOf(part)].prepare(part);
}

/* Returns what the questions may need of the page: [{part, element}], the element that shows the content.
   `onBroken()` is called where media do not load, and says whether they are fetched again. `states`: by name of the part.
   Parts that are covered (care.js) are neither drawn nor fetched, and not among what is returned. */
export function drawItem(item, onBroken, states = {}) {
  for (const one of shown) one.leave?.();
  const box = element("div", { class: "item" });
  const hint = care.drawHint(item);
  if (hint) box.append(hint);
  const isThread = item.parts.length > 1 && item.parts.some((part) => part.role === "context");
  const words = hint ? [hint.textContent] : [];
  inUse = null;
  shown = [];
  for (const part of item.parts) {
    const isContext = part.role === "context";
    const holder = element("div", { class: `part${isContext ? " part-context" : isThread ? " part-target" : ""}` });
    const role = isContext ? say("context") : isThread ? say("target") : "";
    if (item.parts.length > 1 || isContext) holder.append(element("p", { class: "part-name", dir: "auto", text: role ? `${part.name} · ${role}` : part.name }));
    if (care.isCovered(item, part)) {
      holder.append(care.drawCover(item, part, () => $("item").dispatchEvent(new Event("uncover"))));
      words.push(say(`hidden_${part.kind}`, { name: part.name }));
    } else {
      const viewer = { part, ...viewers[kindOf(part)].build(part, { onBroken, state: states[part.name] }) };
      care.apply(item, part, viewer.element);
      shown.push(viewer);
      words.push(part.kind === "text" ? String(part.text ?? "") : viewer.element.alt || say(part.kind, { name: part.name }));
      holder.append(viewer.box);
    }
    box.append(holder);
  }
  told = words.join(" ");
  const jump = element("button", { class: "button button-small thread-jump", type: "button", "data-do": "view", text: say("go_target") }, drawKey("view"));
  box.prepend(jump);
  box.addEventListener("focusin", (event) => { inUse = shown.find((one) => one.box.contains(event.target)) || inUse; });
  const facts = Object.entries(item.metadata || {});
  if (facts.length) {
    const list = element("dl", { class: "facts item-meta" });
    for (const [key, value] of facts) list.append(element("dt", { text: key }), element("dd", { text: typeof value === "object" ? JSON.stringify(value) : String(value) }));
    box.append(list);
  }
  $("item").classList.toggle("is-wide", item.parts.some((part) => part.kind !== "text"));
  $("item").replaceChildren(box);
  for (const one of shown) one.drawn?.();
  const [target] = byRole();
  jump.hidden = !isThread || !target || target.box.getBoundingClientRect().top + scrollY < innerHeight - 60;
  return shown;
}

/* Draws the item anew, with new links, where one had ended: players at the second where they stood. Null: none had. */
export function mendItem(item, onBroken) {
  return document.querySelector("#item [data-broken]") ? drawAgain(item, onBroken) : null;
}

/* Draws the item anew, as it is to be shown by now: players at the second where they stood. */
export function drawAgain(item, onBroken) {
  const name = shown.find((one) => one.box.contains(document.activeElement))?.part.name;
  const views = drawItem(item, onBroken, Object.fromEntries(shown.map((one) => [one.part.name, one.state?.()])));
  if (name !== undefined) shown.find((one) => one.part.name === name)?.focus();
  return views;
}

/* Nothing is left to be seen, or to be heard. */
export function clearItem() {
  for (const one of shown) one.leave?.();
  shown = [];
  $("item").replaceChildren();
}

/* A key in the viewer that the focus is in; true where it was one of its own. */
export function takeKeyInside(event) {
  const viewer = shown.find((one) => one.box.contains(event.target));
  if (!viewer) return false;
  if (event.key === "Escape") { $("item").focus({ preventScroll: true }); return true; }
  return !(event.key === " " && event.target.closest("button")) && Boolean(viewer.takeKey?.(event));
}

export const tell = () => told;

/* A key that nobody else wanted, for the viewer in use; true where it was one of its own. */
export function takeKey(event) {
  if (event.target.isContentEditable || event.target.closest("button, a, summary")) return false;
  const viewer = inUse?.takeKey ? inUse : byRole().find((one) => one.takeKey);
  return Boolean(viewer?.takeKey(event));
}

/* The focus to what is to be judged; from there to the next part. */
export function focusNext() {
  const order = byRole();
  const at = order.findIndex((one) => one.box.contains(document.activeElement));
  order[(at + 1) % order.length]?.focus();
}

/* Hidden characters by name, or as they are: in every text of the item alike. */
export function toggleHidden() {
  for (const one of shown) one.toggleHidden?.();
}
