// Step 5: all clips at once, each with its own progress, and what came out.

import { isOpen } from "./analyses.js";
import { CLIP_ENDED_BADLY, CLIP_OPEN, ClipCard } from "./clip_card.js";
import { byId, keep, make, mark, write } from "./dom.js";
import { Newest, randomId, save, sendJson } from "./service.js";
import { clock } from "./times.js";
import { count, duration, left } from "./words.js";

const QUIET_MS = 250;
const COARSE = 25; // percent between two announcements
const LAYOUTS = { auto: "automatic", still: "still", track: "following", fit: "fit", split: "split" };

export class ExportStep {
  #page;
  #cards = new WeakMap();
  #said = 0;
  #timer;
  #starting = false;
  #states = new Newest();

  constructor(page) {
    this.#page = page;
    byId("start").addEventListener("click", () => this.#start());
    byId("cancel-all").addEventListener("click", () => this.#all("cancel"));
    byId("retry-all").addEventListener("click", () => this.#all("retry"));
    byId("zip").addEventListener("click", () => this.#zip());
    byId("copy-export").addEventListener("click", () => this.#copy());
    byId("jobs").addEventListener("play", ({ target }) => this.#hush(target), true); // which does not bubble
    byId("platform").addEventListener("change", () => page.draft.set({ platform: byId("platform").value || null }));
  }

  show() {
    if (byId("export").hidden) {
      this.#hush();
      return;
    }
    const { exported, draft } = this.#page;
    const isDraft = !exported || exported.status === "draft";
    byId("before").hidden = !isDraft;
    byId("after").hidden = isDraft;
    if (isDraft) this.#before(draft);
    else this.#after(exported);
  }

  /** Stop every short but one. */
  #hush(one = null) {
    for (const video of byId("jobs").querySelectorAll("video")) if (video !== one) video.pause();
  }

  /** Take an event of the stream for this export or one of its clips. */
  heard(id, { kind, data }) {
    const { exported } = this.#page;
    const clip = exported?.clips.find((one) => one.id === id);
    if (kind === "progress" && clip) {
      const { status, stage, percent, eta_s, speed } = data;
      if (status !== clip.status) this.readSoon();
      else {
        Object.assign(clip, { stage, percent, eta_s, speed });
        this.#announceSteps();
        this.#page.redraw();
      }
      return;
    }
    if (kind === "encoder" && clip) {
      const { encoder, device, fallback } = data.data;
      Object.assign(clip, { encoder, device, fallback });
      this.#page.redraw();
    }
    if (clip || id === exported?.id) this.readSoon();
  }

  /** Read the export anew; a burst of events becomes one request. */
  readSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.read().catch((error) => this.#page.complain(error)), QUIET_MS);
  }

  async read() {
    const before = this.#page.exported;
    if (!before) return;
    const now = await this.#states.ask(`v1/exports/${before.id}`);
    if (!now || this.#page.exported?.id !== now.id) return;
    const last = this.#page.exported;
    this.#page.exported = now;
    this.#announce(last, now);
    this.#page.redraw();
  }

  #before(draft) {
    const clips = draft?.clips ?? [];
    byId("start").disabled = !clips.length || this.#starting;
    write(byId("start"), clips.length > 1 ? `Export all ${clips.length} clips` : "Export");
    const total = clips.reduce((sum, clip) => sum + clip.end_s - clip.start_s, 0);
    write(byId("before-words"), clips.length ? `${duration(total)} in all, ${draft.settings.width}×${draft.settings.height}, H.264 and AAC, −14 LUFS.` : "There are no clips yet. Mark some first.");
    keep(byId("planned"), clips, (clip) => clip.id, () => make("li", {}, make("strong", { dir: "auto" }), make("span", {}), make("span", { class: "hint" })), (element, clip, n) => {
      const [name, span, how] = element.children;
      write(name, clip.name || `Clip ${n + 1}`);
      write(span, `${clock(clip.start_s)} – ${clock(clip.end_s)}`);
      const captions = clip.captions?.cues.length ? `, ${count(clip.captions.cues.length, "cue")}` : "";
      const listens = !captions && isOpen(this.#page.analyses?.captions(clip)) ? ", what is said is still being written down" : "";
      write(how, `${LAYOUTS[clip.layout]} framing${captions}${listens}`);
    });
    byId("platform").value = draft?.settings.platform ?? "";
    write(byId("platform-note"), this.#limits(draft?.settings.platform));
  }

  #limits(platform) {
    const most = this.#page.info?.platforms?.[platform]?.max_duration_s;
    const long = most ? this.#page.draft.clips.filter((clip) => clip.end_s - clip.start_s > most).map((clip) => clip.name || "a clip") : [];
    return long.length ? `Longer than the ${duration(most)} allowed there: ${long.join(", ")}.` : "";
  }

  #after(exported) {
    const { clips } = exported;
    const many = (wanted) => clips.filter((clip) => wanted.has(clip.status)).length;
    const [open, bad, done] = [many(CLIP_OPEN), many(CLIP_ENDED_BADLY), many(new Set(["done"]))];
    const [failed, cancelled] = [many(new Set(["failed", "dead"])), many(new Set(["cancelled"]))];
    const percent = this.#percent(clips);
    byId("overall").value = percent;
    byId("overall").hidden = !open;
    const running = clips.filter((clip) => clip.status === "running");
    const isKnown = running.length === open && running.every((clip) => clip.eta_s != null);
    const rest = isKnown ? Math.max(0, ...running.map((clip) => clip.eta_s)) : 0; // else nobody knows
    const words = [`${done} of ${clips.length} finished`, failed && `${failed} failed`, cancelled && `${cancelled} cancelled`, open && `${Math.floor(percent)} %`, open && rest && `about ${left(rest)} left`];
    write(byId("overall-words"), words.filter(Boolean).join(", "));
    byId("cancel-all").hidden = !open;
    byId("retry-all").hidden = !bad;
    if (bad) write(byId("retry-all"), `Try again what ${[failed && "failed", cancelled && "was cancelled"].filter(Boolean).join(" or ")}`);
    byId("zip").hidden = !done;
    write(byId("zip"), `Download ${done > 1 ? `all ${done}` : "it"} as a zip`);
    const captioned = new Set(exported.drafts.filter((one) => one.captions?.cues.length).map((one) => one.id));
    keep(byId("jobs"), clips, (clip) => clip.id, () => this.#make(), (element, clip) => {
      this.#cards.get(element).show(clip, { captioned: captioned.has(clip.draft) });
    });
  }

  #percent(clips) {
    const length = (clip) => clip.end_s - clip.start_s;
    const total = clips.reduce((sum, clip) => sum + length(clip), 0);
    const ended = (clip) => (CLIP_OPEN.has(clip.status) ? clip.percent : 100);
    return total ? clips.reduce((sum, clip) => sum + (ended(clip) * length(clip)) / total, 0) : 0;
  }

  #make() {
    const card = new ClipCard({ act: (id, what) => this.#one(id, what), complain: (error) => this.#page.complain(error) });
    this.#cards.set(card.element, card);
    return card.element;
  }

  #announce(before, now) {
    const old = new Map(before.clips.map((clip) => [clip.id, clip.status]));
    const words = { done: "is finished", failed: "failed", dead: "failed", cancelled: "is cancelled", running: "has started" };
    const changed = now.clips.filter((clip) => old.has(clip.id) && old.get(clip.id) !== clip.status && words[clip.status]);
    const parts = changed.length > 3 ? [`${changed.length} clips changed`] : changed.map((clip) => `${clip.name || `Clip ${clip.index + 1}`} ${words[clip.status]}`);
    if (before.status === "running" && now.status !== "running") {
      const done = now.clips.filter((clip) => clip.status === "done").length;
      parts.push(`the export has ended with ${done} of ${now.clips.length} clips finished`);
    }
    if (parts.length) this.#page.say(`${parts.join(", ")}.`);
  }

  #announceSteps() {
    const step = Math.floor(this.#percent(this.#page.exported.clips) / COARSE);
    if (step > this.#said && step < 4) this.#page.say(`The export is at ${step * COARSE} percent.`);
    this.#said = step;
  }

  async #start() {
    this.#starting = true;
    this.show();
    await this.#try(async () => {
      const { draft } = this.#page;
      await draft.flush();
      this.#page.exported = await sendJson(`v1/exports/${draft.id}/start`);
      this.#page.say(`The export has started: ${count(this.#page.exported.clips.length, "clip")}.`);
      this.#page.started();
      this.readSoon(); // what happened before we knew its clips
    });
    this.#starting = false;
    this.#page.redraw();
  }

  #one(id, what) {
    return this.#try(async () => {
      const clip = await sendJson(`v1/clips/${id}/${what}`);
      this.#states.overtake();
      const { exported } = this.#page;
      exported.clips = exported.clips.map((one) => (one.id === id ? clip : one));
      if (what === "retry") exported.status = "running";
      this.#page.say(`${clip.name} ${what === "retry" ? "is done again" : clip.status === "cancelled" ? "is cancelled" : "is being stopped"}.`);
      this.#page.redraw();
      this.readSoon();
    });
  }

  #all(what) {
    return this.#try(async () => {
      this.#page.exported = await sendJson(`v1/exports/${this.#page.exported.id}/${what}`);
      this.#states.overtake();
      this.#page.say(what === "cancel" ? "All unfinished clips are being stopped." : "What did not end well is done again.");
      this.#page.redraw();
      this.readSoon();
    });
  }

  #zip() {
    const { exported, video } = this.#page;
    const name = (video?.name ?? "clips").replace(/\.[a-z0-9]{2,5}$/i, "");
    return this.#try(() => save(`v1/exports/${exported.id}/zip`, `${name}-clips.zip`));
  }

  #copy() {
    return this.#try(async () => {
      const { video, drafts, width, height, platform } = this.#page.exported;
      const made = await sendJson("v1/exports", { video, clips: drafts, width, height, platform }, { once: randomId() });
      await this.#page.openExport(made.id, "mark");
      this.#page.say("A new draft with the same clips.");
    });
  }

  async #try(act) {
    mark(byId("export"), "aria-busy", true);
    try {
      await act();
    } catch (error) {
      this.#page.complain(error);
    }
    mark(byId("export"), "aria-busy", false);
  }
}
