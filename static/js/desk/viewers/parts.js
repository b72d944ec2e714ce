/* What the viewers share: buttons, icons, and what is said where media do not load. */
import { $, element, say } from "../page.js";

/* `name`: the word that it is called by; with an `icon` the word is for those who listen and point, else it stands there. */
export function toolButton(name, key, click, icon = "") {
  const button = element("button", { class: "button button-small button-tool", type: "button", "data-tool": name, click });
  nameButton(button, name, key, icon);
  return button;
}

export function nameButton(button, name, key, icon = "") {
  const words = say(name);
  const title = key ? `${words} (${key})` : words;
  button.title = title;
  if (icon) { button.setAttribute("aria-label", words); button.replaceChildren(drawIcon(icon)); }
  else button.textContent = words;
}

export const drawIcon = (name) => $("icons").content.querySelector(`[data-icon="${name}"]`).firstElementChild.cloneNode(true);

/* `isTriedAgain`: a new link is on its way, and with it a new drawing. */
export function showFault(box, part, isTriedAgain) {
  box.classList.add("is-broken");
  box.querySelector(".viewer-fault")?.remove();
  const fault = element("div", { class: "notice notice-warn viewer-fault", role: "status" }, element("div", { text: say(isTriedAgain ? "broken" : "broken_still", { name: part.name }) }));
  if (!isTriedAgain) {
    fault.append(element("div", { class: "row" },
      element("button", { class: "button button-small", type: "button", "data-do": "skip", text: say("skip") }, element("kbd", { text: "S" })),
      element("button", { class: "button button-small", type: "button", "data-do": "fetch", text: say("again") })));
  }
  box.prepend(fault);
}
