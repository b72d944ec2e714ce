/* What outlives the page, a closed tab and an ended sign-in: answers, never content. By person and project, so that
   nobody sends another's answers; signing out empties it (frame.js). */
import { desk } from "./page.js";

const prefix = `touchstone:${desk.person}:${desk.project}:`;
const KEEP_MS = 7 * 24 * 3600_000;
let isRefused = false; // by a full storage or a browser that allows none

/* Whether what was written here outlives this page. */
export const isLasting = () => !isRefused;

export function read(name) {
  try { return JSON.parse(localStorage.getItem(prefix + name))?.value ?? null; } catch { return null; }
}

export function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(prefix + name);
    else localStorage.setItem(prefix + name, JSON.stringify({ at: Date.now(), value }));
  } catch { isRefused = true; /* this page's memory alone has it */ }
}

/* The values under names that begin so, oldest first. */
export function readAll(start) {
  const found = [];
  try {
    for (const name of Object.keys(localStorage)) {
      if (!name.startsWith(prefix + start)) continue;
      try { found.push(JSON.parse(localStorage.getItem(name))); } catch { localStorage.removeItem(name); }
    }
  } catch { /* refused */ }
  return found.sort((a, b) => a.at - b.at).map((one) => one.value);
}

/* Drafts of items that went to others would gather for ever. */
try {
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith(`${prefix}draft:`) && !(JSON.parse(localStorage.getItem(name))?.at > Date.now() - KEEP_MS)) localStorage.removeItem(name);
  }
} catch { /* refused, or not ours */ }
