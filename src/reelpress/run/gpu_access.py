"""Lets attempts onto GPUs: a slot for each, none on a GPU that is being left alone; and notes how they fared."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from reelpress.errors import Cancelled, OutputError, UsageError
from reelpress.facts.failure import Failure, FailureKind
from reelpress.plan.model import Attempt
from reelpress.run.breaker import Breaker
from reelpress.run.process import CancelToken
from reelpress.run.slots import GpuSlots, Lease, Load

_TRIAL_PATIENCE_S = 5.0
# What is raised where processes meet, or where a trial writes: a full disk, a folder that is gone, a lock that is held.
_NO_PLACE = (OutputError, UsageError, OSError)
# Tries a GPU with the FFmpeg of an attempt; ends within circuit.PROBE_S, or raises Cancelled.
Retry = Callable[[str, Attempt, CancelToken], bool]


class GpuAccess:
    """The door of one job's attempts to the GPUs of this host.

    Where what processes share of them cannot be read or written, no GPU is entered; what a job learnt in one is then
    lost on others, and no reason to lose the job. ``folder`` is asked where that is when it is needed.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        *,
        capacity: Mapping[str, int],
        retry: Retry,
        load: Callable[[], Mapping[str, Load]],
        patience_s: float,
    ) -> None:
        self._folder, self._capacity = folder, capacity
        self._retry, self._load, self._patience_s = retry, load, patience_s

    @functools.cached_property
    def _slots(self) -> GpuSlots:
        return GpuSlots(self._folder(), self._capacity)

    @functools.cached_property
    def _breaker(self) -> Breaker:
        return Breaker(self._folder())

    def enter(
        self,
        attempt: Attempt,
        without: Iterable[str],
        *,
        refused: Collection[str] = (),
        waited_s: float,
        cancel: CancelToken,
    ) -> Lease | Failure:
        """Take a slot on one of the attempt's GPUs, waiting with what is left of the patience; else say why not.

        GPUs that ``refused`` this job are taken only where no other has room.
        """
        try:
            return self._enter(attempt, without, refused=refused, waited_s=waited_s, cancel=cancel)
        except Cancelled:
            return Failure(kind=FailureKind.CANCELLED, evidence="cancelled while a GPU was tried")
        except _NO_PLACE as error:
            said = str(error) if isinstance(error, OSError) else error.in_a_line
            return Failure(kind=FailureKind.DEVICE_LOST, evidence=f"no GPU may be used unseen by others: {said}")

    def _enter(
        self, attempt: Attempt, without: Iterable[str], *, refused: Collection[str], waited_s: float,
        cancel: CancelToken,
    ) -> Lease | Failure:  # fmt: skip
        wanted = [gpu for gpu in attempt.gpus if gpu not in set(without)]
        reprobe = self._reprobe(attempt, cancel)
        open_ = [gpu for gpu in wanted if self._breaker.may_use(gpu, attempt.ffmpeg, reprobe=reprobe)]
        if not open_:
            return Failure(kind=FailureKind.DEVICE_LOST, evidence=self._why_left_alone(wanted, attempt.ffmpeg))
        left_s = max(0.0, self._patience_s - waited_s)
        lease = self._slots.acquire(open_, patience_s=left_s, last=refused, cancel=cancel, load=self._load)
        if lease is not None:
            return lease
        if cancel.is_cancelled:
            return Failure(kind=FailureKind.CANCELLED, evidence="cancelled while it waited for a GPU")
        held = ", ".join(f"{self._slots.held(gpu)} of {self._slots.capacity(gpu)} slots of {gpu} held" for gpu in open_)
        return Failure(kind=FailureKind.SESSION_LIMIT, evidence=f"waited {left_s:.1f} s for a GPU: {held}")

    def was_busy(self, lease: Lease, *, waited_s: float) -> bool:
        """Note that the driver had no room though we had a slot; return whether there is patience to try again."""
        with lease, contextlib.suppress(*_NO_PLACE):
            lease.refused()
        return waited_s < self._patience_s

    def failed(self, lease: Lease, attempt: Attempt, failure: Failure, *, job: str, cancel: CancelToken) -> None:
        """Note a failure and give the slot back; a GPU under suspicion is tried at once, by us, in that slot."""
        with lease, contextlib.suppress(Cancelled, *_NO_PLACE):
            self._breaker.failed(
                lease.gpu, attempt.ffmpeg, failure, job=job, reprobe=lambda gpu: self._retry(gpu, attempt, cancel)
            )

    def worked(self, lease: Lease) -> None:
        """Note that a GPU delivered."""
        with contextlib.suppress(*_NO_PLACE):
            self._breaker.worked(lease.gpu)

    def _reprobe(self, attempt: Attempt, cancel: CancelToken) -> Callable[[str], bool]:
        """Return a trial that takes a slot, or it could take a session from a job that holds one."""

        def probe(gpu: str) -> bool:
            lease = self._slots.acquire([gpu], patience_s=_TRIAL_PATIENCE_S, cancel=cancel)
            if cancel.is_cancelled and lease is None:
                raise Cancelled
            if lease is None:  # it is rested and yet full: of jobs that began before, and do not end
                return False
            with lease:
                return self._retry(gpu, attempt, cancel)

        return probe

    def _why_left_alone(self, gpus: list[str], ffmpeg: str) -> str:
        told = [
            f"{report.gpu} is left alone ({report.state}): {report.why}"
            for report in self._breaker.snapshot()
            if report.gpu in gpus and report.ffmpeg in (None, ffmpeg) and report.state != "closed"
        ]
        return "; ".join(told) or "no GPU may be used now"
