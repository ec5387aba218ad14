// Where the window lies in the picture: the same sums as reelpress/facts/framing.py, which the export is made by.
// Places are shares of the upright picture, times are seconds from its first picture.

/** The width and height of a window as shares of the picture. */
export function windowShares(displayAspect, aspect, zoom) {
  if (displayAspect >= aspect) return [aspect / displayAspect / zoom, 1 / zoom];
  return [1 / zoom, displayAspect / aspect / zoom];
}

/** The middle of a window at a time, kept inside the picture; `shares` are windowShares'. */
export function middleAt(window, t, shares) {
  const place = pathAt(window, t);
  return place.map((at, n) => Math.min(Math.max(at, shares[n] / 2), 1 - shares[n] / 2));
}

/** Where the path of a window is at a time, were there no edges. */
export function pathAt(window, t) {
  const keys = window.path;
  for (let n = 0; n + 1 < keys.length; n += 1) {
    const [one, two] = [keys[n], keys[n + 1]];
    if (one.t_s <= t && t < two.t_s) {
      const share = (t - one.t_s) / (two.t_s - one.t_s);
      return [one.x + (two.x - one.x) * share, one.y + (two.y - one.y) * share];
    }
  }
  const end = t <= keys[0].t_s ? keys[0] : keys.at(-1);
  return [end.x, end.y];
}

/**
 * The shot of the picture of a time: the first one before the beginning, the last one after the end. Shots change at the
 * picture that is nearest, as in reelpress/plan/clip_graph.py: times of some containers are rounded.
 */
export function shotAt(framing, t, fps) {
  const { shots } = framing;
  return shots.find((shot) => t + 0.5 / fps < shot.end_s) ?? shots.at(-1);
}

/** The shape of a shot's windows, in a short of this size: a pane of a split is half as high. */
export function aspectOf(layout, width, height) {
  return layout === "split" ? width / (height / 2) : width / height;
}

/** Where the whole picture lies in a short that it is fitted into: left, top, width and height, as in plan/clip_graph.py. */
export function fitPlace({ width, height }, displayAspect) {
  const even = (length) => 2 * Math.round(length / 2);
  const [wide, high] = displayAspect >= width / height ? [width, even(width / displayAspect)] : [even(height * displayAspect), height];
  return [Math.floor((width - wide) / 4) * 2, Math.floor((height - high) / 4) * 2, wide, high];
}

/** Where framing fell back on something less, each once. */
export function warningsOf(framing) {
  return [...new Set((framing?.shots ?? []).map((shot) => shot.note).filter(Boolean))];
}
