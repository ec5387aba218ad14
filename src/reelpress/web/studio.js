// Steps 2 to 4, which share the player: what is on its screen, and which parts stand beside it.

import { CaptionsStep } from "./captions_step.js";
import { CueView } from "./cue_view.js";
import { button, byId, keep, make, mark, write } from "./dom.js";
import { FrameStep } from "./frame_step.js";
import { MarkStep } from "./mark_step.js";
import { Player } from "./player.js";
import { playable } from "./service.js";
import { ShortView } from "./short_view.js";
import { SourceView } from "./source_view.js";
import { Sprites } from "./sprites.js";

const RENEWED_AFTER_MS = 30_000; // what fails sooner would fail again

export class Studio {
  #page;
  #media = { of: "", free: () => {}, renewable: Infinity };
  sprites = null;
  /** Clips whose times changed after a hand had framed them: what is new in them is still to be found. */
  loosened = new Set();

  constructor(page) {
    this.#page = page;
    page.studio = this;
    byId("video").addEventListener("error", () => this.#renew());
    this.player = new Player(byId("video"), { onMove: () => this.#moved(), onState: () => this.marks?.state() });
    this.short = new ShortView();
    this.cue = new CueView();
    this.frames = new FrameStep(page);
    this.source = new SourceView({ move: (pane, x, y) => this.frames.move(pane, x, y), pane: (n) => this.frames.pane(n) });
    this.marks = new MarkStep(page);
    this.captions = new CaptionsStep(page);
    byId("show-zones").addEventListener("change", () => page.redraw());
  }

  /** The video is ready for cutting: its pictures are shown. */
  async prepare() {
    const { video } = this.#page;
    if (video?.status !== "ready" || this.#media.of === video.id) return;
    this.#media.free();
    this.#media = { of: video.id, free: () => {}, renewable: Infinity };
    this.loosened.clear();
    this.sprites = new Sprites(video, () => this.#page.redraw());
    byId("studio").style.setProperty("--source-ratio", String(this.#page.aspect));
    await this.#load(video);
  }

  async #load(video) {
    try {
      const { address, free, ends } = await playable(`v1/videos/${video.id}/preview`);
      this.#media = { of: video.id, free, renewable: ends ? Date.now() + RENEWED_AFTER_MS : Infinity };
      this.player.load(address, { fps: video.facts.fps, duration: video.facts.duration_s });
      this.bound();
    } catch (error) {
      this.#media.of = "";
      this.#page.complain(error);
    }
  }

  /** An address of the store's ends after a while: another is asked for. */
  async #renew() {
    if (!(Date.now() > this.#media.renewable)) return;
    const { at } = this.player;
    await this.#load(this.#page.video);
    this.player.seek(at);
  }

  /** Change when a clip begins or ends, and what of its framing that leaves. */
  retime(id, fields) {
    const clip = this.#page.draft.find(id);
    const [start, end] = [fields.start_s ?? clip.start_s, fields.end_s ?? clip.end_s];
    const framing = this.frames.retimed(clip, start, end);
    if (framing) this.loosened.add(id);
    this.#page.draft.change(id, { ...fields, framing });
  }

  /** Keep the player within the clip, where it is about one. */
  bound() {
    const { clip } = this.#page;
    const looped = this.#page.step !== "mark" && clip;
    this.player.loop(looped ? [clip.start_s, clip.end_s] : null);
    if (looped && (this.player.at < clip.start_s || this.player.at >= clip.end_s)) this.player.seek(clip.start_s);
  }

  show(words) {
    const { step, video, draft, size, aspect } = this.#page;
    const { fps } = this.player;
    write(byId("studio-title"), `${words}: ${video.name}`);
    mark(byId("studio"), "data-step", step);
    byId("clip-tabs-box").hidden = step === "mark";
    byId("clips-panel").hidden = byId("timeline").hidden = step !== "mark";
    byId("frame-panel").hidden = step !== "frame";
    byId("captions-panel").hidden = step !== "captions";
    byId("zones").hidden = step === "mark" || !byId("show-zones").checked;
    this.frames.settle(draft.clips);
    this.#showTabs();
    const shown = step !== "mark" && this.#page.clip ? { framing: this.frames.framing(this.#page.clip), size, aspect, fps } : null;
    this.short.show(shown);
    this.source.show(step === "frame" ? shown : null);
    if (step === "mark") this.marks.show();
    if (step === "frame") this.frames.show();
    if (step === "captions") this.captions.show();
    this.marks.state();
    this.#moved();
  }

  #moved() {
    if (!this.marks || !this.#page.video || byId("studio").hidden) return;
    this.marks.moved();
    const t = this.player.shown;
    this.short.draw(t);
    if (this.#page.step === "frame") this.source.draw(t);
    if (this.#page.step === "frame") this.frames.moved();
    if (this.#page.step === "captions") this.captions.moved();
    this.cue.draw(this.#page.step === "mark" ? null : this.#page.clip?.captions, t);
  }

  #showTabs() {
    keep(byId("clip-tabs"), this.#page.draft.clips, (clip) => clip.id, ({ id }) => {
      const tab = button("", () => {
        this.player.pause();
        this.#page.selected = id;
        this.bound();
        this.player.seek(this.#page.clip.start_s);
        this.#page.redrawNow();
      }, { class: "tab", dir: "auto" });
      return make("li", {}, tab);
    }, (element, clip, n) => {
      write(element.firstElementChild.firstElementChild, clip.name || `Clip ${n + 1}`);
      mark(element.firstElementChild, "aria-pressed", clip.id === this.#page.selected);
    });
  }

  /** What keys do here, by their names. */
  keys() {
    const { player } = this;
    const { step, clip } = this.#page;
    const [start, end] = step !== "mark" && clip ? [clip.start_s, clip.end_s] : [0, player.duration];
    const seek = (by) => () => player.seek(Math.min(Math.max(player.at + by, start), end));
    const all = {
      Space: () => player.toggle(), j: () => player.shuttle(-1), k: () => player.pause(), l: () => player.shuttle(1),
      ArrowLeft: seek(-1), ArrowRight: seek(1), "Shift+ArrowLeft": seek(-5), "Shift+ArrowRight": seek(5),
      ",": () => player.step(-1), ".": () => player.step(1), m: () => this.marks.mute(), "[": () => this.#other(-1), "]": () => this.#other(1),
      Home: () => player.seek(start), End: () => player.seek(end),
    };
    return step === "mark" ? { ...all, ...this.marks.keys() } : all;
  }

  #other(by) {
    const { clips } = this.#page.draft;
    const clip = clips[(clips.findIndex((one) => one.id === this.#page.selected) + by + clips.length) % clips.length];
    if (!clip) return;
    this.#page.select(clip.id);
    this.bound();
    this.player.seek(clip.start_s);
    this.#page.say(clip.name);
  }
}
