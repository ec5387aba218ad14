// The timeline: where the playhead and the clips are, and moving them by pointer or, edge by edge, by keys.

import { onScheme } from "./colours.js";
import { drag } from "./drag.js";
import { button, byId, keep, make, mark, write } from "./dom.js";
import { LEAST_S } from "./draft.js";
import { Scale } from "./scale.js";
import { HEIGHT, paint } from "./timeline_paint.js";
import { clock, spoken } from "./times.js";

export class Timeline {
  #scale = new Scale();
  #canvas = byId("track-canvas");
  #lane = byId("lane");
  #head = byId("playhead");
  #scroll = byId("scroll");
  #does;
  #due = false;
  #guide = null;
  #shown = { clips: [], selected: "", cuts: [], duration: 0, fps: 25, sprites: null };

  /** `does` has seek(t), select(id), change(id, fields), create(start, end) that returns an id or null, find(id) and at(). */
  constructor(does) {
    this.#does = does;
    new ResizeObserver(() => this.#draw()).observe(byId("track"));
    onScheme(() => this.#draw());
    byId("zoom-in").addEventListener("click", () => this.zoom(0.5));
    byId("zoom-out").addEventListener("click", () => this.zoom(2));
    byId("zoom-whole").addEventListener("click", () => this.zoomTo(null));
    byId("zoom-clip").addEventListener("click", () => this.zoomTo(this.#selectedClip()));
    this.#canvas.addEventListener("pointerdown", (event) => this.#scrub(event));
    this.#lane.addEventListener("pointerdown", (event) => this.#pressed(event));
    this.#lane.addEventListener("keydown", (event) => this.#edgeKey(event));
    byId("track").addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#scroll.addEventListener("input", () => this.#moveView(() => this.#scale.scrollTo(Number(this.#scroll.value))));
    this.#head.addEventListener("pointerdown", (event) => this.#scrub(event));
  }

  /** Show these clips of this video. */
  show(shown) {
    this.#shown = { ...this.#shown, ...shown };
    this.#draw();
  }

  zoom(share) {
    const at = this.#does.at();
    this.#moveView(() => this.#scale.zoom(share, at >= this.#scale.start && at <= this.#scale.end ? at : (this.#scale.start + this.#scale.end) / 2));
  }

  zoomTo(clip) {
    this.#moveView(() => (clip ? this.#scale.around(clip.start_s, clip.end_s) : this.#scale.whole()));
  }

  /** Show where the playhead is; while it plays, the timeline goes along. */
  moved(follow) {
    const t = this.#does.at();
    if (follow && this.#scale.reveal(t)) this.#draw();
    this.#head.style.left = `${this.#scale.toX(t)}px`;
    this.#head.hidden = t < this.#scale.start || t > this.#scale.end;
  }

  #selectedClip() {
    return this.#shown.clips.find((clip) => clip.id === this.#shown.selected);
  }

  #moveView(change) {
    change();
    this.#draw();
  }

  #draw() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#drawNow();
    });
  }

  #drawNow() {
    const { duration, clips } = this.#shown;
    const width = byId("track").clientWidth;
    if (!width || !duration) return;
    this.#scale.set(duration, width);
    const dots = devicePixelRatio || 1;
    if (this.#canvas.width !== Math.round(width * dots) || this.#canvas.height !== HEIGHT * dots) {
      this.#canvas.width = Math.round(width * dots);
      this.#canvas.height = HEIGHT * dots;
    }
    const context = this.#canvas.getContext("2d");
    context.setTransform(dots, 0, 0, dots, 0, 0);
    paint(context, { ...this.#shown, scale: this.#scale, guide: this.#guide });
    keep(this.#lane, clips, (clip) => clip.id, () => this.#block(), (element, clip, n) => this.#fill(element, clip, n));
    this.#scroll.hidden = this.#scale.isWhole;
    this.#scroll.max = this.#scale.hidden;
    this.#scroll.step = "any";
    this.#scroll.value = this.#scale.start;
    mark(this.#scroll, "aria-valuetext", `from ${spoken(this.#scale.start)} to ${spoken(this.#scale.end)}`);
    byId("zoom-clip").disabled = !this.#selectedClip();
    byId("zoom-whole").disabled = this.#scale.isWhole;
    byId("zoom-out").disabled = this.#scale.isWhole;
    this.moved(false);
  }

  #block() {
    const edge = (side) => make("div", { class: "edge", role: "slider", tabindex: "0", "data-edge": side, "aria-valuemin": "0" });
    const name = button("", (event) => this.#does.select(event.currentTarget.closest(".block").dataset.key), { class: "block-name" });
    return make("div", { class: "block" }, edge("start"), name, edge("end"));
  }

  #fill(element, clip, n) {
    const selected = clip.id === this.#shown.selected;
    const [x, to] = [this.#scale.toX(clip.start_s), this.#scale.toX(clip.end_s)];
    element.style.left = `${x}px`;
    element.style.width = `${Math.max(to - x, 3)}px`;
    element.hidden = to < 0 || x > this.#scale.width;
    mark(element, "data-selected", selected);
    const name = element.querySelector(".block-name");
    write(name.firstElementChild, clip.name || `Clip ${n + 1}`);
    mark(name, "aria-pressed", selected);
    mark(name, "aria-label", `${clip.name || `Clip ${n + 1}`}, ${clock(clip.start_s)} to ${clock(clip.end_s)}`);
    for (const edge of element.querySelectorAll(".edge")) {
      const side = edge.dataset.edge;
      const t = side === "start" ? clip.start_s : clip.end_s;
      edge.hidden = !selected;
      mark(edge, "aria-label", `${side === "start" ? "Start" : "End"} of ${clip.name || `clip ${n + 1}`}`);
      mark(edge, "aria-valuemax", this.#shown.duration);
      mark(edge, "aria-valuenow", t);
      mark(edge, "aria-valuetext", spoken(t));
    }
  }

  // --- by pointer ---

  #scrub(event) {
    if (event.button || !event.isPrimary) return;
    this.#drag(event, (t) => this.#does.seek(t));
    this.#does.seek(this.#timeAt(event));
  }

  #pressed(event) {
    if (event.button || !event.isPrimary) return;
    const block = event.target.closest(".block");
    if (!block) {
      this.#create(event);
      return;
    }
    const clip = this.#shown.clips.find((one) => one.id === block.dataset.key);
    const edge = event.target.closest(".edge")?.dataset.edge;
    const from = this.#timeAt(event);
    this.#does.select(clip.id);
    this.#drag(event, (t, loose) => {
      if (edge) this.#moveEdge(clip, edge, this.#snapped(t, clip.id, loose));
      else this.#moveClip(clip, t - from, loose);
    });
  }

  #create(event) {
    const from = this.#snapped(this.#timeAt(event), "", event.altKey);
    let made; // the id of the clip; null if there cannot be one more
    const end = (t, loose) => {
      const to = this.#snapped(t, made, loose);
      if (made === null || Math.abs(to - from) < LEAST_S) return;
      const [start, stop] = [Math.min(from, to), Math.max(from, to)];
      if (made) this.#does.change(made, { start_s: start, end_s: stop });
      else made = this.#does.create(start, stop);
    };
    this.#does.seek(from);
    this.#drag(event, end);
  }

  #drag(event, onTime) {
    const ends = () => {
      this.#guide = null;
      this.#draw();
    };
    drag(event, (now) => onTime(this.#timeAt(now), now.altKey), ends);
    event.target.closest("[tabindex], button")?.focus({ preventScroll: true });
  }

  #timeAt(event) {
    return this.#scale.toTime(event.clientX - byId("track").getBoundingClientRect().left);
  }

  /** The time itself, or what is near it: a cut, or an edge of a clip that is not the one of this id. */
  #snapped(t, id, loose) {
    this.#guide = null;
    if (loose || !byId("snap").checked) return t;
    const edges = this.#shown.clips.filter((one) => one.id !== id);
    const times = [...this.#shown.cuts, ...edges.flatMap((one) => [one.start_s, one.end_s])];
    const to = this.#scale.snap(t, times);
    if (times.includes(to)) this.#guide = to;
    return to;
  }

  #moveEdge(clip, edge, t) {
    const { start_s: start, end_s: end } = clip;
    if (edge === "start") this.#does.change(clip.id, { start_s: Math.max(0, Math.min(t, end - LEAST_S)) });
    else this.#does.change(clip.id, { end_s: Math.min(this.#shown.duration, Math.max(t, start + LEAST_S)) });
    this.#does.seek(edge === "start" ? t : Math.max(t - 1 / this.#shown.fps, 0));
  }

  #moveClip(clip, by, loose) {
    const length = clip.end_s - clip.start_s;
    let start = Math.min(Math.max(clip.start_s + by, 0), this.#shown.duration - length);
    const atStart = this.#snapped(start, clip.id, loose);
    if (atStart !== start) start = atStart;
    else start = this.#snapped(start + length, clip.id, loose) - length;
    start = Math.min(Math.max(start, 0), this.#shown.duration - length);
    this.#does.change(clip.id, { start_s: start, end_s: start + length });
  }

  #wheel(event) {
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      if (this.#scale.isWhole) return;
      event.preventDefault();
      const by = ((event.deltaX || event.deltaY) / this.#scale.width) * this.#scale.span;
      this.#moveView(() => this.#scale.scrollTo(this.#scale.start + by));
      return;
    }
    if (event.deltaY > 0 && this.#scale.isWhole) return; // nothing to zoom out of: the page scrolls
    event.preventDefault();
    const around = this.#timeAt(event);
    this.#moveView(() => this.#scale.zoom(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 60) * 0.004), around));
  }

  // --- by keys ---

  #edgeKey(event) {
    const edge = event.target.dataset.edge;
    if (!edge) return;
    const steps = {
      ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 5, PageDown: -5,
      ",": -1 / this.#shown.fps, ".": 1 / this.#shown.fps,
    };
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const clip = this.#does.find(event.target.closest(".block").dataset.key); // as it is now: keys come faster than pictures
    this.#moveEdge(clip, edge, (edge === "start" ? clip.start_s : clip.end_s) + step * (event.shiftKey ? 5 : 1));
  }
}
