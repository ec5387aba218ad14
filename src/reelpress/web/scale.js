// What part of a video the timeline shows, in pixels and seconds. Nothing is drawn here.

const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const LEAST_S = 2; // shown at the strongest zoom
const SNAP_PX = 9;

export class Scale {
  width = 1;
  start = 0;
  #duration = 1;
  #span = 1;

  /** The whole of a video in `width` pixels. */
  set(duration, width) {
    const isWhole = this.#span >= this.#duration;
    this.#duration = Math.max(duration, 0.001);
    this.width = Math.max(width, 1);
    this.#show(this.start, isWhole ? this.#duration : this.#span);
  }

  get span() {
    return this.#span;
  }

  get end() {
    return this.start + this.#span;
  }

  get isWhole() {
    return this.#span >= this.#duration;
  }

  /** Seconds that are not shown: how far it can be scrolled. */
  get hidden() {
    return Math.max(0, this.#duration - this.#span);
  }

  toX(t) {
    return ((t - this.start) / this.#span) * this.width;
  }

  toTime(x) {
    return Math.min(Math.max(this.start + (x / this.width) * this.#span, 0), this.#duration);
  }

  /** Show a share of what is shown now, around a time that keeps its place. */
  zoom(share, around) {
    const place = (around - this.start) / this.#span;
    const span = Math.min(Math.max(this.#span * share, LEAST_S), this.#duration);
    this.#show(around - place * span, span);
  }

  scrollTo(start) {
    this.#show(start, this.#span);
  }

  whole() {
    this.#show(0, this.#duration);
  }

  /** Show a stretch, with some room around it. */
  around(from, to) {
    const span = Math.max((to - from) * 1.3, LEAST_S);
    this.#show((from + to) / 2 - span / 2, span);
  }

  /** Scroll as far as it takes for a time to be seen; says whether it did. */
  reveal(t) {
    if (t >= this.start && t <= this.end) return false;
    this.#show(t < this.start ? t - this.#span * 0.1 : t - this.#span * 0.1, this.#span);
    return true;
  }

  /** Marks of the ruler: times, and how far they are apart. */
  ticks() {
    const step = STEPS_S.find((one) => (one / this.#span) * this.width >= 84) ?? STEPS_S.at(-1);
    const times = [];
    for (let n = Math.ceil(this.start / step); n * step <= this.end; n += 1) times.push(n * step);
    return { step, times };
  }

  /** The nearest of some times to snap to, or the time itself if none is near. */
  snap(t, times) {
    const reach = (SNAP_PX / this.width) * this.#span;
    let best = t;
    let distance = reach;
    for (const one of times) {
      if (Math.abs(one - t) < distance) [best, distance] = [one, Math.abs(one - t)];
    }
    return best;
  }

  #show(start, span) {
    this.#span = Math.min(Math.max(span, Math.min(LEAST_S, this.#duration)), this.#duration);
    this.start = Math.min(Math.max(start, 0), this.#duration - this.#span);
  }
}
