// One job: where it is, what came out, and what its receipt says.

import { badge, byId, make, mark, write } from "./dom.js";
import { jobParts } from "./job_parts.js";
import { receiptParts } from "./receipt.js";
import { askJson, save } from "./service.js";
import { UNFINISHED, nameOf, progressOf } from "./words.js";

const RETRIED = new Set(["failed", "cancelled", "dead"]);

export class Panel {
  #root = byId("panel");
  #onClose;
  #onAct;
  /** The job that is shown. */
  job = null;
  #id = "";
  #shown = "";
  #receipt = "";
  #parts = {};

  constructor({ onClose, onAct }) {
    this.#onClose = onClose;
    this.#onAct = onAct;
    this.#root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#onClose();
    });
  }

  focus() {
    this.#root.focus();
  }

  hide() {
    this.#id = "";
    this.job = null;
    this.#root.hidden = true;
    mark(byId("board"), "data-open", "no");
  }

  /** Show a job; called for every change of it. */
  show(job) {
    if (this.#id !== job.id || this.#root.hidden) this.#begin(job.id);
    this.job = job;
    const { title, status, bar, progress, actions, body } = this.#parts;
    write(title, nameOf(job));
    if (status.dataset.status !== job.status) {
      status.replaceChildren(badge(job.status));
      mark(status, "data-status", job.status);
    }
    bar.hidden = !UNFINISHED.has(job.status);
    bar.value = job.percent;
    write(progress, progressOf(job));
    this.#act(actions, job);
    const { percent, eta_s, speed, updated_at, ...lasting } = job;
    const shown = JSON.stringify(lasting);
    if (shown === this.#shown) return; // nothing but progress: what is being read stays as it is
    this.#shown = shown;
    body.replaceChildren(...jobParts(job));
    this.#readReceipt(job);
  }

  showMissing(id) {
    this.#begin(id);
    write(this.#parts.title, id);
    this.complain({ message: "There is no such job.", hint: "It may be another user's, or too old to be kept." });
  }

  complain({ message, hint, evidence }) {
    write(this.#parts.error, [message, evidence, hint].filter(Boolean).join(" "));
  }

  #begin(id) {
    const parts = {
      title: make("h2", { id: "panel-title" }),
      status: make("span", { class: "status" }),
      bar: make("progress", { max: "100", "aria-label": "Progress" }),
      progress: make("p", { class: "now" }),
      actions: make("div", { class: "actions" }),
      error: make("p", { class: "error", role: "alert" }),
      body: make("div", {}),
      receipt: make("div", { class: "receipt" }),
    };
    const closing = make("button", { type: "button", class: "quiet close" }, "Close");
    closing.addEventListener("click", this.#onClose);
    const top = make("div", { class: "panel-top" }, parts.status, closing);
    this.#root.replaceChildren(
      top, parts.title, parts.progress, parts.bar, parts.actions, parts.error, parts.body, parts.receipt,
    );
    this.#root.hidden = false;
    mark(byId("board"), "data-open", "yes");
    this.#parts = parts;
    this.job = null;
    this.#id = id;
    this.#shown = "";
    this.#receipt = "";
  }

  /** The buttons stay the same elements while a job changes: who stands on one is not thrown off. */
  #act(root, job) {
    const wanted = [];
    const name = nameOf(job);
    if (UNFINISHED.has(job.status)) wanted.push(["cancel", job.cancel_requested ? "Stopping" : "Cancel", job.cancel_requested]);
    if (RETRIED.has(job.status)) wanted.push(["retry", "Retry", false]);
    if (job.result?.output) wanted.push(["output", "Download video", false]);
    for (const kind of Object.keys(job.result?.transcript ?? {})) wanted.push([`transcript/${kind}`, `Transcript ${kind.toUpperCase()}`, false]);
    if (job.result?.receipt) wanted.push(["receipt", "Receipt", false]);
    const focused = root.contains(document.activeElement);
    for (const button of [...root.children]) if (!wanted.some(([what]) => what === button.dataset.act)) button.remove();
    for (const [what, text, off] of wanted) {
      let button = [...root.children].find((one) => one.dataset.act === what);
      if (!button) {
        button = make("button", { type: "button", "data-act": what, class: what === "output" ? "primary" : null });
        button.addEventListener("click", () => this.#clicked(job.id, what, name));
        root.append(button);
      }
      write(button, text);
      mark(button, "aria-disabled", off);
    }
    if (focused && !root.contains(document.activeElement)) (root.firstElementChild ?? this.#root).focus();
  }

  #clicked(id, what, name) {
    write(this.#parts.error, "");
    if (this.#parts.actions.querySelector(`[data-act="${what}"]`)?.getAttribute("aria-disabled") === "true") return;
    if (what === "cancel" || what === "retry") {
      this.#onAct(id, what);
      return;
    }
    const stem = name.replace(/\.[^.]*$/, "") || id;
    const names = { output: `${stem}.mp4`, receipt: `${stem}.receipt.json` };
    const target = names[what] ?? `${stem}.${what.split("/")[1]}`;
    const stored = what !== "receipt";
    save(`v1/jobs/${encodeURIComponent(id)}/${what}`, target, { stored }).catch((error) => this.complain(error));
  }

  async #readReceipt(job) {
    if (!job.result?.receipt && !job.error) {
      this.#parts.receipt.replaceChildren();
      return;
    }
    const [of, root] = [`${job.id} ${job.run} ${job.status}`, this.#parts.receipt];
    if (this.#receipt === of) return;
    this.#receipt = of;
    try {
      root.replaceChildren(...receiptParts(await askJson(`v1/jobs/${encodeURIComponent(job.id)}/receipt`)));
    } catch (error) {
      root.replaceChildren(); // a job that failed before its encode has none
      if (error.status !== 404) this.complain(error);
    }
  }
}
