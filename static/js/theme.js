/* Light, dark or as the system says. Loaded in the head, before the first paint, so that no page flashes.
   Also brings the current tab into view where the tabs are wider than a phone. */
(() => {
  const root = document.documentElement;
  const read = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  apply(read());
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
