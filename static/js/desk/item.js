/* Draws an item: its parts in order, each as its kind is looked at, then its facts. */
import * as care from "./care.js";
import { $, element, say } from "./page.js";

/* Returns what the questions may need of the page: [{part, element}], the element that shows the content.
   `times`: where the players of this item stood, in seconds, by the name of their part. `onBroken` is called where media
   do not load. Parts that are covered (care.js) are neither drawn nor fetched, and not among what is returned. */
export function drawItem(item, onBroken, times = {}) {
  const box = element("div", { class: "item" });
  const hint = care.drawHint(item);
  if (hint) box.append(hint);
  const isMany = item.parts.length > 1;
  const views = [];
  for (const part of item.parts) {
    const isContext = part.role === "context";
    const holder = element("div", { class: `part${isContext ? " part-context" : ""}` });
    if (isMany || isContext) holder.append(element("p", { class: "part-name", text: isContext ? `${part.name} · ${say("context")}` : part.name }));
    if (care.isCovered(item, part)) holder.append(care.drawCover(item, part, () => $("item").dispatchEvent(new Event("uncover"))));
    else {
      const view = (drawings[part.kind] || drawText)(part, onBroken, times[part.name]);
      care.apply(item, part, view);
      views.push({ part, element: view });
      holder.append(view);
    }
    box.append(holder);
  }
  const facts = Object.entries(item.metadata || {});
  if (facts.length) {
    const list = element("dl", { class: "facts item-meta" });
    for (const [key, value] of facts) list.append(element("dt", { text: key }), element("dd", { text: typeof value === "object" ? JSON.stringify(value) : String(value) }));
    box.append(list);
  }
  $("item").classList.toggle("is-image", item.parts.every((part) => part.kind === "image"));
  $("item").replaceChildren(box);
  return views;
}

/* Draws the item anew, with new links, where one had ended: players at the second where they stood. Null: none had. */
export function mendItem(item, onBroken) {
  return document.querySelector("#item [data-broken]") ? drawAgain(item, onBroken) : null;
}

/* Draws the item anew, as it is to be shown by now: players at the second where they stood. */
export function drawAgain(item, onBroken) {
  return drawItem(item, onBroken, Object.fromEntries([...document.querySelectorAll("#item [data-part]")].map((one) => [one.dataset.part, one.currentTime])));
}

/* Fetches what can be fetched before the item is shown. */
export function preload(item) {
  for (const part of item.parts) if (part.kind === "image" && part.src && !care.isCovered(item, part)) new Image().src = part.src;
}

function listenForFault(media, onBroken) {
  media.addEventListener("error", () => { media.dataset.broken = "1"; onBroken(); }, { once: true });
}

function drawText(part) {
  const text = String(part.text ?? "");
  return element("p", { class: `item-text${text.length > 600 ? " is-long" : ""}`, dir: "auto", text });
}

function drawImage(part, onBroken) {
  const image = element("img", { class: "item-image", alt: say("image", { name: part.name }) });
  image.addEventListener("load", () => image.classList.toggle("is-tiny", image.naturalWidth <= 96));
  listenForFault(image, onBroken);
  image.src = part.src;
  return image;
}

function drawPlayer(part, onBroken, time) {
  const player = element(part.kind, { controls: "", preload: "metadata", src: part.src, "aria-label": part.name, "data-part": part.name });
  player.muted = part.kind === "video";
  if (time) player.addEventListener("loadedmetadata", () => { player.currentTime = time; }, { once: true });
  listenForFault(player, onBroken);
  return player;
}

const drawings = { text: drawText, image: drawImage, audio: drawPlayer, video: drawPlayer };
