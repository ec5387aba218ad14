// What the address says: an export or a video, and the step. It can be kept, reloaded and sent to a colleague.

/** {export, video, step}; what is not said is empty. */
export function readAddress() {
  const said = new URLSearchParams(location.search);
  return { export: said.get("export") ?? "", video: said.get("video") ?? "", step: location.hash.slice(1) };
}

/** Say where we are; `replace` makes no step for the browser's Back. */
export function writeAddress({ export: exported, video, step }, replace = false) {
  const [name, id] = exported ? ["export", exported] : ["video", video];
  const address = step === "choose" || !id ? location.pathname : `${location.pathname}?${name}=${id}#${step}`;
  if (address === location.pathname + location.search + location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
}
