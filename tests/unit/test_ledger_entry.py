"""A line of the ledger from a receipt, and what lines add up to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reelpress.facts.failure import Failure, FailureKind
from reelpress.gpus import UNSHARED
from reelpress.observe.cost import cost_report, with_others
from reelpress.observe.entry import Entry, Fallback, Worked, entry_of, size_class
from reelpress.observe.prices import Tariff, storage_rates
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode, Reason
from reelpress.receipt import AttemptRecord, CostParts, Stage
from reelpress.request import Request
from reelpress.run.breaker import Breaker
from reelpress.run.execution import Execution
from reelpress.run.gpu_access import GpuAccess
from reelpress.run.process import CancelToken

from factories import gpu, gpu_host, media
from receipts import file_record, receipt

DAY_S = 86_400.0


def attempt(encoder="libx264", failure=None, gpu=None) -> AttemptRecord:
    return AttemptRecord(
        encoder=encoder, device="nvidia" if encoder.endswith("nvenc") else "cpu", rung="cpu", gpu=gpu, waited_s=0.0,
        ffmpeg_version="9", argv=(), returncode=0, wall_s=1.0, cpu_s=1.0, peak_memory_bytes=0, failure=failure,
        evidence=None, note=None, stderr_tail="",
    )  # fmt: skip


def stage(name, wall_s=1.0, usd=0.0) -> Stage:
    return Stage(name=name, wall_s=wall_s, cpu_s=0.0, usd=usd)


def line(made=None, **more) -> Entry:
    told = {"job": "j", "run": 1, "user_id": "ann", "kind": "compress", "status": "done", "finished_at": 1.8e9}
    return entry_of(made, **{**told, **more})


@pytest.mark.parametrize(
    ("size", "named"),
    [(0, "small"), (99_999_999, "small"), (100_000_000, "medium"), (300_000_000, "large"), (500_000_000, "huge")],
)
def test_size_classes_begin_where_the_plans_sizes_are(size: int, named: str) -> None:
    assert size_class(size) == named


def test_a_line_has_what_the_engine_and_the_stages_around_it_took() -> None:
    done = receipt(
        source=file_record(size_bytes=150_000_000), result=file_record(size_bytes=50_000_000, duration_s=60.0),
        stages=(stage("encode", 10.0, 0.02), stage("check", 2.0, 0.01)), attempts=(attempt(),), cpu_s=20.0,
        usd_parts=CostParts(cpu=0.03),
    )  # fmt: skip
    tariff = Tariff(name="own", text="", cpu_usd_per_wall_s=0.001)
    entry = line(done, worked=[Worked(name="fetch", wall_s=3.0)], tariff=tariff)
    assert (entry.wall_s, entry.engine_s, entry.encode_s) == (15.0, 12.0, 10.0)
    assert (entry.size_class, entry.duration_s, entry.encoder) == ("medium", 60.0, "libx264")
    assert entry.usd == pytest.approx(0.033)
    assert [(s.name, s.usd) for s in entry.stages] == [("fetch", 0.003), ("encode", 0.02), ("check", 0.01)]
    assert entry.usd == pytest.approx(sum(s.usd for s in entry.stages))


def test_keeping_and_fetching_cost_what_the_store_asks_and_nothing_within_one_cloud() -> None:
    done = receipt(source=file_record(size_bytes=2**30), result=file_record(size_bytes=2**29))
    gcs = storage_rates("gcs", "")
    near = line(done, storage=gcs, reads_store=True, tariff=Tariff(name="cloud-run-cpu", text=""))
    assert (near.usd_parts.storage, near.usd_parts.egress) == (0.01, 0.0)
    far = line(done, storage=gcs, reads_store=True, tariff=Tariff(name="cpu-hour", text=""))
    assert (far.usd_parts.storage, far.usd_parts.egress, far.usd) == (0.01, 0.12, 0.13)
    assert line(done, storage=gcs).usd_parts.egress == 0.0
    assert line(done).usd_parts.storage is None


def test_fallbacks_are_attempts_that_another_followed() -> None:
    failed = attempt("h264_nvenc", FailureKind.SESSION_LIMIT, "GPU-1")
    entry = line(receipt(attempts=(failed, attempt())))
    assert entry.fallbacks == (Fallback(encoder="h264_nvenc", failure="session_limit"),)
    assert (entry.attempts, entry.failed) == (2, None)
    lost = receipt(status="failed", encoder=None, device=None, result=None, error="No attempt delivered.",
                   attempts=(failed, attempt(failure=FailureKind.CHECK_NOT_MET)))  # fmt: skip
    entry = line(lost, status="failed")
    assert (entry.encoder, entry.device, entry.failed) == ("libx264", "cpu", "check_not_met")
    assert len(entry.fallbacks) == 1
    assert not entry.made


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),  # nobody looked for a GPU: there is none, or the CPU was asked for
        ({"stages": (stage("gpu"),)}, "no_encoder"),
        ({"stages": (stage("gpu"),), "device": "nvidia", "gpu": "L4"}, None),
        ({"stages": (stage("gpu"),), "status": "copied"}, None),
        ({"stages": (stage("gpu"),), "attempts": (attempt("h264_nvenc", FailureKind.DEVICE_LOST, "G"), attempt())},
         "device_lost"),
        ({"reasons": (Reason(code="budget_spent", text="", fact=None),)}, "budget_spent"),
    ],
)  # fmt: skip
def test_a_gpu_was_missed_if_one_was_looked_for_and_had_no_part(changes, why) -> None:
    assert line(receipt(**changes)).gpu_missed == why


def test_why_a_gpu_was_missed_is_read_from_the_words_of_those_who_say_it() -> None:
    """Written by run/execution.py and gpus.py, so that a change of their words is seen here."""
    resting = gpu_host(gpu(suspended="left alone for 30 s more, after device_lost"))
    decided = plan(media(), resting, Request())
    assert isinstance(decided, Encode)
    looked = (stage("gpu"),)
    assert line(receipt(stages=looked, reasons=decided.reasons)).gpu_missed == "breaker_open"
    busy = Failure(kind=FailureKind.SESSION_LIMIT, evidence="no slot in 30 s")
    walked = Execution(
        records=(attempt(),), passed_over=(busy,), delivered=decided.attempts[-1], failure=None, outgrew=None
    )
    assert line(receipt(stages=looked, reasons=walked.reasons())).gpu_missed == "no_slot"
    unshared = plan(media(), gpu_host(gpus=(), gpu_note=f"{UNSHARED}: the disk is full"), Request())
    assert line(receipt(stages=looked, reasons=unshared.reasons)).gpu_missed == "no_slot"


def test_a_gpu_that_one_ffmpeg_is_kept_off_is_missed_for_its_breaker(tmp_path: Path) -> None:
    decided = plan(media(), gpu_host(gpu()), Request())
    assert isinstance(decided, Encode)
    wanted = decided.attempts[0]
    old = Failure(kind=FailureKind.DRIVER_TOO_OLD, evidence="13.1")
    Breaker(tmp_path).failed(wanted.gpus[0], wanted.ffmpeg, old, job="a", reprobe=lambda _: True)
    access = GpuAccess(lambda: tmp_path, capacity={}, retry=lambda *_: True, load=dict, patience_s=0.0)
    refused = access.enter(wanted, (), waited_s=0.0, cancel=CancelToken())
    assert isinstance(refused, Failure)
    walked = Execution(
        records=(attempt(),), passed_over=(refused,), delivered=decided.attempts[-1], failure=None, outgrew=None
    )
    assert line(receipt(stages=(stage("gpu"),), reasons=walked.reasons())).gpu_missed == "breaker_open"


def entry(**changes) -> Entry:
    base = line(
        receipt(source=file_record(size_bytes=10**6), stages=(stage("encode", 5.0, 0.01),),
                usd_parts=CostParts(cpu=0.01), attempts=(attempt(),))
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def test_costs_add_up_by_day_encoder_and_user() -> None:
    first = 20_000 * DAY_S
    entries = [
        entry(finished_at=first + 1), entry(finished_at=first + DAY_S - 1, user_id="bob"),
        entry(finished_at=first + DAY_S, status="failed", duration_s=0.0, encoder="none"),
    ]  # fmt: skip
    by_day = cost_report(entries, by="day")
    assert [(each.key, each.jobs, each.failed) for each in by_day.lines] == [("2024-10-04", 2, 0), ("2024-10-05", 1, 1)]
    assert by_day.total.usd == pytest.approx(0.03)
    assert by_day.total.usd_per_output_minute == pytest.approx(0.03 / (20 / 60))
    assert {each.key: each.jobs for each in cost_report(entries, by="user").lines} == {"ann": 2, "bob": 1}
    assert {each.key for each in cost_report(entries, by="encoder").lines} == {"libx264", "none"}
    assert cost_report([], by="day").total.usd_per_output_minute is None


def test_the_other_device_is_told_from_jobs_that_ran_there_and_from_nothing_else() -> None:
    here = entry()
    there = [
        entry(encoder="h264_nvenc", device="nvidia", usd=usd, usd_parts=CostParts(cpu=usd)) for usd in (0.1, 0.2, 0.9)
    ]
    told = with_others([here, *there])
    assert told[0].usd_other == pytest.approx(0.2)
    assert told[1].usd_other is None  # one job on the CPU tells nothing
    others = [msgspec.structs.replace(each, encoder="hevc_nvenc") for each in there]
    assert with_others([here, *others])[0].usd_other is None
    larger = [msgspec.structs.replace(each, size_class="huge") for each in there]
    assert with_others([here, *larger])[0].usd_other is None
    unpriced = [msgspec.structs.replace(each, usd_parts=CostParts(gpu=None)) for each in there]
    assert with_others([here, *unpriced])[0].usd_other is None
    assert cost_report(unpriced, by="day").unpriced == 3
    report = cost_report(told, by="encoder")
    assert (report.total.compared, report.total.compared_usd) == (1, 0.01)
