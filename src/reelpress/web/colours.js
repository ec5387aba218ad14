// The page's colours as a canvas needs them: plain values, read anew when the scheme changes.

const found = new Map();
const listeners = new Set();
const probe = document.createElement("i");
probe.hidden = true;

/** The value that a colour of base.css has now: `colour("accent")`. */
export function colour(name) {
  if (!found.has(name)) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--${name})`;
    found.set(name, getComputedStyle(probe).color);
  }
  return found.get(name);
}

/** The same with less than its whole strength. */
export function faint(name, share) {
  return colour(name).replace(/^rgb\((.*)\)$/, (_, parts) => `rgba(${parts}, ${share})`);
}

/** Call when the scheme has changed. */
export function onScheme(listener) {
  listeners.add(listener);
}

/** Forget what was read: the scheme has changed. */
export function forgetColours() {
  found.clear();
  for (const listener of listeners) listener();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forgetColours);
