// Values as people read them. Every function returns text; none returns markup.

export const STATUSES = ["queued", "running", "done", "failed", "cancelled", "dead"];
export const UNFINISHED = new Set(["queued", "running"]);

const UNITS = ["B", "kB", "MB", "GB", "TB"];
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });

/** A size in decimal units with three digits: 12.3 MB. */
export function bytes(size) {
  if (size == null) return "unknown";
  let value = size;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit ? Number(value.toPrecision(3)) : value} ${UNITS[unit]}`;
}

/** A duration in seconds: 4.2 s, 3:05, 1:02:03. */
export function duration(seconds) {
  if (seconds == null) return "unknown";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** A time, from seconds since 1970, in the reader's own zone. */
export function date(at) {
  return at == null ? "not yet" : DATE.format(new Date(at * 1000));
}

/** How long ago that was: 5 min. ago. */
export function ago(at, now = Date.now() / 1000) {
  const seconds = Math.max(0, now - at);
  if (seconds < 5) return "just now";
  if (seconds < 60) return AGO.format(-Math.floor(seconds), "second");
  if (seconds < 3600) return AGO.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86400) return AGO.format(-Math.floor(seconds / 3600), "hour");
  return AGO.format(-Math.floor(seconds / 86400), "day");
}

/** Time left, in whole seconds: 8 s, 1:05. */
export function left(seconds) {
  return seconds < 60 ? `${Math.max(1, Math.ceil(seconds))} s` : duration(seconds);
}

/** Words that begin a line of their own. */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A number of things: 1 clip, 3 clips. */
export function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/** A share from 0 to 1 as percent. */
export function share(value) {
  return value == null ? "unknown" : `${Math.round(value * 100)} %`;
}

/** What a job is called: by its labels, by its input's name, else by the last part of where its input is. */
export function nameOf(job) {
  const { labels, input } = job.spec;
  const named = labels?.name || labels?.title || input.name;
  if (named) return named;
  const value = input.value.replace(/[?#].*$/, "").replace(/\/+$/, "");
  return value.slice(value.lastIndexOf("/") + 1) || job.id;
}

/** Where a job is, in a few words: "compress 42 %, 0:31 left". */
export function progressOf(job) {
  if (job.status === "queued") return job.attempts ? "waiting to go on" : "waiting";
  if (job.status === "running") {
    const left = job.eta_s == null ? "" : `, ${duration(job.eta_s)} left`;
    const what = job.cancel_requested ? "stopping" : job.stage === "queued" ? "starting" : job.stage;
    return `${what} ${Math.floor(job.percent)} %${left}`;
  }
  if (job.status === "done") return resultOf(job.result);
  if (job.error) return job.error.text;
  return job.status === "cancelled" ? "cancelled" : "ended without a result";
}

function resultOf(result) {
  if (!result) return "done";
  if (!result.output) return "kept as it is, the input is the best there is";
  const sizes = `${bytes(result.input_bytes)} to ${bytes(result.output.size_bytes)}`;
  return result.saved_share > 0 ? `${share(result.saved_share)} smaller, ${sizes}` : `${result.outcome}, ${sizes}`;
}

/** What is searched by the text filter. */
export function haystack(job) {
  const labels = Object.values(job.spec.labels ?? {});
  const parts = [nameOf(job), job.id, job.user_id, job.stage, job.spec.input.value, job.error?.code, job.error?.text];
  return [...parts, ...labels].filter(Boolean).join("\n").toLowerCase();
}
