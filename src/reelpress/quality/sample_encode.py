"""One sample encoded with one setting, and what it weighs as a part of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reelpress.errors import ReelpressError
from reelpress.facts.formats import QUIET
from reelpress.facts.values import Value
from reelpress.quality.packets import packet_table
from reelpress.quality.samples import TIMESCALE, Sample, refuse_cancelled, sample_input
from reelpress.run.process import CancelToken, Limits, run

TRIAL_LIMITS = Limits(wall_s=1800, stall_s=300)  # of one encode of a sample, or of its scoring
# A keyframe at least so often, in frames, unless the options say otherwise: the default of x264 and x265, and NVENC's
# as this product sets it. SVT-AV1's own of about five seconds is 121 to 161 frames.
_GOP_FRAMES = {"libsvtav1": 161}
_GOP_FRAMES_ELSE = 250


class Encoded(Value, frozen=True, kw_only=True):
    """One sample, encoded: bytes of its stretch without the tail, and what the encoder took for all of it.

    ``size_bytes`` are as within an encode of the whole: a keyframe that only the sample has counts as another frame.
    """

    path: str
    sample: Sample
    size_bytes: int
    wall_s: float
    cpu_s: float


class TrialError(ReelpressError):
    """A sample could not be encoded or scored with this setting."""

    code = "trial_failed"


def encode_sample(
    sample: Sample,
    options: Sequence[str],
    folder: Path,
    *,
    ffmpeg: str,
    scale: str | None = None,
    env: Mapping[str, str] | None = None,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> Encoded:
    """Encode one sample with its tail into ``folder``. Raises :class:`TrialError` and :class:`Cancelled`."""
    path = folder / f"{Path(sample.path).stem}-encoded.mp4"
    done = run(
        (
            ffmpeg, *QUIET, "-progress", "pipe:1", "-y",
            *sample_input(sample.path), "-map", "0:v:0", *(("-filter:v:0", scale) if scale else ()), *options,
            "-fps_mode:v:0", "passthrough", "-video_track_timescale", str(TIMESCALE), "-f", "mp4", f"file:{path}",
        ),
        limits=TRIAL_LIMITS, cancel=cancel, env=env,
    )  # fmt: skip
    spend(done.cpu_s)
    refuse_cancelled(done)
    if done.returncode != 0:
        raise TrialError("A sample could not be encoded.", evidence=done.last_words())
    sizes = packet_table(path).before(sample.window.duration_s)
    return Encoded(
        path=str(path), sample=sample, size_bytes=_as_in_the_whole(sizes, sample, options), wall_s=done.wall_s,
        cpu_s=done.cpu_s,
    )  # fmt: skip


def _as_in_the_whole(sizes: Sequence[int], sample: Sample, options: Sequence[str]) -> int:
    """Return the bytes of a sample's packets as within an encode of the whole.

    There the sample's first frame is a keyframe where a shot begins with it, or because it was time for one; else it
    is a frame as those after it.
    """
    total = sum(sizes)
    if sample.window.at_cut or sample.window.start_s == 0 or len(sizes) < 2:
        return total
    encoder = options[options.index("-c:v:0") + 1]
    every = int(options[options.index("-g:v:0") + 1]) if "-g:v:0" in options else None
    every = every or _GOP_FRAMES.get(encoder, _GOP_FRAMES_ELSE)
    others = (total - sizes[0]) / (len(sizes) - 1)
    extra = max(0.0, sizes[0] - others) * max(0.0, 1 - len(sizes) / every)
    return round(total - extra)
