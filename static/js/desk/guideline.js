/* The guideline beside the item: open or not, and which of its clauses the answers point at. */
import { $, desk } from "./page.js";

const panel = $("guideline");

export function open(isOpen) {
  if (!panel) return;
  panel.hidden = !isOpen;
  $("desk").classList.toggle("has-guideline", isOpen);
  document.querySelector('[data-do="guideline"]').setAttribute("aria-expanded", String(isOpen));
  try { localStorage.setItem(`guideline:${desk.project}`, isOpen ? "open" : ""); } catch { /* not remembered, then */ }
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
