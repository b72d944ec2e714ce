/* Shows content as a view says (annotation/viewing.py): the classes of the stylesheet, on the desk and in previews. */
const ALL = ["view-hidden", "view-grey", "view-mask", "view-medium", "view-small", "view-blur-1", "view-blur-2", "view-blur-3", "view-blur-4", "view-blur-5"];

export function showAs(element, view) {
  element.classList.remove(...ALL);
  element.classList.add("view");
  if (view.hidden) element.classList.add("view-hidden");
  if (Number(view.blur)) element.classList.add(`view-blur-${Number(view.blur)}`);
  if (view.grey) element.classList.add("view-grey");
  if (view.size && view.size !== "full") element.classList.add(`view-${view.size}`);
  if (view.mask) element.classList.add("view-mask");
}
