// What a receipt says, for people: why it was done so, what was tried, and how the output was checked.

import { facts, make, section } from "./dom.js";
import { bytes, duration } from "./words.js";

/** The parts of a receipt (docs/json.md), as elements. */
export function receiptParts(receipt) {
  const shown = [];
  if (receipt.reasons.length) {
    shown.push(section("Why", make("ul", {}, ...receipt.reasons.map((reason) => make("li", {}, reason.text)))));
  }
  const files = [["Input", receipt.source], ["Output", receipt.result]].filter(([, file]) => file);
  if (files.length) shown.push(section("Files", facts(files.map(([name, file]) => [name, described(file)]))));
  if (receipt.attempts.length) shown.push(section("Attempts", table(["Encoder", "Took", "What came of it"], receipt.attempts.map(attempt))));
  if (receipt.gates.length) {
    const good = receipt.gates.filter((gate) => gate.verdict === "passed").length;
    const rows = receipt.gates.map((gate) => [gate.name, gate.verdict, gate.expected, gate.measured]);
    shown.push(
      make(
        "details", { open: good < receipt.gates.length },
        make("summary", {}, `Checks: ${good} of ${receipt.gates.length} passed`),
        table(["Check", "Verdict", "Expected", "Measured"], rows),
      ),
    );
  }
  if (receipt.quality?.text) shown.push(section("Quality", make("p", {}, receipt.quality.text)));
  if (receipt.warnings.length) {
    shown.push(section("Notes", make("ul", {}, ...receipt.warnings.map((text) => make("li", {}, text)))));
  }
  return shown;
}

function described(file) {
  const length = file.duration_s == null ? null : duration(file.duration_s);
  return [bytes(file.size_bytes), length, file.container, file.video, ...file.audio].filter(Boolean).join(", ");
}

function attempt(one) {
  const where = { cpu: "CPU", nvidia: "GPU" }[one.device] ?? one.device;
  const ended = one.failure ? `${one.failure}: ${one.evidence ?? `exit code ${one.returncode}`}` : one.note ?? "passed";
  return [`${one.encoder} (${where})`, duration(one.wall_s), ended];
}

function table(names, rows) {
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map((row) => make("tr", {}, ...row.map((text, n) => (n ? make("td", {}, text) : make("th", { scope: "row" }, text)))));
  const element = make("table", { class: "small" }, make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": names[0] }, element);
}
