/* When a break is due: after so many active minutes with severe items (desk.care.breaks), or of any work where the person
   wants to be reminded. The minutes outlive a reload. Away for a while, one has had a break. */
import { desk } from "./page.js";
import * as store from "./store.js";

const REST_MS = 5 * 60_000; // a pause that counts as a break
const LATER_S = 10 * 60; // asked again after so much more

const { severe_minutes: severeMinutes, own_minutes: ownMinutes } = desk.care.breaks;
let counted = store.read("breaks") || { severe: 0, any: 0, at: 0 };

/* Active seconds went by, with a severe item or another one. Where no break can come of it, nothing is kept. */
export function spend(seconds, isSevere) {
  if (!isSevere && !ownMinutes) return;
  if (Date.now() - counted.at > REST_MS) counted = { severe: 0, any: 0, at: 0 };
  counted = { severe: counted.severe + (isSevere ? seconds : 0), any: counted.any + seconds, at: Date.now() };
  store.write("breaks", counted);
}

/* The minutes after which one is due now, with `isSevere` for those with severe items; null: none is. */
export function due() {
  if (Date.now() - counted.at > REST_MS) return null;
  if (counted.severe >= severeMinutes * 60) return { minutes: severeMinutes, isSevere: true };
  if (ownMinutes && counted.any >= ownMinutes * 60) return { minutes: ownMinutes, isSevere: false };
  return null;
}

/* The break is taken: it starts anew. */
export function take() {
  counted = { severe: 0, any: 0, at: Date.now() };
  store.write("breaks", counted);
}

/* Not now: it is asked again in a while. */
export function postpone() {
  counted = { severe: Math.min(counted.severe, severeMinutes * 60 - LATER_S), any: ownMinutes ? Math.min(counted.any, ownMinutes * 60 - LATER_S) : counted.any, at: Date.now() };
  store.write("breaks", counted);
}
