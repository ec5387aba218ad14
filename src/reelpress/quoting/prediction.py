"""From stretches of a programme to the whole of it: bytes, seconds, dollars, and how far off they may be. Pure.

The tests and ``benchmarks/quote_error.py`` hold the figures of this module to what jobs came to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

import msgspec

from reelpress.facts.prediction import Interval, around
from reelpress.facts.values import Value
from reelpress.observe.accuracy import deviations
from reelpress.observe.entry import Entry
from reelpress.plan.forecast import SIZE_ERROR, TIME_ERROR
from reelpress.quality.framecrc import Packet
from reelpress.quoting.stretches import UNCOUNTED_TAIL_S

# Frames from one keyframe to the next where no cut asks for one: x264 and x265 250, NVENC by FFmpeg's default 250;
# SVT-AV1 about five seconds (its `keyint -2`), here at 30 frames a second.
KEYFRAME_EVERY = {"libsvtav1": 161}
_KEYFRAME_EVERY = 250
# How much an encoder's bytes follow the source's from second to second, on a scale of logarithms, where stretches do
# not tell: 0 not at all, 1 in proportion.
FOLLOWS = 0.5
_PRIOR_SECONDS = 12.0  # how many seconds of stretches the figure above weighs as much as
# Bytes of an MP4 beside its packets, where no stretch was long enough to tell: boxes that are always there, and table
# entries for each packet.
BARE_MP4_BYTES = 1500
# Half of an 80 % interval in standard errors, by how many stretches they were estimated from (Student's t).
_T80 = {1: 3.08, 2: 1.89, 3: 1.64, 4: 1.53, 5: 1.48}
_T80_MORE = 1.35
# So many jobs that a quote was made of tell how far off quotes are here; fewer may have been lucky.
LEARN_FROM = 20
_LEAST_ERROR = 0.001


class Errors(Value, frozen=True, kw_only=True):
    """How far off predictions were: relative errors (0.1: 10 %) that four of five stay under."""

    size: float
    wall: float
    vmaf: float  # in points


# When one begins in the programme, how much of it was counted, and the bytes of that.
_Second = tuple[float, float, float]


class ErrorTable(Value, frozen=True, kw_only=True):
    """Errors by what a prediction rested on; by default those before there are jobs of one's own.

    Those of `facts` were fitted (`plan/forecast.py`). The others are what `python benchmarks/quote_error.py` prints
    over 125 real files, 2026-11-22, rounded up; those of VMAF were chosen after trial runs.
    """

    rehearsed: Errors = Errors(size=0.002, wall=0.15, vmaf=0.5)
    sampled: Errors = Errors(size=0.08, wall=0.1, vmaf=1.0)
    facts: Errors = Errors(size=SIZE_ERROR, wall=TIME_ERROR, vmaf=4.0)


def learned(entries: Iterable[Entry]) -> ErrorTable:
    """Return how far off quotes were on jobs that are done; where too few tell, what was so before there were any."""
    table = ErrorTable()
    quoted = [e for e in entries if e.predicted is not None and e.predicted.quote is not None and e.status == "done"]
    for basis, usual in (("rehearsed", table.rehearsed), ("sampled", table.sampled), ("facts", table.facts)):
        found = deviations([e for e in quoted if e.predicted is not None and e.predicted.basis == basis])
        size, wall, vmaf = (None if d is None or d.jobs < LEARN_FROM else d.p80 for d in found)
        better = Errors(
            size=usual.size if size is None else max(size, _LEAST_ERROR),
            wall=usual.wall if wall is None else max(wall, _LEAST_ERROR),
            vmaf=usual.vmaf if vmaf is None else vmaf,
        )  # fmt: skip
        table = msgspec.structs.replace(table, **{basis: better})
    return table


class Stretch(Value, frozen=True, kw_only=True):
    """One stretch of a programme as a job encoded it.

    ``start_s`` is where it begins in the programme, ``duration_s`` how much of that it covers: pictures may pause.
    ``video`` are the packets of its video in the order they were written, ``audio_bytes`` all its sound,
    ``other_bytes`` what the container adds. ``wall_s`` is FFmpeg from start to end.
    """

    start_s: float
    duration_s: float
    video: tuple[Packet, ...]
    audio_bytes: int
    other_bytes: int
    wall_s: float
    cpu_s: float


class Speed(Value, frozen=True, kw_only=True):
    """What an encode takes: seconds before its first frame, seconds and CPU seconds for each frame, and how unevenly.

    ``spread`` is the relative standard error of ``per_frame_s``.
    """

    start_s: float
    per_frame_s: float
    cpu_per_frame_s: float
    spread: float
    stretches: int


def speed_of(stretches: Sequence[Stretch], start_s: float) -> Speed:
    """Return how fast an encode is from stretches of it; ``start_s`` is what one without frames to speak of takes."""
    frames = [len(s.video) for s in stretches]
    work = [max(s.wall_s - start_s, 0.2 * s.wall_s) for s in stretches]
    per_frame = sum(work) / sum(frames)
    each = [w / n for w, n in zip(work, frames, strict=True)]
    return Speed(
        start_s=start_s, per_frame_s=per_frame, cpu_per_frame_s=sum(s.cpu_s for s in stretches) / sum(frames),
        spread=_standard_error(each) / per_frame if per_frame else 0.0, stretches=len(stretches),
    )  # fmt: skip


def wall_of(speed: Speed, frames: int, *, around_s: float, errors: Errors) -> Interval:
    """Return how long a job takes; ``around_s`` is all that is not its encode: looking, sampling, checking."""
    encode_s = speed.start_s + speed.per_frame_s * frames
    by_spread = t80(speed.stretches) * speed.spread * encode_s / (encode_s + around_s)
    return around(encode_s + around_s, math.hypot(errors.wall, by_spread))


def size_of(
    stretches: Sequence[Stretch],
    *,
    encoder: str,
    fps: float,
    duration_s: float,
    frames: int,
    source: Sequence[Packet],
    copied_audio_bytes: int,
    errors: Errors,
    head_only: bool = False,
) -> Interval:
    """Return how large an output is, from stretches of it.

    ``source`` are the packets of the input's video, with times of the programme: an encode spends more where its source
    did, and stretches that happen to lie in a quiet part are corrected by that. ``copied_audio_bytes`` are of sound
    whose packets are copied; the rest of it is as in the stretches.
    """
    video, relative = _total([_seconds(stretch, fps) for stretch in stretches], source, duration_s)
    video += _keyframes(stretches, encoder, fps, duration_s)
    audio = sum(s.audio_bytes for s in stretches) / sum(s.duration_s for s in stretches) * duration_s
    packets = sum(len(s.video) for s in stretches)
    beside = BARE_MP4_BYTES + max(0, sum(s.other_bytes - BARE_MP4_BYTES for s in stretches)) / packets * frames
    total = video + audio + copied_audio_bytes + beside
    relative = math.hypot(errors.size, relative * video / total if total else 0.0)
    return around(total, relative * (2 if head_only else 1))


def _counted(stretch: Stretch, fps: float) -> tuple[Packet, ...]:
    """Return the packets that the whole would have there, too: neither the first keyframe nor the end."""
    tail = round(UNCOUNTED_TAIL_S * fps)
    keep = len(stretch.video) - tail
    return stretch.video[1 : max(keep, len(stretch.video) // 2)]


def _seconds(stretch: Stretch, fps: float) -> list[_Second]:
    """Return the counted part second by second."""
    first = min((p.at_s for p in stretch.video), default=0.0)
    bins: dict[int, list[Packet]] = {}
    for packet in _counted(stretch, fps):
        bins.setdefault(math.floor(stretch.start_s + packet.at_s - first), []).append(packet)
    return [
        (float(at), len(found) / fps, float(sum(p.size_bytes for p in found))) for at, found in sorted(bins.items())
    ]


def _total(stretches: Sequence[Sequence[_Second]], source: Sequence[Packet], duration_s: float) -> tuple[float, float]:
    """Return the bytes of a programme from some of its seconds, and how far off that may be, relative."""
    rate = _rates(source, duration_s)
    seconds = [second for stretch in stretches for second in stretch]
    points = [(math.log(rate(at)), math.log(max(size / length, 1.0)), length) for at, length, size in seconds]
    power = _slope(points)

    def modelled(some: Sequence[_Second]) -> float:
        return math.fsum(length * math.pow(rate(at), power) for at, length, _ in some)

    if not seconds:
        return 0.0, 1.0
    scale = sum(size for _, _, size in seconds) / modelled(seconds)
    every = [(float(at), min(1.0, duration_s - at), 0.0) for at in range(math.ceil(duration_s))]
    # what stretches differ by beyond what the source explains
    residuals = [sum(size for _, _, size in some) / (scale * modelled(some)) for some in stretches if some]
    unseen = max(0.0, 1 - sum(length for _, length, _ in seconds) / duration_s)
    return scale * modelled(every), t80(len(residuals)) * _standard_error(residuals) * math.sqrt(unseen)


def _rates(source: Sequence[Packet], duration_s: float) -> Callable[[float], float]:
    """Return what tells the bytes that a source spends around a second; 1 of every one where that is not known."""
    last = max(0, math.ceil(duration_s) - 1)
    spent = [0.0] * (last + 1)
    for packet in source:
        if -1 <= packet.at_s <= duration_s + 1:
            spent[max(0, min(math.floor(packet.at_s), last))] += packet.size_bytes
    # next to nothing is spent where the picture stands still; an encode's keyframes are there, too
    least = 0.02 * sum(spent) / len(spent)

    def rate(at: float) -> float:
        # what a keyframe of the source costs is no matter of the second it stands in: neighbours share it
        second = max(0, min(int(at), last))
        return max(least, fmean(spent[max(0, second - 1) : second + 2])) or 1.0

    return rate


def _slope(points: Sequence[tuple[float, float, float]]) -> float:
    """Return how bytes follow the source's, by least squares, drawn towards what is usual, within 0 and 1."""
    weight = sum(w for _, _, w in points)
    if not weight:
        return FOLLOWS
    mean_x, mean_y = (sum(p[i] * p[2] for p in points) / weight for i in (0, 1))
    spread = sum(w * (x - mean_x) ** 2 for x, _, w in points)
    together = sum(w * (x - mean_x) * (y - mean_y) for x, y, w in points)
    prior = _PRIOR_SECONDS * 0.1  # 0.1: how much the logarithm of a source's rate varies over usual seconds
    return min(1.0, max(0.0, (together + FOLLOWS * prior) / (spread + prior)))


def _keyframes(stretches: Sequence[Stretch], encoder: str, fps: float, duration_s: float) -> float:
    """Return the bytes of keyframes that stretches have none of: the first, and those after the longest interval."""
    firsts = [s.video[0].size_bytes for s in stretches if s.video]
    rest = [p for s in stretches for p in _counted(s, fps)]
    if not firsts or not rest:
        return 0.0
    first = fmean(firsts)
    usual = fmean([p.size_bytes for p in rest if not p.is_key] or [0.0])
    every_s = KEYFRAME_EVERY.get(encoder, _KEYFRAME_EVERY) / fps
    by_cuts = sum(p.is_key for p in rest) / (len(rest) / fps)
    extra = max(0.0, 1 / every_s - by_cuts) * duration_s
    return first + max(0.0, extra - 1) * max(0.0, first - usual)


def _standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of values; of a single one a tenth of it, since nothing is known."""
    if len(values) < 2:
        return 0.1 * abs(values[0]) if values else 0.0
    mean = fmean(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


def t80(values: int) -> float:
    """Return how many standard errors half of an 80 % interval is, of a mean of so many values."""
    return _T80.get(max(1, values - 1), _T80_MORE)
