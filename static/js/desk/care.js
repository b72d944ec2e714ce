/* How an item comes to this person (desk.care, described in annotation/views/desk.py): the hint before it, covers over what
   is hidden until revealed, blur, grey, sizes, sound, and words that are covered. */
import { desk, drawKey, element, say, has } from "./page.js";
import { showAs } from "./view.js";

const revealed = new Set(); // keys of parts that were revealed in this tab
const cleared = new Set(); // ids of items that are shown clear
const begun = new Set(); // keys of parts whose sound was set once
const MOST = 100; // of each of these: the page is open for hours
function remember(known, one) {
  known.add(one);
  if (known.size > MOST) known.delete(known.values().next().value);
}

const keyOf = (item, part) => `${item.id}:${part.name}`;
export const isSevere = (item) => item.care?.severity === "severe";
const viewOf = (item, part) => desk.care.views[isSevere(item) ? "severe" : "ordinary"][part.kind] || {};

/* Whether nothing of the part may be shown or fetched yet. */
export const isCovered = (item, part) => Boolean(viewOf(item, part).hidden) && !revealed.has(keyOf(item, part));

/* Whether the part comes covered, or words of it may be: what is said of it elsewhere says nothing of what it holds. */
export function comesCovered(item, part) {
  const view = viewOf(item, part);
  return Boolean(view.hidden || (view.mask && desk.care.masked_words.length));
}

/* Whether some of it is shown blurred, grey, small or with words covered. */
const isMilder = (item) => item.parts.some((part) => {
  const view = viewOf(item, part);
  return view.blur || view.grey || (view.mask && desk.care.masked_words.length) || (view.size && view.size !== "full");
});

/* What is said of the item before it is seen, or null: how severe, of what, and in which form. */
export function drawHint(item) {
  const isAnyCovered = item.parts.some((part) => isCovered(item, part));
  if (!item.care && !isAnyCovered && !isMilder(item)) return null;
  const { severity = "none", harms = [] } = item.care || {};
  const forms = [...new Set(item.parts.map((part) => say(`form_${part.kind}`)))].join(", ");
  const hint = element("div", { class: "care-hint", role: "note" });
  if (severity !== "none") hint.append(element("span", { class: `chip ${severity === "severe" ? "chip-bad" : "chip-warn"}`, text: say(`severity_${severity}`) }));
  hint.append(element("span", { text: [harms.map((one) => one.replaceAll("_", " ")).join(", "), forms].filter(Boolean).join(" · ") }));
  if (!isAnyCovered && isMilder(item)) hint.append(element("button", { class: "button button-small", type: "button", "data-do": "reveal", text: say(cleared.has(item.id) ? "show_as_set" : "show_clear") }, drawKey("reveal")));
  return hint;
}

/* Stands where a part is hidden. Of a picture, what the server made of it in which nothing can be recognised. */
export function drawCover(item, part, onReveal) {
  const button = element("button", { class: "button", type: "button", text: say("reveal"), click: () => { uncover(item, part); onReveal(); } }, drawKey("reveal"));
  const cover = element("div", { class: "cover", role: "group", "aria-label": say(`hidden_${part.kind}`, { name: part.name }), "data-cover": part.name });
  if (part.src && (part.kind === "image" || part.kind === "video")) {
    const blurred = element("img", { class: "cover-blurred", alt: "" });
    blurred.addEventListener("error", () => blurred.remove(), { once: true });
    blurred.src = `${part.src}&v=blurred`;
    cover.append(blurred);
  }
  cover.append(element("p", { text: say(`hidden_${part.kind}`, { name: part.name }) }), button);
  return cover;
}

const uncover = (item, part) => remember(revealed, keyOf(item, part));

/* The key to reveal: first the next part that is covered, then the whole item clear, then as before. Returns whether there
   was something to do; then the item is drawn anew. */
export function reveal(item) {
  const next = item.parts.find((part) => isCovered(item, part));
  if (next) { uncover(item, next); return true; }
  if (!isMilder(item) && !hasCoveredQuotes(item)) return false;
  if (!cleared.delete(item.id)) remember(cleared, item.id);
  return true;
}

/* Shows a part that is drawn as its view says. */
export function apply(item, part, shown) {
  const view = viewOf(item, part);
  const isClear = cleared.has(item.id);
  if (part.kind === "text") {
    if (view.mask && !isClear) coverWords(shown);
    showAs(shown, { mask: view.mask && !isClear });
    return;
  }
  showAs(shown, isClear ? {} : { ...view, hidden: false });
  const key = keyOf(item, part);
  if ("mute" in view && !begun.has(key)) { shown.muted = view.mute; remember(begun, key); }
}

/* What is quoted beside the item shown: of ordinary items (the server quotes no other ones), and words of its own. Listed words
   are covered as in a text. Returns whether there are any, covered or shown. */
export function showQuotes(box, { item = null, isClear = item !== null && cleared.has(item.id) } = {}) {
  for (const one of box.querySelectorAll(".masked")) one.replaceWith(...one.childNodes);
  box.normalize();
  const views = desk.care.views;
  const isMasked = Boolean(views.ordinary.text.mask || (item && isSevere(item) && views.severe.text.mask));
  const n = isMasked ? coverWords(box) : 0;
  showAs(box, { mask: !isClear });
  return n > 0;
}

const hasCoveredQuotes = (item) => cleared.has(item.id) || Boolean(document.querySelector("#precedents .masked"));

/* Whether a text of the item is not to be seen yet. Then its words are not quoted either. */
export const isTextCovered = (item) => item.parts.some((part) => part.kind === "text" && isCovered(item, part));

/* Whole words of the list, whatever their case, in a <span> each; the text stays what it is, character by character. Returns
   how many. */
function coverWords(shown) {
  const words = desk.care.masked_words;
  if (!words.length) return 0;
  const escaped = [...words].sort((a, b) => b.length - a.length).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(" ", "\\s+"));
  const found = new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join("|")})(?![\\p{L}\\p{N}])`, "giu");
  const texts = [];
  for (const walker = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT); walker.nextNode();) texts.push(walker.currentNode);
  let n = 0;
  for (const node of texts) {
    const text = node.data;
    const made = document.createDocumentFragment();
    let at = 0;
    for (const match of text.matchAll(found)) {
      made.append(text.slice(at, match.index), element("span", { class: "masked", title: say("masked"), text: match[0] }));
      at = match.index + match[0].length;
      n += 1;
    }
    if (!at) continue;
    made.append(text.slice(at));
    node.replaceWith(made);
  }
  return n;
}

/* Why there is nothing, in the words for a limit that spares somebody. */
export const reasonOf = (reason, limit) => (reason === "limit" && limit && has(limit) ? limit : reason);
