// What is known of a job itself: what went wrong, what came out, its stages, and what was asked for.

import { facts, make, section } from "./dom.js";
import { bytes, date, duration, share } from "./words.js";

/** The parts of a job, as elements. */
export function jobParts(job) {
  const { result, error } = job;
  const shown = [];
  if (error) {
    shown.push(
      make(
        "div", { class: "failure" }, make("h3", {}, "What went wrong"), make("p", {}, error.text),
        error.evidence && make("pre", { tabindex: "0", "aria-label": "Evidence" }, error.evidence),
        error.hint && make("p", { class: "hint" }, error.hint),
        make("p", { class: "hint" }, error.retryable ? "Trying again may help." : "Trying again will not help unless something changes."),
      ),
    );
  }
  if (result) shown.push(section("Result", facts(resultFacts(result))));
  if (job.stages.length) shown.push(section("Stages", stages(job)));
  shown.push(section("Job", facts(jobFacts(job))));
  const settings = asked(job.spec);
  if (settings.length) shown.push(section("Asked for", facts(settings)));
  return shown;
}

function resultFacts(result) {
  const { output, device, encoder } = result;
  const where = { cpu: " on the CPU", nvidia: " on the GPU" }[device] ?? "";
  return [
    ["Outcome", result.outcome],
    ["Encoder", encoder && `${encoder}${where}`],
    ["Input", bytes(result.input_bytes)],
    ["Output", output ? bytes(output.size_bytes) : "none smaller than the input"],
    ["Saved", result.saved_share == null ? null : share(result.saved_share)],
    ["Took", duration(result.wall_s)],
    ["Cost", `about $${result.usd.toFixed(5)}`],
    ["Transcript", result.transcript_status === "off" ? null : [result.transcript_status, result.transcript_note].filter(Boolean).join(": ")],
    ["Same as", result.reused_from],
    ["SHA-256", output?.sha256],
    ["Notes", result.warnings.join(" ")],
  ];
}

function jobFacts(job) {
  return [
    ["Id", job.id],
    ["User", job.user_id],
    ["Input", `${job.spec.input.kind}: ${job.spec.input.value}`],
    ["Created", date(job.created_at)],
    ["Started", job.started_at == null ? null : date(job.started_at)],
    ["Finished", job.finished_at == null ? null : date(job.finished_at)],
    ["Priority", job.priority],
    ["Worker", job.worker],
    ["Attempts", job.attempts > 1 ? `${job.attempts}: workers before this one died` : null],
    ["Run", job.run > 1 ? job.run : null],
    ...Object.entries(job.spec.labels ?? {}).map(([name, value]) => [`Label ${name}`, value]),
  ];
}

function asked(spec) {
  return [
    ...Object.entries(spec.settings ?? {}),
    ["hardware", spec.hardware],
    ["always_encode", spec.always_encode ? "yes" : null],
    ["transcribe", spec.transcribe ? null : "no"],
    ["reuse", spec.reuse ? null : "no"],
    ["output_key", spec.output_key],
    ["webhook", spec.webhook],
  ].filter(([, value]) => value != null);
}

function stages(job) {
  const rows = job.stages.map((stage) => {
    const goes = stage.wall_s == null;
    const again = stage.attempt > 1 ? ` (attempt ${stage.attempt})` : "";
    const time = goes ? (job.status === "running" ? "under way" : "not finished") : duration(stage.wall_s);
    return make(
      "li", { "data-state": goes ? "open" : "done" }, make("span", {}, `${stage.stage}${again}`),
      make("span", { class: "time" }, time),
    );
  });
  return make("ol", { class: "stages" }, ...rows);
}
