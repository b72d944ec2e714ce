/* Active seconds: counted while the tab is seen and somebody was there within the last minute. */
const IDLE_MS = 60_000; // after this long without a sign of life the clock stops

let spend = () => {};
let comeBack = () => {};
let lastSign = performance.now();
let isAway = document.visibilityState === "hidden";

/* `onSeconds` is told the seconds that went into the item shown; `onReturn` is called when the tab is seen again. */
export function count(onSeconds, onReturn) {
  spend = onSeconds;
  comeBack = onReturn;
}

export const isActive = () => !isAway && performance.now() - lastSign < IDLE_MS;
export function restart() { lastSign = performance.now(); }

const spendSince = (at) => spend(Math.min(at - lastSign, IDLE_MS) / 1000);

/* Somebody is there: what went by since the last sign counts. */
export function mark() {
  const at = performance.now();
  if (document.visibilityState === "visible") spendSince(at);
  lastSign = at;
}

document.addEventListener("visibilitychange", () => {
  const at = performance.now();
  // On leaving, count what was seen; on coming back, start anew.
  if (document.visibilityState === "hidden" && !isAway) spendSince(at);
  isAway = document.visibilityState === "hidden";
  lastSign = at;
  if (!isAway) comeBack();
});
for (const sign of ["keydown", "pointerdown", "pointermove", "scroll", "touchstart"]) {
  document.addEventListener(sign, () => { if (performance.now() - lastSign > 1000) mark(); }, { passive: true, capture: true });
}
