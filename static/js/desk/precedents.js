/* Decided cases like the item shown, below the guideline: fetched while the panel is open, behind the item, once for each
   item and each clause that its answers point at. Not before its texts are revealed: they are told by the words in common. */
import * as care from "./care.js";
import { $, desk, say } from "./page.js";
import { fetchPart } from "./server.js";

const box = $("precedents");
const WAIT_MS = 400; // somebody who answers at once needs none
let wanted = ""; // address of what stands there or is on its way
let timer = 0;

/* `lease`: the one shown, or null; `clauses`: a Set of the clauses that the answers point at or cite. */
export function draw(lease, clauses) {
  if (!box || $("guideline").hidden || !lease) return;
  if (care.isTextCovered(lease.item)) { clear(""); return; }
  const query = new URLSearchParams([...clauses].sort().map((clause) => ["clause", clause]));
  const url = `${desk.precedents_url}${lease.id}/?${query}`;
  if (url === wanted) { cover(lease.item); return; }
  clear(url);
  timer = setTimeout(async () => {
    try {
      const part = await fetchPart(url);
      if (url !== wanted) return;
      box.replaceChildren(...(part ? [part] : []));
      cover(lease.item);
    } catch { if (url === wanted) { box.textContent = say("part_failed"); wanted = ""; } }
  }, WAIT_MS);
}

function clear(url) {
  wanted = url;
  clearTimeout(timer);
  box.replaceChildren();
  $("precedents-words").hidden = true;
}
function cover(item) { $("precedents-words").hidden = !care.showQuotes(box, { item }); }
