// The picture of the timeline: ruler, thumbnails, waveform, cuts and where clips are. It decides nothing.

import { colour, faint } from "./colours.js";
import { clock } from "./times.js";

export const RULER = 26;
const THUMBS = 66;
const WAVE = 54;
const GAP = 6;
/** The height of all of it; the lane of clips lies below, as elements. */
export const HEIGHT = RULER + THUMBS + GAP + WAVE;

/** Draw what a scale shows of a video. */
export function paint(context, { scale, sprites, cuts, clips, selected, guide }) {
  const { width } = scale;
  context.clearRect(0, 0, width, HEIGHT);
  ruler(context, scale);
  thumbs(context, scale, sprites);
  wave(context, scale, sprites?.peaks);
  for (const clip of clips) {
    const [x, to] = [scale.toX(clip.start_s), scale.toX(clip.end_s)];
    if (to < 0 || x > width) continue;
    context.fillStyle = faint("accent", clip.id === selected ? 0.34 : 0.18);
    context.fillRect(x, RULER, to - x, HEIGHT - RULER);
    context.fillStyle = colour("accent");
    if (clip.id === selected) for (const at of [x, to]) context.fillRect(at - 1, RULER, 2, HEIGHT - RULER);
  }
  const near = 4; // closer than this they would be one grey stripe
  let last = -Infinity;
  context.fillStyle = colour("strong-line");
  for (const cut of cuts) {
    const x = Math.round(scale.toX(cut));
    if (x < 0 || x > width || x - last < near) continue;
    last = x;
    context.fillRect(x, RULER + THUMBS, 1, GAP);
    context.fillRect(x - 1, RULER + THUMBS + 1, 3, GAP - 2);
  }
  if (guide !== null) {
    context.fillStyle = colour("mark");
    context.fillRect(scale.toX(guide) - 0.5, 0, 1, HEIGHT);
  }
}

function ruler(context, scale) {
  const { step, times } = scale.ticks();
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const t of times) {
    const x = scale.toX(t);
    context.fillStyle = colour("line");
    context.fillRect(x, RULER - 9, 1, 9);
    context.fillStyle = colour("quiet");
    context.fillText(clock(t, step < 1 ? 1 : 0), x + 5, RULER / 2);
  }
}

function thumbs(context, scale, sprites) {
  context.fillStyle = colour("raised");
  context.fillRect(0, RULER, scale.width, THUMBS);
  if (!sprites?.geometry) return;
  const wide = THUMBS * Math.min(sprites.aspect, 2.4);
  for (let x = 0; x < scale.width; x += wide) {
    const t = scale.toTime(x + wide / 2);
    sprites.draw(context, t, x, RULER, Math.min(wide, scale.width - x) - 1, THUMBS);
  }
}

function wave(context, scale, peaks) {
  const top = RULER + THUMBS + GAP;
  const middle = top + WAVE / 2;
  context.fillStyle = colour("raised");
  context.fillRect(0, top, scale.width, WAVE);
  if (!peaks?.peaks.length) return;
  context.fillStyle = faint("quiet", 0.75);
  for (let x = 0; x < scale.width; x += 2) {
    const from = Math.floor(scale.toTime(x) * peaks.per_s);
    const to = Math.max(from + 1, Math.ceil(scale.toTime(x + 2) * peaks.per_s));
    const step = Math.max(1, Math.floor((to - from) / 64));
    let peak = 0;
    for (let n = from; n < to && n < peaks.peaks.length; n += step) peak = Math.max(peak, peaks.peaks[n]);
    const height = Math.max(1, (peak / 127) * (WAVE - 6));
    context.fillRect(x, middle - height / 2, 1.5, height);
  }
}
