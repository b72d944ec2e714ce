/* The editor of questions: keys within the rows of choices, the focus after a row moved, the preview's frame, and the
   lines of the JSON view. All that changes the draft is done by the form's own buttons. */
(() => {
  "use strict";

  const form = () => document.getElementById("question-form");
  const preview = document.getElementById("preview");

  // The server says what is to have the focus: a new choice, or the button of a row that moved.
  function follow() {
    const wanted = form()?.dataset.focus && document.getElementById(form().dataset.focus);
    if (!wanted) return;
    form().dataset.focus = "";
    openRow(wanted.closest(".choice-row"), wanted.closest(".choice-extra") !== null);
    wanted.focus();
    if (wanted.matches("input[id=name]")) wanted.select();
    wanted.scrollIntoView({ block: "nearest" });
  }
  function openRow(row, isOpen) {
    const more = row?.querySelector("[data-more]");
    if (!more) return;
    more.setAttribute("aria-expanded", String(isOpen));
    document.getElementById(more.getAttribute("aria-controls")).hidden = !isOpen;
  }

  // The desk is loaded again only where it would show something else.
  let shown = document.getElementById("schema-state")?.dataset.preview;
  function refresh() {
    const digest = document.getElementById("schema-state")?.dataset.preview;
    if (!preview || digest === shown) return;
    shown = digest;
    preview.contentWindow.location.replace(preview.src);
  }
  function markFaults() {
    for (const one of document.querySelectorAll(".choice-fault")) document.getElementById(one.id.replace("fault", "value"))?.setAttribute("aria-invalid", String(!one.hidden));
  }
  document.addEventListener("htmx:afterSettle", () => { follow(); refresh(); markFaults(); });
  follow();

  // Another kind, or another condition, has other fields.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-redraw]")) form().querySelector('button[value="keep"]').click();
  });

  const arrows = { ArrowUp: "up", ArrowDown: "down", ArrowRight: "in", ArrowLeft: "out" };
  document.addEventListener("keydown", (event) => {
    const row = event.target.closest(".choice-row[data-row]");
    if (!row || event.isComposing || !event.target.matches("input")) return;
    const what = event.key === "Enter" && !event.altKey ? "add" : event.altKey && arrows[event.key];
    const button = what && row.querySelector(`#c-${row.dataset.row}-${what}`);
    if (!what) return;
    event.preventDefault();
    button?.click();
  });

  document.addEventListener("click", (event) => {
    const more = event.target.closest("[data-more]");
    if (more) openRow(more.closest(".choice-row"), more.getAttribute("aria-expanded") !== "true");
    const width = event.target.closest("[data-preview-width]");
    if (width) {
      preview.classList.toggle("is-narrow", width.dataset.previewWidth === "narrow");
      for (const one of document.querySelectorAll("[data-preview-width]")) one.setAttribute("aria-pressed", String(one === width));
    }
    const line = event.target.closest("[data-line]");
    if (line) {
      const text = document.getElementById("json");
      const lines = text.value.split("\n");
      const at = Number(line.dataset.line) - 1;
      const start = lines.slice(0, at).reduce((sum, one) => sum + one.length + 1, 0);
      text.focus();
      text.setSelectionRange(start, start + (lines[at] || "").length);
      text.scrollTop = Math.max(0, at - 5) * (text.scrollHeight / lines.length);
    }
  });

  document.addEventListener("submit", (event) => {
    const words = event.target.dataset.confirm;
    if (words && !window.confirm(words)) event.preventDefault();
  });
})();
