// Thumbnails and waveform of a video, fetched when they are first needed.

import { ask, askJson } from "./service.js";

export class Sprites {
  #base;
  #sheets = new Map();
  #onReady;
  peaks = null;

  /** `onReady` hears that there is more to draw. */
  constructor(video, onReady) {
    this.geometry = video.preview?.sprites ?? null;
    this.#base = `v1/videos/${video.id}`;
    this.#onReady = onReady;
    if (video.preview?.has_peaks) this.#readPeaks();
  }

  /** Draw the thumbnail of a time into a box, cut to fill it; nothing is drawn while it is on its way. */
  draw(context, t, x, y, width, height) {
    const place = this.#place(t);
    const sheet = place && this.#sheet(place.sheet);
    if (!sheet) return false;
    const share = Math.min(place.width / width, place.height / height);
    const [w, h] = [width * share, height * share];
    context.drawImage(sheet, place.x + (place.width - w) / 2, place.y + (place.height - h) / 2, w, h, x, y, width, height);
    return true;
  }

  get aspect() {
    return this.geometry ? this.geometry.tile_width / this.geometry.tile_height : 16 / 9;
  }

  #place(t) {
    const geometry = this.geometry;
    if (!geometry || !geometry.count) return null;
    const { columns, rows, tile_width: width, tile_height: height, interval_s: interval, count } = geometry;
    const n = Math.min(Math.max(Math.floor(t / interval), 0), count - 1);
    const inSheet = n % (columns * rows);
    return { sheet: Math.floor(n / (columns * rows)), x: (inSheet % columns) * width, y: Math.floor(inSheet / columns) * height, width, height };
  }

  #sheet(n) {
    if (!this.#sheets.has(n)) {
      this.#sheets.set(n, null);
      this.#read(n);
    }
    return this.#sheets.get(n);
  }

  async #read(n) {
    try {
      const response = await ask(`${this.#base}/sprites/${n}`, { accept: "image/jpeg" });
      this.#sheets.set(n, await createImageBitmap(await response.blob()));
      this.#onReady();
    } catch {
      setTimeout(() => this.#sheets.delete(n), 5000); // a timeline without pictures is still one; asked again later
    }
  }

  async #readPeaks() {
    try {
      this.peaks = await askJson(`${this.#base}/peaks`);
      this.#onReady();
    } catch {
      this.peaks = null; // the same for the waveform
    }
  }
}

/** Draw the first thumbnail of a video into a canvas of a card. */
export function poster(canvas, video) {
  const sprites = new Sprites({ ...video, preview: { ...video.preview, has_peaks: false } }, () => paint());
  const paint = () => {
    const context = canvas.getContext("2d");
    sprites.draw(context, (video.facts?.duration_s ?? 0) * 0.2, 0, 0, canvas.width, canvas.height);
  };
  paint();
}
