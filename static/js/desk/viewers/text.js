/* A text, in whatever script it is written. Nothing in it is a link, and nothing is fetched for it.

   Characters that cannot be seen get a badge with their name, and those that turn the order of what follows are kept from
   doing so. The badge is drawn by the stylesheet around a <span> that holds the character itself: the text of the <p> is
   the stored text, character by character, whatever is shown. So the code point at which a selection starts is the number
   of code points in the <p>'s text before it, badges or not:

     const before = document.createRange();
     before.setStart(p, 0);
     before.setEnd(selection.startContainer, selection.startOffset);
     const start = [...before.toString()].length; */
import { drawKey, element, say } from "../page.js";

const NAMES = new Map([
  [0xa0, "NBSP"], [0xad, "SHY"], [0x34f, "CGJ"], [0x61c, "ALM"], [0x115f, "HCF"], [0x1160, "HJF"], [0x1680, "OGHAM SP"], [0x17b4, "KIV AQ"], [0x17b5, "KIV AA"], [0x180e, "MVS"],
  [0x2000, "EN QUAD"], [0x2001, "EM QUAD"], [0x2002, "EN SP"], [0x2003, "EM SP"], [0x2004, "⅓ EM SP"], [0x2005, "¼ EM SP"], [0x2006, "⅙ EM SP"], [0x2007, "FIGURE SP"], [0x2008, "PUNCT SP"], [0x2009, "THIN SP"], [0x200a, "HAIR SP"],
  [0x200b, "ZWSP"], [0x200c, "ZWNJ"], [0x200d, "ZWJ"], [0x200e, "LRM"], [0x200f, "RLM"], [0x2028, "LINE SEP"], [0x2029, "PARA SEP"],
  [0x202a, "LRE"], [0x202b, "RLE"], [0x202c, "PDF"], [0x202d, "LRO"], [0x202e, "RLO"], [0x202f, "NNBSP"], [0x205f, "MATH SP"],
  [0x2060, "WJ"], [0x2061, "FN APPLY"], [0x2062, "INV TIMES"], [0x2063, "INV COMMA"], [0x2064, "INV PLUS"], [0x2066, "LRI"], [0x2067, "RLI"], [0x2068, "FSI"], [0x2069, "PDI"],
  [0x2800, "BLANK"], [0x3164, "HF"], [0xfeff, "BOM"], [0xffa0, "HALF HF"], [0xfff9, "IAA"], [0xfffa, "IAS"], [0xfffb, "IAT"], [0x7f, "DEL"],
]);
const TURNS = /[\u202a-\u202e\u2066-\u2069]/;
/* Two letters of one of these scripts are joined, or kept apart, by ZWJ and ZWNJ: that is how their words are spelled. */
const JOINED = ["Arabic", "Syriac", "Mongolian", "Nko", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Khmer", "Myanmar"].map((name) => `\\p{Script=${name}}`).join("");
/* What belongs to an emoji, a flag, a letter, an ideograph or the end of a line, and is no news to anybody. */
const USUAL = [
  "\\u{1F3F4}[\\u{E0030}-\\u{E0039}\\u{E0061}-\\u{E007A}]+\\u{E007F}",
  "(?<=[\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\uFE0F])\\u200D(?=\\p{Extended_Pictographic})",
  "(?<=[\\p{Emoji}\\p{Extended_Pictographic}])[\\uFE0E\\uFE0F]",
  `(?<=[${JOINED}]\\p{M}*)[\\u200C\\u200D](?=[${JOINED}])`,
  "(?<=\\p{Unified_Ideograph})[\\uFE00-\\uFE0F\\u{E0100}-\\u{E01EF}]",
  "(?<=\\p{Script=Mongolian})[\\u180B-\\u180F]",
  "\\r(?=\\n)",
].join("|");
/* Tags, selectors of variants, and whatever else cannot be seen: each run of one of them is one badge. */
const HIDDEN = [
  "[\\u{E0000}-\\u{E007F}]+",
  "[\\uFE00-\\uFE0F\\u{E0100}-\\u{E01EF}\\u180B-\\u180D\\u180F]+",
  "(?<same>[\\u0001-\\u0008\\u000B-\\u001F\\u007F-\\u00A0\\u00AD\\u034F\\u061C\\u115F\\u1160\\u1680\\u17B4\\u17B5\\u180E\\u2000-\\u200F\\u2028-\\u202F\\u205F-\\u206F\\u2800\\u3164\\uFEFF\\uFFA0\\uFFF9-\\uFFFB\\u{1BCA0}-\\u{1BCA3}\\u{1D173}-\\u{1D17A}])\\k<same>*",
].join("|");
const FOUND = new RegExp(`(?<usual>${USUAL})|${HIDDEN}`, "gu");
const MOST = 2000; // badges in one text; what turns the order is stopped beyond them too

function nameOf(run) {
  const points = [...run];
  const code = points[0].codePointAt(0);
  const times = points.length > 1 ? ` ×${points.length}` : "";
  if (code >= 0xe0000 && code <= 0xe007f) {
    const text = points.map((one) => one.codePointAt(0) - 0xe0000).filter((one) => one >= 0x20 && one < 0x7f).map((one) => String.fromCharCode(one)).join("");
    return `TAG${times}${text ? ` ${text}` : ""}`;
  }
  if ((code >= 0xfe00 && code <= 0xfe0f) || code >= 0xe0100 || (code >= 0x180b && code <= 0x180f && code !== 0x180e)) return `VS${times}`;
  return (NAMES.get(code) || `U+${code.toString(16).toUpperCase().padStart(4, "0")}`) + times;
}

/* The text, in pieces; `n`: how many hidden characters it has. */
function drawPieces(text) {
  const pieces = document.createDocumentFragment();
  let [n, nBadges, end] = [0, 0, 0];
  for (const match of text.matchAll(FOUND)) {
    if (match.groups.usual !== undefined) continue;
    const [run] = match;
    n += [...run].length;
    nBadges += 1;
    const isTurn = TURNS.test(run);
    if (nBadges > MOST && !isTurn) continue;
    if (match.index > end) pieces.append(text.slice(end, match.index));
    const piece = element("span", { class: `hidden-char${isTurn ? " is-turn" : ""}`, text: run });
    if (nBadges <= MOST) piece.dataset.name = nameOf(run);
    pieces.append(piece);
    end = match.index + run.length;
  }
  if (n) pieces.append(text.slice(end));
  return { pieces, n };
}

const prepared = new WeakMap(); // part -> its <p> and more: a text of 100 kB is ready when it is called up

function draw(part) {
  const text = String(part.text ?? "");
  const shown = element("p", { class: `item-text${text.length > 600 ? " is-long" : ""}` });
  const { pieces, n } = drawPieces(text);
  if (n) shown.append(pieces); else shown.textContent = text;
  shown.dir = "auto"; // last: with each piece that goes in it would be found out anew, 6 s for 20,000 of them
  return { shown, n };
}

export function prepare(part) { prepared.set(part, draw(part)); }

export function build(part) {
  const { shown, n } = prepared.get(part) || draw(part);
  prepared.delete(part);
  const box = element("div", { class: "viewer viewer-text", tabindex: "-1", role: "group", "aria-label": say("text_part", { name: part.name }) }, shown);
  const changed = () => shown.dispatchEvent(new Event("viewchange"));
  const watch = new ResizeObserver(changed);
  watch.observe(shown);
  const viewer = {
    box,
    element: shown,
    focus() { box.focus({ preventScroll: true }); box.scrollIntoView({ block: box.offsetHeight > innerHeight / 2 ? "start" : "center" }); },
    leave: () => watch.disconnect(),
  };
  if (!n) return viewer;
  const button = element("button", { class: "button button-small button-plain", type: "button", "data-do": "hidden", "aria-pressed": "false", text: say("as_they_are") }, drawKey("hidden"));
  box.append(element("div", { class: "viewer-tools" }, element("span", { class: "quiet small", text: say("hidden", { n }) }), button));
  viewer.toggleHidden = () => {
    const isRaw = shown.classList.toggle("is-raw");
    shown.replaceWith(shown); // Chromium puts letters in their new order only where they are laid out anew
    button.setAttribute("aria-pressed", String(isRaw));
    changed();
  };
  return viewer;
}
