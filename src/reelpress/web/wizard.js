// The page of vertical shorts: what is open, which step is shown, and what the stream says. All state is the server's.

import { readAddress, writeAddress } from "./address.js";
import { Analyses } from "./analyses.js";
import { ChooseStep } from "./choose_step.js";
import { byId, opensHere, write } from "./dom.js";
import { Draft } from "./draft.js";
import { ExportStep } from "./export_step.js";
import { icon } from "./icons.js";
import { keepSaved } from "./keeping.js";
import { readNamed } from "./naming.js";
import { Newest, Problem, askJson, leave } from "./service.js";
import { STEPS, Shell } from "./shell.js";
import { listen } from "./shortcuts.js";
import { follow } from "./stream.js";
import { Studio } from "./studio.js";

const STUDIO = new Set(["mark", "frame", "captions"]);

class Wizard {
  info = null;
  video = null;
  exported = null; // as the server has it; a draft's clips are in `draft`
  draft = null;
  selected = "";
  step = "choose";
  analyses = null;
  #waiting = new Set();
  #due = false;
  #following = null;
  #states = new Newest(); // of the video
  #opening = ""; // what is on its way; the last thing that was chosen counts

  constructor() {
    this.shell = new Shell({ go: (step) => this.go(step), connect: () => this.connect(), leave: () => (this.draft?.flush().catch(() => {}) ?? Promise.resolve()).then(leave) });
    this.studio = new Studio(this);
    this.exports = new ExportStep(this);
    this.chooser = new ChooseStep(this);
    opensHere(byId("home"), () => this.go("choose"));
    listen(() => this.#keys());
    window.addEventListener("popstate", () => this.#fromAddress()); // by another hash, too
    keepSaved(() => this.draft);
  }

  // --- what the parts ask ---

  get clip() {
    return this.draft?.find(this.selected) ?? null;
  }

  get player() {
    return this.studio.player;
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
    this.studio.marks.forget();
    this.#toAddress();
    this.redrawNow();
    byId("export-title").focus();
  }

  /** Let go of a video that was deleted, and of its draft. */
  letGo(id) {
    if (this.video?.id !== id) return;
    this.video = this.draft = null;
    if (this.exported?.status === "draft") this.exported = null;
    this.redraw();
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
    this.#opening = "";
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
    this.studio.bound();
    this.redrawNow();
  }

  #possible(step) {
    if (step === "choose") return true;
    const isDraft = !this.exported || this.exported.status === "draft";
    if (step === "mark") return Boolean(this.video) && isDraft;
    if (step === "export") return Boolean(this.exported && !isDraft) || Boolean(this.draft?.clips.length);
    return isDraft && this.video?.status === "ready" && Boolean(this.draft?.clips.length);
  }

  #toAddress(replace = false) {
    const id = this.draft?.id || this.exported?.id;
    writeAddress({ ...(id ? { export: id } : { video: this.video?.id }), step: this.step }, replace);
  }

  async #fromAddress() {
    const { video, export: exported, step } = readAddress();
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
      if (this.video || this.exported) return;
      if (error.status === 404) writeAddress({ step: "choose" }, true); // there is no such thing any more
      this.#enter("choose");
      if (this.info) await this.chooser.show().catch(() => {});
    }
  }

  async #open(named, step) {
    const opening = JSON.stringify(named);
    if (this.#opening === opening) return;
    this.#opening = opening;
    await this.draft?.flush().catch(() => {});
    const { exported, video, error } = await readNamed(named).catch((one) => ({ error: one }));
    if (this.#opening !== opening) return; // something else was chosen meanwhile
    this.#opening = "";
    if (error) throw error;
    this.exported = exported;
    this.selected = "";
    this.draft = new Draft(video?.id, { onChange: () => this.#changed(), onConflict: (both) => this.shell.sayMerged(both), onStarted: (id) => this.#startedElsewhere(id) });
    if (exported) this.draft.take(exported);
    this.selected = this.draft.clips[0]?.id ?? "";
    this.analyses = new Analyses(video?.id, () => this.redraw());
    this.video = video;
    this.studio.prepare();
    this.#enter(this.#possible(step) ? step : this.#lastStep());
    this.#toAddress(readAddress().video === named.video);
  }

  #lastStep() {
    if (this.exported && this.exported.status !== "draft") return "export";
    return this.video ? "mark" : "choose";
  }

  // --- drawing ---

  #changed() {
    if (this.draft.id && !this.exported) this.exported = { id: this.draft.id, status: "draft", clips: [], drafts: [], video: this.video.id };
    if (this.draft.id && this.step !== "choose") this.#toAddress(true);
    if (this.clip === null && this.selected) this.selected = "";
    if (this.draft.problem?.status === 401) this.complain(this.draft.problem);
    this.redraw();
  }

  async #startedElsewhere(id) {
    const late = new Problem("The export was started in another window, without your last change.", { hint: "“Edit a copy” makes a draft of it." });
    this.complain(await this.openExport(id, "export").then(() => late, (error) => error));
  }

  #show() {
    const { step, video, draft } = this;
    const ready = video?.status === "ready";
    const studio = STUDIO.has(step) && ready;
    if (ready && (this.exported?.status ?? "draft") === "draft") this.studio.captions.settle(draft.clips);
    byId("choose").hidden = step !== "choose";
    byId("preparing").hidden = !STUDIO.has(step) || ready;
    byId("studio").hidden = !studio;
    byId("export").hidden = step !== "export";
    this.shell.showSteps(step, (one) => this.#possible(one));
    this.shell.showSaved(step === "choose" || (this.exported && this.exported.status !== "draft") ? null : draft);
    this.shell.showWalk(step, (one) => this.#possible(one), Boolean(this.exported) && this.exported.status !== "draft");
    const words = STEPS.find(([one]) => one === step)[1];
    document.title = `${step === "choose" ? "Shorts" : `${words}: ${video?.name ?? "clips"}`} – Reelpress`;
    if (STUDIO.has(step) && !ready) this.shell.showPreparing(video);
    this.exports.show();
    if (!studio || !draft) return;
    this.studio.show(words);
  }

  #keys() {
    if (byId("help").open) return {};
    const steps = Object.fromEntries(STEPS.map(([step], n) => [String(n + 1), () => this.go(step)]));
    const all = { ...steps, "?": () => this.shell.help() };
    if (byId("studio").hidden) return all;
    return { ...all, ...this.studio.keys() };
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
    await this.draft?.flush().catch(() => {}); // what could not be saved, and says so
    await this.draft?.refresh();
    this.analyses?.refresh();
    if (this.step === "choose") await this.chooser.show();
  }

  async #readVideo() {
    const { id } = this.video;
    const video = await this.#states.ask(`v1/videos/${id}`);
    if (!video || this.video?.id !== id) return;
    const { status } = this.video; // now, not before the request: several may be under way
    this.video = video;
    if (video.status === "ready" && status !== "ready") this.say(`${video.name} is ready.`);
    if (["failed", "dead"].includes(video.status) && status !== video.status) this.say(`${video.name} could not be made ready.`);
    this.studio.prepare();
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
