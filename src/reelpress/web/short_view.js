// The short as it will be: the video moved under a window of its shape, by the framing that the export is made by.

import { byId, mark } from "./dom.js";
import { aspectOf, middleAt, shotAt, windowShares } from "./framing.js";

const SOFT_PX = 30; // the background of a fit is drawn this wide and enlarged: a blur that every browser has
const DARKEN = "rgb(0 0 0 / 30%)"; // as in plan/clip_graph.py

export class ShortView {
  #screen = byId("screen");
  #video = byId("video");
  #canvas = byId("composed");
  #soft = document.createElement("canvas");
  #shown = null; // {framing, size, aspect}

  /** Show a framing; null shows the whole picture. */
  show(shown) {
    this.#shown = shown;
    mark(this.#screen, "data-view", shown ? "short" : "whole");
    if (!shown) {
      this.#canvas.hidden = true;
      for (const name of ["width", "height", "transform"]) this.#video.style[name] = "";
      return;
    }
    byId("studio").style.setProperty("--short-ratio", String(shown.size.width / shown.size.height));
  }

  /** Draw the picture of a time. */
  draw(t) {
    if (!this.#shown) return;
    const { framing, size, aspect } = this.#shown;
    const shot = shotAt(framing, t);
    const composed = shot.layout === "fit" || shot.layout === "split";
    this.#canvas.hidden = !composed;
    if (composed) {
      this.#compose(shot, t);
      return;
    }
    const [window] = shot.windows;
    const shares = windowShares(aspect, aspectOf(shot.layout, size.width, size.height), window.zoom);
    const [x, y] = middleAt(window, t, shares);
    const { style } = this.#video;
    style.width = `${100 / shares[0]}%`;
    style.height = `${100 / shares[1]}%`;
    style.transform = `translate(${-(x - shares[0] / 2) * 100}%, ${-(y - shares[1] / 2) * 100}%)`;
  }

  #compose(shot, t) {
    const canvas = this.#canvas;
    const { size, aspect } = this.#shown;
    const width = Math.min(Math.round(this.#screen.clientWidth * (devicePixelRatio || 1)), size.width);
    const height = Math.round((width * size.height) / size.width);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    if (!this.#video.videoWidth) return;
    if (shot.layout === "fit") this.#fit(context, width, height, aspect);
    else this.#split(context, shot, t, width, height);
  }

  #fit(context, width, height, aspect) {
    this.#soft.width = SOFT_PX;
    this.#soft.height = Math.round((SOFT_PX * height) / width);
    this.#part(this.#soft.getContext("2d"), windowShares(aspect, width / height, 1), [0.5, 0.5], 0, this.#soft.width, this.#soft.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#soft, 0, 0, width, height);
    context.fillStyle = DARKEN;
    context.fillRect(0, 0, width, height);
    const [wide, high] = aspect >= width / height ? [width, width / aspect] : [height * aspect, height];
    context.drawImage(this.#video, (width - wide) / 2, (height - high) / 2, wide, high);
  }

  #split(context, shot, t, width, height) {
    const { size, aspect } = this.#shown;
    const half = height / 2;
    shot.windows.forEach((window, n) => {
      const shares = windowShares(aspect, aspectOf("split", size.width, size.height), window.zoom);
      this.#part(context, shares, middleAt(window, t, shares), n * half, width, half);
    });
  }

  #part(context, [w, h], [x, y], top, width, height) {
    const { videoWidth, videoHeight } = this.#video;
    const source = [(x - w / 2) * videoWidth, (y - h / 2) * videoHeight, w * videoWidth, h * videoHeight];
    context.drawImage(this.#video, ...source, 0, top, width, height);
  }
}
