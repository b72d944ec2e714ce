/* Presses what carries data-key when that key is pressed, and asks before what carries data-confirm is sent.
   For pages that are plain forms; the labelling page has its own script. */
(() => {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select, dialog[open]")) return;
    const key = event.key.toLowerCase();
    const target = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key.toLowerCase() === key);
    if (!target) return;
    event.preventDefault();
    target.focus();
    target.click();
  });
  document.addEventListener("submit", (event) => {
    const words = event.target.dataset.confirm;
    if (words && !window.confirm(words)) event.preventDefault();
  });
})();
