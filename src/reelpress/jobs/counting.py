"""What is counted of a job that ended, by the process that ended it: each end is in one process's figures alone."""

from __future__ import annotations

from collections import Counter

from reelpress.jobs.model import Job
from reelpress.observe.baseline import Comparison
from reelpress.observe.entry import NONE, Entry
from reelpress.observe.instruments import Instruments


def begin_at_zero(instruments: Instruments) -> None:
    """Let what should never happen be 0 from the start: of a series that begins with 1, nobody sees an increase."""
    instruments.add("reelpress_workers_lost_total", 0)
    for kind in ("compress", "clip"):
        for status in ("done", "failed", "dead"):
            instruments.add("reelpress_job_results_total", 0, kind=kind, status=status, encoder=NONE)


def count_regression(instruments: Instruments, found: Comparison) -> None:
    """Count jobs of an encoder and size that this process found slower than the baseline allows."""
    instruments.add("reelpress_performance_regressions_total", encoder=found.encoder, size_class=found.size_class)


def count_end(instruments: Instruments, job: Job, entry: Entry | None) -> None:
    """Count a job as it is now that it has ended; ``entry`` is its line of the ledger, where it has one."""
    encoder = entry.encoder if entry is not None else NONE
    add, record = instruments.add, instruments.record
    add("reelpress_job_results_total", kind=job.kind, status=job.status, encoder=encoder)
    if job.kind == "export":  # nobody works on it: its clips are counted
        return
    if job.started_at is not None and job.run == 1:  # nobody notes when a retry was asked for
        record("reelpress_queue_wait_seconds", max(job.started_at - job.created_at, 0.0), kind=job.kind)
    spent_s: Counter[str] = Counter()
    for stage in job.stages:
        spent_s[stage.stage] += stage.wall_s or 0.0  # type: ignore[assignment]  # typeshed's counters count whole things
    for name, wall_s in spent_s.items():
        record("reelpress_stage_seconds", wall_s, kind=job.kind, stage=name, encoder=encoder)
    if entry is not None:
        _count_work(instruments, job, entry)


def _count_work(instruments: Instruments, job: Job, entry: Entry) -> None:
    add, record, encoder = instruments.add, instruments.record, entry.encoder
    for fallback in entry.fallbacks:
        add("reelpress_attempts_total", encoder=fallback.encoder, outcome="failed")
        add("reelpress_fallbacks_total", encoder=fallback.encoder, failure=fallback.failure)
    if entry.attempts:
        add("reelpress_attempts_total", encoder=encoder, outcome="failed" if entry.failed else "passed")
    if entry.gpu_missed is not None:
        add("reelpress_gpu_missed_total", reason=entry.gpu_missed)
    for part, usd in entry.usd_parts.known.items():
        add("reelpress_cost_usd_total", usd, encoder=encoder, part=part)
    if not entry.made:
        return
    if job.started_at is not None and job.finished_at is not None:
        taken_s = max(job.finished_at - job.started_at, 0.0)
        record("reelpress_job_seconds", taken_s, kind=job.kind, encoder=encoder, size_class=entry.size_class)
    if entry.encode_s > 0 and entry.duration_s > 0 and not entry.fallbacks:  # else it is the speed of both together
        record("reelpress_realtime_ratio", entry.duration_s / entry.encode_s, encoder=encoder)
    add("reelpress_output_bytes_total", entry.output_bytes, encoder=encoder)
    if job.kind == "compress":  # a clip is of a part of its input
        add("reelpress_input_bytes_total", entry.input_bytes, encoder=encoder)
        add("reelpress_saved_bytes_total", max(entry.input_bytes - entry.output_bytes, 0), encoder=encoder)
    add("reelpress_programme_seconds_total", entry.duration_s, encoder=encoder)
    record("reelpress_job_cost_usd", entry.usd, encoder=encoder)
    if entry.vmaf is not None:
        record("reelpress_vmaf", entry.vmaf, encoder=encoder)
