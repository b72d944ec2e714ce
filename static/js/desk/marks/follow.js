/* Lays a layer over an element that shows content, and keeps it there: through loading, resizing, zoom and rotation
   (`viewchange`, an event on the element, says that its box moved). */

/* Returns the layer with `share(event)`: where a pointer is, as shares of the content's width and height, not clipped. */
export function layOver(element, layer) {
  const parent = element.parentElement;
  if (getComputedStyle(parent).position === "static") parent.classList.add("is-overlaid");
  const corners = ["0 0", "1 0", "0 1"].map((at) => {
    const corner = document.createElement("i");
    corner.className = "corner";
    corner.style.left = `${at[0] * 100}%`;
    corner.style.top = `${at[2] * 100}%`;
    layer.append(corner);
    return corner;
  });
  function place() {
    const { transform, transformOrigin } = getComputedStyle(element);
    Object.assign(layer.style, {
      left: `${element.offsetLeft}px`, top: `${element.offsetTop}px`, width: `${element.offsetWidth}px`, height: `${element.offsetHeight}px`,
      transform: transform === "none" ? "" : transform, transformOrigin,
    });
  }
  // The corners say where the layer is on the screen, whatever turned and scaled it.
  function share(event) {
    const [from, right, down] = corners.map((corner) => corner.getBoundingClientRect());
    const [ax, ay, bx, by] = [right.left - from.left, right.top - from.top, down.left - from.left, down.top - from.top];
    const [x, y] = [event.clientX - from.left, event.clientY - from.top];
    const size = ax * by - ay * bx;
    return size ? { x: (x * by - y * bx) / size, y: (y * ax - x * ay) / size } : { x: 0, y: 0 };
  }
  element.after(layer);
  new ResizeObserver(place).observe(element);
  new ResizeObserver(place).observe(parent);
  element.addEventListener("load", place);
  element.addEventListener("viewchange", place);
  place();
  return { share, place };
}
