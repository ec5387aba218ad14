// The API as this page uses it: requests with the key of this tab, and problems as errors.

const KEY = "reelpress-api-key";

/** Something the service refused, or that kept us from asking; `hint` says what to do. */
export class Problem extends Error {
  constructor(text, { status = 0, hint = "", evidence = "" } = {}) {
    super(text);
    this.status = status;
    this.hint = hint;
    this.evidence = evidence;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** Headers of a request, with the key if this tab has one. */
export function headers(more = {}) {
  const value = key.get();
  return value ? { ...more, Authorization: `Bearer ${value}` } : more;
}

/** Ask the service. Throws Problem. */
export async function ask(path, { method = "GET", accept = "application/json", signal } = {}) {
  let response;
  try {
    response = await fetch(path, { method, headers: headers({ Accept: accept }), signal, cache: "no-store" });
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

/** What an answer that is no success says. */
export async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  const text = said.detail || said.title || `The service answered ${response.status}.`;
  const wait = response.headers.get("Retry-After");
  const hint = said.hint || (response.status === 429 && wait ? `Wait ${wait} s.` : "");
  return new Problem(text, { status: response.status, hint, evidence: said.evidence || "" });
}

/**
 * Save what a path answers under a name. Without a key the browser does it itself, however large it is; with one it does
 * so where the store has an address for it, and else the whole of it goes through memory.
 */
export async function save(path, name, { stored = false } = {}) {
  if (!key.get()) {
    follow(path, name);
    return;
  }
  const { url } = stored ? await askJson(`${path}?as_address=true`) : { url: null };
  if (url) {
    follow(url, name);
    return;
  }
  const address = URL.createObjectURL(await (await ask(path, { accept: "*/*" })).blob());
  follow(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function follow(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.rel = "noopener noreferrer";
  if (new URL(address, location.href).origin !== location.origin) link.target = "_blank"; // it may play instead
  link.click();
}
