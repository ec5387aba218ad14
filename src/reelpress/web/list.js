// The list: one row for each job. Rows are changed, never made anew, so that focus and a reader's place stay.

import { badge, byId, make, mark, write } from "./dom.js";
import { STATUSES, ago, date, nameOf, progressOf } from "./words.js";

export class List {
  #rows = new Map();
  #selected = "";
  #onOpen;

  constructor({ onOpen }) {
    this.#onOpen = onOpen;
    byId("statuses").append(...["", ...STATUSES].map((status) => choice(status)));
  }

  /** Show exactly these jobs, in this order. */
  show(jobs) {
    const body = byId("rows");
    const focused = document.activeElement?.closest?.("#rows tr")?.dataset.job;
    const wanted = new Set(jobs.map((job) => job.id));
    for (const [id, row] of this.#rows) {
      if (wanted.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    let place = body.firstElementChild;
    for (const job of jobs) {
      const row = this.#rows.get(job.id) ?? this.#add(job);
      if (row.element === place) place = place.nextElementSibling;
      else body.insertBefore(row.element, place);
      fill(row, job);
    }
    this.select(this.#selected);
    if (focused) (this.#rows.get(focused)?.button ?? byId("list")).focus({ preventScroll: true });
  }

  /** Show what changed of one job, if it is on this page. */
  update(job) {
    const row = this.#rows.get(job.id);
    if (row) fill(row, job);
  }

  select(id) {
    this.#selected = id;
    for (const [one, row] of this.#rows) {
      mark(row.button, "aria-expanded", one === id);
      mark(row.element, "data-selected", one === id);
    }
  }

  focus(id) {
    (this.#rows.get(id)?.button ?? byId("list")).focus();
  }

  /** Say anew how long ago things were. */
  tick() {
    for (const row of this.#rows.values()) write(row.created, ago(row.at));
  }

  showFilter(status, counts) {
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
    for (const input of byId("statuses").querySelectorAll("input")) {
      input.checked = input.value === status;
      write(input.parentElement.querySelector(".number"), String(input.value ? counts[input.value] ?? 0 : all));
    }
  }

  #add(job) {
    const button = make("button", { type: "button", class: "name", "aria-expanded": "false", "aria-controls": "panel" });
    const bar = make("progress", { max: "100" });
    const progress = make("span", { class: "words" });
    const created = make("time", {});
    const user = cell("user");
    const status = cell("status");
    const element = make(
      "tr", { role: "row", "data-job": job.id }, status, cell("job", button), cell("progress", bar, progress), user,
      cell("created", created),
    );
    // the whole row opens the job for a pointer; the button is there for everybody
    element.addEventListener("click", (event) => {
      if (button.contains(event.target) || !String(getSelection())) this.#onOpen(job.id); // else text is being selected
    });
    const row = { element, button, bar, progress, created, user, status, shown: "", at: job.created_at };
    this.#rows.set(job.id, row);
    return row;
  }
}

function fill(row, job) {
  if (row.shown !== job.status) {
    row.status.replaceChildren(badge(job.status));
    mark(row.element, "data-status", job.status);
    row.shown = job.status;
  }
  const name = nameOf(job);
  write(row.button, name);
  mark(row.button, "title", name);
  const runs = job.status === "running";
  row.bar.hidden = !runs;
  if (runs) row.bar.value = job.percent;
  mark(row.bar, "aria-label", `Progress of ${name}`);
  const words = progressOf(job);
  write(row.progress, words);
  mark(row.progress, "title", words);
  write(row.user, job.user_id);
  write(row.created, ago(job.created_at));
  mark(row.created, "datetime", new Date(job.created_at * 1000).toISOString());
  mark(row.created, "title", date(job.created_at));
}

function cell(name, ...children) {
  return make("td", { role: "cell", class: name }, ...children);
}

function choice(status) {
  const input = make("input", { type: "radio", name: "status", value: status });
  return make("label", { class: "choice" }, input, make("span", {}, status || "all"), " ", make("span", { class: "number" }));
}
