"""Rehearsals: stretches of an input encoded by the very commands of its plan, and the check of what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from reelpress.errors import Cancelled, ReelpressError
from reelpress.facts.formats import OUR_MP4
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Window
from reelpress.facts.values import Value
from reelpress.gpus import gpus_of
from reelpress.plan.model import INPUT, Attempt, Encode
from reelpress.policy import RunPolicy
from reelpress.probe.media_request import decoding
from reelpress.probe.ready import ReadyProbe
from reelpress.quality.framecrc import packets_of
from reelpress.quoting.prediction import Stretch
from reelpress.quoting.stretches import Order
from reelpress.receipt import AttemptRecord
from reelpress.run.execute import execute
from reelpress.run.execution import Setting
from reelpress.run.process import CancelToken, Limits
from reelpress.run.watch import Job

# However little time a quote is given: from two stretches on it can be told how much they differ.
_AT_LEAST = 2
_LIMITS = Limits(wall_s=300, stall_s=60)


class RehearsalError(ReelpressError):
    """No stretch of the input could be encoded as planned; a job would fail likewise."""

    code = "rehearsal_failed"


class Rehearsed(Value, frozen=True, kw_only=True):
    """What stretches came to. ``start_s`` is what FFmpeg takes for two frames; ``check_s`` the check of a stretch."""

    attempt: Attempt
    stretches: tuple[Stretch, ...]
    start_s: float
    check_s: float
    gpu: bool


def rehearse(
    decided: Encode,
    attempts: Sequence[Attempt],
    order: Order,
    source: Path,
    facts: MediaFacts,
    folder: Path,
    *,
    host: HostFacts,
    policy: RunPolicy,
    until: float,
    cancel: CancelToken,
    spend: Callable[[float], None],
) -> Rehearsed:
    """Encode stretches of a source into ``folder`` as ``attempts`` of its plan would, one after another.

    Past ``until`` (``time.monotonic``) no further one is begun, but for the least that says something. Raises
    :class:`RehearsalError`, :class:`Cancelled`.
    """
    work = _Work(decided, attempts, source, facts, folder, host, policy, cancel, spend)
    fps = float(facts.main_video.fps_avg or 30) if facts.main_video is not None else 30.0
    first = order.windows[0]
    start = work.encode(msgspec.structs.replace(first, duration_s=2.5 / fps), Path("start.mp4"))
    made: list[Stretch] = []
    check_s = 0.0
    for number, window in enumerate(order.windows):
        if number >= _AT_LEAST and time.monotonic() > until:
            break
        path = Path(f"stretch-{number}.mp4")
        record = work.encode(window, path)
        if not made:
            check_s = work.check(folder / path, window.duration_s)
        made.append(work.read(folder / path, window, record))
        (folder / path).unlink()
    return Rehearsed(
        attempt=work.attempt, stretches=tuple(made), start_s=start.wall_s, check_s=check_s, gpu=start.gpu is not None
    )


class _Work:
    """The stretches of one plan under way; the attempt that delivered the first goes on with the others."""

    def __init__(
        self,
        decided: Encode,
        attempts: Sequence[Attempt],
        source: Path,
        facts: MediaFacts,
        folder: Path,
        host: HostFacts,
        policy: RunPolicy,
        cancel: CancelToken,
        spend: Callable[[float], None],
    ) -> None:
        self._decided, self._attempts, self._source, self._facts = decided, tuple(attempts), source, facts
        self._folder, self._host, self._policy, self._cancel, self._spend = folder, host, policy, cancel, spend
        self.attempt = self._attempts[0]

    def encode(self, window: Window, name: Path) -> AttemptRecord:
        """Encode a stretch, and return how the run went that delivered."""
        track = self._facts.main_video
        delay = ((track.start_s or 0.0) - (self._facts.start_s or 0.0)) if track is not None else 0.0
        place = msgspec.structs.replace(window, start_s=window.start_s + max(0.0, delay))
        short = {cut_down(a, place): a for a in self._attempts}
        setting = Setting(
            job=Job(id="quote", input=self._source.name), source=f"file:{self._source}", target=self._folder / name,
            limits=msgspec.structs.replace(_LIMITS, memory_bytes=self._policy.memory_limit_bytes),
            versions={f.path: f.version for f in self._host.ffmpegs}, duration_s=window.duration_s, max_bytes=None,
        )  # fmt: skip
        gpus = gpus_of(self._host, self._policy.gpu)
        done = execute(
            tuple(short), setting, accept=lambda _attempt, _done: None, on_event=lambda _event: None,
            cancel=self._cancel,
            gpus=gpus.access(self._host, self._spend) if any(a.gpus for a in self._attempts) else None,
        )  # fmt: skip
        self._spend(sum(r.cpu_s for r in done.records))
        if self._cancel.is_cancelled:
            raise Cancelled("Stopped while a stretch was encoded.")
        if done.delivered is None:
            failure = done.failure
            raise RehearsalError(
                f"The stretch at {window.start_s:.1f} s could not be encoded.",
                evidence=f"{failure.kind}: {failure.evidence}" if failure is not None else "no attempt was made",
            )
        self.attempt = short[done.delivered]
        self._attempts = self._attempts[self._attempts.index(self.attempt) :]
        return done.records[-1]

    def check(self, path: Path, duration_s: float) -> float:
        """Return the seconds that looking at an output takes, done as for a whole one."""
        in_windows = msgspec.structs.replace(decoding(self._host.cores), whole_up_to_s=0.0)
        with ReadyProbe(self._cancel, duration_s) as ready:
            ready.start()
            time.sleep(0.3)  # in a job the child has long started when it is asked
            began = time.monotonic()
            ready.look(path, in_windows, self._spend)
            return time.monotonic() - began

    def read(self, path: Path, window: Window, record: AttemptRecord) -> Stretch:
        """Return what a stretch came to."""
        streams = packets_of(
            self.attempt.ffmpeg, path, OUR_MP4, ("0:v:0", "0:a?"), cancel=self._cancel, spend=self._spend
        )  # fmt: skip
        video = streams.get(0, [])
        if not video:
            raise RehearsalError(f"The stretch at {window.start_s:.1f} s came to no picture.")
        audio = sum(p.size_bytes for stream, packets in streams.items() if stream for p in packets)
        return Stretch(
            start_s=window.start_s, duration_s=window.duration_s, video=tuple(video), audio_bytes=audio,
            other_bytes=max(0, path.stat().st_size - audio - sum(p.size_bytes for p in video)),
            wall_s=record.wall_s, cpu_s=record.cpu_s,
        )  # fmt: skip


def cut_down(attempt: Attempt, window: Window) -> Attempt:
    """Return an attempt on a stretch: from the keyframe before it, so that nothing is decoded in vain, to its end.

    ``-fps_mode vfr`` would throw away the frames from the keyframe to the beginning.
    """
    args = tuple("passthrough" if token == "vfr" else token for token in attempt.args)  # noqa: S105 - no secret
    at = args.index("-i")
    seek = ("-noaccurate_seek", "-ss", f"{window.start_s:.3f}") if window.start_s > 0 else ()
    return msgspec.structs.replace(
        attempt, args=(*args[:at], *seek, "-t", f"{window.duration_s:.3f}", "-i", INPUT, *args[at + 2 :])
    )
