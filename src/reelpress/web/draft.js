// The clips that are being made, kept on the server: every change is saved by itself, soon after it was made.

import { round } from "./times.js";
import { Problem, askJson, passes, randomId, sendJson } from "./service.js";

const PAUSE_MS = 600;
const AGAIN_MS = 4000;
export const LEAST_S = 0.5; // the shortest clip
export const MOST_S = 3600; // the longest that the service takes

export class Draft {
  #saved = { clips: [], settings: {} }; // as the server has them
  #first = null; // what the draft is made of, until the server has it
  #dirty = false;
  #saving = null;
  #timer;
  #onChange;
  #onConflict;
  #onStarted;
  id = "";
  version = 0;
  clips = [];
  settings = { width: 1080, height: 1920, platform: null };
  state = "saved"; // or waiting, saving, failed
  problem = null;

  /** `onChange` hears of every change, `onConflict` which clips were changed elsewhere too, `onStarted` that it is no draft any more. */
  constructor(video, { onChange, onConflict, onStarted }) {
    this.video = video;
    this.#onChange = onChange;
    this.#onConflict = onConflict;
    this.#onStarted = onStarted;
  }

  /** Take what the server has. */
  take(exported) {
    this.id = exported.id;
    this.version = exported.version;
    this.clips = exported.drafts;
    this.settings = settingsOf(exported);
    this.#saved = { clips: structuredClone(exported.drafts), settings: this.settings };
    this.#dirty = false;
    this.state = "saved";
    this.problem = null;
  }

  get isSaved() {
    return !this.#dirty && !this.#saving;
  }

  find(id) {
    return this.clips.find((clip) => clip.id === id);
  }

  add(clip, at = this.clips.length) {
    const made = bounded({ id: `c${randomId(6)}`, layout: "auto", framing: null, captions: null, ...clip }, true);
    this.clips = this.clips.toSpliced(at, 0, made);
    this.#touch();
    return made;
  }

  change(id, fields) {
    const times = Object.fromEntries(["start_s", "end_s"].filter((name) => name in fields).map((name) => [name, round(fields[name])]));
    this.clips = this.clips.map((clip) => (clip.id === id ? bounded({ ...clip, ...fields, ...times }, "end_s" in fields) : clip));
    this.#touch();
  }

  remove(id) {
    this.clips = this.clips.filter((clip) => clip.id !== id);
    this.#touch();
  }

  set(settings) {
    this.settings = { ...this.settings, ...settings };
    this.#touch();
  }

  /** Save now what is not saved. Throws Problem. */
  async flush() {
    clearTimeout(this.#timer);
    await this.#saving;
    if (this.#dirty) await this.#save();
    if (this.#dirty) throw this.problem ?? new Problem("The clips are not saved yet.");
  }

  /** Read the draft anew, if nothing here is unsaved. */
  async refresh() {
    if (!this.id || !this.isSaved) return;
    const now = await askJson(`v1/exports/${this.id}`);
    if (this.isSaved && now.status === "draft" && now.version > this.version) {
      this.take(now);
      this.#onChange();
    }
  }

  #touch() {
    this.#dirty = true;
    this.#say("waiting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), PAUSE_MS);
  }

  #say(state, problem = null) {
    this.state = state;
    this.problem = problem;
    this.#onChange();
  }

  async #save() {
    if (this.#saving) return this.#saving; // it looks again when it has ended
    this.#saving = this.#send();
    try {
      await this.#saving;
    } finally {
      this.#saving = null;
    }
    return undefined;
  }

  async #send() {
    while (this.#dirty) {
      this.#dirty = false;
      this.#say("saving");
      try {
        await this.#put();
        this.#say(this.#dirty ? "waiting" : "saved");
      } catch (error) {
        if (error.code === "started") {
          this.#say("saved");
          this.#onStarted(this.id);
          return;
        }
        this.#dirty = true;
        const failed = error.code === "changed" ? await this.#merge().catch((one) => one) : error;
        if (!failed) continue;
        this.#say("failed", failed);
        if (passes(failed)) this.#timer = setTimeout(() => this.#save(), AGAIN_MS);
        else this.#first = null; // nothing was made of it
        return;
      }
    }
  }

  async #put() {
    const sent = this.id ? this.#now() : (this.#first ??= { ...this.#now(), key: randomId() });
    const body = { clips: sent.clips, ...sent.settings };
    const now = this.id
      ? await sendJson(`v1/exports/${this.id}`, { ...body, version: this.version }, { method: "PUT", lasts: true })
      : await sendJson("v1/exports", { ...body, video: this.video }, { once: sent.key, lasts: true });
    this.id = now.id;
    this.version = now.version;
    this.#saved = { clips: structuredClone(sent.clips), settings: sent.settings };
    this.#dirty = sent.clips !== this.clips || sent.settings !== this.settings;
  }

  #now() {
    return { clips: this.clips, settings: this.settings };
  }

  async #merge() {
    const theirs = await askJson(`v1/exports/${this.id}`);
    const { clips, both } = merged(this.#saved.clips, this.clips, theirs.drafts);
    const others = settingsOf(theirs);
    const ours = Object.entries(this.settings).filter(([name, value]) => value !== this.#saved.settings[name]);
    this.version = theirs.version;
    this.#saved = { clips: structuredClone(theirs.drafts), settings: others };
    this.clips = clips;
    this.settings = { ...others, ...Object.fromEntries(ours) };
    this.#onConflict(both);
  }
}

/** A clip that is no longer than can be: it ends earlier, or begins later if it was not its end that was moved. */
function bounded(clip, endMoved) {
  if (clip.end_s - clip.start_s <= MOST_S) return clip;
  return endMoved ? { ...clip, end_s: round(clip.start_s + MOST_S) } : { ...clip, start_s: round(clip.end_s - MOST_S) };
}

function settingsOf({ width, height, platform }) {
  return { width, height, platform };
}

/**
 * One list of clips of two that came from the same one: what only one side changed is taken from it; what both changed
 * is ours, and its name is in `both`.
 */
export function merged(base, ours, theirs) {
  const [old, mine, other] = [base, ours, theirs].map((clips) => new Map(clips.map((clip) => [clip.id, clip])));
  const same = (one, two) => sorted(one) === sorted(two);
  const both = [];
  const order = [...theirs.map((clip) => clip.id), ...ours.map((clip) => clip.id).filter((id) => !other.has(id))];
  const clips = order.map((id) => {
    const [was, one, two] = [old.get(id), mine.get(id), other.get(id)];
    if (same(one, was)) return two;
    if (same(two, was) || same(one, two)) return one;
    both.push((one ?? two).name);
    return one ?? two;
  });
  return { clips: clips.filter(Boolean), both };
}

/** JSON with its keys in order: clips that were made here have them in another one than those that the server sends. */
function sorted(value) {
  const isObject = (one) => one !== null && typeof one === "object" && !Array.isArray(one);
  const inOrder = (one) => Object.fromEntries(Object.keys(one).sort().map((key) => [key, one[key]]));
  return JSON.stringify(value, (_key, one) => (isObject(one) ? inOrder(one) : one));
}
