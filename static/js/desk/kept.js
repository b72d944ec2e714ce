/* Answers that the server could not take, kept below the item until their author has read why. */
import { $, announce, element, say } from "./page.js";
import * as store from "./store.js";

let kept = store.readAll("kept:"); // [{key, text, told, comment, excerpt}], the excerpt in this page's memory alone

export function keep({ key, text, told, comment, excerpt }) {
  store.write(`kept:${key}`, { key, text, told, comment });
  kept.push({ key, text, told, comment, excerpt });
  draw();
  announce(text);
}

function dismiss(one) {
  store.write(`kept:${one.key}`, null);
  kept = kept.filter((other) => other !== one);
  draw();
}

export function draw() {
  $("kept").replaceChildren(...kept.map((one) => element("div", { class: "notice notice-warn", role: "status" },
    element("div", {},
      element("p", { text: one.text }),
      element("blockquote", {},
        element("p", { text: one.told }),
        ...(one.excerpt ? [element("p", { class: "quiet small", text: one.excerpt })] : []),
        ...(one.comment ? [element("p", { class: "small", text: one.comment })] : []))),
    element("button", { class: "button button-small", type: "button", text: say("dismiss"), click: () => dismiss(one) }))));
}
