"""A trial: samples encoded with one setting, and scored. What all aiming, predicting and calibrating is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reelpress.facts.formats import QUIET
from reelpress.facts.quality import FrameScores, Pooled, Viewing
from reelpress.facts.values import Value
from reelpress.plan.model import Attempt, Encode
from reelpress.quality.sample_encode import TRIAL_LIMITS, Encoded, TrialError, encode_sample
from reelpress.quality.samples import TIMESCALE, Sample, refuse_cancelled, sample_input
from reelpress.quality.vmaf import LogReader, libvmaf_filter, pool
from reelpress.run.process import CancelToken, run


class Part(Value, frozen=True, kw_only=True):
    """What one setting made of one sample. ``vmaf`` is the mean of its frames, ``seconds`` are of programme."""

    sample: Sample
    size_bytes: int
    seconds: float
    vmaf: float
    encode_wall_s: float


class Trial(Value, frozen=True, kw_only=True):
    """What one setting made of all samples.

    ``bytes_per_s`` is of video alone, per second of programme; ``encode_*`` is the encoder's time without scoring, for
    ``coded_seconds`` of programme (with tails). ``by_frame`` has the times of frames as places in a row of samples, one
    after another with gaps.
    """

    vmaf: Pooled
    size_bytes: int
    seconds: float
    coded_seconds: float
    frames: int
    encode_wall_s: float
    encode_cpu_s: float
    score_cpu_s: float
    by_frame: FrameScores
    parts: tuple[Part, ...]

    @property
    def bytes_per_s(self) -> float:
        """Bytes of video per second of programme."""
        return self.size_bytes / self.seconds


def encoder_options(attempt: Attempt) -> tuple[str, ...]:
    """Return what an attempt of a plan tells its encoder: from ``-c:v:0`` on, without input and container."""
    args = attempt.args
    return args[args.index("-c:v:0") : args.index("-fps_mode:v:0")]


def software_filters(decided: Encode) -> str | None:
    """Return what pictures go through before an encoder gets them, done in software; ``None`` where no attempt says.

    ``Expectation.picture_filters`` are without those that leave frames out.
    """
    args = next((a.args for a in decided.attempts if "-hwaccel" not in a.args), None)
    return None if args is None else args[args.index("-filter:v:0") + 1]


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
    env: Mapping[str, str] | None = None,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> Trial:
    """Encode samples with these options and score them against themselves; tails are encoded and not looked at.

    ``scale`` is a filter that makes pictures of another size before they are encoded; they are scored at the samples'
    own size, enlarged by bicubic interpolation as players do. ``env`` is added to the encoder's environment (which GPU
    it sees). Raises :class:`TrialError` and :class:`Cancelled`.
    """
    encoded = [
        encode_sample(sample, options, folder, ffmpeg=encoder_ffmpeg, scale=scale, env=env, cancel=cancel, spend=spend)
        for sample in samples
    ]
    return score_trial(
        encoded, scorer_ffmpeg=scorer_ffmpeg, viewing=viewing, scaled=scale is not None, every=every, threads=threads,
        cancel=cancel, spend=spend,
    )  # fmt: skip


def score_trial(
    encoded: Sequence[Encoded],
    *,
    scorer_ffmpeg: str,
    viewing: Viewing = "1080p",
    scaled: bool = False,
    every: int = 1,
    threads: int = 0,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> Trial:
    """Score encoded samples against the samples and sum up; their files are gone after that.

    Raises :class:`TrialError` and :class:`Cancelled`.
    """
    samples = [one.sample for one in encoded]
    scores, score_cpu = [], 0.0
    for one in encoded:
        found, cpu_s = score_sample(
            one, ffmpeg=scorer_ffmpeg, viewing=viewing, scaled=scaled, every=every, threads=threads, cancel=cancel
        )
        spend(cpu_s)
        score_cpu += cpu_s
        scores.append(found)
        Path(one.path).unlink(missing_ok=True)
    parts = tuple(
        Part(
            sample=one.sample, size_bytes=one.size_bytes, seconds=one.sample.seconds, encode_wall_s=one.wall_s,
            vmaf=round(sum(found.vmaf) / len(found.vmaf), 4),
        )
        for one, found in zip(encoded, scores, strict=True)
    )  # fmt: skip
    by_frame = _in_a_row(scores, [sample.seconds for sample in samples])
    return Trial(
        vmaf=pool(by_frame.vmaf, by_frame.at_s), size_bytes=sum(part.size_bytes for part in parts),
        seconds=sum(sample.seconds for sample in samples), frames=sum(sample.frames for sample in samples),
        coded_seconds=sum(sample.coded_seconds for sample in samples),
        encode_wall_s=round(sum(one.wall_s for one in encoded), 3),
        encode_cpu_s=round(sum(one.cpu_s for one in encoded), 3), score_cpu_s=round(score_cpu, 3),
        by_frame=by_frame, parts=parts,
    )  # fmt: skip


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
    """Score the stretch of an encoded sample against the sample, frame by frame; return scores and CPU seconds.

    Frames are paired by their order: encoders keep them all. Times are in seconds from the sample's first frame.
    ``threads`` 0 is one. Raises :class:`TrialError` and :class:`Cancelled`.
    """
    reader = LogReader()
    frames = encoded.sample.frames
    compare = libvmaf_filter(viewing, threads=threads or 1, every=every)
    same = f"trim=end_frame={frames},settb=1/{TIMESCALE},setpts=N*{TIMESCALE // 30}"
    size = (
        "[made0][wanted0]scale2ref=flags=bicubic[made][wanted]" if scaled else "[made0]null[made];[wanted0]null[wanted]"
    )
    graph = f"[0:v:0]{same}[made0];[1:v:0]{same}[wanted0];{size};[made][wanted]{compare}"
    done = run(
        (
            ffmpeg, *QUIET,
            *sample_input(encoded.path), *sample_input(encoded.sample.path), "-filter_complex", graph,
            "-f", "null", "-",
        ),
        limits=TRIAL_LIMITS, cancel=cancel, on_line=reader.feed,
    )  # fmt: skip
    refuse_cancelled(done)
    expected = -(-frames // every)
    if done.returncode != 0 or reader.frames != expected:
        said = done.last_words() if done.returncode != 0 else f"{reader.frames} of {expected} frames scored"
        raise TrialError("An encoded sample could not be scored.", evidence=said)
    frame_s = encoded.sample.seconds / frames
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
