// Questions to the service that take a while: where the window goes, and what is said. The same is never asked twice.

import { askJson, sendJson } from "./service.js";

const SETTLED_MS = 900;
const OPEN = new Set(["queued", "running"]);

export class Analyses {
  #known = new Map(); // by question
  #byId = new Map();
  #timers = new Map();
  #onChange;

  /** `onChange` hears that something was answered, or got on. */
  constructor(video, onChange) {
    this.video = video;
    this.#onChange = onChange;
  }

  /** What is known of a clip's framing in a layout: an analysis, {status: "asked"}, or null if nobody asked. */
  framing(clip, layout, size) {
    return this.#known.get(framingKey(clip, layout, size)) ?? null;
  }

  /** What is known of its captions by speech. */
  captions(clip) {
    return this.#known.get(captionsKey(clip)) ?? null;
  }

  /** Ask where the window goes, once a clip has been left alone for a moment; `by` names who waits. */
  askFraming(clip, layout, size, { by = clip.id, soon = false } = {}) {
    const key = framingKey(clip, layout, size);
    const waits = this.#timers.get(by);
    if (waits?.key === key && !soon) return;
    clearTimeout(waits?.timer);
    this.#timers.delete(by);
    if (this.#known.has(key)) return;
    const question = { start_s: clip.start_s, end_s: clip.end_s, layout, width: size.width, height: size.height };
    const ask = () => {
      this.#timers.delete(by);
      this.#ask(key, "analyses", question);
    };
    this.#timers.set(by, { key, timer: setTimeout(ask, soon ? 0 : SETTLED_MS) });
  }

  /** Ask what is said in a clip. */
  askCaptions(clip) {
    const known = this.captions(clip);
    if (known && (OPEN.has(known.status) || ["asked", "done"].includes(known.status))) return;
    this.#ask(captionsKey(clip), "captions", { start_s: clip.start_s, end_s: clip.end_s });
  }

  /** Ask once more what failed. */
  again(clip, layout, size) {
    this.#known.delete(framingKey(clip, layout, size));
    this.askFraming(clip, layout, size, { soon: true });
  }

  has(id) {
    return this.#byId.has(id);
  }

  /** Take an event of the stream. */
  heard(id, { kind, data }) {
    const key = this.#byId.get(id);
    if (!key) return;
    if (kind === "progress") this.#set(key, { ...this.#known.get(key), status: data.status, percent: data.percent });
    else this.#read(key, id);
  }

  /** Ask for all that is open: after a break. */
  refresh() {
    for (const [id, key] of this.#byId) if (OPEN.has(this.#known.get(key)?.status)) this.#read(key, id);
  }

  async #ask(key, what, question) {
    this.#set(key, { status: "asked", percent: 0 });
    try {
      const analysis = await sendJson(`v1/videos/${this.video}/${what}`, question);
      this.#byId.set(analysis.id, key);
      this.#set(key, analysis);
      if (OPEN.has(analysis.status)) this.#read(key, analysis.id); // it may have ended before we listened
    } catch (error) {
      this.#set(key, { status: "failed", error: { text: error.message, hint: error.hint } });
    }
  }

  async #read(key, id) {
    try {
      this.#set(key, await askJson(`v1/analyses/${id}`));
    } catch {
      // the next event, or the end of the break, asks again
    }
  }

  #set(key, analysis) {
    this.#known.set(key, analysis);
    this.#onChange();
  }
}

/** Whether an answer is still to come. */
export function isOpen(analysis) {
  return Boolean(analysis) && (analysis.status === "asked" || OPEN.has(analysis.status));
}

function framingKey(clip, layout, size) {
  return `framing ${clip.start_s} ${clip.end_s} ${layout} ${size.width} ${size.height}`;
}

function captionsKey(clip) {
  return `captions ${clip.start_s} ${clip.end_s}`;
}
