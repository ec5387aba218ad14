// The frame of the page: steps, connection, the key, what is said and what went wrong.

import { forgetColours } from "./colours.js";
import { button, byId, make, mark, write } from "./dom.js";
import { icon } from "./icons.js";
import { Problem, isKnown, key, passes, signIn } from "./service.js";

const SAID_MS = 8000;
const CONNECTION = { live: "Live", waiting: "Connection lost, trying again", refused: "Not connected" };
const SAVED = { saved: "Saved", waiting: "Saving", saving: "Saving", failed: "Not saved, trying again" };
const READYING = { queued: "Waiting for its turn", fetch: "Reading it", probe: "Looking at it", preview: "Making the preview", store: "Storing" };
export const STEPS = [["choose", "Choose"], ["mark", "Mark"], ["frame", "Frame"], ["captions", "Captions"], ["export", "Export"]];

export class Shell {
  #queue = [];
  #timer;
  #wasLive = false;
  #unsaved = new WeakSet(); // drafts of which that was said
  #walk = [];
  #unanswered = false; // whether the problem that is shown is that nothing answered

  /** `does` has go(step), connect(), leave(). */
  constructor(does) {
    byId("steps").append(...STEPS.map(([step, words], n) => {
      const number = make("span", { class: "step-number", "aria-hidden": "true" }, String(n + 1));
      const element = make("button", { type: "button", class: "step", "data-step": step }, number, make("span", { class: "step-words" }, words));
      element.addEventListener("click", () => element.getAttribute("aria-disabled") !== "true" && does.go(step));
      return make("li", {}, element);
    }));
    const theme = button("Light or dark", () => this.#otherScheme(), { picture: icon("sun"), alone: true, class: "quiet square" });
    const help = button("Keys", () => this.help(), { picture: icon("help"), alone: true, class: "quiet square" });
    byId("top-tools").append(theme, help);
    byId("help-close").append(button("Close", () => byId("help").close(), { picture: icon("close"), alone: true, class: "quiet square" }));
    ["walk-back", "walk-next"].forEach((id, n) => byId(id).addEventListener("click", () => does.go(this.#walk[n])));
    byId("dismiss").addEventListener("click", () => this.#dismiss());
    byId("again").addEventListener("click", () => {
      this.#dismiss();
      does.connect();
    });
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      key.set(byId("key").value.trim());
      byId("key").value = "";
      this.showKey(false);
      does.connect();
    });
    byId("forget-key").addEventListener("click", () => does.leave());
  }

  help() {
    if (!byId("help").open) byId("help").showModal();
  }

  showSteps(current, possible) {
    byId("steps-nav").hidden = false;
    const at = STEPS.findIndex(([step]) => step === current);
    [...byId("steps").querySelectorAll("button")].forEach((element, n) => {
      const { step } = element.dataset;
      if (step === current) mark(element, "aria-current", "step");
      else element.removeAttribute("aria-current");
      mark(element, "data-past", n < at);
      mark(element, "aria-disabled", !possible(step));
    });
  }

  showSaved(draft) {
    byId("saved").hidden = !draft || (!draft.id && draft.state === "saved");
    if (!draft) return;
    mark(byId("saved"), "data-state", draft.state);
    const isRefused = draft.problem && !passes(draft.problem);
    write(byId("saved-text"), isRefused ? `Not saved: ${draft.problem.message}` : SAVED[draft.state]);
    if (draft.state === "failed" && !this.#unsaved.has(draft)) {
      this.#unsaved.add(draft);
      this.say(`The clips are not saved: ${[draft.problem.message, draft.problem.evidence].filter(Boolean).join(" ")}`);
    }
    if (draft.state === "saved") this.#unsaved.delete(draft);
  }

  showConnection(name, error) {
    mark(byId("connection"), "data-state", name);
    write(byId("connection-text"), CONNECTION[name]);
    if (name === "waiting" && this.#wasLive) this.say("Connection lost, trying again.");
    if (name === "live" && this.#wasLive === null) this.say("Connected again.");
    if (name === "live") this.#answers();
    if (name === "live") this.#wasLive = true;
    else if (this.#wasLive) this.#wasLive = null;
    if (name === "refused") this.complain(error);
  }

  showWalk(current, possible, ended) {
    const at = STEPS.findIndex(([step]) => step === current);
    const [before, after] = [STEPS[at - 1], STEPS[at + 1]];
    byId("walk").hidden = !before || (!after && ended);
    byId("walk-next").hidden = !after;
    if (before) write(byId("walk-back"), `Back: ${before[1]}`);
    if (after) write(byId("walk-next"), `Next: ${after[1]}`);
    byId("walk-next").disabled = Boolean(after) && !possible(after[0]);
    this.#walk = [before?.[0], after?.[0]];
  }

  /** A video that is not ready for cutting, or never will be. */
  showPreparing(video) {
    const goes = ["queued", "running"].includes(video.status);
    const left = video.eta_s == null ? "" : `, about ${Math.ceil(video.eta_s)} s left`;
    const { text, evidence, hint } = video.error ?? { text: video.status };
    write(byId("preparing-title"), goes ? `Getting ${video.name} ready` : `${video.name} cannot be used`);
    write(byId("preparing-words"), goes ? `${READYING[video.stage] ?? "Working"}, ${Math.floor(video.percent)} %${left}` : [text, evidence, hint].filter(Boolean).join(" "));
    byId("preparing-bar").hidden = byId("preparing-hint").hidden = !goes;
    byId("preparing-bar").value = video.percent;
  }

  /** Say something to everybody, without taking the focus; what comes at once is said in one breath. */
  say(text) {
    this.#queue.push(text);
    clearTimeout(this.#timer);
    write(byId("said"), "");
    this.#timer = setTimeout(() => {
      write(byId("said"), this.#queue.join(" "));
      this.#queue = [];
      this.#timer = setTimeout(() => write(byId("said"), ""), SAID_MS);
    }, 80);
  }

  /** Say that a draft was changed elsewhere, too, and which clips both changed. */
  sayMerged(both) {
    const yours = both.length ? ` For ${both.join(", ")} yours was kept.` : "";
    this.say(`The clips were changed in another window, too. Both changes are in now.${yours}`);
  }

  complain(error) {
    if (error.status === 401) {
      this.#askForKey();
      return;
    }
    const known = error instanceof Problem;
    if (!known) console.error(error);
    write(byId("problem-text"), known ? error.message : "This page made a mistake.");
    write(byId("problem-hint"), known ? [error.evidence, error.hint].filter(Boolean).join(" ") : String(error));
    this.#unanswered = known && !error.status;
    byId("problem").hidden = false;
  }

  /** Take back that the service does not answer. */
  #answers() {
    if (!this.#unanswered) return;
    if (byId("problem").contains(document.activeElement)) this.#dismiss();
    byId("problem").hidden = true;
  }

  #dismiss() {
    byId("problem").hidden = true;
    byId("main").focus();
  }

  #askForKey() {
    if (signIn()) return;
    if (key.get()) write(byId("key-error"), "The service does not accept this key.");
    key.forget();
    this.showKey(true);
    byId("key").focus();
  }

  showKey(needed) {
    byId("key-form").hidden = !needed;
    document.body.toggleAttribute("data-locked", needed);
    byId("forget-key").hidden = needed || !isKnown();
  }

  #otherScheme() {
    const root = document.documentElement;
    const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("reelpress-theme", root.dataset.theme);
    forgetColours();
    this.say(`The page is ${root.dataset.theme}.`);
  }
}
