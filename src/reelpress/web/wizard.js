// The page of vertical shorts: what is open, which step is shown, and what the stream says. All state is the server's.

import { Analyses } from "./analyses.js";
import { CaptionsStep } from "./captions_step.js";
import { ChooseStep } from "./choose_step.js";
import { CueView } from "./cue_view.js";
import { button, byId, keep, make, mark, write } from "./dom.js";
import { Draft } from "./draft.js";
import { ExportStep } from "./export_step.js";
import { FrameStep } from "./frame_step.js";
import { icon } from "./icons.js";
import { MarkStep } from "./mark_step.js";
import { Player } from "./player.js";
import { askJson, playable } from "./service.js";
import { STEPS, Shell } from "./shell.js";
import { listen } from "./shortcuts.js";
import { ShortView } from "./short_view.js";
import { SourceView } from "./source_view.js";
import { Sprites } from "./sprites.js";
import { follow } from "./stream.js";

const STUDIO = new Set(["mark", "frame", "captions"]);
const GETTING_READY = { queued: "Waiting for its turn", fetch: "Reading it", probe: "Looking at it", preview: "Making the preview", store: "Storing" };

class Wizard {
  info = null;
  video = null;
  exported = null; // as the server has it; a draft's clips are in `draft`
  draft = null;
  selected = "";
  step = "choose";
  sprites = null;
  analyses = null;
  /** Clips whose times changed after a hand had framed them: what is new in them is still to be found. */
  loosened = new Set();
  #waiting = new Set();
  #due = false;
  #media = { of: "", free: () => {} };
  #following = null;

  constructor() {
    this.shell = new Shell({ go: (step) => this.go(step), connect: () => this.connect() });
    this.player = new Player(byId("video"), { onMove: () => this.#moved(), onState: () => this.marks?.state() });
    this.short = new ShortView();
    this.cue = new CueView();
    this.frames = new FrameStep(this);
    this.source = new SourceView({ move: (pane, x, y) => this.frames.move(pane, x, y), pane: (n) => this.frames.pane(n) });
    this.marks = new MarkStep(this);
    this.captions = new CaptionsStep(this);
    this.exports = new ExportStep(this);
    this.chooser = new ChooseStep(this);
    byId("home").addEventListener("click", (event) => this.#home(event));
    byId("walk-back").addEventListener("click", () => this.#walk(-1));
    byId("walk-next").addEventListener("click", () => this.#walk(1));
    byId("show-zones").addEventListener("change", () => this.redraw());
    listen(() => this.#keys());
    window.addEventListener("popstate", () => this.#fromAddress());
    window.addEventListener("hashchange", () => this.#fromAddress());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.draft?.flush().catch(() => {});
      else this.draft?.refresh().catch(() => {});
    });
  }

  // --- what the parts ask ---

  get clip() {
    return this.draft?.find(this.selected) ?? null;
  }

  get size() {
    return this.draft?.settings ?? { width: 1080, height: 1920 };
  }

  get aspect() {
    return this.video.facts.width / this.video.facts.height;
  }

  say(text) {
    this.shell.say(text);
  }

  complain(error) {
    this.shell.complain(error);
  }

  select(id) {
    this.selected = id;
    this.redraw();
  }

  /** Change when a clip begins or ends, and what of its framing that leaves. */
  retime(id, fields) {
    const clip = this.draft.find(id);
    const [start, end] = [fields.start_s ?? clip.start_s, fields.end_s ?? clip.end_s];
    const framing = this.frames.retimed(clip, start, end);
    if (framing) this.loosened.add(id);
    this.draft.change(id, { ...fields, framing });
  }

  /** Wait for something that events bring. */
  until(test) {
    if (test()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ test, resolve }));
  }

  redraw() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => this.redrawNow());
  }

  redrawNow() {
    this.#due = false;
    for (const one of this.#waiting) {
      if (!one.test()) continue;
      this.#waiting.delete(one);
      one.resolve();
    }
    this.#show();
  }

  started() {
    this.#toAddress();
    this.redrawNow();
    byId("export-title").focus();
  }

  // --- where we are ---

  async openVideo(id) {
    await this.#open({ video: id }, "mark");
  }

  async openExport(id, step) {
    await this.#open({ export: id }, step);
  }

  async go(step) {
    if (!this.#possible(step)) return;
    this.#enter(step);
    this.#toAddress();
    const title = { choose: "choose-title", export: "export-title" }[step] ?? "studio-title";
    byId(byId(title).checkVisibility() ? title : "main").focus();
    if (step === "choose") await this.chooser.show().catch((error) => this.complain(error));
  }

  #enter(step) {
    this.player.pause();
    this.step = step;
    if (STUDIO.has(step) && step !== "mark" && !this.clip && this.draft?.clips.length) this.selected = this.draft.clips[0].id;
    this.#bound();
    this.redrawNow();
  }

  #possible(step) {
    if (step === "choose") return true;
    const isDraft = !this.exported || this.exported.status === "draft";
    if (step === "mark") return Boolean(this.video) && isDraft;
    if (step === "export") return Boolean(this.exported && !isDraft) || Boolean(this.draft?.clips.length);
    return isDraft && this.video?.status === "ready" && Boolean(this.draft?.clips.length);
  }

  #walk(by) {
    const at = STEPS.findIndex(([step]) => step === this.step);
    this.go(STEPS[at + by][0]);
  }

  #home(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.go("choose");
  }

  #toAddress(replace = false) {
    const [name, id] = this.draft?.id || this.exported ? ["export", this.draft?.id || this.exported.id] : ["video", this.video?.id];
    const address = this.step === "choose" || !id ? location.pathname : `${location.pathname}?${name}=${id}#${this.step}`;
    if (address === location.pathname + location.search + location.hash) return;
    history[replace ? "replaceState" : "pushState"](null, "", address);
  }

  async #fromAddress() {
    const said = new URLSearchParams(location.search);
    const step = location.hash.slice(1);
    const [video, exported] = [said.get("video"), said.get("export")];
    try {
      if (!this.info) this.info = await askJson("v1/clips-info");
      if (exported && exported !== (this.draft?.id || this.exported?.id)) await this.#open({ export: exported }, step);
      else if (video && !exported && (video !== this.video?.id || this.step === "choose")) await this.#open({ video }, step || "mark");
      else if (exported || video) this.#enter(this.#possible(step) ? step : this.#lastStep());
      else {
        this.#enter("choose");
        await this.chooser.show();
      }
    } catch (error) {
      this.complain(error);
      if (!this.video) this.#enter("choose");
    }
  }

  async #open(named, step) {
    await this.draft?.flush().catch(() => {});
    const exported = named.export ? await askJson(`v1/exports/${encodeURIComponent(named.export)}`) : await this.#draftOf(named.video);
    const video = await askJson(`v1/videos/${encodeURIComponent(exported?.video ?? named.video)}`).catch((error) => {
      if (error.status === 404 && exported && exported.status !== "draft") return null; // deleted since; its clips stay
      throw error;
    });
    this.exported = exported;
    this.selected = "";
    this.loosened.clear();
    this.draft = new Draft(video?.id, { onChange: () => this.#changed(), onConflict: (both) => this.#conflict(both) });
    if (exported) this.draft.take(exported);
    this.selected = this.draft.clips[0]?.id ?? "";
    this.analyses = new Analyses(video?.id, () => this.redraw());
    this.video = video;
    this.#prepare();
    this.#enter(this.#possible(step) ? step : this.#lastStep());
    this.#toAddress(!named.export && location.search.includes(named.video));
  }

  #lastStep() {
    if (this.exported && this.exported.status !== "draft") return "export";
    return this.video ? "mark" : "choose";
  }

  async #draftOf(video) {
    const { exports } = await askJson(`v1/exports?video=${encodeURIComponent(video)}&limit=20`);
    return exports.find((one) => one.status === "draft") ?? null;
  }

  /** The video is ready for cutting: its pictures are shown. */
  async #prepare() {
    const { video } = this;
    if (video?.status !== "ready" || this.#media.of === video.id) return;
    this.#media.free();
    this.#media = { of: video.id, free: () => {} };
    this.sprites = new Sprites(video, () => this.redraw());
    byId("studio").style.setProperty("--source-ratio", String(this.aspect));
    try {
      const { address, free } = await playable(`v1/videos/${video.id}/preview`);
      this.#media.free = free;
      this.player.load(address, { fps: video.facts.fps, duration: video.facts.duration_s });
    } catch (error) {
      this.#media.of = "";
      this.complain(error);
    }
  }

  // --- drawing ---

  #changed() {
    if (this.draft.id && !this.exported) this.exported = { id: this.draft.id, status: "draft", clips: [], drafts: [], video: this.video.id };
    if (this.exported?.status === "draft" && location.search !== `?export=${this.draft.id}` && this.draft.id) this.#toAddress(true);
    if (this.clip === null && this.selected) this.selected = "";
    this.redraw();
  }

  #conflict(both) {
    const yours = both.length ? ` For ${both.join(", ")} yours was kept.` : "";
    this.say(`The clips were changed in another window, too. Both changes are in now.${yours}`);
  }

  #bound() {
    const { clip } = this;
    const looped = this.step !== "mark" && clip;
    this.player.loop(looped ? [clip.start_s, clip.end_s] : null);
    if (looped && (this.player.at < clip.start_s || this.player.at >= clip.end_s)) this.player.seek(clip.start_s);
  }

  #show() {
    const { step, video, draft } = this;
    const ready = video?.status === "ready";
    const studio = STUDIO.has(step) && ready;
    byId("choose").hidden = step !== "choose";
    byId("preparing").hidden = !STUDIO.has(step) || ready;
    byId("studio").hidden = !studio;
    byId("export").hidden = step !== "export";
    this.shell.showSteps(step, (one) => this.#possible(one));
    this.shell.showSaved(step === "choose" ? null : draft);
    this.#showWalk();
    const words = STEPS.find(([one]) => one === step)[1];
    document.title = `${step === "choose" ? "Shorts" : `${words}: ${video?.name ?? "clips"}`} – Reelpress`;
    if (STUDIO.has(step) && !ready) this.#showPreparing();
    if (step === "export") this.exports.show();
    if (!studio || !draft) return;
    write(byId("studio-title"), `${words}: ${video.name}`);
    mark(byId("studio"), "data-step", step);
    byId("clip-tabs-box").hidden = step === "mark";
    byId("clips-panel").hidden = byId("timeline").hidden = step !== "mark";
    byId("frame-panel").hidden = step !== "frame";
    byId("captions-panel").hidden = step !== "captions";
    byId("zones").hidden = step === "mark" || !byId("show-zones").checked;
    this.frames.settle(draft.clips);
    this.#showTabs();
    const shown = step !== "mark" && this.clip ? { framing: this.frames.framing(this.clip), size: this.size, aspect: this.aspect } : null;
    this.short.show(shown);
    this.source.show(step === "frame" ? shown : null);
    if (step === "mark") this.marks.show();
    if (step === "frame") this.frames.show();
    if (step === "captions") this.captions.show();
    this.marks.state();
    this.#moved();
  }

  #moved() {
    if (!this.marks || !this.video || byId("studio").hidden) return;
    this.marks.moved();
    const t = this.player.shown;
    this.short.draw(t);
    if (this.step === "frame") this.source.draw(t);
    if (this.step === "frame") this.frames.moved();
    if (this.step === "captions") this.captions.moved();
    this.cue.draw(this.step === "mark" ? null : this.clip?.captions, t);
  }

  #showTabs() {
    keep(byId("clip-tabs"), this.draft.clips, (clip) => clip.id, ({ id }) => {
      const tab = button("", () => {
        this.player.pause();
        this.selected = id;
        this.#bound();
        this.player.seek(this.clip.start_s);
        this.redrawNow();
      }, { class: "tab" });
      return make("li", {}, tab);
    }, (element, clip, n) => {
      write(element.firstElementChild.firstElementChild, clip.name || `Clip ${n + 1}`);
      mark(element.firstElementChild, "aria-pressed", clip.id === this.selected);
    });
  }

  #showWalk() {
    const at = STEPS.findIndex(([one]) => one === this.step);
    byId("walk").hidden = at < 1 || (at === 4 && Boolean(this.exported) && this.exported.status !== "draft");
    byId("walk-next").hidden = at === 4;
    if (at < 4) write(byId("walk-next"), `Next: ${STEPS[at + 1][1]}`);
    if (at > 0) write(byId("walk-back"), `Back: ${STEPS[at - 1][1]}`);
    byId("walk-next").disabled = at < 4 && !this.#possible(STEPS[at + 1][0]);
  }

  #showPreparing() {
    const { video } = this;
    const goes = ["queued", "running"].includes(video.status);
    write(byId("preparing-title"), goes ? `Getting ${video.name} ready` : `${video.name} cannot be used`);
    const left = video.eta_s == null ? "" : `, about ${Math.ceil(video.eta_s)} s left`;
    write(byId("preparing-words"), goes ? `${GETTING_READY[video.stage] ?? "Working"}, ${Math.floor(video.percent)} %${left}` : [video.error?.text ?? video.status, video.error?.evidence, video.error?.hint].filter(Boolean).join(" "));
    byId("preparing-bar").hidden = byId("preparing-hint").hidden = !goes;
    byId("preparing-bar").value = video.percent;
  }

  #keys() {
    if (byId("help").open) return {};
    const steps = Object.fromEntries(STEPS.map(([step], n) => [String(n + 1), () => this.go(step)]));
    const all = { ...steps, "?": () => this.shell.help() };
    if (byId("studio").hidden) return all;
    const { player } = this;
    const [start, end] = this.step !== "mark" && this.clip ? [this.clip.start_s, this.clip.end_s] : [0, player.duration];
    const seek = (by) => () => player.seek(Math.min(Math.max(player.at + by, start), end));
    Object.assign(all, {
      Space: () => player.toggle(), j: () => player.shuttle(-1), k: () => player.pause(), l: () => player.shuttle(1),
      ArrowLeft: seek(-1), ArrowRight: seek(1), "Shift+ArrowLeft": seek(-5), "Shift+ArrowRight": seek(5),
      ",": () => player.step(-1), ".": () => player.step(1), m: () => this.marks.mute(), "[": () => this.#other(-1), "]": () => this.#other(1),
      Home: () => player.seek(start), End: () => player.seek(end),
    });
    return this.step === "mark" ? { ...all, ...this.marks.keys() } : all;
  }

  #other(by) {
    const { clips } = this.draft;
    const clip = clips[(clips.findIndex((one) => one.id === this.selected) + by + clips.length) % clips.length];
    if (!clip) return;
    this.select(clip.id);
    this.#bound();
    this.player.seek(clip.start_s);
    this.say(clip.name);
  }

  // --- the stream ---

  connect() {
    this.#following?.abort();
    this.#following = new AbortController();
    follow("v1/events", {
      signal: this.#following.signal,
      onEvent: (event) => this.#heard(event),
      onState: (name, error) => {
        this.shell.showConnection(name, error);
        if (name === "live") this.#refresh().catch((problem) => this.complain(problem));
      },
    });
  }

  /** Read all that is shown: at the beginning, and after every break. */
  async #refresh() {
    if (!this.info || (!this.video && !this.exported)) {
      await this.#fromAddress();
      return;
    }
    if (this.video) await this.#readVideo();
    if (this.exported && this.exported.status !== "draft") await this.exports.read();
    await this.draft?.refresh();
    this.analyses?.refresh();
    if (this.step === "choose") await this.chooser.show();
  }

  async #readVideo() {
    const { id, status } = this.video;
    const video = await askJson(`v1/videos/${id}`);
    if (this.video?.id !== id) return;
    this.video = video;
    if (video.status === "ready" && status !== "ready") this.say(`${video.name} is ready.`);
    if (["failed", "dead"].includes(video.status) && status !== video.status) this.say(`${video.name} could not be made ready.`);
    this.#prepare();
    this.redraw();
  }

  #heard(event) {
    const id = event.data.job;
    if (this.step === "choose") this.chooser.heard(id, event);
    if (this.analyses?.has(id)) this.analyses.heard(id, event);
    if (this.video?.id === id) {
      const { status, stage, percent, eta_s } = event.data;
      if (event.kind === "progress" && status === this.video.status) {
        Object.assign(this.video, { stage, percent, eta_s });
        this.redraw();
      } else this.#readVideo().catch((error) => this.complain(error));
    }
    if (this.exported && this.exported.status !== "draft") this.exports.heard(id, event);
  }
}

for (const [id, name] of [["drop-icon", "upload"], ["path-icon", "folder"], ["url-icon", "link"]]) byId(id).append(icon(name));
new Wizard().connect();
