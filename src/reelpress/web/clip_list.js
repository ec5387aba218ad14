// The list of clips beside the player: their names and times, one of them open for editing.

import { button, byId, keep, make, mark, write } from "./dom.js";
import { icon } from "./icons.js";
import { timeField } from "./time_field.js";
import { clock, spoken } from "./times.js";

export class ClipList {
  #list = byId("clips");
  #does;
  #rows = new WeakMap();

  /** `does` has select(id), change(id, fields), edge(id, side, t), nudge(id, side, by), here(id, side), play(id), copy(id), remove(id). */
  constructor(does) {
    this.#does = does;
  }

  show(clips, selected) {
    byId("no-clips").hidden = clips.length > 0;
    write(byId("clip-count"), clips.length ? String(clips.length) : "");
    const focused = this.#list.contains(document.activeElement);
    keep(this.#list, clips, (clip) => clip.id, (clip) => this.#make(clip.id), (element, clip, n) => this.#fill(element, clip, n, clip.id === selected));
    if (focused && !this.#list.contains(document.activeElement)) byId("new-clip").focus(); // what had the focus is gone
  }

  /** Put the focus into the name of a clip, all of it selected: to type is to rename. */
  focusName(id) {
    const row = [...this.#list.children].find((element) => element.dataset.key === id);
    const { name } = this.#rows.get(row) ?? {};
    name?.focus();
    name?.select();
  }

  /** Scroll the list, and nothing else, so far that a clip is seen. */
  #reveal(element) {
    const panel = byId("clips-panel");
    const [box, within] = [element.getBoundingClientRect(), panel.getBoundingClientRect()];
    if (box.bottom > within.bottom) panel.scrollTop += Math.min(box.bottom - within.bottom + 12, box.top - within.top - 12);
    else if (box.top < within.top) panel.scrollTop += box.top - within.top - 12;
  }

  #make(id) {
    const does = this.#does;
    const number = make("span", { class: "clip-number", "aria-hidden": "true" });
    const title = make("span", { class: "clip-title", dir: "auto" });
    const span = make("span", { class: "clip-span" });
    const open = make("button", { type: "button", class: "clip-open" }, number, make("span", { class: "clip-words" }, title, span));
    open.addEventListener("click", () => does.select(id));
    const name = make("input", { type: "text", maxlength: "80", autocomplete: "off", dir: "auto", class: "clip-name" });
    name.addEventListener("input", () => does.change(id, { name: name.value }));
    const field = (words, side) => timeField(words, {
      onSet: (t) => does.edge(id, side, t), onNudge: (by) => does.nudge(id, side, by), onHere: () => does.here(id, side),
    });
    const [start, end] = [field("Start", "start"), field("End", "end")];
    const length = make("p", { class: "hint clip-length" });
    const body = make(
      "div", { class: "clip-body" }, make("label", { class: "field" }, make("span", {}, "Name"), name), start.element, end.element, length,
      make(
        "div", { class: "clip-actions" }, button("Play", () => does.play(id), { picture: icon("play") }),
        button("Copy", () => does.copy(id), { picture: icon("plus") }),
        button("Delete", () => does.remove(id), { picture: icon("bin"), class: "danger" }),
      ),
    );
    const element = make("li", { class: "clip" }, open, body);
    this.#rows.set(element, { number, title, span, open, name, start, end, length, body });
    return element;
  }

  #fill(element, clip, n, selected) {
    const row = this.#rows.get(element);
    const named = clip.name || `Clip ${n + 1}`;
    write(row.number, String(n + 1));
    write(row.title, named);
    write(row.span, `${clock(clip.start_s)} – ${clock(clip.end_s)}`);
    mark(row.open, "aria-expanded", selected);
    const opens = selected && row.body.hidden;
    mark(element, "data-selected", selected);
    row.body.hidden = !selected;
    if (opens) this.#reveal(element);
    if (document.activeElement !== row.name) row.name.value = clip.name;
    row.name.placeholder = `Clip ${n + 1}`;
    row.start.show(clip.start_s);
    row.end.show(clip.end_s);
    write(row.length, `${spoken(clip.end_s - clip.start_s)} long`);
  }
}
