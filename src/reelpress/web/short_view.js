// The short as it will be, drawn picture by picture by the framing that the export is made by. Moved by CSS the video
// would be some pixels of the screen off, and its window not always that of the picture shown.

import { byId, mark } from "./dom.js";
import { aspectOf, fitPlace, middleAt, shotAt, windowShares } from "./framing.js";

const SOFT_PX = 30; // the background of a fit is drawn this wide and enlarged: a blur that every browser has
const DARKEN = "rgb(0 0 0 / 30%)"; // as in plan/clip_graph.py

export class ShortView {
  #screen = byId("screen");
  #video = byId("video");
  #canvas = byId("composed");
  #soft = document.createElement("canvas");
  #shown = null; // {framing, size, aspect, fps}
  #t = 0;

  constructor() {
    new ResizeObserver(() => this.draw(this.#t)).observe(this.#screen);
  }

  /** Show a framing; null shows the whole picture. */
  show(shown) {
    this.#shown = shown;
    this.#canvas.hidden = !shown;
    mark(this.#screen, "data-view", shown ? "short" : "whole");
    if (shown) byId("studio").style.setProperty("--short-ratio", String(shown.size.width / shown.size.height));
  }

  /** Draw the picture that begins at a time. */
  draw(t) {
    this.#t = t;
    if (!this.#shown || !this.#video.videoWidth) return;
    const { framing, size, aspect, fps } = this.#shown;
    const shot = shotAt(framing, t, fps);
    if (!this.#screen.clientWidth) return; // it is not shown
    const canvas = this.#canvas;
    const width = Math.min(Math.round(this.#screen.clientWidth * (devicePixelRatio || 1)), size.width);
    const height = Math.round((width * size.height) / size.width);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    if (shot.layout === "fit") this.#fit(context, width, height, aspect);
    else this.#windows(context, shot, t, width, height);
  }

  #fit(context, width, height, aspect) {
    this.#soft.width = SOFT_PX;
    this.#soft.height = Math.round((SOFT_PX * height) / width);
    this.#part(this.#soft.getContext("2d"), windowShares(aspect, width / height, 1), [0.5, 0.5], 0, this.#soft.width, this.#soft.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#soft, 0, 0, width, height);
    context.fillStyle = DARKEN;
    context.fillRect(0, 0, width, height);
    const [left, top, wide, high] = fitPlace(this.#shown.size, aspect).map((length) => (length * width) / this.#shown.size.width);
    context.drawImage(this.#video, left, top, wide, high);
  }

  #windows(context, shot, t, width, height) {
    const { size, aspect } = this.#shown;
    const high = height / shot.windows.length;
    shot.windows.forEach((window, n) => {
      const shares = windowShares(aspect, aspectOf(shot.layout, size.width, size.height), window.zoom);
      this.#part(context, shares, middleAt(window, t, shares), n * high, width, high);
    });
  }

  #part(context, [w, h], [x, y], top, width, height) {
    const { videoWidth, videoHeight } = this.#video;
    const source = [(x - w / 2) * videoWidth, (y - h / 2) * videoHeight, w * videoWidth, h * videoHeight];
    context.drawImage(this.#video, ...source, 0, top, width, height);
  }
}
