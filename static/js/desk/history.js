/* One's own newest answers, fetched when they are asked for; each that can still be taken back comes back to be answered. */
import * as care from "./care.js";
import { $, desk, say, signedOut } from "./page.js";
import { fetchPart } from "./server.js";

const dialog = $("history");
const list = $("history-list");
let isClear = false; // listed words are shown

export async function open() {
  list.textContent = say("loading_part");
  isClear = false;
  $("history-words").hidden = true;
  if (!dialog.open) dialog.showModal();
  try {
    const part = await fetchPart(desk.history_url);
    if (part) { list.replaceChildren(part); show(); } else { dialog.close(); signedOut(); }
  } catch { list.textContent = say("part_failed"); }
}

function show() { $("history-words").hidden = !care.showQuotes(list, { isClear }); }

/* Listed words are shown, or covered again. */
export function toggleWords() { isClear = !isClear; show(); }

/* `undo({annotation, draft})` is called with the answer to take back. */
export function listen(undo) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-undo]");
    if (!button) return;
    dialog.close();
    undo({ annotation: button.dataset.undo, draft: JSON.parse(button.dataset.draft) });
  });
}
