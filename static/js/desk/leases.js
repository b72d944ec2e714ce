/* Leases in hand: asked for ahead, kept alive while somebody is at work. */
import { desk, notice, say, signedOut } from "./page.js";
import { isActive } from "./active_time.js";
import { endsAt, isSignedOut, now, request } from "./server.js";

export const AHEAD = 3; // leases in hand: the one shown and two more
const LINK_MS = 240_000; // a link to media lives a little longer
const OVER = 100; // the server does not offer again what was answered longer ago than this many leases

let waiting = []; // leased ahead, in serving order
const over = new Set(); // ids of leases answered or skipped in this tab, the last ones

export const count = () => waiting.length;
export const find = (id) => waiting.find((one) => one.id === id);
export function end(id) {
  over.add(id);
  if (over.size > OVER) over.delete(over.values().next().value);
}
export function reopen(id) { over.delete(id); }
export const isOver = (id) => over.has(id);
export function add(lease) { waiting.push(lease); }
export function putFirst(lease) { waiting.unshift(lease); }
export function remove(lease) { waiting = waiting.filter((one) => one !== lease); }

/* The next lease that still runs, or undefined. */
export function takeNext() {
  while (waiting.length) {
    const lease = waiting.shift();
    if (endsAt(lease) > now()) return lease;
  }
  return undefined;
}

/* What came with a lease from the server, and when. */
export function stamp(lease) {
  lease.length = endsAt(lease) - now();
  lease.fetchedAt = now();
  return lease;
}
export const isOld = (lease) => now() - lease.fetchedAt > LINK_MS;

/* A lease that is here already has come again, as it does with every answer. Its item stays the one that was prepared,
   whose image is loaded, unless its links have ended: then it is the new one, to be prepared anew, and this says so. */
export function update(known, lease) {
  const { item, fetchedAt } = known;
  const isNew = isOld(known);
  Object.assign(known, lease, isNew ? {} : { item, fetchedAt });
  return isNew;
}

let isAsking = false;
let timer = 0;
let delay = 1;

export function askIn(seconds, then) {
  clearTimeout(timer);
  timer = setTimeout(() => ask(then), seconds * 1000);
}

/* `then(leases, reason, retryAfter, undefined, limit)`, or `then(null, "refused", undefined, detail)`. Without an answer it asks again. */
export async function ask(then) {
  if (isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  let answer;
  try {
    answer = await request("POST", desk.leases_url, { n: AHEAD, kind: desk.kind });
    delay = 1;
    notice("offline", "");
  } catch {
    delay = Math.min(delay * 2, 30);
    notice("offline", say("offline", { seconds: delay }), "warn");
    askIn(delay, then);
    return;
  } finally { isAsking = false; }
  if (answer.ok) then(answer.data.leases, answer.data.reason, answer.data.retry_after, undefined, answer.data.limit);
  else if (isSignedOut(answer)) signedOut();
  else then(null, "refused", undefined, answer.data.detail);
}

/* Starts the time anew of what runs out within a third of its length: `current` (or null) and what is leased ahead. */
export async function renew(current) {
  if (!isActive()) return;
  for (const lease of [current, ...waiting]) {
    if (!lease || endsAt(lease) - now() > lease.length / 3) continue;
    try {
      const answer = await request("POST", `${desk.lease_url}${lease.id}/renew`, {});
      if (answer.ok) {
        lease.expires_at = answer.data.expires_at || answer.data.lease?.expires_at || lease.expires_at;
        lease.length = endsAt(lease) - now();
        if (lease === current) notice("lease", "");
      } else if (isSignedOut(answer)) { signedOut(); return; }
      else if (lease === current) notice("lease", say("lease_over"), "warn");
      else remove(lease);
    } catch { return; /* the next tick tries again */ }
  }
}
