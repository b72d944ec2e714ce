/* What every page has: light, dark or as the system says, loaded in the head before the first paint, so that no page
   flashes; the current tab in view where the tabs are wider than a phone; and a sign-out that leaves nothing behind. */
(() => {
  const root = document.documentElement;
  const read = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  apply(read());
  // Answers that wait to be sent lie in this browser's storage (desk/store.js): the next person finds none.
  const stored = (pattern) => { try { return Object.keys(localStorage).filter((name) => pattern.test(name)); } catch { return []; } };
  document.addEventListener("submit", (event) => {
    const words = event.target.dataset.signOut;
    if (words === undefined) return;
    const n = stored(/^touchstone:.*:outbox:/).length;
    if (n && !window.confirm(words.replace("{n}", n))) { event.preventDefault(); return; }
    for (const name of stored(/^touchstone:/)) localStorage.removeItem(name);
  });
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
    const button = document.querySelector("[data-theme-toggle]");
    if (!button) return;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.hidden = false;
    show();
    dark.addEventListener("change", show);
    button.addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      // Asking for what the system says anyway means following the system again.
      const follows = theme === (dark.matches ? "dark" : "light");
      apply(follows ? null : theme);
      try { if (follows) localStorage.removeItem("theme"); else localStorage.setItem("theme", theme); } catch { /* private mode: this page only */ }
      show();
    });
  });
})();
