/* Requests to the API, and the server's clock. */
let skew = 0; // server's clock minus this one, ms

/* Throws where there is no answer, or one that says to try again (5xx, 408, 429). */
export async function request(method, url, body, headers = {}) {
  const response = await fetch(url, {
    method,
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content, ...headers },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  const date = Date.parse(response.headers.get("Date") || "");
  if (date) skew = date - Date.now();
  let data = {};
  try { data = await response.json(); } catch { /* an empty or foreign body says nothing */ }
  if (response.status >= 500 || response.status === 429 || response.status === 408) throw new Error(String(response.status));
  return { ok: response.ok, status: response.status, data: data || {} };
}

/* Also where somebody signed in anew in another tab: this page's token is that of the session before. */
export const isSignedOut = (answer) => answer.status === 401 || answer.data.code === "csrf_failed";
export const now = () => Date.now() + skew;
export const endsAt = (lease) => Date.parse(lease.expires_at);

export function newKey() {
  // crypto.randomUUID is missing where the page is not served over https or from this machine.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/* A piece of a page, as our own templates wrote and escaped it; null where nobody is signed in. Throws where there is none. */
export async function fetchPart(url) {
  const response = await fetch(url, { credentials: "same-origin", headers: { "HX-Request": "true" } });
  if (response.headers.get("HX-Redirect")) return null;
  if (!response.ok) throw new Error(String(response.status));
  const holder = document.createElement("template");
  holder.innerHTML = await response.text();
  return holder.content;
}

/* Tells the server something that nothing waits for. */
export async function tellServer(url, fields) {
  const token = document.querySelector("meta[name=csrf-token]").content;
  const response = await fetch(url, { method: "POST", credentials: "same-origin", headers: { "HX-Request": "true", "X-CSRFToken": token }, body: new URLSearchParams(fields) });
  if (!response.ok) throw new Error(String(response.status));
}
