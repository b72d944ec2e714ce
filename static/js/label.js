/* The labelling page. Shows leased items, sends answers, and loses none of them.

   An answer goes into the outbox (kept in sessionStorage) with its idempotency key before anything is sent, and leaves
   it only when the server has answered. The next item, leased ahead, shows at once. Content reaches the page through
   textContent and src only, never as markup. */
(() => {
  "use strict";

  const $ = (id) => document.getElementById(id);
  const desk = JSON.parse($("desk-data").textContent);
  const schemas = JSON.parse($("schemas-data").textContent);
  const words = {};
  for (const one of $("words").content.querySelectorAll("[data-word]")) words[one.dataset.word] = one.textContent;
  const say = (word, values = {}) => (words[word] || word).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  const AHEAD = 2; // leases in hand: the one shown and the next
  const IDLE_MS = 60_000; // after this long without a sign of life the clock stops

  // --- what is kept over reloads and sign-ins, by person, so that nobody sends another's answers ---
  const prefix = `touchstone:${desk.person}:${desk.project}:`;
  const store = {
    read(name, otherwise) { try { return JSON.parse(sessionStorage.getItem(prefix + name)) ?? otherwise; } catch { return otherwise; } },
    write(name, value) { try { if (value === null) sessionStorage.removeItem(prefix + name); else sessionStorage.setItem(prefix + name, JSON.stringify(value)); } catch { /* storage full or refused: memory only */ } },
  };

  let current = null; // {lease, draft} on the page
  let leases = []; // leased ahead, in serving order
  let outbox = store.read("outbox", []); // [{lease, key, body, draft, told}] answered, not yet acknowledged
  let kept = store.read("kept", []); // [{text, excerpt, told}] answers that could not be stored
  const over = new Set(); // lease ids answered or skipped in this tab
  const past = []; // [{annotation, draft}] what can be undone
  let schemaVersion = null;
  let rows = []; // [{question, field, options: [{value, key, button, text, clause, note}], input}] of the schema on the page, as kinds render them
  let activeName = null;
  let undoWanted = false;
  let nSitting = 0;
  let clockSkew = 0; // server's clock minus this one, ms

  // --- requests ---
  async function request(method, url, body, headers = {}) {
    const response = await fetch(url, {
      method,
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content, ...headers },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    const date = Date.parse(response.headers.get("Date") || "");
    if (date) clockSkew = date - Date.now();
    let data = {};
    try { data = await response.json(); } catch { /* an empty or foreign body says nothing */ }
    if (response.status >= 500 || response.status === 429 || response.status === 408) throw new Error(String(response.status));
    return { ok: response.ok, status: response.status, data: data || {} };
  }
  const isSignedOut = (answer) => answer.status === 401;
  const now = () => Date.now() + clockSkew;
  const endsAt = (lease) => Date.parse(lease.expires_at);

  // --- active seconds: counted while the tab is seen and somebody was there within the last minute ---
  let lastSign = performance.now();
  function mark() {
    const at = performance.now();
    if (current && document.visibilityState === "visible") current.draft.seconds += Math.min(at - lastSign, IDLE_MS) / 1000;
    lastSign = at;
  }
  let isAway = document.visibilityState === "hidden";
  document.addEventListener("visibilitychange", () => {
    const at = performance.now();
    // On leaving, count what was seen; on coming back, start anew.
    if (document.visibilityState === "hidden" && !isAway && current) current.draft.seconds += Math.min(at - lastSign, IDLE_MS) / 1000;
    isAway = document.visibilityState === "hidden";
    lastSign = at;
    if (!isAway) renew();
  });
  for (const sign of ["keydown", "pointerdown", "pointermove", "scroll", "touchstart"]) {
    document.addEventListener(sign, () => { if (performance.now() - lastSign > 1000) mark(); }, { passive: true, capture: true });
  }

  // --- words on the page ---
  const announce = (text) => { $("live").textContent = text; };
  function element(tag, options = {}, ...children) {
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
  function notice(name, text, kind, action) {
    let box = document.querySelector(`#notices [data-name="${name}"]`);
    if (!text) { box?.remove(); return; }
    const made = element("div", { class: `notice notice-${kind}`, role: kind === "bad" ? "alert" : "status", "data-name": name }, element("div", { text }), ...(action ? [action] : []));
    if (box) box.replaceWith(made); else $("notices").append(made);
  }
  let toastTimer = 0;
  function toast(text) {
    $("toasts").replaceChildren(element("div", { class: "toast", text }));
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => $("toasts").replaceChildren(), 5000);
  }
  function saved(word, values) { $("saved").textContent = word ? say(word, values) : ""; }
  function signedOut() {
    notice("signed-out", say("signed_out"), "warn", element("a", { class: "button button-small", href: desk.sign_in_url, text: say("sign_in") }));
    saved("");
  }

  // --- leases ---
  function take(offered) {
    for (const lease of offered || []) {
      if (over.has(lease.id) || outbox.some((one) => one.lease.id === lease.id)) continue;
      lease.length = endsAt(lease) - now();
      if (current?.lease.id === lease.id) {
        Object.assign(current.lease, lease);
        if (document.querySelector("#item [data-broken]")) drawItem(current.lease.item, Object.fromEntries([...document.querySelectorAll("#item [data-part]")].map((one) => [one.dataset.part, one.currentTime])));
        continue;
      }
      const known = leases.find((one) => one.id === lease.id);
      if (known) { Object.assign(known, lease); continue; }
      leases.push(lease);
      for (const part of lease.item.parts) if (part.kind === "image" && part.src) new Image().src = part.src;
    }
    if (!current) showNext();
  }

  let isAsking = false;
  let askTimer = 0;
  let askDelay = 1;
  async function ask() {
    if (isAsking) return;
    isAsking = true;
    clearTimeout(askTimer);
    if (!current) showEmpty("loading");
    try {
      const answer = await request("POST", desk.leases_url, { n: AHEAD, kind: desk.kind });
      askDelay = 1;
      notice("offline", "");
      if (answer.ok) {
        take(answer.data.leases);
        if (!current && !outbox.length) {
          showEmpty(answer.data.reason || "empty");
          if (answer.data.retry_after) askTimer = setTimeout(ask, Math.max(1, answer.data.retry_after) * 1000);
        }
      } else if (isSignedOut(answer)) signedOut();
      else showEmpty("refused", answer.data.detail);
    } catch {
      askDelay = Math.min(askDelay * 2, 30);
      notice("offline", say("offline", { seconds: askDelay }), "warn");
      askTimer = setTimeout(ask, askDelay * 1000);
    } finally { isAsking = false; }
  }

  async function renew() {
    const isActive = !isAway && performance.now() - lastSign < IDLE_MS;
    if (!isActive) return;
    for (const lease of [current?.lease, ...leases]) {
      if (!lease || endsAt(lease) - now() > lease.length / 3) continue;
      try {
        const answer = await request("POST", `${desk.lease_url}${lease.id}/renew`, {});
        if (answer.ok) {
          lease.expires_at = answer.data.expires_at || answer.data.lease?.expires_at || lease.expires_at;
          lease.length = endsAt(lease) - now();
          if (lease === current?.lease) notice("lease", "");
        } else if (isSignedOut(answer)) { signedOut(); return; }
        else if (lease === current?.lease) notice("lease", say("lease_over"), "warn");
        else leases = leases.filter((one) => one !== lease);
      } catch { return; /* the next tick tries again */ }
    }
  }
  setInterval(renew, 15_000);

  // --- showing ---
  function showNext() {
    current = null;
    while (leases.length) {
      const lease = leases.shift();
      if (endsAt(lease) <= now()) continue;
      show(lease);
      // The focus stays where it is, on the item, so that its words have to be said here.
      if (!$("desk").hidden) announce(`${say("next")} ${$("item").innerText.slice(0, 400)}`);
      return;
    }
    if (outbox.length) showEmpty("loading"); else ask();
  }

  const freshDraft = () => ({ answers: {}, unsure: false, flag: null, comment: "", clauses: [], seconds: 0 });

  function show(lease, draft) {
    current = { lease, draft: draft || store.read(`draft:${lease.id}`, null) || freshDraft() };
    lastSign = performance.now();
    notice("lease", "");
    notice("fault", "");
    if (!schemas[lease.schema_version]) {
      showEmpty("new_questions");
      $("empty-ask").textContent = say("reload");
      $("empty-ask").dataset.do = "reload";
      return;
    }
    $("empty").hidden = true;
    $("desk").hidden = false;
    if (schemaVersion !== lease.schema_version) buildQuestions(lease.schema_version);
    drawItem(lease.item);
    drawSuggestion(lease.item.suggestion);
    $("comment").value = current.draft.comment;
    openComment(Boolean(current.draft.comment));
    activeName = null;
    // What was typed for the item before goes, also from a field that still has the focus.
    for (const row of rows) if (row.input) row.input.value = "";
    $("item").focus({ preventScroll: true });
    refresh();
    window.scrollTo(0, 0);
  }

  function showEmpty(reason, detail) {
    $("desk").hidden = true;
    $("empty").hidden = false;
    const isLoading = reason === "loading";
    $("empty-title").textContent = isLoading ? say("loading") : words[`${reason}_title`] || "";
    $("empty-text").textContent = isLoading ? "" : detail || say(reason);
    for (const one of document.querySelectorAll("#empty .row")) one.hidden = isLoading;
    if (!isLoading) announce(`${$("empty-title").textContent} ${$("empty-text").textContent}`);
  }

  // `times`: where the players of this item stood, in seconds, by the name of their part.
  function drawItem(item, times = {}) {
    const box = element("div", { class: "item" });
    const isMany = item.parts.length > 1;
    for (const part of item.parts) {
      const isContext = part.role === "context";
      const holder = element("div", { class: `part${isContext ? " part-context" : ""}` });
      if (isMany || isContext) holder.append(element("p", { class: "part-name", text: isContext ? `${part.name} · ${say("context")}` : part.name }));
      if (part.kind === "image") {
        const image = element("img", { class: "item-image", alt: say("image", { name: part.name }) });
        image.addEventListener("load", () => image.classList.toggle("is-tiny", image.naturalWidth <= 96));
        // A link to media lives for minutes only: asking again brings a new one.
        image.addEventListener("error", () => { if (!image.dataset.broken) { image.dataset.broken = "1"; setTimeout(ask, 1500); } }, { once: true });
        image.src = part.src;
        holder.append(image);
      } else if (part.kind === "audio" || part.kind === "video") {
        const player = element(part.kind, { controls: "", preload: "metadata", src: part.src, "aria-label": part.name, "data-part": part.name });
        player.muted = part.kind === "video";
        if (times[part.name]) player.addEventListener("loadedmetadata", () => { player.currentTime = times[part.name]; }, { once: true });
        // Its link ends while somebody listens. One that fails while the link is young would fail again: its controls say so.
        const drawn = now();
        player.addEventListener("error", () => { if (now() - drawn > 240000) { player.dataset.broken = "1"; ask(); } }, { once: true });
        holder.append(player);
      } else {
        const text = String(part.text ?? "");
        holder.append(element("p", { class: `item-text${text.length > 600 ? " is-long" : ""}`, dir: "auto", text }));
      }
      box.append(holder);
    }
    const facts = Object.entries(item.metadata || {});
    if (facts.length) {
      const list = element("dl", { class: "facts item-meta" });
      for (const [key, value] of facts) list.append(element("dt", { text: key }), element("dd", { text: typeof value === "object" ? JSON.stringify(value) : String(value) }));
      box.append(list);
    }
    $("item").classList.toggle("is-image", item.parts.every((part) => part.kind === "image"));
    $("item").replaceChildren(box);
  }

  function drawSuggestion(suggestion) {
    $("suggestion").hidden = !suggestion;
    const answers = suggestion?.answers || {};
    if (suggestion) {
      const told = tell(answers);
      const score = suggestion.score == null ? "" : ` (${Number(suggestion.score).toFixed(2)})`;
      $("suggestion").textContent = say("suggestion", { model: suggestion.model, answer: told + score });
    }
    for (const row of rows) {
      for (const option of row.options) option.note.textContent = suggestion && [].concat(answers[row.question.name] ?? []).includes(option.value) ? say("suggested") : option.clause || "";
    }
  }

  // --- questions: built once a schema version, then only their state changes ---
  function buildQuestions(version) {
    schemaVersion = version;
    rows = schemas[version].questions.map((question) => {
      const isMany = question.kind !== "rating" && question.options.length > 8;
      const list = element("div", { class: question.kind === "rating" ? "rating" : `choices${isMany ? " is-many" : ""}`, role: "group" });
      const options = [];
      for (const one of question.options) {
        if (!one.is_leaf) { list.append(element("p", { class: "choice-group", text: one.text })); continue; }
        const key = (one.key || "").toLowerCase();
        const note = element("span", { class: "choice-clause", text: one.clause || "" });
        // Of many answers two stand side by side, those with long names alone.
        const button = element("button", { class: isMany && one.text.length + (one.clause || "").length > 18 ? "choice is-long" : "choice", type: "button", "aria-pressed": "false", value: one.value, click: () => choose(question.name, one.value) });
        if (key) button.append(element("span", { class: "key", "aria-hidden": "true", text: key.toUpperCase() }));
        const tick = element("span", { class: "choice-tick" });
        tick.append($("tick").content.cloneNode(true));
        button.append(element("span", { class: "choice-text", text: one.text }), note, tick);
        list.append(button);
        options.push({ value: one.value, key, text: one.text, clause: one.clause, button, note });
      }
      // A number, and a rating with a range too long for buttons, is typed.
      const input = question.widget === "number" ? numberField(question) : null;
      if (input) {
        const holder = element("div", { class: "number-field" }, input);
        if (question.unit) holder.append(element("span", { "aria-hidden": "true", text: question.unit }));
        list.append(holder);
        input.addEventListener("input", () => {
          if (input.value === "" || !input.validity.valid) delete current.draft.answers[question.name];
          else current.draft.answers[question.name] = Number(input.value);
          activeName = question.name;
          keep();
          refresh();
        });
      }
      const hint = [question.kind === "choices" ? say("several") : "", question.hint, isRequired(question) ? "" : say("optional")].filter(Boolean).join(", ");
      const legend = element("legend", { class: "question-text", text: question.text || question.name });
      if (hint) legend.append(" ", element("span", { class: "quiet", text: hint }));
      const field = element("fieldset", { class: "question" }, legend, list);
      return { question, field, options, input };
    });
    $("questions").replaceChildren(...rows.map((row) => row.field));
  }

  function numberField(question) {
    const step = question.step ?? 1;
    const input = element("input", { type: "number", step, "aria-label": [question.text, question.unit, question.hint].filter(Boolean).join(", ") });
    if (question.min != null) input.min = question.min;
    if (question.max != null) input.max = question.max;
    // The small keypad of a phone has no minus.
    if (question.min != null && question.min >= 0) input.inputMode = Number.isInteger(step) ? "numeric" : "decimal";
    // Turning the wheel over the field scrolls the page; it changes no answer.
    input.addEventListener("wheel", () => input.blur(), { passive: true });
    return input;
  }
  const isRequired = (question) => question.required !== false;
  const isEmpty = (value) => value === undefined || value === null || (Array.isArray(value) && !value.length);
  const isOneKey = () => rows.length === 1 && isRequired(rows[0].question) && rows[0].question.kind !== "choices" && !rows[0].input;

  function visible() {
    const shown = [];
    for (const row of rows) {
      const when = row.question.when;
      const isAsked = !when || (shown.some((one) => one.question.name === when.question) && [].concat(current.draft.answers[when.question] ?? []).some((value) => when.in.includes(value)));
      if (isAsked) shown.push(row);
    }
    return shown;
  }
  function active() {
    const shown = visible();
    return shown.find((row) => row.question.name === activeName) || shown.find((row) => isEmpty(current.draft.answers[row.question.name])) || shown[shown.length - 1];
  }
  function tell(answers) {
    const parts = [];
    for (const row of rows) {
      const value = answers[row.question.name];
      if (isEmpty(value)) continue;
      const unit = row.question.unit ? ` ${row.question.unit}` : "";
      const text = [].concat(value).map((one) => (row.options.find((option) => option.value === one)?.text ?? String(one)) + unit).join(", ");
      parts.push(rows.length > 1 ? `${row.question.text || row.question.name}: ${text}` : text);
    }
    return parts.join("; ");
  }

  function refresh() {
    const { draft } = current;
    const shown = visible();
    const at = active();
    const pointed = new Set();
    for (const row of rows) {
      row.field.hidden = !shown.includes(row);
      row.field.classList.toggle("is-active", row === at);
      const chosen = [].concat(draft.answers[row.question.name] ?? []);
      // What does not fit stays to be seen and mended.
      if (row.input && row.input !== document.activeElement && (row.input.validity.valid || chosen.length)) row.input.value = chosen[0] ?? "";
      row.input?.setAttribute("aria-invalid", String(!row.input.validity.valid));
      for (const option of row.options) {
        const isChosen = chosen.includes(option.value);
        option.button.setAttribute("aria-pressed", String(isChosen));
        if (isChosen && option.clause) pointed.add(option.clause);
      }
    }
    for (const clause of document.querySelectorAll("[data-clause]")) {
      clause.classList.toggle("is-pointed", pointed.has(clause.dataset.clause));
      clause.classList.toggle("is-cited", draft.clauses.includes(clause.dataset.clause));
      clause.querySelector("[data-cite]")?.setAttribute("aria-pressed", String(draft.clauses.includes(clause.dataset.clause)));
    }
    for (const [action, isOn] of [["unsure", draft.unsure], ["flag", Boolean(draft.flag)]]) document.querySelector(`[data-do="${action}"]`).setAttribute("aria-pressed", String(isOn));
    // One question, one key: the button would only be in the way.
    $("submit").hidden = isOneKey() && isEmpty(draft.answers[rows[0].question.name]);
  }
  const keep = () => store.write(`draft:${current.lease.id}`, current.draft);

  // --- answering ---
  function choose(name, value) {
    mark();
    const row = rows.find((one) => one.question.name === name);
    const { answers } = current.draft;
    if (row.question.kind === "choices") {
      const before = answers[name] || [];
      answers[name] = before.includes(value) ? before.filter((one) => one !== value) : row.options.map((one) => one.value).filter((one) => one === value || before.includes(one));
      activeName = name;
    } else {
      answers[name] = value;
      activeName = null;
    }
    keep();
    refresh();
    if (isOneKey()) { submit(); return; }
    // The open guideline turns to the clause that the answer stands for.
    const { clause } = row.options.find((one) => one.value === value);
    const told = clause && document.querySelector(`#guideline [data-clause="${CSS.escape(clause)}"]`);
    if (told) $("guideline").scrollTop = told.offsetTop;
    active().field.scrollIntoView({ block: "nearest" });
    announce(say("chosen", { choice: row.options.find((one) => one.value === value).text }));
  }

  function newKey() {
    // crypto.randomUUID is missing where the page is not served over https or from this machine.
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function submit() {
    if (!current) return;
    mark();
    const { draft, lease } = current;
    const shown = visible();
    const missing = shown.find((row) => isRequired(row.question) && isEmpty(draft.answers[row.question.name]));
    const wrong = shown.find((row) => row.input && !row.input.validity.valid);
    if (wrong || missing) {
      const { question, field, input } = wrong || missing;
      activeName = question.name;
      refresh();
      field.scrollIntoView({ block: "nearest" });
      // The next key belongs to this question.
      if (input) input.focus({ preventScroll: true }); else if (document.activeElement?.closest("#questions input")) $("item").focus({ preventScroll: true });
      toast(say(wrong && question.hint ? "number_first" : "answer_first", { question: question.text || question.name, hint: question.hint }));
      return;
    }
    const answers = {};
    for (const row of shown) if (!isEmpty(draft.answers[row.question.name])) answers[row.question.name] = draft.answers[row.question.name];
    const body = JSON.stringify({ answers, seconds: Math.round(draft.seconds * 10) / 10, unsure: draft.unsure, flag: draft.flag, comment: draft.comment.trim(), clauses: draft.clauses, lease_next: AHEAD });
    outbox.push({ lease, key: newKey(), body, draft, told: tell(answers) });
    store.write("outbox", outbox);
    store.write(`draft:${lease.id}`, null);
    count(1);
    showNext();
    flush();
  }
  function count(by) {
    nSitting += by;
    $("n-sitting").textContent = nSitting;
    $("n-today").textContent = Number($("n-today").textContent) + by;
  }

  let isFlushing = false;
  let flushTimer = 0;
  let flushDelay = 1;
  async function flush() {
    if (isFlushing || !outbox.length) return;
    isFlushing = true;
    clearTimeout(flushTimer);
    saved("sending");
    const one = outbox[0];
    let answer;
    try {
      // The same key and the same bytes each time: however often it is sent, it counts once.
      answer = await request("POST", `${desk.lease_url}${one.lease.id}/annotation`, one.body, { "Idempotency-Key": one.key });
    } catch {
      flushDelay = Math.min(flushDelay * 2, 30);
      saved("waiting", { seconds: flushDelay });
      flushTimer = setTimeout(flush, flushDelay * 1000);
      return;
    } finally { isFlushing = false; }
    flushDelay = 1;
    if (isSignedOut(answer)) { signedOut(); return; }
    notice("signed-out", "");
    outbox.shift();
    store.write("outbox", outbox);
    if (answer.ok) {
      over.add(one.lease.id);
      past.push({ annotation: idOf(answer.data.annotation), draft: one.draft });
      saved("saved");
      take(answer.data.leases);
    } else {
      count(-1);
      saved("");
      if (answer.status === 422 || answer.status === 400) giveBack(one, answer.data);
      else setAside(one, answer);
    }
    if (outbox.length) flush();
    else if (undoWanted) { undoWanted = false; undo(); }
    else if (leases.length + (current ? 1 : 0) < AHEAD && !answer.data.leases?.length) ask();
  }
  const idOf = (annotation) => (annotation && typeof annotation === "object" ? annotation.id : annotation);

  function stash() {
    if (!current) return;
    keep();
    leases.unshift(current.lease);
    current = null;
  }
  function giveBack(one, fault) {
    stash();
    show(one.lease, one.draft);
    keep();
    const fields = Object.entries(fault.fields || {}).map(([name, text]) => `${name}: ${[].concat(text).join(" ")}`);
    notice("fault", [fault.detail, ...fields].filter(Boolean).join(" "), "bad");
  }
  function setAside(one, answer) {
    const minutes = Math.floor((now() - endsAt(one.lease)) / 60_000);
    const text = answer.status === 409 ? (minutes >= 1 ? say("lease_ended", { minutes }) : say("place_taken")) : `${say("not_stored")} ${answer.data.detail || ""}`;
    const first = one.lease.item.parts.find((part) => part.text);
    kept.push({ text, excerpt: String(first?.text ?? "").slice(0, 240), told: one.told, comment: one.draft.comment });
    drawKept();
    announce(text);
    if (!current) showNext();
  }
  function drawKept() {
    store.write("kept", kept.length ? kept : null);
    $("kept").replaceChildren(...kept.map((one) => element("div", { class: "notice notice-warn", role: "status" },
      element("div", {}, element("p", { text: one.text }), element("blockquote", {}, element("p", { text: one.told }), ...(one.excerpt ? [element("p", { class: "quiet small", text: one.excerpt })] : []), ...(one.comment ? [element("p", { class: "small", text: one.comment })] : []))),
      element("button", { class: "button button-small", type: "button", text: say("dismiss"), click: () => { kept = kept.filter((other) => other !== one); drawKept(); } }))));
  }

  // --- skip, flag, undo and the rest ---
  let onReason = null;
  function askReason(kind, then) {
    $("reasons-title").textContent = say(`${kind}_title`);
    $("reasons-text").textContent = say(`${kind}_text`);
    onReason = then;
    $("reasons").showModal();
  }
  $("reasons").addEventListener("click", (event) => {
    const button = event.target.closest("button[value]");
    if (button?.value) { $("reasons").close(); onReason(button.value); }
  });
  async function skip(reason) {
    mark();
    const { lease } = current;
    over.add(lease.id);
    stash();
    leases.shift();
    showNext();
    try {
      const answer = await request("POST", `${desk.lease_url}${lease.id}/skip`, { reason });
      if (isSignedOut(answer)) { over.delete(lease.id); signedOut(); return; }
      store.write(`draft:${lease.id}`, null);
      toast(answer.ok ? say("skipped") : answer.data.detail || say("skipped"));
      ask();
    } catch {
      // Not skipped after all: it comes back as the next one.
      over.delete(lease.id);
      leases.unshift(lease);
      notice("offline", say("offline", { seconds: 2 }), "warn");
      askTimer = setTimeout(ask, 2000);
    }
  }
  async function undo() {
    if (outbox.length) { undoWanted = true; toast(say("undo_after")); return; }
    const last = past.pop();
    if (!last) { toast(say("nothing_to_undo")); return; }
    try {
      const answer = await request("POST", `${desk.annotation_url}${last.annotation}/undo`, {});
      if (isSignedOut(answer)) { past.push(last); signedOut(); return; }
      if (!answer.ok) { notice("fault", answer.data.detail || "", "warn"); return; }
      over.delete(answer.data.lease.id);
      stash();
      answer.data.lease.length = endsAt(answer.data.lease) - now();
      show(answer.data.lease, { ...last.draft, seconds: 0 });
      keep();
      count(-1);
      saved("");
      toast(say("undone"));
    } catch { past.push(last); toast(say("offline", { seconds: 0 })); }
  }
  function openComment(isOpen) {
    $("comment-box").hidden = !isOpen;
    document.querySelector('[data-do="comment"]').setAttribute("aria-expanded", String(isOpen));
  }
  function openGuideline(isOpen) {
    if (!$("guideline")) return;
    $("guideline").hidden = !isOpen;
    $("desk").classList.toggle("has-guideline", isOpen);
    document.querySelector('[data-do="guideline"]').setAttribute("aria-expanded", String(isOpen));
    try { localStorage.setItem(`guideline:${desk.project}`, isOpen ? "open" : ""); } catch { /* not remembered, then */ }
  }

  const actions = {
    submit,
    undo,
    ask: () => ask(),
    reload: () => location.reload(),
    help: () => $("help").showModal(),
    skip: () => current && askReason("skip", skip),
    unsure: () => { if (!current) return; current.draft.unsure = !current.draft.unsure; keep(); refresh(); },
    flag: () => {
      if (!current) return;
      if (current.draft.flag) { current.draft.flag = null; keep(); refresh(); return; }
      askReason("flag", (reason) => { current.draft.flag = reason; keep(); refresh(); });
    },
    comment: () => { if (!current) return; openComment(true); $("comment").focus(); },
    guideline: () => openGuideline(Boolean($("guideline")?.hidden)),
  };
  const keyed = { enter: "submit", z: "undo", s: "skip", u: "unsure", f: "flag", c: "comment", g: "guideline", "?": "help", h: "help" };

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-do], [data-cite], [data-close]");
    if (!target) return;
    if ("close" in target.dataset) target.closest("dialog").close();
    else if (target.dataset.do) actions[target.dataset.do]();
    else if (current) {
      const { clauses } = current.draft;
      const id = target.dataset.cite;
      current.draft.clauses = clauses.includes(id) ? clauses.filter((one) => one !== id) : [...clauses, id];
      keep();
      refresh();
    }
  });
  $("comment").addEventListener("input", () => { if (current) { current.draft.comment = $("comment").value; keep(); } });

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.repeat || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase();
    if (event.target === $("comment")) {
      if (key === "escape") { openComment(Boolean(current?.draft.comment)); $("item").focus(); }
      if (key === "enter" && event.ctrlKey) { event.preventDefault(); submit(); }
      return;
    }
    const typed = event.target.closest("#questions input");
    if (typed && key === "enter") { event.preventDefault(); submit(); return; }
    if (typed && key === "escape") { activeName = null; $("item").focus({ preventScroll: true }); refresh(); return; }
    if (event.ctrlKey || event.target.closest("input, textarea, select")) return;
    if ($("reasons").open) {
      const button = document.querySelectorAll("#reasons button[value]")[Number(key) - 1];
      if (button?.value) { event.preventDefault(); button.click(); }
      return;
    }
    if ($("help").open) return;
    if (key === "enter" && event.target.closest("a, summary, button:not(.choice[aria-pressed=true])")) return;
    if (current && !$("desk").hidden) {
      const isNext = key === "arrowdown" || key === "j";
      if ((isNext || key === "arrowup" || key === "k") && !active()?.options.some((option) => option.key === key)) {
        const shown = visible();
        if (shown.length < 2) return;
        event.preventDefault();
        const place = shown.indexOf(active()) + (isNext ? 1 : -1);
        activeName = shown[Math.min(Math.max(place, 0), shown.length - 1)].question.name;
        refresh();
        active().field.scrollIntoView({ block: "nearest" });
        return;
      }
      if (!event.shiftKey || key.length > 1 || !/[a-z]/.test(key)) {
        const at = active();
        // A number is typed at once: its first key takes the focus into the field and is written there.
        if (at?.input && /^[\d.-]$/.test(key)) { at.input.focus(); at.input.select(); return; }
        let found = at?.options.find((option) => option.key === key);
        let name = at?.question.name;
        if (!found) {
          // A letter works from any question; a digit only where the eye is, as several questions count from 1.
          for (const row of /\d/.test(key) ? [] : visible()) {
            const other = row.options.find((option) => option.key === key);
            if (other) { found = other; name = row.question.name; break; }
          }
        }
        if (found) { event.preventDefault(); choose(name, found.value); return; }
      }
    }
    if (keyed[key]) { event.preventDefault(); actions[keyed[key]](); }
  });

  window.addEventListener("beforeunload", (event) => { if (outbox.length) event.preventDefault(); });
  window.addEventListener("online", () => { flush(); if (!current) ask(); });

  let wasOpen = "";
  try { wasOpen = localStorage.getItem(`guideline:${desk.project}`) || ""; } catch { /* closed, then */ }
  if (wasOpen && matchMedia("(min-width: 1081px)").matches) openGuideline(true);
  drawKept();
  flush();
  ask();
})();
