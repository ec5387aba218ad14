// The page of jobs: what is shown, kept in step with the service. A reader of the API and nothing more.

import { byId, mark, write } from "./dom.js";
import { List } from "./list.js";
import { Panel } from "./panel.js";
import { Problem, ask, askJson, isKnown, key, leave, signIn } from "./service.js";
import { follow } from "./stream.js";
import { STATUSES, UNFINISHED, haystack, nameOf } from "./words.js";

const PAGE = 50;
const SEARCHED = 1000; // jobs read for one page of a text filter; "Older" goes on from there
const QUIET_MS = 400; // between an event and reading the list anew
const SEARCH_QUIET_MS = 3000; // the same, where that is several requests
const SAID_MS = 8000;
const CONNECTION = { live: "Live", waiting: "Reconnecting", refused: "Not connected" };

const state = { status: "", text: "", job: "", cursors: [null], next: null, jobs: new Map(), counts: {} };
let reading = null;
let following = null;
let changed = [];

const list = new List({ onOpen: (id) => open(id, true) });
const panel = new Panel({ onClose: close, onAct: act });

// --- what the address says: a job or a filter can be sent to a colleague ---

function fromAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const status = STATUSES.includes(said.get("status")) ? said.get("status") : "";
  const text = said.get("text") ?? "";
  const moved = status !== state.status || text !== state.text;
  Object.assign(state, { status, text, job: said.get("job") ?? "" });
  if (moved) state.cursors = [null];
  byId("text").value = text;
  list.showFilter(state.status, state.counts);
}

function toAddress(more, { replace = false } = {}) {
  Object.assign(state, more);
  const said = new URLSearchParams();
  for (const name of ["status", "text", "job"]) if (state[name]) said.set(name, state[name]);
  const address = `${location.pathname}${said.size ? `#${said}` : ""}`;
  history[replace ? "replaceState" : "pushState"](null, "", address);
}

// --- reading ---

async function refresh() {
  reading?.abort();
  reading = new AbortController();
  const { signal } = reading;
  const before = state.jobs;
  try {
    const page = await readPage(signal);
    Object.assign(state, page);
    list.show([...state.jobs.values()], state);
    list.showFilter(state.status, state.counts);
    showPages();
    showEmpty(page.searched);
    byId("problem").hidden = true;
    announceChanges(before);
    if (state.job) await readJob(signal);
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
  }
}

async function readPage(signal) {
  const wanted = state.text.trim().toLowerCase();
  const jobs = new Map();
  let cursor = state.cursors.at(-1);
  let searched = 0;
  let counts = {};
  do {
    const asked = new URLSearchParams({ limit: wanted ? 200 : PAGE });
    if (state.status) asked.set("status", state.status);
    if (cursor) asked.set("cursor", cursor);
    const page = await askJson(`v1/jobs?${asked}`, { signal });
    for (const job of page.jobs) if (!wanted || haystack(job).includes(wanted)) jobs.set(job.id, job);
    cursor = page.next_cursor;
    counts = page.counts ?? counts;
    searched += page.jobs.length;
  } while (wanted && cursor && jobs.size < PAGE && searched < SEARCHED);
  return { jobs, next: cursor, counts, searched };
}

async function readJob(signal) {
  const id = state.job;
  try {
    const job = state.jobs.get(id) ?? (await askJson(`v1/jobs/${encodeURIComponent(id)}`, { signal }));
    if (state.job === id) panel.show(job);
  } catch (error) {
    if (error.status !== 404) throw error;
    if (state.job === id) panel.showMissing(id);
  }
}

/** A burst of events becomes one request, and the next one waits for its answer: else a slow service never got to it. */
async function refreshSoon({ now = false } = {}) {
  refreshSoon.due = true;
  if (refreshSoon.runs) return;
  refreshSoon.runs = true;
  for (let first = now; refreshSoon.due; first = false) {
    if (!first) await new Promise((resolve) => setTimeout(resolve, state.text.trim() ? SEARCH_QUIET_MS : QUIET_MS));
    refreshSoon.due = false;
    if (first || !document.hidden) await refresh();
  }
  refreshSoon.runs = false;
}

function onEvent({ kind, data }) {
  if (kind !== "progress") {
    refreshSoon();
    return;
  }
  const { job: id, status, ...progress } = data;
  const job = state.jobs.get(id) ?? (panel.job?.id === id ? panel.job : null);
  if (!job || progress.updated_at < job.updated_at) return; // read from the list meanwhile
  if (status !== job.status) refreshSoon(); // with its result or error, and announced
  else {
    Object.assign(job, progress);
    list.update(job);
    if (state.job === id) panel.show(job);
  }
}

function connect() {
  following?.abort();
  following = new AbortController();
  follow("v1/events", {
    signal: following.signal,
    onEvent,
    onState: (name, error) => {
      mark(byId("connection"), "data-state", name);
      write(byId("connection-text"), CONNECTION[name]);
      if (name === "live") refreshSoon({ now: true });
      if (name === "refused") complain(error);
    },
  });
}

// --- saying ---

function say(text) {
  write(byId("said"), "");
  setTimeout(() => write(byId("said"), text), 50); // the same words twice are read out twice
  clearTimeout(say.timer);
  say.timer = setTimeout(() => write(byId("said"), ""), SAID_MS);
}

function announceChanges(before) {
  for (const job of state.jobs.values()) {
    const old = before.get(job.id);
    if (old && old.status !== job.status) changed.push(job);
  }
  if (!changed.length) return;
  clearTimeout(announceChanges.timer);
  announceChanges.timer = setTimeout(() => {
    if (!changed.length) return;
    const words = changed.length > 3 ? `${changed.length} jobs changed` : changed.map((j) => `${nameOf(j)} is ${j.status}`);
    changed = [];
    say(`${[words].flat().join(", ")}.`);
  }, 800);
}

function complain(error) {
  if (error.status === 401) {
    askForKey();
    return;
  }
  write(byId("problem-text"), error instanceof Problem ? error.message : "This page made a mistake.");
  write(byId("problem-hint"), error instanceof Problem ? error.hint : String(error));
  byId("problem").hidden = false;
}

function showPages() {
  const total = state.status ? state.counts[state.status] ?? 0 : Object.values(state.counts).reduce((a, b) => a + b, 0);
  const first = (state.cursors.length - 1) * PAGE + 1;
  const shown = state.jobs.size;
  byId("newer").disabled = state.cursors.length < 2;
  byId("older").disabled = !state.next;
  const range = shown ? `Jobs ${first} to ${first + shown - 1} of ${total}` : "No jobs";
  write(byId("count"), state.text.trim() ? `${shown} found` : range);
}

function showEmpty(searched) {
  const all = Object.values(state.counts).reduce((a, b) => a + b, 0);
  byId("empty").hidden = state.jobs.size > 0;
  if (!all) {
    write(byId("empty-text"), "There are no jobs yet.");
    write(byId("empty-hint"), "Submit one: reelpress jobs submit video.mp4");
  } else if (state.text.trim()) {
    write(byId("empty-text"), `No job among ${searched} has “${state.text.trim()}” in it.`);
    write(byId("empty-hint"), state.next ? "Older jobs were not searched: go on with Older." : "Try other words.");
  } else {
    write(byId("empty-text"), state.status ? `No job is ${state.status}.` : "Nothing here.");
    write(byId("empty-hint"), "Choose another status above.");
  }
}

// --- the key ---

function askForKey() {
  following?.abort();
  if (signIn()) return;
  if (key.get()) write(byId("key-error"), "The service does not accept this key.");
  key.forget();
  showKey(true);
  byId("key").focus();
}

function showKey(needed) {
  byId("key-form").hidden = !needed;
  byId("board").hidden = needed;
  byId("forget-key").hidden = needed || !isKnown();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(byId("key").value.trim());
  byId("key").value = "";
  showKey(false);
  byId("list").focus();
  connect();
});

byId("forget-key").addEventListener("click", () => leave());

// --- acting ---

function open(id, byHand) {
  toAddress({ job: id });
  list.select(id);
  readJob().then(() => byHand && panel.focus(), complain);
}

function close() {
  const id = state.job;
  toAddress({ job: "" });
  panel.hide();
  list.select("");
  list.focus(id);
}

/** Cancel or retry a job; what came of it is said, and shown at once. */
async function act(id, what) {
  try {
    const response = await ask(`v1/jobs/${encodeURIComponent(id)}/${what}`, { method: "POST" });
    const job = await response.json();
    if (state.jobs.has(id)) state.jobs.set(id, job);
    list.update(job);
    if (state.job === id) panel.show(job);
    const words = { retry: "waits to be done again", cancel: UNFINISHED.has(job.status) ? "is being stopped" : `is ${job.status}` };
    changed = changed.filter((one) => one.id !== id); // what it was before is old news
    say(`${nameOf(job)} ${words[what]}.`);
    refreshSoon();
  } catch (error) {
    if (error.status === 401) complain(error);
    else panel.complain(error);
    say([error.message, error.hint].filter(Boolean).join(" "));
  }
}

byId("statuses").addEventListener("change", (event) => {
  state.cursors = [null];
  toAddress({ status: event.target.value });
  refresh();
});

byId("text").addEventListener("input", () => {
  clearTimeout(refresh.timer);
  refresh.timer = setTimeout(() => {
    state.cursors = [null];
    toAddress({ text: byId("text").value }, { replace: true });
    refresh();
  }, 250);
});

byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("again").addEventListener("click", () => connect());
byId("older").addEventListener("click", () => state.next && turn([...state.cursors, state.next]));
byId("newer").addEventListener("click", () => state.cursors.length > 1 && turn(state.cursors.slice(0, -1)));

async function turn(cursors) {
  Object.assign(state, { cursors, next: null }); // what comes after it is not known before it is read
  await refresh();
  byId("list").scrollIntoView();
  const { activeElement } = document;
  if (activeElement.disabled || activeElement === document.body) byId("list").focus(); // at an end, the button is gone
  say(byId("count").textContent);
}

window.addEventListener("popstate", () => {
  fromAddress();
  if (!state.job) panel.hide();
  list.select(state.job);
  refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => document.hidden || list.tick(), 10_000);

showKey(false);
fromAddress();
list.select(state.job);
connect();
