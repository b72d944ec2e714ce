/* Times of a recording: seconds as numbers, and as people read them. */

/* 83.5 -> "1:23.5"; to the thousandth, without idle zeros. */
export function showTime(seconds) {
  const thousandths = Math.round(seconds * 1000);
  const [minutes, rest] = [Math.floor(thousandths / 60_000), thousandths % 60_000];
  const [hours, inHour] = [Math.floor(minutes / 60), minutes % 60];
  const part = `${String(Math.floor(rest / 1000)).padStart(2, "0")}${rest % 1000 ? `.${String(rest % 1000).padStart(3, "0").replace(/0+$/, "")}` : ""}`;
  return hours ? `${hours}:${String(inHour).padStart(2, "0")}:${part}` : `${inHour}:${part}`;
}

/* "83.5", "1:23.5" and "0:01:23,5" -> 83.5; null for what is no time. */
export function readTime(text) {
  const found = /^(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d*)?)$/.exec(text.trim());
  if (!found) return null;
  const [hours, minutes, seconds] = [found[1] ?? 0, found[2] ?? 0, found[3].replace(",", ".")].map(Number);
  return roundTime(hours * 3600 + minutes * 60 + seconds);
}

export const roundTime = (seconds) => Math.round(seconds * 1000) / 1000;
