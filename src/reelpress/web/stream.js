// The stream of events, read by fetch: EventSource cannot send a key.

import { Problem, ask, passes, problemOf, request } from "./service.js";
import { streams } from "./site.js";

const SILENCE_MS = 40_000; // the service says something every 15 s
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const POLL_MS = 3000;

/**
 * Follow events until `signal` ends it, through every break.
 *
 * `onState` hears "live", "waiting" and "refused" (with the Problem, and then no more); `onEvent` gets {kind, data}.
 * After a break the service sends what was missed since the last number. "live" is the moment to read all else anew.
 */
export async function follow(path, { onEvent, onState, signal }) {
  if (!streams) {
    await poll({ onState, signal });
    return;
  }
  let last = null;
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    const quiet = new Silence(signal);
    try {
      const more = last === null ? {} : { "Last-Event-ID": last };
      const response = await request(path, { headers: { Accept: "text/event-stream", ...more }, signal: quiet.signal });
      if (!response.ok) throw await problemOf(response);
      onState("live");
      pause = FIRST_PAUSE_MS;
      for await (const event of read(response.body, quiet)) {
        if (event.id) last = event.id;
        if (event.data) onEvent({ kind: event.kind, data: JSON.parse(event.data) });
      }
    } catch (error) {
      if (refuses(error)) {
        onState("refused", error);
        return;
      }
      if (error instanceof SyntaxError) last = null;
    } finally {
      quiet.end();
    }
    if (signal.aborted) return;
    onState("waiting");
    await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

/** Where no stream comes through, all is read anew every few seconds, while somebody looks. */
async function poll({ onState, signal }) {
  while (!signal.aborted) {
    if (!document.hidden) {
      try {
        await ask(`v1/events?poll=${Number.MAX_SAFE_INTEGER}`, { signal }); // no event: only whether it answers
        onState("live");
      } catch (error) {
        if (signal.aborted) return;
        onState(refuses(error) ? "refused" : "waiting", error);
        if (refuses(error)) return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A service that is down or busy comes back; one that refuses us does not change its mind. */
function refuses(error) {
  return error instanceof Problem && !passes(error);
}

/** Ends a request on which nothing was heard for too long, or when `outer` ends. */
class Silence {
  #control = new AbortController();
  #outer;
  #stop = () => this.#control.abort();
  #timer;

  constructor(outer) {
    this.#outer = outer;
    outer.addEventListener("abort", this.#stop);
    this.heard();
  }

  get signal() {
    return this.#control.signal;
  }

  heard() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#stop, SILENCE_MS);
  }

  end() {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener("abort", this.#stop);
    this.#control.abort();
  }
}

async function* read(body, quiet) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { kind: "message", id: "", data: "" };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    quiet.heard();
    const lines = (rest + value).split(/\r\n|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        yield event;
        event = { kind: "message", id: "", data: "" };
        continue;
      }
      const [, name, text] = /^([^:]*)(?:: ?(.*))?$/.exec(line);
      if (name === "event") event.kind = text;
      else if (name === "id") event.id = text;
      else if (name === "data") event.data += (event.data && "\n") + text;
    }
  }
}
