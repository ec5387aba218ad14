// A time that can be typed and nudged: what dragging does, for everybody.

import { icon } from "./icons.js";
import { button, make, mark } from "./dom.js";
import { clock, parseTime } from "./times.js";

/**
 * A field for a time with buttons around it. `onSet` hears a time that was typed, `onNudge` by how many seconds or
 * frames to move it: ({s} or {frames}).
 */
export function timeField(words, { onSet, onNudge, onHere }) {
  const input = make("input", { type: "text", class: "time", inputmode: "decimal", autocomplete: "off", spellcheck: "false" });
  const label = make("label", { class: "time-label" }, make("span", {}, words), input);
  const error = make("p", { class: "error", role: "alert" });
  const nudge = (name, by, sign) => button(`${words} ${name}`, () => onNudge(by), { picture: sign, alone: true, class: "nudge" });
  const step = (text) => make("span", { class: "step-sign", "aria-hidden": "true" }, text);
  const row = make(
    "div", { class: "nudges", role: "group", "aria-label": `Move ${words.toLowerCase()}` },
    nudge("1 second earlier", { s: -1 }, step("−1 s")), nudge("1 frame earlier", { frames: -1 }, icon("back")),
    nudge("1 frame later", { frames: 1 }, icon("next")), nudge("1 second later", { s: 1 }, step("+1 s")),
    button("Set here", onHere, { class: "here", "aria-label": `${words}: set where the playhead is` }),
  );
  const take = () => {
    const t = parseTime(input.value);
    error.textContent = t === null ? "Write a time as 72, 1:12.5 or 1:02:03." : "";
    mark(input, "aria-invalid", t === null);
    if (t === null) return;
    input.dataset.shown = ""; // what it becomes may be what it was, and not what is written here
    onSet(t);
  };
  input.addEventListener("change", take);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") take();
  });
  const element = make("div", { class: "time-field" }, label, row, error);
  const show = (t) => {
    if (document.activeElement === input && input.value !== "" && input.getAttribute("aria-invalid") === "true") return;
    const text = clock(t);
    if (input.dataset.shown === text && document.activeElement === input) return;
    if (input.dataset.shown !== text) {
      input.value = text;
      input.dataset.shown = text;
      error.textContent = "";
      mark(input, "aria-invalid", false);
    }
  };
  return { element, show };
}
