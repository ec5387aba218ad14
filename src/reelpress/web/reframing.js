// Framing changed by hand. Nothing is changed in place: each function returns what it is to be.

import { aspectOf, pathAt, windowShares } from "./framing.js";

export const MAX_ZOOM = 4;
const EDGE_S = 0.04; // cuts nearer than this are the same cut

/** The framing of a stretch of which nothing is known: the middle. */
export function centred(start, end) {
  return { shots: [shot(start, end, "still", [standing(start, 0.5, 0.5)], "centre")], detector: null };
}

/** Whether a hand set something of it. */
export function isByHand(framing) {
  return Boolean(framing?.shots.some((one) => one.rule === "hand"));
}

/** A framing made to cover another stretch: shots outside it go, those at its ends reach them. */
export function fitted(framing, start, end) {
  const kept = framing.shots.filter((one) => one.end_s > start + EDGE_S && one.start_s < end - EDGE_S);
  if (!kept.length) return centred(start, end);
  const shots = kept.map((one, n) => ({
    ...one, start_s: n ? one.start_s : start, end_s: n + 1 < kept.length ? one.end_s : end,
  }));
  return { ...framing, shots };
}

/** What analysis found anew, with the shots that a hand had set: they are found again by where they lie. */
export function withHand(found, before) {
  const ours = (before?.shots ?? []).filter((one) => one.rule === "hand");
  if (!ours.length) return found;
  const shots = found.shots.map((one) => {
    const length = one.end_s - one.start_s;
    const match = ours.find((old) => Math.min(one.end_s, old.end_s) - Math.max(one.start_s, old.start_s) > length / 2);
    return match ? { ...match, start_s: one.start_s, end_s: one.end_s } : one;
  });
  return { ...found, shots };
}

/** One shot replaced, by its place in the row. */
export function replaced(framing, index, one) {
  return { ...framing, shots: framing.shots.map((old, n) => (n === index ? one : old)) };
}

/** What analysis found in the place of one shot: several, where that one was there before they were known. */
export function unset(framing, index, found) {
  const { start_s, end_s } = framing.shots[index];
  return { ...framing, shots: framing.shots.toSpliced(index, 1, ...fitted(found, start_s, end_s).shots) };
}

/** A shot with the window that its `pane` shows moved, all along its path, so that it is at a place at a time. */
export function moved(one, pane, t, x, y) {
  return changed(one, pane, (window) => {
    const [fromX, fromY] = pathAt(window, t);
    const path = window.path.map((key) => ({ t_s: key.t_s, x: key.x + x - fromX, y: key.y + y - fromY }));
    return { ...window, path };
  });
}

/** A shot with a window zoomed. */
export function zoomed(one, pane, zoom) {
  return changed(one, pane, (window) => ({ ...window, zoom: Math.min(Math.max(zoom, 1), MAX_ZOOM) }));
}

/** A shot of a picture laid out in another way; `found` is what analysis proposes for that layout, if it has. */
export function relaid(one, layout, found, { size, aspect }) {
  const proposed = found?.layout === layout && layout !== "fit" ? found.windows : null;
  return { ...one, layout, windows: proposed ?? windowsFor(one, layout, { size, aspect }), rule: "hand", note: null };
}

function windowsFor(one, layout, { size, aspect }) {
  if (layout === "fit") return [];
  const [x, y] = one.windows.length ? pathAt(one.windows[0], (one.start_s + one.end_s) / 2) : [0.5, 0.5];
  if (layout === "split") {
    const [wide] = windowShares(aspect, aspectOf(layout, size.width, size.height), 1);
    // where panes leave something out, as in reframe/layouts.py: of pictures that are no wider, above and below
    return [0.25, 0.75].map((at) => (wide < 1 ? standing(one.start_s, at, y) : standing(one.start_s, x, at)));
  }
  if (layout === "track" && one.layout === "track") return one.windows;
  return [standing(one.start_s, x, y)];
}

function changed(one, pane, change) {
  const windows = one.windows.map((window, n) => (n === pane ? change(window) : window));
  return { ...one, windows, rule: "hand", note: null };
}

function standing(t, x, y) {
  return { path: [{ t_s: t, x, y }], zoom: 1 };
}

function shot(start_s, end_s, layout, windows, rule) {
  return { start_s, end_s, layout, windows, rule, note: null, subjects: 0 };
}
