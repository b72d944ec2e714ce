/* Answers given and not yet acknowledged. Each goes in with its idempotency key, and is stored, before anything is sent;
   it leaves only when the server has answered. The same key and the same bytes each time: however often it is sent, by
   this tab or another one, it counts once. */
import { desk, notice, saved, say, signedOut } from "./page.js";
import { isSignedOut, newKey, request } from "./server.js";
import * as store from "./store.js";

/* [{key, id, ends, body, draft, told, lease}]: `lease` is in this page's memory alone, content is never stored. */
const entries = store.readAll("outbox:");

let onAnswer = () => {};
export const isEmpty = () => !entries.length;
export const holds = (leaseId) => entries.some((one) => one.id === leaseId);

/* `handle(entry, answer)` is called with what the server said of each answer. */
export function listen(handle) { onAnswer = handle; }

export function put(lease, body, draft, told) {
  const entry = { key: newKey(), id: lease.id, ends: lease.expires_at, body: JSON.stringify(body), draft, told };
  store.write(`outbox:${entry.key}`, entry);
  entries.push({ ...entry, lease });
  flush();
}

let isFlushing = false;
let timer = 0;
let delay = 1;

export async function flush() {
  if (isFlushing || !entries.length) return;
  isFlushing = true;
  clearTimeout(timer);
  saved("sending");
  const one = entries[0];
  let answer;
  try {
    answer = await request("POST", `${desk.lease_url}${one.id}/annotation`, one.body, { "Idempotency-Key": one.key });
  } catch {
    delay = Math.min(delay * 2, 30);
    saved("waiting", { seconds: delay });
    timer = setTimeout(flush, delay * 1000);
    return;
  } finally { isFlushing = false; }
  delay = 1;
  if (isSignedOut(answer)) { signedOut(); return; }
  notice("signed-out", "");
  entries.shift();
  store.write(`outbox:${one.key}`, null);
  saved(answer.ok ? "saved" : "");
  onAnswer(one, answer);
  flush();
}
