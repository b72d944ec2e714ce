/* What every part of the desk says and draws with. Content reaches the page through textContent and src only, never as
   markup. */
export const $ = (id) => document.getElementById(id);
export const desk = JSON.parse($("desk-data").textContent);
export const schemas = JSON.parse($("schemas-data").textContent);

const words = {};
for (const one of $("words").content.querySelectorAll("[data-word]")) words[one.dataset.word] = one.textContent;
export const has = (word) => word in words;
export const say = (word, values = {}) => (words[word] || word).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

/* `text`, `class` and `click` are what they say; everything else is an attribute. */
export function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") made.textContent = value;
    else if (name === "class") made.className = value;
    else if (name === "click") made.addEventListener("click", value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/* The key of something that the page does, as it stands on buttons: this person's own. */
export const drawKey = (action) => element("kbd", { text: desk.keys[action].toUpperCase() });

/* For those who listen instead of looking. */
export const announce = (text) => { $("live").textContent = text; };

/* A line above the item that stays until its cause is gone: one of each name, no text takes it away. */
export function notice(name, text, kind, action) {
  const box = document.querySelector(`#notices [data-name="${name}"]`);
  if (!text) { box?.remove(); return; }
  const made = element("div", { class: `notice notice-${kind}`, role: kind === "bad" ? "alert" : "status", "data-name": name }, element("div", { text }), ...(action ? [action] : []));
  if (box) box.replaceWith(made); else $("notices").append(made);
}

let toastTimer = 0;
export function toast(text) {
  $("toasts").replaceChildren(element("div", { class: "toast", text }));
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toasts").replaceChildren(), 5000);
}

/* Whether the last answer is stored, in the bar above. */
export function saved(word, values) { $("saved").textContent = word ? say(word, values) : ""; }

export function signedOut() {
  notice("signed-out", say("signed_out"), "warn", element("a", { class: "button button-small", href: desk.sign_in_url, text: say("sign_in") }));
  saved("");
}

/* A small button of a viewer. `name`: the word that it is called by; with an `icon` the word is for those who listen and point, else it stands there. */
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

/* Said where media do not load. `isTriedAgain`: a new link is on its way, and with it a new drawing. */
export function showFault(box, part, isTriedAgain) {
  box.classList.add("is-broken");
  box.querySelector(".viewer-fault")?.remove();
  const fault = element("div", { class: "notice notice-warn viewer-fault", role: "status" }, element("div", { text: say(isTriedAgain ? "broken" : "broken_still", { name: part.name }) }));
  if (!isTriedAgain) {
    fault.append(element("div", { class: "row" },
      element("button", { class: "button button-small", type: "button", "data-do": "skip", text: say("skip") }, drawKey("skip")),
      element("button", { class: "button button-small", type: "button", "data-do": "fetch", text: say("again") })));
  }
  box.prepend(fault);
}
