// Sending a file in pieces, to the store itself where it signs addresses, else to the service. What breaks off is sent
// again, and a file picked once more goes on where it was.

import { Problem, ask, askJson, headers, passes, sendJson } from "./service.js";

const KEPT = "reelpress-upload";
const MOST_KEPT = 20;
const AT_ONCE = 3;
const PAUSES_MS = [500, 1500, 4000, 8000, 15_000];

/** The uploads that were begun in this browser and not ended, the newest first: {id, name, size}. */
export function begun() {
  try {
    return [JSON.parse(localStorage.getItem(KEPT)) ?? []].flat();
  } catch {
    return [];
  }
}

/** Keep in mind one upload no more. */
export function forget(id) {
  keep(begun().filter((one) => one.id !== id));
}

function keep(uploads) {
  if (uploads.length) localStorage.setItem(KEPT, JSON.stringify(uploads.slice(0, MOST_KEPT)));
  else localStorage.removeItem(KEPT);
}

/** How much of an upload is there, from 0 to 1; null if the service does not know it. */
export async function shareOf(id) {
  const state = await stateOf(id);
  return state && 1 - missingBytes(state) / Math.max(state.size_bytes, 1);
}

async function stateOf(id) {
  try {
    return await askJson(`v1/uploads/${id}`);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Delete what was sent of an upload. */
export async function discard(id) {
  forget(id);
  await ask(`v1/uploads/${id}`, { method: "DELETE" }).catch(() => {});
}

/** Whether a window of this browser is sending an upload now; browsers tell pages of this machine and of HTTPS alone. */
export async function isUnderWay(id) {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return held.some((lock) => lock.name === lockOf(id));
}

const lockOf = (id) => `${KEPT} ${id}`;

/**
 * Send a file and return the id of its upload. `onBytes(sent, all)` hears how far it is; `signal` ends it, and it can be
 * gone on with. Throws Problem.
 */
export async function send(file, { onBytes, signal }) {
  const before = begun().find((one) => one.name === file.name && one.size === file.size);
  let state = before ? await stateOf(before.id) : null;
  state ??= await sendJson("v1/uploads", { name: file.name, size_bytes: file.size });
  keep([{ id: state.id, name: file.name, size: file.size }, ...begun().filter((one) => ![state.id, before?.id].includes(one.id))]);
  if (!state.is_complete) await alone(state.id, () => finish(file, state, onBytes, signal));
  return state.id;
}

async function alone(id, act) {
  if (!navigator.locks) {
    await act();
    return;
  }
  await navigator.locks.request(lockOf(id), { ifAvailable: true }, async (lock) => {
    if (!lock) throw new Problem("This file is being sent in another window.", { hint: "It goes on there." });
    await act();
  });
}

async function finish(file, state, onBytes, signal) {
  const failed = new AbortController(); // of one segment: the others end, too
  try {
    await sendMissing(file, state, onBytes, AbortSignal.any([signal, failed.signal]));
  } finally {
    failed.abort();
  }
  await sendJson(`v1/uploads/${state.id}/complete`);
}

async function sendMissing(file, state, onBytes, signal) {
  const left = [...state.missing];
  const places = new Places(state);
  let there = file.size - missingBytes(state);
  const under = new Map(); // bytes on their way, by segment
  const tell = () => onBytes(there + [...under.values()].reduce((sum, sent) => sum + sent, 0), file.size);
  tell();
  const worker = async () => {
    for (let number = left.shift(); number !== undefined; number = left.shift()) {
      const part = file.slice(number * state.segment_bytes, (number + 1) * state.segment_bytes);
      await sendSegment(places, number, part, signal, (sent) => {
        under.set(number, sent);
        tell();
      });
      under.delete(number);
      there += part.size;
      tell();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Where segments go: the service names a hundred at a time, and addresses of a store end. */
class Places {
  #id;
  #known = new Map();

  constructor(state) {
    this.#id = state.id;
    this.#learn(state);
  }

  /** {url, headers} of a segment; null if it is there by now. */
  async of(number, signal) {
    if (!this.#known.has(number)) this.#learn(await askJson(`v1/uploads/${this.#id}?after=${number - 1}`, { signal }));
    return this.#known.get(number) ?? null;
  }

  forget(number) {
    this.#known.delete(number);
  }

  #learn(state) {
    for (const place of state.send) this.#known.set(place.number, place);
  }
}

async function sendSegment(places, number, part, signal, onSent) {
  for (let tries = 0; ; tries += 1) {
    try {
      const place = await places.of(number, signal);
      if (place) await put(place, part, signal, onSent);
      return;
    } catch (error) {
      // a store refuses addresses that have ended; the service has new ones
      const again = passes(error) || error.ofStore;
      if (signal.aborted || !again || tries >= PAUSES_MS.length) throw error;
      places.forget(number);
      onSent(0);
      await pause(PAUSES_MS[tries], signal);
    }
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/** fetch cannot say how far it is; this old one can. */
async function put({ url, headers: signed }, part, signal, onSent) {
  const toStore = /^https?:/.test(url);
  // a store is sent what its address was signed for, and never a key of ours
  const sent = toStore ? signed : await headers({ "Content-Type": "application/octet-stream" });
  await new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("PUT", toStore ? url : url.replace(/^\//, ""));
    for (const [name, value] of Object.entries(sent)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onSent(Math.min(event.loaded, part.size)));
    request.addEventListener("load", () => (request.status < 300 ? resolve() : reject(refused(request, toStore))));
    request.addEventListener("error", () => reject(silent(toStore)));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", stop));
    signal.addEventListener("abort", stop);
    request.send(part);
  });
}

function silent(toStore) {
  if (!toStore) return new Problem("The service does not answer.", { hint: "What was sent stays there." });
  return new Problem("The store does not answer, or takes no files from this page.", { hint: "What was sent stays there. The store's CORS rule must name this page." });
}

function refused(request, ofStore) {
  if (ofStore) return Object.assign(new Problem(`The store answered ${request.status}.`, { status: request.status, hint: "What was sent stays there." }), { ofStore });
  let said = {};
  try {
    said = JSON.parse(request.responseText);
  } catch {
    // an answer of something before the service; its number has to do
  }
  return new Problem(said.detail || `The service answered ${request.status}.`, { status: request.status, code: said.code, hint: said.hint });
}

function missingBytes(state) {
  const last = state.count === undefined ? Math.ceil(state.size_bytes / state.segment_bytes) - 1 : state.count - 1;
  const size = (number) => (number === last ? state.size_bytes - last * state.segment_bytes : state.segment_bytes);
  return state.missing.reduce((sum, number) => sum + size(number), 0);
}
