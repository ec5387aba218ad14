"""A trial: samples encoded with one setting, and scored. What all aiming, predicting and calibrating is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reelpress.errors import ReelpressError
from reelpress.facts.quality import FrameScores, Pooled, Viewing
from reelpress.facts.values import Value
from reelpress.plan.model import Attempt
from reelpress.quality.packets import media_bytes
from reelpress.quality.samples import TIMESCALE, Sample, sample_input
from reelpress.quality.vmaf import LogReader, libvmaf_filter, pool
from reelpress.run.process import CancelToken, Limits, run

_LIMITS = Limits(wall_s=1800, stall_s=300)


class Encoded(Value, frozen=True, kw_only=True):
    """One sample, encoded: bytes of video, and what the encoder took."""

    path: str
    sample: Sample
    size_bytes: int
    wall_s: float
    cpu_s: float


class Trial(Value, frozen=True, kw_only=True):
    """What one setting made of all samples.

    ``bytes_per_s`` is of video alone, per second of programme; ``encode_*`` is the encoder's time without scoring.
    ``by_frame`` has the times of frames as places in a row of samples, one after another.
    """

    vmaf: Pooled
    size_bytes: int
    seconds: float
    frames: int
    encode_wall_s: float
    encode_cpu_s: float
    score_cpu_s: float
    by_frame: FrameScores

    @property
    def bytes_per_s(self) -> float:
        """Bytes of video per second of programme."""
        return self.size_bytes / self.seconds


class TrialError(ReelpressError):
    """A sample could not be encoded or scored with this setting."""

    code = "trial_failed"


def encoder_options(attempt: Attempt) -> tuple[str, ...]:
    """Return what an attempt of a plan tells its encoder: from ``-c:v:0`` on, without input and container."""
    args = attempt.args
    return args[args.index("-c:v:0") : args.index("-fps_mode:v:0")]


def take_trial(
    samples: Sequence[Sample],
    options: Sequence[str],
    folder: Path,
    *,
    encoder_ffmpeg: str,
    scorer_ffmpeg: str,
    viewing: Viewing = "1080p",
    scale: str | None = None,
    every: int = 1,
    threads: int = 0,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> Trial:
    """Encode samples with these options and score them against themselves.

    ``scale`` is a filter that makes pictures of another size before they are encoded; they are scored at the samples'
    own size, enlarged by bicubic interpolation as players do. Raises :class:`TrialError`.
    """
    encoded = [
        encode_sample(sample, options, folder, ffmpeg=encoder_ffmpeg, scale=scale, cancel=cancel, spend=spend)
        for sample in samples
    ]
    scores: list[FrameScores] = []
    score_cpu = 0.0
    for one in encoded:
        found, cpu_s = score_sample(
            one, ffmpeg=scorer_ffmpeg, viewing=viewing, scaled=scale is not None, every=every, threads=threads,
            cancel=cancel,
        )  # fmt: skip
        score_cpu += cpu_s
        spend(cpu_s)
        scores.append(found)
    by_frame = _in_a_row(scores, [sample.window.duration_s for sample in samples])
    return Trial(
        vmaf=pool(by_frame.vmaf, by_frame.at_s), size_bytes=sum(one.size_bytes for one in encoded),
        seconds=sum(sample.window.duration_s for sample in samples), frames=sum(sample.frames for sample in samples),
        encode_wall_s=round(sum(one.wall_s for one in encoded), 3),
        encode_cpu_s=round(sum(one.cpu_s for one in encoded), 3), score_cpu_s=round(score_cpu, 3), by_frame=by_frame,
    )  # fmt: skip


def encode_sample(
    sample: Sample,
    options: Sequence[str],
    folder: Path,
    *,
    ffmpeg: str,
    scale: str | None = None,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> Encoded:
    """Encode one sample into ``folder``. Raises :class:`TrialError`."""
    path = folder / f"{Path(sample.path).stem}-encoded.mp4"
    done = run(
        (
            ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+error", "-progress", "pipe:1", "-y",
            *sample_input(sample.path), "-map", "0:v:0", *(("-filter:v:0", scale) if scale else ()), *options,
            "-fps_mode:v:0", "passthrough", "-video_track_timescale", str(TIMESCALE), "-f", "mp4", f"file:{path}",
        ),
        limits=_LIMITS, cancel=cancel,
    )  # fmt: skip
    spend(done.cpu_s)
    if done.returncode != 0:
        raise TrialError(
            "A sample could not be encoded.",
            evidence=done.stop_reason or (done.stderr_tail.strip().splitlines() or ["no message"])[-1],
        )
    return Encoded(path=str(path), sample=sample, size_bytes=media_bytes(path), wall_s=done.wall_s, cpu_s=done.cpu_s)


def score_sample(
    encoded: Encoded,
    *,
    ffmpeg: str,
    viewing: Viewing = "1080p",
    scaled: bool = False,
    every: int = 1,
    threads: int = 0,
    cancel: CancelToken | None = None,
) -> tuple[FrameScores, float]:
    """Score an encoded sample against the sample, frame by frame; return the scores and the CPU seconds.

    Times are in seconds from the sample's first frame. Raises :class:`TrialError`.
    """
    reader = LogReader()
    compare = libvmaf_filter(viewing, threads=threads or 1, every=every)
    if scaled:
        graph = f"[0:v:0][1:v:0]scale2ref=flags=bicubic[made][wanted];[made][wanted]{compare}"
    else:
        graph = f"[0:v:0]settb=1/{TIMESCALE}[made];[1:v:0]settb=1/{TIMESCALE}[wanted];[made][wanted]{compare}"
    done = run(
        (
            ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+error",
            *sample_input(encoded.path), *sample_input(encoded.sample.path), "-filter_complex", graph,
            "-f", "null", "-",
        ),
        limits=_LIMITS, cancel=cancel, on_line=reader.feed,
    )  # fmt: skip
    expected = -(-encoded.sample.frames // every)
    if done.returncode != 0 or reader.frames != expected:
        raise TrialError(
            "An encoded sample could not be scored.",
            evidence=(done.stderr_tail.strip().splitlines() or [f"{reader.frames} of {expected} frames scored"])[-1],
        )
    frame_s = encoded.sample.window.duration_s / encoded.sample.frames
    return reader.scores([number * frame_s for number in reader.numbers()]), done.cpu_s


def _in_a_row(scores: Sequence[FrameScores], durations_s: Sequence[float]) -> FrameScores:
    """Return scores of several samples as of one, each a little after the end of the one before.

    The gap keeps a second from reaching over two samples: what was never beside each other is not worst together.
    """
    at_s: list[float] = []
    start = 0.0
    for one, duration in zip(scores, durations_s, strict=True):
        at_s += [start + at for at in one.at_s]
        start += duration + 10.0
    return FrameScores(
        at_s=tuple(at_s),
        vmaf=tuple(v for one in scores for v in one.vmaf),
        psnr_y_db=tuple(v for one in scores for v in one.psnr_y_db),
        psnr_cb_db=tuple(v for one in scores for v in one.psnr_cb_db),
        psnr_cr_db=tuple(v for one in scores for v in one.psnr_cr_db),
    )
