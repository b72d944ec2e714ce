/* The guideline beside the item: open or not, which of its clauses the answers point at, and that it has been read. It is
   turned to the clause of the answer under the pointer or the focus. */
import { $, desk } from "./page.js";
import { tellServer } from "./server.js";

const panel = $("guideline");
let isTold = false;

export function open(isOpen) {
  if (!panel) return;
  panel.hidden = !isOpen;
  $("desk").classList.toggle("has-guideline", isOpen);
  document.querySelector('[data-do="guideline"]').setAttribute("aria-expanded", String(isOpen));
  if (isOpen) {
    tellRead();
    turnTo(document.querySelector("#questions [data-points]:hover, #questions [data-points]:focus, #questions [data-points][aria-pressed=true]")?.dataset.points);
  }
  try { localStorage.setItem(`guideline:${desk.project}`, isOpen ? "open" : ""); } catch { /* not remembered, then */ }
}
/* So that next time the clauses are marked that changed since. */
async function tellRead() {
  if (isTold) return;
  isTold = true;
  try { await tellServer(desk.guideline_url, { version: panel.dataset.version }); } catch { isTold = false; /* when it is opened again, then */ }
}

for (const sign of ["pointerover", "focusin"]) {
  $("questions").addEventListener(sign, (event) => {
    const clause = event.target.closest("[data-points]")?.dataset.points;
    if (clause && panel && !panel.hidden) turnTo(clause);
  });
}

export const toggle = () => open(Boolean(panel?.hidden));

/* Where it was open on this machine before, and there is room. */
export function restore() {
  let was = "";
  try { was = localStorage.getItem(`guideline:${desk.project}`) || ""; } catch { /* closed, then */ }
  if (was && matchMedia("(min-width: 1081px)").matches) open(true);
}

/* `pointed`: a Set of the clauses that answers stand for; `cited`: the ones that the annotator cites. */
export function draw(pointed, cited) {
  for (const clause of document.querySelectorAll("[data-clause]")) {
    clause.classList.toggle("is-pointed", pointed.has(clause.dataset.clause));
    clause.classList.toggle("is-cited", cited.includes(clause.dataset.clause));
    clause.querySelector("[data-cite]")?.setAttribute("aria-pressed", String(cited.includes(clause.dataset.clause)));
  }
}

export function turnTo(clause) {
  const told = clause && document.querySelector(`#guideline [data-clause="${CSS.escape(clause)}"]`);
  if (told) panel.scrollTop = told.offsetTop;
}
