// The whole picture with the window in it, to be dragged, or moved by arrow keys.

import { byId, keep, make, mark } from "./dom.js";
import { drag } from "./drag.js";
import { aspectOf, middleAt, shotAt, windowShares } from "./framing.js";

const STEP = 0.01; // of the picture, for an arrow key; with Shift five of them

export class SourceView {
  #root = byId("source");
  #canvas = byId("source-canvas");
  #windows = byId("source-windows");
  #video = byId("video");
  #does;
  #shown = null;
  #t = 0;

  /** `does` has move(pane, x, y), which puts the middle of a window there, and pane(n), which says which one is meant. */
  constructor(does) {
    this.#does = does;
    this.#windows.addEventListener("pointerdown", (event) => this.#pressed(event));
    this.#windows.addEventListener("keydown", (event) => this.#key(event));
    this.#windows.addEventListener("focusin", (event) => this.#does.pane(Number(event.target.dataset.pane)));
  }

  /** Show {framing, size, aspect, fps}. */
  show(shown) {
    this.#shown = shown;
    if (shown) this.#root.style.setProperty("--ratio", String(shown.aspect));
  }

  draw(t) {
    if (!this.#shown || !this.#root.checkVisibility()) return;
    this.#t = t;
    const shot = this.#shot();
    const places = shot.windows.map((window) => this.#place(shot, window));
    this.#paint(places);
    keep(this.#windows, places.map((place, pane) => ({ place, pane })), ({ pane }) => String(pane), ({ pane }) => this.#make(pane), (element, { place: [x, y, w, h] }) => {
      Object.assign(element.style, { left: `${(x - w / 2) * 100}%`, top: `${(y - h / 2) * 100}%`, width: `${w * 100}%`, height: `${h * 100}%` });
      mark(element, "aria-label", shot.layout === "split" ? `Window of the ${element.dataset.pane === "0" ? "upper" : "lower"} half` : "Window");
      mark(element, "data-half", shot.layout === "split" ? ["upper", "lower"][element.dataset.pane] : "");
      mark(element, "aria-valuenow", Math.round(x * 100));
      mark(element, "aria-valuetext", `${Math.round(x * 100)} percent across, ${Math.round(y * 100)} percent down`);
    });
  }

  #shot() {
    return shotAt(this.#shown.framing, this.#t, this.#shown.fps);
  }

  #place(shot, window) {
    const { size, aspect } = this.#shown;
    const shares = windowShares(aspect, aspectOf(shot.layout, size.width, size.height), window.zoom);
    return [...middleAt(window, this.#t, shares), ...shares];
  }

  #make(pane) {
    return make("div", { class: "window pan", role: "slider", tabindex: "0", "data-pane": String(pane), "aria-valuemin": "0", "aria-valuemax": "100" });
  }

  #paint(places) {
    const canvas = this.#canvas;
    const width = Math.round(this.#root.clientWidth * (devicePixelRatio || 1));
    const height = Math.round(width / this.#shown.aspect);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    if (!this.#video.videoWidth) return;
    context.drawImage(this.#video, 0, 0, width, height);
    if (!places.length) return; // all of it is shown
    context.fillStyle = "rgb(8 10 14 / 62%)";
    context.fillRect(0, 0, width, height);
    for (const [x, y, w, h] of places) {
      const [sx, sy] = [(x - w / 2) * this.#video.videoWidth, (y - h / 2) * this.#video.videoHeight];
      const part = [sx, sy, w * this.#video.videoWidth, h * this.#video.videoHeight];
      context.drawImage(this.#video, ...part, (x - w / 2) * width, (y - h / 2) * height, w * width, h * height);
    }
  }

  #pressed(event) {
    const element = event.target.closest(".window");
    if (!element || event.button || !event.isPrimary) return;
    const pane = Number(element.dataset.pane);
    const shot = this.#shot();
    const [x, y] = this.#place(shot, shot.windows[pane]);
    const { width, height } = this.#root.getBoundingClientRect();
    const [fromX, fromY] = [event.clientX, event.clientY];
    element.focus({ preventScroll: true });
    drag(event, (now) => this.#does.move(pane, x + (now.clientX - fromX) / width, y + (now.clientY - fromY) / height));
  }

  #key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const pane = Number(event.target.dataset.pane);
    const shot = this.#shot();
    const [x, y] = this.#place(shot, shot.windows[pane]);
    const step = STEP * (event.shiftKey ? 5 : 1);
    this.#does.move(pane, x + way[0] * step, y + way[1] * step);
  }
}
