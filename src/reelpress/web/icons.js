// Pictures on buttons, drawn as lines in a square of 24; what a button does is in its words, never in these alone.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  play: "M8 5l11 7-11 7z",
  pause: "M8 5v14M16 5v14",
  back: "M14 6l-6 6 6 6",
  next: "M10 6l6 6-6 6",
  first: "M18 6l-6 6 6 6M7 6v12",
  last: "M6 6l6 6-6 6M17 6v12",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5",
  check: "M5 12.5l4.5 4.5L19 7.5",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8M12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.7 1.7M17.3 17.3L19 19M19 5l-1.7 1.7M6.7 17.3L5 19",
  help: "M9 9a3 3 0 113.6 2.9c-.4.1-.6.5-.6.9V14M12 17.5v.1",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  upload: "M12 20V9M7 13l5-5 5 5M5 4h14",
  folder: "M3 7h6l2 2h10v10H3z",
  link: "M10 14a4 4 0 005.7 0l3-3a4 4 0 00-5.7-5.7l-1 1M14 10a4 4 0 00-5.7 0l-3 3A4 4 0 0011 18.700l1-1",
  retry: "M19 12a7 7 0 11-2.1-5M19 4v4h-4",
  close: "M6 6l12 12M18 6L6 18",
  sound: "M4 10v4h3l5 4V6L7 10zM15.5 9a4 4 0 010 6",
  mute: "M4 10v4h3l5 4V6L7 10zM16 10l4 4M20 10l-4 4",
  fit: "M4 9V5h4M20 9V5h-4M4 15v4h4M20 15v4h-4",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 9.700h4M4 14.300h4M16 9.700h4M16 14.300h4",
  warn: "M12 4l9 16H3zM12 10v4.500M12 17v.1",
  more: "M6 12h.1M12 12h.1M18 12h.1",
};

/** An icon by its name, hidden from those who hear the page. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
