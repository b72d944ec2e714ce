/* How the day goes: done, active time, pace beside one's own usual, what is left. It counts on from what the page came with. */
import { $, desk, say } from "./page.js";

const day = { ...desk.progress };
let nSitting = 0;

/* One answer more (1) or less (-1), with its active seconds. */
export function tally(by, seconds = 0) {
  nSitting += by;
  day.n_today += by;
  day.n_timed_today += by;
  day.seconds_today = Math.max(0, day.seconds_today + by * seconds);
  if (day.n_left !== null && !day.is_more_left) day.n_left = Math.max(0, day.n_left - by);
  draw();
}

export function draw() {
  $("n-today").textContent = day.n_today;
  $("n-sitting").textContent = nSitting;
  tell("active-today", day.seconds_today >= 60 && say("active_today", { minutes: Math.floor(day.seconds_today / 60) }));
  tell("n-left", day.n_left !== null && say(day.is_more_left ? "left_more" : "left", { n: day.n_left.toLocaleString() }));
  const perHour = day.is_paced && day.n_timed_today >= day.least_timed && day.seconds_today > 0 ? Math.round((3600 * day.n_timed_today) / day.seconds_today) : null;
  const usual = day.is_paced && day.usual_per_hour !== null ? Math.round(day.usual_per_hour) : null;
  tell("pace", perHour !== null && say(usual === null ? "pace" : "pace_usual", { n: perHour, usual }));
}
function tell(id, text) {
  $(id).hidden = !text;
  $(id).textContent = text || "";
}
