// The caption that stands on the short now, in the place and manner that it will have.

import { byId, make, mark } from "./dom.js";
import { cueAt } from "./captions.js";

export class CueView {
  #element = byId("cue");
  #shown = "";

  draw(captions, t) {
    const cue = cueAt(captions, t);
    this.#element.hidden = !cue || !cue.text;
    if (this.#element.hidden) return;
    const spokenWord = captions.style === "karaoke" ? (cue.words ?? []).findIndex((word) => word.start_s <= t && t < word.end_s) : -1;
    const now = `${captions.style} ${spokenWord} ${cue.text}`;
    if (now === this.#shown) return;
    this.#shown = now;
    mark(this.#element, "data-style", captions.style);
    if (spokenWord < 0) {
      this.#element.replaceChildren(make("span", {}, cue.text));
      return;
    }
    const words = cue.words.flatMap((word, n) => [n ? " " : "", make("b", { "data-on": n === spokenWord }, word.text)]);
    this.#element.replaceChildren(make("span", {}, ...words));
  }
}
