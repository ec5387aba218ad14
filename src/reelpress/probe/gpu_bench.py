"""What every trial on a GPU stands on: one FFmpeg pinned to one GPU, limits, and the comparison of pictures.

A trial is a child process with a wall-clock limit. Neither a list of encoders nor exit code 0 proves anything: a
driver that returns black frames, or copies that FFmpeg lets fail in silence, pass both. So what was written is
decoded in software by the same FFmpeg and compared with what it should be.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from reelpress.facts.failure import Action, Failure, FailureKind, gpu_action
from reelpress.facts.host import FfmpegFacts, GpuPath
from reelpress.facts.values import Value
from reelpress.probe.nvml import Spend, unasked
from reelpress.run.failures import classify
from reelpress.run.process import CancelToken, Finished, Limits, run

K = FailureKind

FRAMES = 24  # more than the encoder looks ahead, so that frames leave it before the end as well as at it
RATE = "30"
# The worst picture counts, too: of testsrc2, whose pictures all differ, a neighbour has about 25 dB.
_WORST_DB_BELOW_MEAN = 3.0
_MIN_DISTINCT = 10
_FIGURES = re.compile(r"PSNR .*average:([0-9.]+|inf) min:([0-9.]+|inf)")
_SPEAKER = re.compile(r"^(?:\[[^\[\]]+\] )+")


class TrialLimits(Value, frozen=True, kw_only=True):
    """How long trials may take, in seconds of wall clock.

    ``first_s`` is for the first encode and the first filter of one FFmpeg on one GPU: the driver may have to start
    the GPU and to compile FFmpeg's kernels for it. ``later_s`` is for the others. A GPU that is busy is asked again
    after each of ``busy_s``.
    """

    first_s: float = 30.0
    later_s: float = 10.0
    busy_s: tuple[float, ...] = (0.3, 1.0)


class Bench(Value, frozen=True, kw_only=True):
    """One FFmpeg on one GPU; ``folder`` is where clips and results may lie while the survey lasts.

    ``uuid`` pins the GPU, which FFmpeg then knows as device 0 whatever CUDA's order is. It is ``None`` where the
    driver does not tell, and device 0 is CUDA's own choice. ``spend`` is told the CPU seconds of every run.
    """

    ffmpeg: FfmpegFacts
    folder: Path
    uuid: str | None = None
    compute_capability: str | None = None
    limits: TrialLimits = TrialLimits()
    cancel: CancelToken = msgspec.field(default_factory=CancelToken)
    spend: Spend = unasked

    def is_cancelled(self, wait_s: float = 0.0) -> bool:
        """Tell whether the survey is to stop, after waiting up to ``wait_s`` seconds for that."""
        return self.cancel.wait(wait_s) if wait_s else self.cancel.is_cancelled

    def run(self, *arguments: str, wall_s: float, pinned: bool = True, level: str = "warning") -> Finished:
        """Run this FFmpeg, on the GPU alone when ``pinned``."""
        argv = (
            self.ffmpeg.path, "-hide_banner", "-nostdin", "-nostats", "-loglevel", f"repeat+level+{level}", "-y",
            *arguments,
        )  # fmt: skip
        env = {"CUDA_VISIBLE_DEVICES": self.uuid} if pinned and self.uuid is not None else {}
        done = run(argv, limits=Limits(wall_s=wall_s), env=env, cancel=self.cancel)
        self.spend(done.cpu_s)
        return done


class Comparison(Value, frozen=True, kw_only=True):
    """How pictures compare with what they should be, in decibels of PSNR; ``inf`` is equality."""

    frames: int
    distinct: int
    mean_db: float
    worst_db: float


class Verdict(Value, frozen=True, kw_only=True):
    """What one trial showed: ``None`` as ``failure`` is success; ``words`` are the failing part's own."""

    failure: FailureKind | None = None
    words: str | None = None
    hint: str | None = None
    features: frozenset[str] = frozenset()


def picture(width: int, height: int) -> tuple[str, ...]:
    """Return the input that every trial is made of: a moving test picture, of which no two frames are alike."""
    return ("-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={RATE}:duration=1")


def compare(bench: Bench, made: Path, reference: tuple[str, ...], chain: str, pix_fmt: str) -> Comparison | None:
    """Compare a file with a reference input, through ``chain`` of filters, in software; ``None`` when it won't decode.

    Pictures are matched by their number, not by their time.
    """
    numbered = f"settb=1/{RATE},setpts=N,format={pix_fmt}"
    graph = (
        f"[0:v:0]{numbered},split[made][counted];"
        f"[1:v:0]trim=end_frame={FRAMES},{chain},{numbered}[wanted];[made][wanted]psnr[same]"
    )
    done = bench.run(
        "-protocol_whitelist", "file", "-i", f"file:{made}", *reference, "-lavfi", graph,
        "-map", "[same]", "-f", "null", "-", "-map", "[counted]", "-f", "framemd5", "-",
        wall_s=bench.limits.first_s, pinned=False, level="info",
    )  # fmt: skip
    figures = _FIGURES.search(done.stderr_tail)
    if done.returncode != 0 or figures is None:
        return None
    hashes = [line.rpartition(",")[2].strip() for line in done.stdout.decode().splitlines() if line[:1].isdigit()]
    return Comparison(
        frames=len(hashes), distinct=len(set(hashes)), mean_db=float(figures[1]), worst_db=float(figures[2])
    )


def judge(seen: Comparison | None, *, min_db: float) -> Verdict:
    """Tell whether pictures are good enough: all there, of at least ``min_db`` in the mean, none far below it."""
    if seen is None:
        return Verdict(failure=K.CHECK_NOT_MET, words="its output could not be decoded and compared")
    if seen.frames != FRAMES:
        return Verdict(failure=K.CHECK_NOT_MET, words=f"it made {seen.frames} pictures of {FRAMES}")
    if seen.mean_db < min_db or seen.worst_db < min_db - _WORST_DB_BELOW_MEAN or seen.distinct < _MIN_DISTINCT:
        words = f"its pictures are wrong: PSNR {seen.mean_db:.1f} dB, at worst {seen.worst_db:.1f} dB"
        return Verdict(failure=K.CHECK_NOT_MET, words=words)
    return Verdict()


def failure_of(done: Finished, speaker: str) -> Verdict | None:
    """Return why a run failed, in the first words of ``speaker`` (an encoder, say) where there are any, or ``None``."""
    failure = classify(done.returncode, done.stderr_tail, done.stopped)
    if failure is None:
        return None
    return Verdict(failure=failure.kind, words=_words(failure, speaker, done.stderr_tail), hint=failure.hint)


def _words(failure: Failure, speaker: str, stderr: str) -> str:
    if failure.kind in {K.TIMED_OUT, K.CRASHED, K.KILLED}:
        return failure.evidence
    if failure.kind in {K.UNKNOWN, K.ENCODER_REFUSED, K.FILTER_FAILED}:
        pattern = rf"^\[{re.escape(speaker)} @ [^\]]*\] \[(?:warning|error|fatal)\] (.+)$"
        if own := re.search(pattern, stderr, re.MULTILINE):
            return own[1].strip()
    return without_speaker(failure.evidence)


def without_speaker(words: str) -> str:
    """Return a line of FFmpeg's without the names in brackets before it."""
    return _SPEAKER.sub("", words)


def try_path(bench: Bench, kind: str, name: str, pix_fmt: str, trial: Callable[[], Verdict]) -> GpuPath:
    """Try something, a little longer where the GPU is only busy, and return what was found."""
    started = time.monotonic()
    verdict = trial()
    for pause_s in bench.limits.busy_s:
        if not is_busy(verdict.failure) or bench.is_cancelled(pause_s):
            break
        verdict = trial()
    state = "works" if verdict.failure is None else "busy" if is_busy(verdict.failure) else "fails"
    return GpuPath(
        ffmpeg=bench.ffmpeg.path, kind=kind, name=name, pix_fmt=pix_fmt, state=state,  # type: ignore[arg-type]
        features=verdict.features, failure=verdict.failure, why_not=verdict.words, hint=verdict.hint,
        wall_s=round(time.monotonic() - started, 3),
    )  # fmt: skip


def is_busy(kind: FailureKind | None) -> bool:
    """Tell whether a failure means that the GPU has no room now, which says nothing about whether it works."""
    return kind is not None and gpu_action(kind) is Action.WAIT
