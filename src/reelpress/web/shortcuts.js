// Keys of the wizard. Single keys can be turned off: who speaks to the computer would press them by chance.

import { byId } from "./dom.js";

const OFF = "reelpress-keys-off";
const TYPED = "input:not([type=checkbox], [type=radio], [type=range], [type=file]), textarea, select, [contenteditable]";
const KEEPS_ARROWS = "[role=slider], input[type=range], input[type=radio], .pan";

/** Hear keys: `keys` are functions by what is pressed, as "Space", "Shift+ArrowLeft", "i". */
export function listen(keys) {
  byId("keys-on").checked = localStorage.getItem(OFF) === null;
  byId("keys-on").addEventListener("change", (event) => {
    if (event.target.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "yes");
  });
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest(TYPED) || target.closest("dialog") || localStorage.getItem(OFF)) return;
    const name = nameOf(event);
    if (name === "Space" && target.closest("button, a, summary, label, input")) return;
    if (/Arrow|Home|End/.test(name) && target.closest(KEEPS_ARROWS)) return;
    if (name === "Delete" && target.closest("[data-own-delete]")) return;
    const does = keys()[name];
    if (!does) return;
    event.preventDefault();
    does();
  });
}

function nameOf(event) {
  if (event.key === " ") return "Space";
  if (event.key.length === 1) return event.key.toLowerCase();
  return event.shiftKey ? `Shift+${event.key}` : event.key;
}
