"""This host's GPUs for the jobs of one process: examined as jobs need, remembered between them, doubted when they fail.

Machines without a sign of an NVIDIA device pay nothing for it.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from reelpress.errors import Cancelled, ReelpressError
from reelpress.facts.host import GpuFacts, HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value
from reelpress.plan.encoders import gpu_row
from reelpress.plan.model import Attempt
from reelpress.probe.nvml import Spend, unasked
from reelpress.request import Request
from reelpress.run.breaker import Breaker
from reelpress.run.gpu_access import GpuAccess
from reelpress.run.host_state import host_folder
from reelpress.run.process import CancelToken
from reelpress.run.slots import Load

if TYPE_CHECKING:
    from reelpress.probe.gpu_wishes import Wish

UNSHARED = "GPUs cannot be examined or shared"  # how a note begins that is about this machine, not about its GPUs
_BELIEVED_S = 300.0  # a driver may be updated, a device lost, a container given another
_LOOK_UP_S = 0.1  # who waits for another job's survey looks so often whether to go on
_SESSIONS_TRIED = 4  # at most so many are counted: more than engines share out among jobs of their own


class GpuPolicy(Value, frozen=True, kw_only=True):
    """How GPUs are used. ``sessions`` ``None`` takes what was counted; ``patience_s`` is how long to wait for one."""

    cache_dir: str | None = None
    patience_s: float = 30.0
    sessions: int | None = None


class Gpus:
    """The GPUs of one host; threads share it."""

    def __init__(self, host: HostFacts, policy: GpuPolicy) -> None:
        self._host, self._policy = host, policy
        self._cache_dir = Path(policy.cache_dir) if policy.cache_dir else None
        self._lock = threading.Lock()  # of what is known; held for no time
        self._examining = threading.Lock()
        self._known: dict[tuple[object, ...], tuple[float, tuple[GpuFacts, ...], str | None]] = {}

    def host_for(self, media: MediaFacts, request: Request, cancel: CancelToken, spend: Spend = unasked) -> HostFacts:
        """Return the host with what its GPUs can do for this input; raises :class:`Cancelled`.

        Where that cannot be found out, or which GPUs rest not be read, it is a host without GPUs, and says why.
        ``spend`` is told the CPU seconds of trials, also when it raises.
        """
        track = media.main_video
        if request.hardware == "off" or self._host.gpu_note is not None or track is None:
            return self._host
        from reelpress.probe.gpu_wishes import job_wishes

        row = gpu_row(request.codec)
        keeps_hdr = track.colour.is_hdr and request.hdr == "keep" and row.pix_fmt_hdr is not None
        wishes = job_wishes(row.name, "yuv420p10le" if keeps_hdr else "yuv420p", track.codec, track.pix_fmt or "")
        try:
            gpus, note = self._found(wishes, cancel, spend)
            resting = self._resting()
        except Cancelled:
            raise
        except (ReelpressError, OSError) as error:
            said = str(error) if isinstance(error, OSError) else error.in_a_line
            return msgspec.structs.replace(self._host, gpus=(), gpu_note=f"{UNSHARED}: {said}")
        gpus = tuple(msgspec.structs.replace(gpu, suspended=resting.get(gpu.uuid or "")) for gpu in gpus)
        return msgspec.structs.replace(self._host, gpus=gpus, gpu_note=note)

    def _found(
        self, wishes: tuple[Wish, ...], cancel: CancelToken, spend: Spend
    ) -> tuple[tuple[GpuFacts, ...], str | None]:
        """Return the GPUs with what they can do, or why there is none."""
        from reelpress.probe.gpu_survey import driver_facts, survey

        while not self._examining.acquire(timeout=_LOOK_UP_S):
            if cancel.is_cancelled:
                raise Cancelled
        try:  # jobs that start together wait for one survey instead of making their own
            with self._lock:
                at, gpus, note = self._known.get(wishes, (float("-inf"), (), None))
            if time.monotonic() - at > _BELIEVED_S:
                # what was counted is remembered: a count up to what is configured would outlive that
                most = 0 if self._policy.sessions else _SESSIONS_TRIED
                gpus = survey(
                    self._host, wanted=wishes, cache_dir=self._cache_dir, sessions=most, cancel=cancel, spend=spend
                )
                notes = () if gpus else driver_facts(cache_dir=self._cache_dir, spend=spend).notes
                note = None if gpus else "; ".join(notes) or "the NVIDIA driver lists no GPU"
                if not any(path.state == "busy" for gpu in gpus for path in gpu.paths):
                    with self._lock:
                        self._known[wishes] = time.monotonic(), gpus, note
            return gpus, note
        finally:
            self._examining.release()

    def counted(self) -> Mapping[str, int]:
        """Return how many encodes each GPU takes at once, by UUID, as configured or as was counted so far."""
        with self._lock:
            known = [gpu for _, gpus, _ in self._known.values() for gpu in gpus]
        most = self._policy.sessions
        return {gpu.uuid: most or gpu.sessions or 1 for gpu in known if gpu.uuid and (most or gpu.sessions)}

    def access(self, host: HostFacts, spend: Spend = unasked) -> GpuAccess:
        """Return the door to the GPUs that :meth:`host_for` found; ``spend`` is told the CPU seconds of trials."""
        gpus = {gpu.uuid: gpu for gpu in host.gpus if gpu.uuid is not None}
        counted = {uuid: max(1, gpu.sessions) for uuid, gpu in gpus.items() if gpu.sessions is not None}
        configured = self._policy.sessions
        capacity = counted if configured is None else dict.fromkeys(gpus, configured)

        def retry(uuid: str, attempt: Attempt, cancel: CancelToken) -> bool:
            return self._still_works(gpus[uuid], attempt, cancel, spend)

        return GpuAccess(
            host_folder, capacity=capacity, retry=retry, load=functools.partial(_load, spend),
            patience_s=self._policy.patience_s,
        )  # fmt: skip

    def _still_works(self, gpu: GpuFacts, attempt: Attempt, cancel: CancelToken, spend: Spend) -> bool:
        from reelpress.probe.gpu_survey import still_works
        from reelpress.probe.gpu_wishes import Wish

        with self._lock:
            self._known.clear()
        ffmpeg = next(f for f in self._host.ffmpegs if f.path == attempt.ffmpeg)
        if attempt.device == "nvidia":
            wish = Wish(kind="encode", name=attempt.encoder)
        else:
            wish = Wish(kind="filter", name="scale_cuda")
        return still_works(gpu, ffmpeg, wish, cache_dir=self._cache_dir, cancel=cancel, spend=spend)

    def _resting(self) -> Mapping[str, str]:
        """Return which GPUs are left alone for now, and why; one whose rest is over is not among them."""
        now = time.time()
        return {
            report.gpu: f"left alone for {report.next_probe_at - now:.0f} s more, after {report.why}"
            for report in Breaker(host_folder()).snapshot()
            if report.ffmpeg is None and report.state == "open"
            # a clock that was set back ends a rest, as it does for whoever enters
            if report.next_probe_at is not None and report.since <= now < report.next_probe_at
        }


def _load(spend: Spend) -> Mapping[str, Load]:
    from reelpress.probe.nvml import load

    return {
        uuid: Load(float(seen.encoder_percent or 0), float(seen.memory_free_mb or 0))
        for uuid, seen in load(spend=spend).items()
    }


@functools.lru_cache(maxsize=16)
def gpus_of(host: HostFacts, policy: GpuPolicy) -> Gpus:
    """Return the one object for a host and policy, which all jobs of this process share."""
    return Gpus(host, policy)
