// The API as this page uses it: requests with the key of this tab or as who is signed in, and problems as errors.

import { session } from "./site.js";

const KEY = "reelpress-api-key";
const MOST_LASTING_BYTES = 60_000; // browsers allow 64 KiB

/** Something the service refused, or that kept us from asking; `hint` says what to do. */
export class Problem extends Error {
  constructor(text, { status = 0, code = "", hint = "", evidence = "" } = {}) {
    super(text);
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.evidence = evidence;
  }
}

/** Whether the same may be done a moment later: nothing answered, or what did was busy or waited too long. */
export function passes({ status = 0 }) {
  return status === 0 || status === 408 || status === 429 || status >= 500;
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** Whether requests name somebody: by the key of this tab, or because they signed in. */
export function isKnown() {
  return Boolean(session || key.get());
}

/** Have somebody sign in; false where that is not how people are known here, but by a key. */
export function signIn() {
  session?.signIn();
  return Boolean(session);
}

/** Forget who was there. */
export async function leave() {
  key.forget();
  await session?.signOut();
  location.reload();
}

/** Headers of a request, with the key if this tab has one, or the token of who is signed in. */
export async function headers(more = {}, fresh = false) {
  const value = session ? await session.token(fresh) : key.get();
  return value ? { ...more, Authorization: `Bearer ${value}` } : more;
}

/** Fetch, as who is there; a token that is not accepted is renewed once. */
export async function request(path, { headers: more, ...options }) {
  const response = await fetch(path, { ...options, headers: await headers(more), cache: "no-store" });
  if (response.status !== 401 || !session) return response;
  return fetch(path, { ...options, headers: await headers(more, true), cache: "no-store" });
}

/** Ask the service; `body` is sent as it is, with the headers `more`. Throws Problem. */
export async function ask(path, { method = "GET", accept = "application/json", body, more, signal, keepalive } = {}) {
  let response;
  try {
    response = await request(path, { method, headers: { Accept: accept, ...more }, body, signal, keepalive });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer.", { hint: "Is it running? This page goes on trying." });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** Ask for JSON. Throws Problem. */
export async function askJson(path, options) {
  return (await ask(path, options)).json();
}

/** Asks again and again for the same thing, and takes no answer that is older than one that it took already. */
export class Newest {
  #asked = 0;
  #taken = 0;

  /** Ask for JSON; null where a newer answer came first. Throws Problem. */
  async ask(path) {
    this.#asked += 1;
    const number = this.#asked;
    const answer = await askJson(path);
    if (number < this.#taken) return null;
    this.#taken = number;
    return answer;
  }

  /** Take what came another way for newer than all that was asked until now. */
  overtake() {
    this.#asked += 1;
    this.#taken = this.#asked;
  }
}

/**
 * Send a value as JSON and return the one that comes back; `once`, the same for every repeat, makes repeats harmless. What
 * `lasts` is sent though the page is closed meanwhile, unless it is more than browsers go on with.
 */
export async function sendJson(path, value, { method = "POST", once = "", signal, lasts = false } = {}) {
  const more = { "Content-Type": "application/json", ...(once ? { "Idempotency-Key": once } : {}) };
  const body = value === undefined ? undefined : JSON.stringify(value);
  const keepalive = lasts && new TextEncoder().encode(body).length < MOST_LASTING_BYTES;
  const response = await ask(path, { method, body, more, signal, keepalive });
  return response.status === 204 ? null : response.json();
}

/** An id that nobody else has. */
export function randomId(bytes = 12) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What an answer that is no success says. */
export async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  const text = said.detail || said.title || `The service answered ${response.status}.`;
  const wait = response.headers.get("Retry-After");
  const hint = said.hint || (response.status === 429 && wait ? `Wait ${wait} s.` : "");
  return new Problem(text, { status: response.status, code: said.code || "", hint, evidence: said.evidence || "" });
}

/**
 * Save what a path answers under a name. Without a key the browser does it itself, however large it is; with one it does
 * so where the store has an address for it, and else the whole of it goes through memory.
 */
export async function save(path, name, { stored = false } = {}) {
  if (!isKnown()) {
    follow(path, name);
    return;
  }
  const { url } = stored ? await askJson(`${path}${path.includes("?") ? "&" : "?"}as_address=true`) : { url: null };
  if (url) {
    follow(url, name);
    return;
  }
  const address = URL.createObjectURL(await (await ask(path, { accept: "*/*" })).blob());
  follow(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/**
 * An address that a <video> can play. The browser sends no key with what it plays: it is an address of the store's,
 * which ends after a while; or else the whole of it goes through memory, which `free` gives back.
 */
export async function playable(path, { signal } = {}) {
  if (!isKnown()) return { address: path, free: () => {} };
  const { url } = await askJson(`${path}?as_address=true`, { signal });
  if (url) return { address: url, free: () => {}, ends: true };
  const address = URL.createObjectURL(await (await ask(path, { accept: "video/mp4", signal })).blob());
  return { address, free: () => URL.revokeObjectURL(address) };
}

function follow(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.rel = "noopener noreferrer";
  if (new URL(address, location.href).origin !== location.origin) link.target = "_blank"; // it may play instead
  link.click();
}
