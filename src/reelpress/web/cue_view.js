// The caption that stands on the short now, in the place and manner that it will have.

import { byId, make, mark } from "./dom.js";
import { cueAt, pageAt } from "./captions.js";

const WORDS = 5; // of karaoke at once; about what two lines hold

export class CueView {
  #element = byId("cue");
  #shown = "";

  draw(captions, t) {
    const cue = cueAt(captions, t);
    this.#element.hidden = !cue || !cue.text;
    if (this.#element.hidden) return;
    const spokenWord = captions.style === "karaoke" ? (cue.words ?? []).findIndex((word) => word.start_s <= t && t < word.end_s) : -1;
    const page = spokenWord < 0 ? pageAt(cue, captions.style, t) : "";
    const now = `${captions.style} ${spokenWord} ${page || cue.text}`;
    if (now === this.#shown) return;
    this.#shown = now;
    mark(this.#element, "data-style", captions.style);
    if (spokenWord < 0) {
      this.#element.replaceChildren(make("span", {}, page));
      return;
    }
    const first = Math.floor(spokenWord / WORDS) * WORDS;
    const words = cue.words.slice(first, first + WORDS).flatMap((word, n) => [n ? " " : "", make("b", { "data-on": first + n === spokenWord }, word.text)]);
    this.#element.replaceChildren(make("span", {}, ...words));
  }
}
