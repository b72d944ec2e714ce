/* Stretches of the item's recordings, each with a label: one key sets the start at the player's time, the same the end. */
import { $, announce, element, say } from "../page.js";
import { buildPanel } from "../marks/panel.js";
import { readTime, roundTime, showTime } from "../marks/times.js";

const LEAST_SECONDS = 0.01;
const NARROW_PX = 28; // too narrow for words

export function build(question, { change, claim }) {
  let players = []; // [{part, player, bar, head}]
  let open = null; // {part, start, label}: begun, not ended
  let last = null; // the player that was used last
  let stopAt = null; // {player, end}: a segment is played
  let isAsked = true;

  const panel = buildPanel(question, { change, claim }, {
    isArmed: true,
    order: (a, b) => rank(a.part) - rank(b.part) || a.start - b.start || a.end - b.end || (a.label < b.label ? -1 : 1),
    tell: (mark) => `${mark.start}–${mark.end} s`,
    show: (mark) => `${showTime(mark.start)}–${showTime(mark.end)}${players.length > 1 ? ` · ${mark.part}` : ""}`,
    place(label) {
      if (!open) return false;
      open = { ...open, label };
      redraw();
      announce(say("label_in_hand", { label: panel.textOf(label) }));
      return true;
    },
    redraw,
    reveal: (mark) => seek(mark, mark.start),
    extras: (mark) => [field(mark, "start"), field(mark, "end"), button("segment_play", "play", mark, () => play(mark))],
  });
  const rank = (part) => players.findIndex((one) => one.part === part);
  const find = (part) => players.find((one) => one.part === part);
  const isTaken = (key) => question.options.some((one) => one.key === key);

  const toggle = element("button", { class: "button button-small marks-new", type: "button", click: press });
  panel.element.prepend(
    element("p", { class: "quiet small marks-how only-keyboard", text: say("segments_how") }),
    element("p", { class: "quiet small marks-how only-touch", text: say("segments_how_touch") }),
    toggle,
  );

  // --- the list: times that can be typed, and a button that plays ---
  function button(word, icon, mark, click) {
    const made = element("button", { class: "button button-plain button-small", type: "button", "aria-label": say(word, { label: panel.textOf(mark.label), place: `${showTime(mark.start)}–${showTime(mark.end)}` }), click });
    made.append($(icon).content.cloneNode(true));
    return made;
  }
  function field(mark, side) {
    const input = element("input", { class: "mark-time number", type: "text", autocomplete: "off", value: showTime(mark[side]), "aria-label": say(`segment_${side}`, { label: panel.textOf(mark.label) }) });
    const write = () => {
      const time = readTime(input.value);
      const next = time === null ? null : { ...mark, [side]: Math.min(time, lengthOf(mark.part)) };
      const isWrong = !next || next.end - next.start < LEAST_SECONDS;
      input.setAttribute("aria-invalid", String(isWrong));
      if (isWrong) panel.complain(say("segment_wrong"));
      else if (next[side] !== mark[side]) panel.replace(mark, next);
      else input.value = showTime(mark[side]);
      return !isWrong;
    };
    input.addEventListener("change", write);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") { input.value = showTime(mark[side]); input.setAttribute("aria-invalid", "false"); } else if (!write()) return;
      $("item").focus({ preventScroll: true });
    });
    return input;
  }

  // --- the player ---
  const lengthOf = (part) => { const { duration } = find(part)?.player ?? {}; return Number.isFinite(duration) ? roundTime(duration) : Infinity; };
  function used() { return (open && find(open.part)) ?? players.find(({ player }) => !player.paused) ?? last ?? players[0]; }
  function seek(mark, time) { const one = find(mark.part); if (one) one.player.currentTime = time; }
  function play(mark) {
    const { player } = find(mark.part) ?? {};
    if (!player) return;
    panel.select(mark, true);
    player.currentTime = mark.start;
    stopAt = { player, end: mark.end };
    player.play().catch(() => { /* the browser says why on the player itself */ });
    requestAnimationFrame(watch);
  }
  function watch() {
    if (!stopAt || stopAt.player.paused) { stopAt = null; return; }
    if (stopAt.player.currentTime >= stopAt.end) { stopAt.player.pause(); stopAt = null; } else requestAnimationFrame(watch);
  }

  function press() {
    claim();
    const one = used();
    if (!one) return;
    const at = Math.min(roundTime(one.player.currentTime), lengthOf(one.part));
    if (!open) {
      if (panel.isFull()) return;
      open = { part: one.part, start: at, label: panel.armed };
      redraw();
      announce(say("segment_begun", { label: panel.textOf(open.label), time: showTime(at) }));
      return;
    }
    const [start, end] = [Math.min(open.start, at), Math.max(open.start, at)];
    if (end - start < LEAST_SECONDS) { panel.complain(say("segment_empty")); return; }
    const { part, label } = open;
    open = null;
    panel.add({ part, start, end, label });
    drawToggle();
  }
  function giveUp() {
    if (!open) return false;
    open = null;
    redraw();
    announce(say("segment_given_up"));
    return true;
  }

  // --- the bar ---
  function drawToggle() {
    toggle.replaceChildren(open ? say("segment_close", { label: panel.textOf(open.label), time: showTime(open.start) }) : say("segment_new"));
    if (!isTaken("n")) toggle.append(" ", element("kbd", { "aria-hidden": "true", text: "N" }));
    toggle.classList.toggle("is-open", Boolean(open));
  }
  function redraw() {
    drawToggle();
    for (const one of players) drawBar(one);
  }
  function drawBar({ part, player, bar, head }) {
    const length = Number.isFinite(player.duration) ? player.duration : 0;
    bar.hidden = !isAsked || !length;
    if (bar.hidden) return;
    const shown = panel.marks.filter((one) => one.part === part).map((one) => ({ ...one, mark: one }));
    if (!panel.marks.length) shown.push(...panel.suggested.filter((one) => one.part === part).map((one) => ({ ...one, isSuggested: true })));
    if (open?.part === part) shown.push({ ...open, start: Math.min(open.start, player.currentTime), end: Math.max(open.start, player.currentTime), isOpen: true });
    const ends = []; // of the last segment in each row
    const nodes = shown.sort((a, b) => a.start - b.start).map((one) => {
      let row = ends.findIndex((end) => end <= one.start);
      if (row < 0) row = ends.push(0) - 1;
      ends[row] = one.end;
      const name = panel.textOf(one.label);
      const words = one.isSuggested ? say("suggested_label", { label: name }) : name;
      const isNarrow = ((one.end - one.start) / length) * bar.clientWidth < NARROW_PX;
      const node = element("span", { class: `segment${one.isSuggested ? " is-suggested" : ""}${one.isOpen ? " is-open" : ""}${one.mark && one.mark === panel.selected ? " is-selected" : ""}`, title: words, text: isNarrow ? "" : words });
      Object.assign(node.style, { left: `${(one.start / length) * 100}%`, width: `${(Math.min(one.end, length) - one.start) / length * 100}%`, top: `${row * 24 + 2}px` });
      node.style.setProperty("--mark", panel.colour(one.label));
      if (one.mark) node.addEventListener("click", (event) => { event.stopPropagation(); panel.select(one.mark); });
      return node;
    });
    bar.style.height = `${Math.max(ends.length, 1) * 24 + 4}px`;
    bar.replaceChildren(...nodes, head);
    drawHead({ player, head });
  }
  function drawHead({ player, head }) { head.style.left = `${player.duration ? (player.currentTime / player.duration) * 100 : 0}%`; }

  const { draw: drawPanel, reset: resetPanel, fault: findFault, takeFirst: takeShared } = panel;
  function takeFirst(event) {
    if (event.key === "Escape" && giveUp()) return true;
    if (takeShared(event)) return true;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTaken(key)) return false;
    const { selected } = panel;
    if (key === "n") press();
    else if (selected && key === "p") play(selected);
    else if (selected && (key === "[" || key === "]")) setEnd(selected, key === "[" ? "start" : "end");
    else return false;
    event.preventDefault();
    return true;
  }
  function setEnd(mark, side) {
    const next = { ...mark, [side]: Math.min(roundTime(find(mark.part).player.currentTime), lengthOf(mark.part)) };
    if (next.end - next.start < LEAST_SECONDS) panel.complain(say("segment_wrong"));
    else panel.replace(mark, next);
  }

  return Object.assign(panel, {
    attach(views) {
      players = views.filter(({ part }) => ["audio", "video"].includes(part.kind) && (!question.parts || question.parts.includes(part.name))).map((view) => {
        const player = view.element;
        const one = { part: view.part.name, player, head: element("span", { class: "segments-head" }), bar: element("div", { class: "segments-bar", "aria-hidden": "true" }) };
        (view.timeline ?? player).after(one.bar);
        for (const name of ["durationchange", "loadedmetadata"]) player.addEventListener(name, () => drawBar(one));
        for (const name of ["timeupdate", "seeking"]) player.addEventListener(name, () => { if (open?.part === one.part) drawBar(one); else drawHead(one); });
        for (const name of ["play", "seeking", "focus"]) player.addEventListener(name, () => { last = one; });
        one.bar.addEventListener("click", (event) => {
          const box = one.bar.getBoundingClientRect();
          player.currentTime = ((event.clientX - box.left) / box.width) * player.duration;
        });
        return one;
      });
      last = null;
      panel.renew();
    },
    reset() {
      open = stopAt = last = null;
      resetPanel();
    },
    draw(value, how) {
      isAsked = how.isAsked;
      drawPanel(value);
    },
    fault: () => (open ? say("segment_open", { time: showTime(open.start) }) : findFault()),
    focus() { $("item").focus({ preventScroll: true }); },
    takeFirst,
  });
}
