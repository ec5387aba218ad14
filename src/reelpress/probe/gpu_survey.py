"""What works on each GPU with each FFmpeg: trials where nobody knows yet, remembered answers where somebody does.

Nothing is started on a machine without a sign of an NVIDIA device. GPUs are examined side by side; on one GPU one
trial runs after the other, so that they do not take each other's sessions.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec

from reelpress.errors import Cancelled, ReelpressError
from reelpress.facts.failure import FailureKind
from reelpress.facts.host import FfmpegFacts, GpuFacts, GpuPath, HostFacts
from reelpress.probe.gpu_bench import Bench, TrialLimits
from reelpress.probe.gpu_cache import GpuCache, forget
from reelpress.probe.gpu_trial import count_sessions
from reelpress.probe.gpu_wishes import ALL_PATHS, EVERYTHING, Trials, Wish
from reelpress.probe.nvml import DriverFacts, GpuDevice, Spend, ask_driver, device_present, load, unasked
from reelpress.run.host_state import FileLock, host_folder
from reelpress.run.process import CancelToken

K = FailureKind

_AGAIN = TrialLimits(first_s=20.0)
_AT_ONCE = 8  # GPUs examined at a time


def survey(
    host: HostFacts,
    *,
    wanted: Sequence[Wish] | Literal["all"] = "all",
    cache_dir: Path | None = None,
    fresh: bool = False,
    sessions: int = 0,
    limits: TrialLimits | None = None,
    cancel: CancelToken | None = None,
    spend: Spend = unasked,
) -> tuple[GpuFacts, ...]:
    """Return this machine's GPUs with what was found to work on them; none where the driver lists none.

    ``"all"`` tries everything with every FFmpeg. A sequence of wishes stops at the first FFmpeg, newest first, with
    which the wished encoders work or are only busy, and tries the rest of the wishes with that one alone. ``fresh``
    believes nothing that was remembered. ``sessions`` above 0 also counts how many encodes, up to that many, run at
    once, unless somebody encodes or counts just now. ``spend`` is told the CPU seconds of it, also when it raises.
    Raises :class:`Cancelled`; whatever a GPU does is an answer, no exception.
    """
    cache = GpuCache(cache_dir)
    driver = driver_facts(cache_dir=cache_dir, fresh=fresh, spend=spend)
    if not driver.gpus:
        return ()
    stop = cancel or CancelToken()
    spent: list[float] = []  # GPUs are examined in threads
    with tempfile.TemporaryDirectory(prefix="reelpress-gpu-") as folder:
        examinations = [
            _Examination(
                gpu=gpu, driver=driver, cache=cache, folder=Path(folder), limits=limits or TrialLimits(), cancel=stop,
                fresh=fresh, sessions=sessions, spend=spent.append,
            )
            for gpu in driver.gpus
        ]  # fmt: skip

        def examine(one: _Examination) -> GpuFacts:
            return one.run(host.ffmpegs, EVERYTHING if wanted == "all" else tuple(wanted), lazy=wanted != "all")

        try:
            with ThreadPoolExecutor(max_workers=min(len(examinations), _AT_ONCE)) as pool:
                try:
                    found = tuple(pool.map(examine, examinations))
                except BaseException:
                    stop.cancel()  # or an interrupt would wait for trials that nobody wants any more
                    raise
        finally:
            spend(sum(spent))
    if stop.is_cancelled:
        raise Cancelled("examining the GPUs was cancelled")
    return found


def still_works(
    gpu: GpuFacts, ffmpeg: FfmpegFacts, wish: Wish, *, cache_dir: Path | None = None, limits: TrialLimits = _AGAIN,
    cancel: CancelToken | None = None, spend: Spend = unasked,
) -> bool:  # fmt: skip
    """Forget what is known of a GPU and tell whether it does one thing now; a busy one passes for working.

    Takes at most about a minute. Raises :class:`Cancelled`.
    """
    forget(cache_dir, gpu.uuid or "")
    with tempfile.TemporaryDirectory(prefix="reelpress-gpu-") as folder:
        (Path(folder) / "again").mkdir()
        bench = Bench(
            ffmpeg=ffmpeg, folder=Path(folder) / "again", uuid=gpu.uuid, compute_capability=gpu.compute_capability,
            limits=limits, cancel=cancel or CancelToken(), spend=spend,
        )  # fmt: skip
        found = Trials(bench, []).run((wish,))
        if bench.is_cancelled():
            raise Cancelled("trying a GPU was cancelled")
    return all(path.state != "fails" for path in found)


def driver_facts(*, cache_dir: Path | None = None, fresh: bool = False, spend: Spend = unasked) -> DriverFacts:
    """Return what the driver says of itself and its GPUs, asked in a child process or remembered."""
    cache = GpuCache(cache_dir)
    known = None if fresh or not device_present() else cache.driver()
    if known is not None:
        return known
    facts = ask_driver(spend=spend)
    cache.store_driver(facts)
    return facts


class _Examination:
    """The examination of one GPU, in one thread."""

    def __init__(
        self, *, gpu: GpuDevice, driver: DriverFacts, cache: GpuCache, folder: Path, limits: TrialLimits,
        cancel: CancelToken, fresh: bool, sessions: int, spend: Spend,
    ) -> None:  # fmt: skip
        self._gpu, self._driver, self._cache, self._cancel, self._spend = gpu, driver, cache, cancel, spend
        self._folder, self._limits, self._fresh, self._most_sessions = folder, limits, fresh, sessions

    def run(self, ffmpegs: Sequence[FfmpegFacts], wishes: tuple[Wish, ...], *, lazy: bool) -> GpuFacts:
        """Return the GPU with what is known of the wishes, tried where that is nothing."""
        hashes = {f.path: self._cache.ffmpeg_hash(f.path) or "" for f in ffmpegs}
        known = () if self._fresh else self._remembered(hashes)
        encodes = tuple(wish for wish in wishes if wish.kind == "encode")
        paths: list[GpuPath] = []
        sessions: int | None = None
        for number, ffmpeg in enumerate(ffmpegs):
            bench = self._bench(ffmpeg, number)
            trials = Trials(bench, [path for path in known if path.ffmpeg == ffmpeg.path])
            found = trials.run(encodes)
            if not lazy or all(path.state != "fails" for path in found):
                found += trials.run(tuple(wish for wish in wishes if wish.kind != "encode"))
            paths += found
            works = next((p for p in found if p.kind == "encode" and p.state == "works"), None)
            if works is not None and self._most_sessions and sessions is None:
                sessions = self._sessions(bench, works)
            self._store({hashes[ffmpeg.path]: trials.tried})
            if any(path.failure is K.TIMED_OUT for path in found):
                # a GPU that hangs has had its time: the next FFmpeg gets only enough to show that it does better
                self._limits = msgspec.structs.replace(self._limits, first_s=self._limits.later_s)
            if self._cancel.is_cancelled or (lazy and all(path.state != "fails" for path in found[: len(encodes)])):
                break
        if lazy and paths and all(path.kind == "encode" and path.failure not in ALL_PATHS for path in paths):
            # no encoder: a GPU may still decode and scale
            newest = self._bench(ffmpegs[0], len(ffmpegs))
            trials = Trials(newest, [path for path in known if path.ffmpeg == ffmpegs[0].path])
            paths += trials.run(tuple(wish for wish in wishes if wish.kind != "encode"))
            self._store({hashes[ffmpegs[0].path]: trials.tried})
        return GpuFacts(
            name=self._gpu.name, uuid=self._gpu.uuid, memory_mb=self._gpu.memory_mb,
            driver_version=self._driver.driver_version, index=self._gpu.index,
            compute_capability=self._gpu.compute_capability, nvenc_api=self._driver.nvenc_api,
            paths=tuple(paths), sessions=sessions,
        )  # fmt: skip

    def _bench(self, ffmpeg: FfmpegFacts, number: int) -> Bench:
        folder = self._folder / f"{self._gpu.index}-{number}"
        folder.mkdir()
        return Bench(
            ffmpeg=ffmpeg, folder=folder, uuid=self._gpu.uuid, compute_capability=self._gpu.compute_capability,
            limits=self._limits, cancel=self._cancel, spend=self._spend,
        )  # fmt: skip

    def _remembered(self, hashes: dict[str, str]) -> tuple[GpuPath, ...]:
        if self._driver.driver_version is None:
            return ()
        paths = {digest: path for path, digest in hashes.items() if digest}
        return self._cache.paths(self._gpu.uuid, self._driver.driver_version, paths)

    def _store(self, found: dict[str, list[GpuPath]], sessions: int | None = None) -> None:
        if self._driver.driver_version is not None and not self._cancel.is_cancelled:
            kept = {digest: paths for digest, paths in found.items() if digest}
            self._cache.store(self._gpu.uuid, self._driver.driver_version, kept, sessions=sessions)

    def _sessions(self, bench: Bench, works: GpuPath) -> int | None:
        version = self._driver.driver_version
        known = None if self._fresh or version is None else self._cache.sessions(self._gpu.uuid, version)
        if known is not None:
            return known
        try:
            name = hashlib.sha256(self._gpu.uuid.encode()).hexdigest()[:16]
            lock = FileLock.try_take(host_folder() / f"counting-{name}")
        except (ReelpressError, OSError):
            return None
        if lock is None:
            return None  # another process counts: each would take sessions from the other, and remember too few
        with lock:
            return self._counted(bench, works)

    def _counted(self, bench: Bench, works: GpuPath) -> int | None:
        now = load(spend=self._spend).get(self._gpu.uuid)
        if now is not None and now.sessions:
            return None  # counting would take sessions away from those who encode, and come out too low
        counted = count_sessions(bench, works, most=self._most_sessions)
        # else nobody knows whether others held some, or took the last meanwhile
        if counted and now is not None and now.sessions == 0:
            self._store({}, counted)
        return counted
