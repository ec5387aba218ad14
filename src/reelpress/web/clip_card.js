// One clip of an export: how far it is, what came out, and what can be done with it.

import { badge, button, facts, make, mark, write } from "./dom.js";
import { icon } from "./icons.js";
import { askJson, playable, save } from "./service.js";
import { receiptParts } from "./receipt.js";
import { bytes, duration, left, sentence } from "./words.js";

export const CLIP_OPEN = new Set(["queued", "running"]);
export const CLIP_ENDED_BADLY = new Set(["failed", "cancelled", "dead"]);
const STAGES = { queued: "Waiting", fetch: "Reading the source", analyse: "Framing", render: "Rendering", check: "Checking", store: "Storing", finished: "Finished" };

export class ClipCard {
  #does;
  #clip = null;
  #player = null;
  #fetching = false;
  #badge = "";
  element;

  /** `does` has act(id, "cancel" or "retry") and complain(error). */
  constructor(does) {
    this.#does = does;
    const part = (tag, attributes) => make(tag, attributes);
    this.title = part("h3", { class: "job-title", dir: "auto" });
    this.status = part("span", { class: "status" });
    this.bar = part("progress", { max: "100" });
    this.words = part("p", { class: "now" });
    this.encoder = part("p", { class: "encoder" });
    this.error = part("div", { class: "failure" });
    this.warnings = part("ul", { class: "warnings" });
    this.screen = part("div", { class: "result-screen" });
    this.receipt = part("details", { class: "receipt" });
    this.buttons = {
      cancel: button("Cancel", () => this.#act("cancel"), { picture: icon("close") }),
      retry: button("Try again", () => this.#act("retry"), { picture: icon("retry") }),
      play: button("Play", () => this.#play(), { picture: icon("play"), class: "primary" }),
      download: button("Download", () => this.#save("output?download=1", this.#clip.result.file_name), { picture: icon("download") }),
      srt: button("Captions", () => this.#save("captions.srt", `${stem(this.#clip)}.srt`), { picture: icon("download") }),
    };
    this.receipt.append(make("summary", {}, "Receipt"), make("div", {}));
    this.receipt.addEventListener("toggle", () => this.receipt.open && this.#readReceipt());
    this.element = make(
      "li", { class: "job" }, this.screen,
      make(
        "div", { class: "job-body" }, make("div", { class: "job-top" }, this.title, this.status), this.bar, this.words, this.encoder,
        this.error, this.warnings, make("div", { class: "actions" }, ...Object.values(this.buttons)), this.receipt,
      ),
    );
  }

  /** Show a clip; `captioned` says whether it has captions. */
  show(clip, { captioned }) {
    this.#clip = clip;
    const name = clip.name || `Clip ${clip.index + 1}`;
    write(this.title, name);
    if (this.#badge !== clip.status) {
      this.status.replaceChildren(badge(clip.status));
      this.#badge = clip.status;
    }
    mark(this.element, "data-status", clip.status);
    const goes = CLIP_OPEN.has(clip.status);
    this.bar.hidden = !goes;
    this.bar.value = clip.percent;
    mark(this.bar, "aria-label", `Progress of ${name}`);
    write(this.words, goes ? progressWords(clip) : clip.result ? resultWords(clip.result) : "");
    this.#encoder(clip);
    this.#failure(clip);
    const shown = clip.warnings.join("\n");
    if (this.warnings.dataset.shown !== shown) {
      this.warnings.replaceChildren(...clip.warnings.map((text) => make("li", {}, icon("warn"), make("span", {}, sentence(text)))));
      this.warnings.dataset.shown = shown;
    }
    this.#show("cancel", goes, name);
    this.#show("retry", CLIP_ENDED_BADLY.has(clip.status), name);
    this.#show("play", Boolean(clip.result), name);
    this.#show("download", Boolean(clip.result), name);
    this.#show("srt", Boolean(clip.result) && captioned, name);
    this.receipt.hidden = !clip.result;
    if (!clip.result) this.#stopPlaying();
  }

  #show(what, shown, name) {
    const element = this.buttons[what];
    if (!shown && element === document.activeElement) this.title.parentElement.closest("section")?.querySelector("h2")?.focus();
    element.hidden = !shown;
    mark(element, "aria-label", `${element.textContent} ${name}`);
  }

  #encoder(clip) {
    const where = { cpu: "CPU", nvidia: "GPU" }[clip.device] ?? clip.device;
    this.encoder.hidden = !clip.encoder;
    if (!clip.encoder) return;
    const words = [`${where} · ${clip.encoder}`, clip.fallback].filter(Boolean).join(": ");
    write(this.encoder, words);
    mark(this.encoder, "data-device", clip.device);
  }

  #failure(clip) {
    this.error.hidden = !clip.error;
    const now = clip.error ? JSON.stringify(clip.error) : "";
    if (this.error.dataset.shown === now) return;
    this.error.dataset.shown = now;
    const { text, evidence, hint } = clip.error ?? {};
    this.error.replaceChildren(
      make("p", {}, text ?? ""), evidence ? make("pre", { tabindex: "0", "aria-label": "Evidence" }, evidence) : "",
      hint ? make("p", { class: "hint" }, hint) : "",
    );
  }

  #act(what) {
    this.#does.act(this.#clip.id, what);
  }

  #save(what, name) {
    save(`v1/clips/${this.#clip.id}/${what}`, name, { stored: what.startsWith("output") }).catch((error) => this.#does.complain(error));
  }

  async #play() {
    if (this.#player) {
      this.#stopPlaying();
      return;
    }
    if (this.#fetching) return;
    this.#fetching = true;
    const { id, name, result } = this.#clip;
    try {
      const { address, free } = await playable(`v1/clips/${id}/output`);
      const video = make("video", { controls: true, playsinline: true, "aria-label": name, width: result.width, height: result.height });
      this.#player = { video, free };
      video.src = address;
      this.screen.replaceChildren(video);
      this.#playWords("Close");
      video.play().catch(() => {}); // its own controls are there
    } catch (error) {
      this.#does.complain(error);
    } finally {
      this.#fetching = false;
    }
  }

  #stopPlaying() {
    if (!this.#player) return;
    this.#player.video.pause();
    this.#player.video.removeAttribute("src");
    this.#player.free();
    this.#player = null;
    this.screen.replaceChildren();
    this.#playWords("Play");
  }

  #playWords(words) {
    this.buttons.play.replaceChildren(icon(words === "Play" ? "play" : "close"), make("span", {}, words));
    mark(this.buttons.play, "aria-label", `${words} ${this.title.textContent}`);
  }

  async #readReceipt() {
    const root = this.receipt.lastElementChild;
    try {
      const receipt = await askJson(`v1/clips/${this.#clip.id}/receipt`);
      const { result } = this.#clip;
      const measured = facts([["Loudness", result.loudness_lufs == null ? null : `${result.loudness_lufs.toFixed(1)} LUFS`], ["True peak", result.true_peak_dbtp == null ? null : `${result.true_peak_dbtp.toFixed(1)} dBTP`], ["SHA-256", result.sha256]]);
      const get = button("Save as JSON", () => this.#save("receipt", `${stem(this.#clip)}.receipt.json`), { picture: icon("download") });
      root.replaceChildren(measured, ...receiptParts(receipt), get);
    } catch (error) {
      root.replaceChildren(make("p", { class: "error" }, error.message));
    }
  }
}

/** Where a clip is, in a few words. */
export function progressWords(clip) {
  if (clip.status === "queued") return STAGES.queued;
  const rest = clip.eta_s ? `, ${left(clip.eta_s)} left` : "";
  const speed = clip.speed ? `, ${clip.speed.toFixed(1)}× speed` : "";
  return `${STAGES[clip.stage] ?? clip.stage}, ${Math.floor(clip.percent)} %${rest}${speed}`;
}

function resultWords(result) {
  return [duration(result.duration_s), `${result.width}×${result.height}`, bytes(result.size_bytes)].join(", ");
}

function stem(clip) {
  return (clip.result?.file_name ?? clip.name ?? clip.id).replace(/\.[^.]*$/, "");
}
