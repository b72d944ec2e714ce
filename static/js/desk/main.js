/* The labelling page: shows one leased item after the other, takes answers by key and by button, sends them behind the
   next item, and loses none. Everything else here is a part of it; this is where they meet. */
import * as activeTime from "./active_time.js";
import * as guideline from "./guideline.js";
import * as history from "./history.js";
import * as breaks from "./breaks.js";
import * as care from "./care.js";
import * as item from "./item.js";
import { listenForKeys } from "./keyboard.js";
import * as kept from "./kept.js";
import * as leases from "./leases.js";
import * as outbox from "./outbox.js";
import * as precedents from "./precedents.js";
import * as progress from "./progress.js";
import { $, announce, desk, element, has, notice, saved, say, schemas, signedOut, toast } from "./page.js";
import * as questions from "./questions.js";
import { isSignedOut, now, request } from "./server.js";
import * as store from "./store.js";
import * as suggestion from "./suggestion.js";

const UNDONE = 20; // answers that can be taken back one after the other, as many as the list of last answers has
const UNREAD = 300; // ms after an item has come, in which nobody can have read it

let current = null; // {lease, draft, at} on the page, and since when
const past = []; // [{annotation, draft}] what can be undone
let undoWanted = null; // which answer to take back once the outbox is empty: one of the history's, or "last"
let isResting = false; // nothing is shown until they come back

// --- leases come in ---
let isFetching = false; // what draws them
function take(offered) {
  const fetching = item.fetchViewers((offered || []).map((lease) => lease.item));
  isFetching = Boolean(fetching);
  if (fetching) { fetching.then(() => { notice("offline", ""); take(offered); }, () => takeIn(2, offered)); return; }
  for (const lease of offered || []) {
    if (leases.isOver(lease.id) || outbox.holds(lease.id)) continue;
    leases.stamp(lease);
    if (current?.lease.id === lease.id) {
      Object.assign(current.lease, lease);
      const views = item.mendItem(current.lease.item, onBroken);
      if (views) questions.mend(views);
      continue;
    }
    const known = leases.find(lease.id);
    if (known) {
      if (leases.update(known, lease)) item.preload(known.item);
      continue;
    }
    leases.add(lease);
    item.preload(lease.item);
  }
  if (!current && !isResting) showNext();
}
function takeIn(seconds, offered) {
  notice("offline", say("offline", { seconds }), "warn");
  setTimeout(() => take(offered), seconds * 1000);
}

function ask() {
  if (!current) showEmpty("loading");
  leases.ask(onLeases);
}
function onLeases(offered, reason, retryAfter, detail, limit) {
  if (offered) take(offered);
  if (current || isResting || isFetching || !outbox.isEmpty()) return;
  showEmpty(care.reasonOf(reason, limit) || "empty", detail);
  if (retryAfter) leases.askIn(Math.max(1, retryAfter), onLeases);
}

/* Media that do not load: their link has ended (leasing again brings a new one), or once for any other cause. Whether they
   are fetched again. */
function onBroken() {
  const { lease } = current;
  const isOld = leases.isOld(lease);
  if (!isOld && lease.isRetried) return false;
  lease.isRetried = true;
  setTimeout(() => leases.ask(onLeases), isOld ? 0 : 1500);
  return true;
}

// --- showing ---
function showNext() {
  current = null;
  if (breaks.due()) { askBreak(); return; }
  const lease = leases.takeNext();
  if (lease) {
    show(lease);
    // The focus stays where it is, on the item, so that its words have to be said here.
    if (!$("desk").hidden) announce(`${say("next")} ${item.tell().slice(0, 400)}`);
  } else if (outbox.isEmpty()) ask();
  else showEmpty("loading");
}

const freshDraft = () => ({ answers: {}, unsure: false, flag: null, comment: "", clauses: [], seconds: 0 });

function show(lease, draft) {
  if (isResting) { isResting = false; offer("ask", "look_again"); }
  current = { lease, draft: draft || store.read(`draft:${lease.id}`) || freshDraft(), at: performance.now() };
  activeTime.restart();
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
  questions.build(lease.schema_version, onChange, refresh);
  questions.attach(item.drawItem(lease.item, onBroken));
  suggestion.draw(lease.item.suggestion);
  $("comment").value = current.draft.comment;
  openComment(Boolean(current.draft.comment));
  $("item").focus({ preventScroll: true });
  refresh();
  window.scrollTo(0, 0);
}

function showEmpty(reason, detail) {
  $("desk").hidden = true;
  item.clearItem();
  $("empty").hidden = false;
  const isLoading = reason === "loading";
  $("empty-title").textContent = isLoading ? say("loading") : has(`${reason}_title`) ? say(`${reason}_title`) : "";
  $("empty-text").textContent = isLoading ? "" : detail || say(reason);
  for (const one of document.querySelectorAll("#empty .row")) one.hidden = isLoading;
  if (!isLoading) announce(`${$("empty-title").textContent} ${$("empty-text").textContent}`);
}

function refresh() {
  const { draft } = current;
  questions.draw(draft.answers);
  guideline.draw(questions.clauses(), draft.clauses);
  precedents.draw(current.lease, new Set([...questions.clauses(), ...draft.clauses]));
  for (const [action, isOn] of [["unsure", draft.unsure], ["flag", Boolean(draft.flag)]]) document.querySelector(`[data-do="${action}"]`).setAttribute("aria-pressed", String(isOn));
}
const keep = () => store.write(`draft:${current.lease.id}`, current.draft);
function change(changes) {
  Object.assign(current.draft, changes);
  keep();
  refresh();
}

// --- answering ---
function onChange(name, value, { isDone, option }) {
  activeTime.mark();
  if (value === undefined) delete current.draft.answers[name];
  else current.draft.answers[name] = value;
  keep();
  refresh();
  if (isDone && questions.isOneKey()) { submit(); return; }
  if (option === undefined) return;
  // The open guideline turns to the clause that the answer stands for.
  const pressed = questions.asked(current.draft.answers).find((row) => row.question.name === name).widget.options.find((one) => one.value === option);
  guideline.turnTo(pressed.clause);
  questions.active(current.draft.answers).field.scrollIntoView({ block: "nearest" });
  announce(say("chosen", { choice: pressed.text }));
}

function submit() {
  if (!current) return;
  activeTime.mark();
  const { draft, lease } = current;
  const { fault, answers } = questions.collect(draft.answers);
  if (fault) { toast(fault); return; }
  const body = { answers, seconds: Math.round(draft.seconds * 10) / 10, unsure: draft.unsure, flag: draft.flag, comment: draft.comment.trim(), clauses: draft.clauses, lease_next: leases.AHEAD };
  const told = questions.tell(answers);
  store.write(`draft:${lease.id}`, null);
  progress.tally(1, draft.seconds);
  // In this order: what is in the outbox is not offered again.
  outbox.put(lease, body, draft, told);
  showNext();
}
function onAnswer(one, answer) {
  if (answer.ok) {
    leases.end(one.id);
    past.push({ annotation: answer.data.annotation?.id ?? answer.data.annotation, draft: one.draft });
    if (past.length > UNDONE) past.shift();
    take(answer.data.leases);
  } else {
    progress.tally(-1, one.draft.seconds);
    if (answer.status === 422 || answer.status === 400) giveBack(one, answer.data);
    else setAside(one, answer);
  }
  if (!outbox.isEmpty()) return;
  if (undoWanted) {
    const which = undoWanted;
    undoWanted = null;
    undo(which === "last" ? undefined : which);
  }
  else if (leases.count() + (current ? 1 : 0) < leases.AHEAD && !answer.data.leases?.length) leases.ask(onLeases);
}

/* What is on the page goes back to the head of the line, with its draft. */
function stash() {
  if (!current) return;
  keep();
  leases.putFirst(current.lease);
  current = null;
}
function giveBack(one, fault) {
  const fields = Object.entries(fault.fields || {}).map(([name, text]) => `${name}: ${[].concat(text).join(" ")}`);
  const words = [fault.detail, ...fields].filter(Boolean).join(" ");
  if (one.lease) {
    stash();
    show(one.lease, one.draft);
    keep();
  } else store.write(`draft:${one.id}`, one.draft); // from before this page was loaded: its lease, if it runs, is fetched
  notice("fault", words, "bad");
}
function setAside(one, answer) {
  const minutes = Math.floor((now() - Date.parse(one.ends)) / 60_000);
  const text = answer.status === 409 ? (minutes >= 1 ? say("lease_ended", { minutes }) : say("place_taken")) : `${say("not_stored")} ${answer.data.detail || ""}`;
  const first = one.lease?.item.parts.find((part) => part.text);
  const excerpt = first && !care.comesCovered(one.lease.item, first) ? String(first.text).slice(0, 240) : "";
  kept.keep({ key: one.key, text, told: one.told, comment: one.draft.comment, excerpt });
  if (!current) showNext();
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
  activeTime.mark();
  const { lease } = current;
  leases.end(lease.id);
  keep();
  showNext();
  try {
    const answer = await request("POST", `${desk.lease_url}${lease.id}/skip`, { reason });
    if (isSignedOut(answer)) { leases.reopen(lease.id); signedOut(); return; }
    store.write(`draft:${lease.id}`, null);
    toast(answer.ok ? say("skipped") : answer.data.detail || say("skipped"));
    ask();
  } catch {
    // Not skipped after all: it comes back as the next one.
    leases.reopen(lease.id);
    leases.putFirst(lease);
    notice("offline", say("offline", { seconds: 2 }), "warn");
    leases.askIn(2, onLeases);
  }
}

/* Takes back the last answer of this sitting, or `chosen` out of the history: {annotation, draft}. */
async function undo(chosen) {
  if (!outbox.isEmpty()) { undoWanted = chosen || "last"; toast(say("undo_after")); return; }
  const place = chosen ? past.findIndex((one) => String(one.annotation) === chosen.annotation) : past.length - 1;
  const [own] = place < 0 ? [] : past.splice(place, 1);
  const last = own || chosen;
  if (!last) { toast(say("nothing_to_undo")); return; }
  try {
    const answer = await request("POST", `${desk.annotation_url}${last.annotation}/undo`, {});
    if (isSignedOut(answer)) { past.push(last); signedOut(); return; }
    if (!answer.ok) { notice("fault", answer.data.detail || "", "warn"); return; }
    await item.fetchViewers([answer.data.lease.item]);
    leases.reopen(answer.data.lease.id);
    stash();
    show(leases.stamp(answer.data.lease), { ...last.draft, seconds: 0 });
    keep();
    progress.tally(-1, last.draft.seconds);
    saved("");
    toast(say("undone"));
  } catch { past.push(last); toast(say("offline", { seconds: 0 })); }
}

// --- care ---
function draw() {
  questions.mend(item.drawAgain(current.lease.item, onBroken));
  refresh();
  $("item").focus({ preventScroll: true });
  announce(item.tell().slice(0, 400));
}
$("item").addEventListener("uncover", draw);

function seal() {
  $("quarantine").close();
  if (!current) return;
  const { lease } = current;
  leases.end(lease.id);
  store.write(`draft:${lease.id}`, null);
  showNext(); // it is off the page before anything is sent
  send(lease);
}
async function send(lease) {
  let answer;
  try { answer = await request("POST", `${desk.items_url}${lease.item.id}/quarantine`, {}); } catch {
    notice("seal", say("not_sealed"), "bad");
    setTimeout(() => send(lease), 3000);
    return;
  }
  notice("seal", "");
  if (isSignedOut(answer)) { leases.reopen(lease.id); signedOut(); return; }
  if (!answer.ok) { notice("fault", answer.data.detail || "", "bad"); return; }
  toast(say("sealed"));
  if (!current && !isResting) ask();
}

function askBreak() {
  const { minutes, isSevere } = breaks.due();
  isResting = true;
  showEmpty("break");
  $("empty-text").textContent = say(isSevere ? "break_severe" : "break_own", { minutes });
  offer("rest", "take_break", "later");
}
function rest() {
  breaks.take();
  showEmpty("resting");
  offer("goOn", "go_on");
}
function goOn() {
  isResting = false;
  offer("ask", "look_again");
  showNext();
}
function later() { breaks.postpone(); goOn(); }

/* The buttons of the page that stands in for an item. */
function offer(main, word, other = "") {
  $("empty-ask").dataset.do = main;
  $("empty-ask").textContent = say(word);
  $("empty-later").hidden = !other;
}

function openComment(isOpen) {
  $("comment-box").hidden = !isOpen;
  document.querySelector('[data-do="comment"]').setAttribute("aria-expanded", String(isOpen));
}
$("comment").addEventListener("input", () => { if (current) { current.draft.comment = $("comment").value; keep(); } });

const actions = {
  submit,
  undo: () => undo(),
  ask,
  reload: () => location.reload(),
  help: () => $("help").showModal(),
  skip: () => current && askReason("skip", skip),
  unsure: () => current && change({ unsure: !current.draft.unsure }),
  flag: () => {
    if (!current) return;
    if (current.draft.flag) change({ flag: null });
    else askReason("flag", (reason) => change({ flag: reason }));
  },
  comment: () => { if (current) { openComment(true); $("comment").focus(); } },
  guideline: () => { guideline.toggle(); if (current && !$("desk").hidden) refresh(); },
  history: history.open,
  words: history.toggleWords,
  view: () => current && item.focusNext(),
  hidden: () => current && item.toggleHidden(),
  fetch: () => leases.ask(onLeases),
  reveal: () => { if (current && care.reveal(current.lease.item)) draw(); },
  quarantine: () => current && $("quarantine").showModal(),
  seal,
  support: () => $("support").showModal(),
  rest,
  later,
  goOn,
};

/* The second click of a double one, where the first has brought this item: nobody can have read it. */
document.addEventListener("click", (event) => {
  if (event.detail > 1 && current && performance.now() - current.at < UNREAD) { event.preventDefault(); event.stopImmediatePropagation(); }
}, true);
document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-do], [data-cite], [data-close]");
  if (!target) return;
  if ("close" in target.dataset) target.closest("dialog").close();
  else if (target.dataset.do) actions[target.dataset.do]();
  else if (current) {
    const { clauses } = current.draft;
    const id = target.dataset.cite;
    change({ clauses: clauses.includes(id) ? clauses.filter((one) => one !== id) : [...clauses, id] });
  }
});

listenForKeys({
  actions,
  answers: () => (current && !$("desk").hidden ? current.draft.answers : null),
  refresh,
  viewers: item,
  leaveComment: () => { openComment(Boolean(current?.draft.comment)); $("item").focus(); },
});

window.addEventListener("beforeunload", (event) => { if (!outbox.isEmpty() && !store.isLasting()) event.preventDefault(); });
window.addEventListener("online", () => { outbox.flush(); if (!current) ask(); });

activeTime.count((seconds) => {
  if (!current) return;
  current.draft.seconds += seconds;
  breaks.spend(seconds, care.isSevere(current.lease.item));
}, () => leases.renew(current?.lease));
setInterval(() => leases.renew(current?.lease), 15_000);
outbox.listen(onAnswer);
history.listen(undo);
progress.draw();
guideline.restore();
kept.draw();
outbox.flush();
ask();
