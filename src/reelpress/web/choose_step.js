// Step 1: which video. A file that is sent, one of this machine, an address; or one that is here already.

import { button, byId, keep, make, mark, opensHere, write } from "./dom.js";
import { icon } from "./icons.js";
import { askJson, randomId, sendJson } from "./service.js";
import { poster } from "./sprites.js";
import { begun, discard, forget, isUnderWay, send, shareOf } from "./upload.js";
import { ago, bytes, count, duration } from "./words.js";

const RECENT = 12;
const MOST = 100; // the service names no more at once

export class ChooseStep {
  #page;
  #sending = null;
  #file = null;
  #left = null; // the upload that can be gone on with
  #videos = [];
  #exports = [];
  #names = new Map(); // of videos
  #shown = { videos: RECENT, exports: RECENT }; // how many at most
  #asking = false;
  #drawn = new WeakSet();

  /** `page` has info, say(), openVideo(id), openExport(id) and letGo(id). */
  constructor(page) {
    this.#page = page;
    byId("file").addEventListener("change", () => this.#picked(byId("file").files[0]));
    byId("stop-upload").addEventListener("click", () => this.#sending?.abort());
    for (const what of ["videos", "exports"]) byId(`more-${what}`).addEventListener("click", () => this.#more(what));
    byId("discard-upload").addEventListener("click", () => this.#discard());
    byId("path-form").addEventListener("submit", (event) => this.#named(event, "path"));
    byId("url-form").addEventListener("submit", (event) => this.#named(event, "url"));
    const drop = byId("drop");
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        mark(drop, "data-over", kind === "dragenter" || kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files.length) this.#picked(event.dataTransfer.files[0]);
      });
    }
  }

  async show() {
    const { sources } = this.#page.info;
    byId("path-form").hidden = !sources.path;
    byId("url-form").hidden = !sources.url;
    write(byId("upload-limit"), `Up to ${bytes(this.#page.info.max_upload_bytes)}. It goes on where it broke off.`);
    await Promise.all([this.#recent(), this.#unfinished()]);
  }

  /** Something happened to a video or an export: its card changes. */
  heard(id, { kind, data }) {
    const video = this.#videos.find((one) => one.id === id);
    if (kind === "progress" && video) {
      Object.assign(video, { status: data.status, stage: data.stage, percent: data.percent });
      this.#cards();
    } else if (kind !== "progress" && /^(vid|exp)_/.test(id)) this.#recent().catch(() => {});
  }

  async #recent() {
    const [{ videos, next_cursor: older }, { exports, next_cursor: earlier }] = await Promise.all([
      askJson(`v1/videos?limit=${this.#shown.videos}`), askJson(`v1/exports?limit=${this.#shown.exports}`),
    ]);
    this.#videos = videos;
    this.#exports = exports;
    byId("more-videos").hidden = !older || this.#shown.videos === MOST;
    byId("more-exports").hidden = !earlier || this.#shown.exports === MOST;
    for (const video of videos) this.#names.set(video.id, video.name);
    await Promise.all([...new Set(exports.map((one) => one.video))].filter((id) => !this.#names.has(id)).map((id) => this.#name(id)));
    this.#cards();
  }

  /** Learn what a video is called that is not among those shown. */
  async #name(id) {
    const words = await askJson(`v1/videos/${id}`).then((video) => video.name, (error) => (error.status === 404 ? "a deleted video" : null));
    if (words) this.#names.set(id, words);
  }

  async #more(what) {
    this.#shown[what] = MOST;
    await this.#recent().catch((error) => this.#complain(error));
    const first = byId(what).children[RECENT]; // the button is gone
    first?.querySelector("a").focus();
  }

  #cards() {
    byId("recent").hidden = !this.#videos.length;
    keep(byId("videos"), this.#videos, (video) => video.id, (video) => this.#makeVideo(video), (element, video) => this.#fillVideo(element, video));
    byId("recent-exports").hidden = !this.#exports.length;
    keep(byId("exports"), this.#exports, (one) => one.id, (one) => this.#makeExport(one), (element, one) => this.#fillExport(element, one));
  }

  #makeVideo({ id }) {
    const open = opensHere(make("a", { class: "card-open", dir: "auto", href: `./?video=${id}` }), () => this.#page.openVideo(id));
    const remove = button("Delete", () => this.#remove(id), { picture: icon("bin"), alone: true, class: "quiet card-remove" });
    return make(
      "li", { class: "card" }, make("canvas", { width: "320", height: "180", "aria-hidden": "true" }), open,
      make("p", { class: "hint" }), make("progress", { max: "100" }), remove,
    );
  }

  #fillVideo(element, video) {
    const [canvas, open, words, bar, remove] = element.children;
    write(open, video.name);
    const goes = ["queued", "running"].includes(video.status);
    const known = video.facts && [duration(video.facts.duration_s), `${video.facts.width}×${video.facts.height}`, ago(video.created_at)].join(", ");
    write(words, goes ? `Getting ready, ${Math.floor(video.percent)} %` : video.status === "ready" ? known : video.error?.text ?? video.status);
    mark(words, "data-status", video.status);
    bar.hidden = !goes;
    bar.value = video.percent;
    mark(bar, "aria-label", `Getting ${video.name} ready`);
    mark(remove, "aria-label", `Delete ${video.name}`);
    if (video.preview && !this.#drawn.has(canvas)) {
      this.#drawn.add(canvas);
      poster(canvas, video);
    }
  }

  #makeExport({ id }) {
    const open = opensHere(make("a", { class: "card-open", href: `./?export=${id}` }), () => this.#page.openExport(id));
    return make("li", { class: "card export-card" }, open, make("p", { class: "hint" }));
  }

  #fillExport(element, one) {
    const [open, words] = element.children;
    write(open, `${count(one.drafts.length, "clip")} of ${this.#names.get(one.video) ?? "a video"}`);
    const where = { draft: "Draft", running: `Exporting, ${Math.floor(one.percent)} %`, done: "Finished", failed: "Finished, some failed", cancelled: "Cancelled" };
    write(words, `${where[one.status]}, ${ago(one.created_at)}`);
    mark(words, "data-status", one.status);
  }

  async #remove(id) {
    const video = this.#videos.find((one) => one.id === id);
    if (!confirm(`Delete ${video.name}, with all drafts of it? Finished clips stay.`)) return;
    try {
      await sendJson(`v1/videos/${id}`, undefined, { method: "DELETE" });
      this.#names.delete(id);
      this.#page.letGo(id);
      await this.#recent();
      this.#page.say(`${video.name} is deleted. Finished clips stay.`);
      byId("choose-title").focus();
    } catch (error) {
      this.#complain(error);
    }
  }

  // --- sending a file ---

  /** Show the newest upload that broke off and that no window goes on with. */
  async #unfinished() {
    let found = null;
    for (const upload of this.#sending ? [] : begun()) {
      const share = (await isUnderWay(upload.id)) ? undefined : await shareOf(upload.id).catch(() => undefined);
      if (share === null) forget(upload.id);
      if (share == null) continue;
      found = { ...upload, share };
      break;
    }
    this.#left = this.#sending ? null : found;
    byId("resume").hidden = !this.#left;
    if (this.#left) write(byId("resume-words"), `${found.name} is there to ${Math.floor(found.share * 100)} %. Choose the same file again, and it goes on from there.`);
  }

  async #discard() {
    await discard(this.#left.id);
    this.#page.say("The unfinished upload is deleted.");
    await this.#unfinished();
    byId("file").focus();
  }

  async #picked(file) {
    byId("file").value = "";
    if (!file || this.#sending) return;
    this.#complain(null);
    const most = this.#page.info?.max_upload_bytes; // not known yet when a file is picked at once; the service asks, too
    if (most && file.size > most) {
      this.#complain({ message: `${file.name} is too large: ${bytes(file.size)}.` });
      return;
    }
    this.#file = file;
    this.#sending = new AbortController();
    this.#showSending(true);
    this.#page.say(`Sending ${file.name}.`);
    try {
      const upload = await send(file, { signal: this.#sending.signal, onBytes: (sent, all) => this.#sent(sent, all) });
      await this.#make({ upload }, file.name);
      forget(upload);
    } catch (error) {
      if (error.name === "AbortError") this.#page.say("Stopped. What was sent stays; choose the file again to go on.");
      else this.#complain(error);
    } finally {
      this.#sending = null;
      this.#showSending(false);
      this.#unfinished();
    }
  }

  #showSending(now) {
    byId("sending").hidden = !now;
    byId("pick").hidden = now;
    if (now) byId("resume").hidden = true;
  }

  #sent(sent, all) {
    byId("upload-bar").value = all ? (sent / all) * 100 : 100;
    write(byId("upload-words"), `${this.#file.name}: ${bytes(sent)} of ${bytes(all)}`);
  }

  // --- a name of it ---

  async #named(event, kind) {
    event.preventDefault();
    const value = byId(kind).value.trim();
    if (!value || this.#asking) return;
    this.#asking = true;
    this.#complain(null);
    try {
      await this.#make({ [kind]: value });
    } catch (error) {
      this.#complain(error);
      byId(kind).focus();
    } finally {
      this.#asking = false;
    }
  }

  async #make(input, name) {
    const video = await sendJson("v1/videos", { input, ...(name ? { name } : {}) }, { once: randomId() });
    this.#page.say(`${video.name} is being made ready.`);
    await this.#page.openVideo(video.id);
  }

  #complain(error) {
    write(byId("choose-error"), error ? [error.message, error.evidence, error.hint].filter(Boolean).join(" ") : "");
  }
}
