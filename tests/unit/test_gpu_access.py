"""The door to the GPUs: which GPU is taken, and that a trial of one takes a slot like any encode."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reelpress.errors import Cancelled
from reelpress.facts.failure import Failure, FailureKind
from reelpress.plan.model import Attempt
from reelpress.run import circuit
from reelpress.run.breaker import Breaker
from reelpress.run.gpu_access import GpuAccess
from reelpress.run.process import CancelToken
from reelpress.run.slots import GpuSlots, Lease

A, B = "GPU-aaaa", "GPU-bbbb"
ATTEMPT = Attempt(
    encoder="h264_nvenc", device="nvidia", rung="gpu", ffmpeg="/ffmpeg", args=(), falls_back_on=(), why="", gpus=(A, B)
)
LOST = Failure(kind=FailureKind.DEVICE_LOST, evidence="it said so")


def door(folder: Path, retry: Callable[[str], bool] = lambda _gpu: True) -> GpuAccess:
    return GpuAccess(
        lambda: folder,
        capacity={A: 1, B: 1},
        retry=lambda gpu, _attempt, _cancel: retry(gpu),
        load=dict,
        patience_s=0.0,
    )


def enter(access: GpuAccess, *, without: tuple[str, ...] = (), refused: tuple[str, ...] = ()) -> Lease:
    lease = access.enter(ATTEMPT, without, refused=refused, waited_s=0.0, cancel=CancelToken())
    assert isinstance(lease, Lease), lease
    return lease


def test_a_gpu_that_refused_is_asked_after_the_others(tmp_path: Path):
    access = door(tmp_path)
    with enter(access, refused=(A,)) as first, enter(access, refused=(A,)) as second:
        assert (first.gpu, second.gpu) == (B, A)


def test_a_trial_after_a_failure_is_made_in_the_slot_of_the_job(tmp_path: Path):
    held: list[int] = []

    def retry(gpu: str) -> bool:
        held.append(GpuSlots(tmp_path, {A: 1}).held(gpu))
        return True

    access = door(tmp_path, retry)
    access.failed(enter(access), ATTEMPT, LOST, job="film", cancel=CancelToken())
    assert held == [1]
    assert GpuSlots(tmp_path, {A: 1}).held(A) == 0


def test_a_trial_of_a_rested_gpu_takes_a_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    held: list[int] = []

    def retry(gpu: str) -> bool:
        held.append(GpuSlots(tmp_path, {A: 1}).held(gpu))
        return len(held) > 1

    access = door(tmp_path, retry)
    access.failed(enter(access, without=(B,)), ATTEMPT, LOST, job="film", cancel=CancelToken())
    assert isinstance(access.enter(ATTEMPT, (B,), waited_s=0.0, cancel=CancelToken()), Failure)
    later = time.time() + circuit.FIRST_REST_S + 1
    monkeypatch.setitem(Breaker.__init__.__kwdefaults__, "clock", lambda: later)
    rested = door(tmp_path, retry)
    with enter(rested, without=(B,)) as lease:
        assert lease.gpu == A
    assert held == [1, 1]


def test_a_slot_comes_back_when_the_trial_breaks_off(tmp_path: Path):
    def retry(_gpu: str) -> bool:
        raise KeyboardInterrupt

    access = door(tmp_path, retry)
    with pytest.raises(KeyboardInterrupt):
        access.failed(enter(access), ATTEMPT, LOST, job="film", cancel=CancelToken())
    assert GpuSlots(tmp_path, {A: 1}).held(A) == 0


def cancelled(_gpu: str) -> bool:
    raise Cancelled


def test_a_trial_that_is_cancelled_condemns_no_gpu(tmp_path: Path):
    access = door(tmp_path, cancelled)
    access.failed(enter(access), ATTEMPT, LOST, job="film", cancel=CancelToken())
    assert [report.state for report in Breaker(tmp_path).snapshot()] == ["closed"]
    assert GpuSlots(tmp_path, {A: 1}).held(A) == 0


@pytest.mark.parametrize("is_full", [False, True])
def test_who_is_cancelled_while_a_rested_gpu_is_tried_leaves_it_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_full: bool
):
    access = door(tmp_path, lambda _gpu: False)
    access.failed(enter(access, without=(B,)), ATTEMPT, LOST, job="film", cancel=CancelToken())
    later = time.time() + circuit.FIRST_REST_S + 1
    monkeypatch.setitem(Breaker.__init__.__kwdefaults__, "clock", lambda: later)
    stop = CancelToken()
    lease = GpuSlots(tmp_path, {A: 1}).acquire([A], patience_s=0) if is_full else None
    if is_full:
        stop.cancel()
    refused = door(tmp_path, cancelled).enter(ATTEMPT, (B,), waited_s=0.0, cancel=stop)
    assert isinstance(refused, Failure)
    assert refused.kind is FailureKind.CANCELLED
    if lease is not None:
        lease.release()
    with enter(door(tmp_path), without=(B,)) as entered:
        assert entered.gpu == A


# What processes share cannot be read or written: a full disk, a folder that is gone, a stopped process with the lock.


def test_no_gpu_is_entered_where_its_slots_cannot_be_shared_and_that_is_told(tmp_path: Path):
    access = door(tmp_path / "gone" / "host")
    refused = access.enter(ATTEMPT, (), waited_s=0.0, cancel=CancelToken())
    assert isinstance(refused, Failure)
    assert refused.kind is FailureKind.DEVICE_LOST
    assert f"cannot be kept in {tmp_path / 'gone' / 'host'}" in refused.evidence


def test_what_cannot_be_noted_costs_no_job_and_no_slot(tmp_path: Path):
    access = door(tmp_path)
    leases = [enter(access), enter(access)]
    (tmp_path / "breaker.json").mkdir()
    access.worked(leases[0])
    access.failed(leases[0], ATTEMPT, LOST, job="film", cancel=CancelToken())
    (tmp_path / f"{B}.cap.new").mkdir()
    assert not access.was_busy(leases[1], waited_s=0.0)
    slots = GpuSlots(tmp_path, {A: 1, B: 1})
    assert (slots.held(A), slots.held(B)) == (0, 0)
