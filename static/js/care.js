/* The preview on the page about care: shows content as the fields beside it say, before they are saved. */
import { showAs } from "./desk/view.js";

const read = (level, name) => {
  const field = document.querySelector(`[name="${level}-${name}"]`);
  if (!field) return undefined;
  return field.type === "checkbox" ? field.checked : field.value;
};

for (const box of document.querySelectorAll("[data-view]")) {
  const preview = box.querySelector("[data-preview]");
  if (!preview) continue;
  const draw = () => showAs(preview, Object.fromEntries(["hidden", "blur", "grey", "size", "mask"].map((name) => [name, read(box.dataset.view, name)])));
  box.addEventListener("input", draw);
  draw();
}
