// Step 4: what is written on a clip: nothing, a file's cues, or what is said; and changing it.

import { isOpen } from "./analyses.js";
import { recued, withCue, within, withoutCue } from "./captions.js";
import { button, byId, choose, keep, make, mark, radios, write } from "./dom.js";
import { icon } from "./icons.js";
import { ask } from "./service.js";
import { clock, parseTime } from "./times.js";
import { count } from "./words.js";

const STYLES = [["plain", "Plain"], ["bold", "Bold"], ["karaoke", "Word by word"]];
const MOST_BYTES = 2_000_000;
const TYPES = { srt: "application/x-subrip", vtt: "text/vtt" };

export class CaptionsStep {
  #page;
  #rows = new WeakMap();
  #waits = new Set(); // clips whose captions by speech are asked for
  #style;

  constructor(page) {
    this.#page = page;
    this.#style = radios("Style", "caption-style", STYLES, (style) => this.#change((captions) => ({ ...captions, style })));
    byId("caption-style").append(this.#style);
    byId("caption-file").addEventListener("change", () => this.#file());
    byId("caption-speech").addEventListener("click", () => this.#speech());
    byId("caption-none").addEventListener("click", () => this.#none());
    byId("caption-hand").addEventListener("click", () => this.#add());
    byId("add-cue").addEventListener("click", () => this.#add());
  }

  show() {
    const { clip, info } = this.#page;
    if (!clip) return;
    const { captions } = clip;
    byId("caption-empty").hidden = Boolean(captions);
    byId("caption-edit").hidden = !captions;
    const spoken = this.#page.analyses.captions(clip);
    byId("caption-speech").disabled = !info?.has_transcription || isOpen(spoken);
    byId("no-speech").hidden = Boolean(info?.has_transcription);
    const words = isOpen(spoken) ? `Listening… ${Math.floor(spoken.percent ?? 0)} %` : spoken && spoken.status !== "done" ? `That did not work: ${spoken.error?.text ?? spoken.status}` : "";
    write(byId("speech-state"), words);
    if (!captions) return;
    choose(this.#style, captions.style);
    write(byId("cue-count"), count(captions.cues.length, "cue"));
    keep(byId("cues"), captions.cues.map((cue, n) => ({ cue, n })), ({ n }) => String(n), ({ n }) => this.#make(n), (element, { cue, n }) => this.#fill(element, cue, n));
    this.moved();
  }

  /** Called when the picture moved: the cue that stands now is marked. */
  moved() {
    const { clip, player } = this.#page;
    if (!clip?.captions) return;
    for (const element of byId("cues").children) {
      const cue = clip.captions.cues[Number(element.dataset.key)];
      mark(element, "data-now", Boolean(cue) && cue.start_s <= player.shown && player.shown < cue.end_s);
    }
  }

  /** Give clips what was written down for them meanwhile, unless they have captions by now. */
  settle(clips) {
    for (const clip of clips.filter((one) => this.#waits.has(one.id))) {
      const spoken = this.#page.analyses.captions(clip)?.captions;
      if (!spoken) continue;
      this.#waits.delete(clip.id);
      if (!clip.captions) this.#page.draft.change(clip.id, { captions: spoken });
      const words = clip.captions ? "not taken: it has captions by now" : `written down in ${count(spoken.cues.length, "cue")}`;
      this.#page.say(`What is said in ${clip.name || "the clip"} was ${words}.`);
    }
  }

  #make(n) {
    const text = make("textarea", { rows: "2", maxlength: "500", dir: "auto" });
    const times = ["start_s", "end_s"].map((side) => make("input", { type: "text", class: "time", inputmode: "decimal", autocomplete: "off", "data-side": side }));
    text.addEventListener("input", () => this.#change((captions) => recued(captions, n, { text: text.value })));
    for (const input of times) {
      input.addEventListener("change", () => {
        const t = parseTime(input.value);
        mark(input, "aria-invalid", t === null);
        if (t !== null) this.#change((captions) => recued(captions, n, { [input.dataset.side]: t }));
      });
    }
    const go = button("Go there", () => this.#go(n), { picture: icon("play"), alone: true, class: "quiet" });
    const away = button("Delete this cue", () => {
      this.#change((captions) => withoutCue(captions, n));
      byId("add-cue").focus();
    }, { picture: icon("bin"), alone: true, class: "quiet danger" });
    const element = make("li", { class: "cue-row" }, make("div", { class: "cue-times" }, go, ...times, away), text);
    this.#rows.set(element, { text, times, go, away });
    return element;
  }

  /** Go to the first picture that a cue is on: the one of the very time when it begins may have begun before. */
  #go(n) {
    const { clip, player } = this.#page;
    player.seek(Math.max(clip.captions.cues[n].start_s, clip.start_s) + 1 / player.fps);
  }

  #fill(element, cue, n) {
    const { text, times, go, away } = this.#rows.get(element);
    mark(text, "aria-label", `Text of cue ${n + 1}`);
    mark(go, "aria-label", `Go to cue ${n + 1}`);
    mark(away, "aria-label", `Delete cue ${n + 1}`);
    if (document.activeElement !== text) text.value = cue.text;
    for (const input of times) {
      mark(input, "aria-label", `${input.dataset.side === "start_s" ? "Start" : "End"} of cue ${n + 1}`);
      if (document.activeElement !== input || input.dataset.shown !== clock(cue[input.dataset.side])) input.value = clock(cue[input.dataset.side]);
      input.dataset.shown = clock(cue[input.dataset.side]);
    }
  }

  #change(change) {
    const { clip, draft } = this.#page;
    draft.change(clip.id, { captions: change(clip.captions) });
    this.#page.redraw();
  }

  #add() {
    const { clip, draft, player } = this.#page;
    const t = Math.min(Math.max(player.at, clip.start_s), clip.end_s - 0.2);
    draft.change(clip.id, { captions: withCue(clip.captions ?? { cues: [], style: "bold", origin: "hand" }, t, clip.end_s) });
    this.#page.redrawNow();
    const index = this.#page.clip.captions.cues.findIndex((cue) => !cue.text);
    byId("cues").children[index]?.querySelector("textarea").focus();
  }

  #none() {
    const { clip, draft } = this.#page;
    draft.change(clip.id, { captions: null });
    this.#page.redrawNow();
    this.#page.say("The captions are gone.");
    byId("caption-hand").focus();
  }

  #speech() {
    const { clip, analyses } = this.#page;
    this.#waits.add(clip.id);
    analyses.askCaptions(clip);
    this.#page.redraw();
  }

  async #file() {
    const { clip, draft, video } = this.#page;
    const [file] = byId("caption-file").files;
    byId("caption-file").value = "";
    if (!file) return;
    write(byId("caption-error"), "");
    try {
      if (file.size > MOST_BYTES) throw new Error(`${file.name} is too large for captions.`);
      const type = TYPES[file.name.split(".").pop().toLowerCase()] ?? "text/plain";
      const answer = await ask(`v1/videos/${video.id}/captions`, { method: "PUT", body: file, more: { "Content-Type": type } });
      const { captions } = await answer.json();
      const ofClip = byId("caption-of-clip").checked;
      const clips = byId("caption-all").checked ? draft.clips : [clip];
      let taken = 0;
      for (const one of clips) {
        const found = within(captions, one.start_s, one.end_s, ofClip ? one.start_s : 0);
        taken += found.cues.length;
        if (found.cues.length) draft.change(one.id, { captions: { ...found, style: one.captions?.style ?? found.style } });
      }
      if (!taken) throw new Error(`None of the ${captions.cues.length} cues of ${file.name} lies in ${clips.length > 1 ? "a clip" : "this clip"}. Do its times count from the start of the clip?`);
      this.#page.say(`${count(taken, "cue")} of ${file.name} taken.`);
    } catch (error) {
      write(byId("caption-error"), [error.message, error.evidence, error.hint].filter(Boolean).join(" "));
    }
    this.#page.redraw();
  }
}
