// Captions of a clip: which cue stands where, and changing them. Nothing is changed in place.

import { round } from "./times.js";

const LEAST_S = 0.2;

/** The cue that stands on the screen at a time, or null. */
export function cueAt(captions, t) {
  return captions?.cues.findLast((cue) => cue.start_s <= t && t < cue.end_s) ?? null;
}

/**
 * What of a cue's text stands there at a time: two lines at most, then the next two, as the export does it. Where lines
 * end is a guess by letters; the export measures its font.
 */
export function pageAt(cue, style, t) {
  const most = style === "plain" ? 25 : 15;
  const lines = [];
  for (const word of cue.text.split(/\s+/)) {
    if (lines.length && `${lines.at(-1)} ${word}`.length <= most) lines[lines.length - 1] += ` ${word}`;
    else lines.push(word);
  }
  const pages = [];
  for (let n = 0; n < lines.length; n += 2) pages.push(lines.slice(n, n + 2).join("\n"));
  const share = (t - cue.start_s) / (cue.end_s - cue.start_s);
  return pages[Math.min(Math.floor(share * pages.length), pages.length - 1)];
}

/** What of captions is in a stretch, moved by `shift` seconds before it is compared. */
export function within(captions, start, end, shift = 0) {
  const cues = captions.cues
    .map((cue) => ({
      ...cue, start_s: round(cue.start_s + shift), end_s: round(cue.end_s + shift),
      words: (cue.words ?? []).map((word) => ({ ...word, start_s: round(word.start_s + shift), end_s: round(word.end_s + shift) })),
    }))
    .filter((cue) => cue.end_s > start && cue.start_s < end);
  return { ...captions, cues };
}

/** One cue changed; words keep their times as long as there are as many of them. */
export function recued(captions, index, fields) {
  const cues = captions.cues.map((cue, n) => {
    if (n !== index) return cue;
    const now = { ...cue, ...fields };
    if ("text" in fields) {
      const texts = now.text.split(/\s+/).filter(Boolean);
      now.words = texts.length === cue.words.length ? cue.words.map((word, at) => ({ ...word, text: texts[at] })) : [];
    }
    if ("start_s" in fields) now.start_s = round(Math.min(Math.max(now.start_s, 0), cue.end_s - LEAST_S));
    if ("end_s" in fields) now.end_s = round(Math.max(now.end_s, cue.start_s + LEAST_S));
    if ("start_s" in fields || "end_s" in fields) now.words = now.words.every((word) => word.start_s >= now.start_s && word.end_s <= now.end_s) ? now.words : [];
    return now;
  });
  return { ...captions, cues: sorted(cues) };
}

/** A cue more, at a time, as long as there is room; it has its text yet to come. */
export function withCue(captions, t, end) {
  const next = captions.cues.find((cue) => cue.start_s > t)?.start_s ?? end;
  const cue = { start_s: round(t), end_s: round(Math.max(Math.min(t + 2, next, end), t + LEAST_S)), text: "", words: [] };
  return { ...captions, cues: sorted([...captions.cues, cue]) };
}

export function withoutCue(captions, index) {
  return { ...captions, cues: captions.cues.filter((_, n) => n !== index) };
}

function sorted(cues) {
  return [...cues].sort((one, two) => one.start_s - two.start_s);
}
