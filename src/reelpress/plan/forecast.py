"""What an encode is likely to come to from the facts of a file alone: free, rough, and said with a wide interval. Pure.

Figures come from the real files of docs/corpus.md on two cores, for settings by default: x264's of 64 that were encoded
(`benchmarks/quote_error.py --fit`), those of the others as medians of six against x264. Of NVENC nobody measured any.
"""

from __future__ import annotations

import math

from reelpress.facts.media import MediaFacts
from reelpress.facts.prediction import Basis, Interval, around
from reelpress.facts.values import Value
from reelpress.plan.encoders import ENCODERS
from reelpress.plan.model import Encode
from reelpress.plan.worth import CODEC_WORTH, OLD_CODEC_WORTH

# bits per pixel of an x264 encode at CRF 23 = _SCALE * (the source's, in H.264's worth) ** _POWER
_SCALE, _POWER = 0.279, 0.756
# Four of five of the files above are within this, relative, of what these figures say.
SIZE_ERROR, TIME_ERROR = 1.33, 1.5
# The same of the few short samples that plans are made with (`plan/worth.py`).
SAMPLED_ERROR = 0.3
# Bytes of the other encoders at their default, to those of x264 at 23.
_BYTES = {"h264": 1.0, "hevc": 0.62, "av1": 0.85}
# CPU seconds for a pixel encoded and for one decoded, and what starting takes.
_CPU_S_PER_PIXEL = {"libx264": 1.1e-8, "libx265": 2.5e-8, "libsvtav1": 1.8e-8}
_DECODED, _STARTING_S, _AROUND_S = 2.5e-9, 0.12, 0.4
_CORES_USED = 2.0  # that an encoder keeps busy, at the most of them


class Forecast(Value, frozen=True, kw_only=True):
    """Bytes of the output, and seconds on the clock and of the CPU; ``None`` where the facts do not tell."""

    basis: Basis
    size_bytes: Interval | None
    wall_s: Interval | None
    cpu_s: float | None


def forecast(media: MediaFacts, decided: Encode, cores: int, *, sampled_bytes: int | None = None) -> Forecast:
    """Return what the first attempt of a plan is likely to come to; ``sampled_bytes`` by samples taken for the plan."""
    size = None if sampled_bytes is None else around(float(sampled_bytes), SAMPLED_ERROR)
    basis: Basis = "facts" if size is None else "plan_samples"
    track, expect = media.main_video, decided.expect
    frames = expect.frames or expect.frames_at_most or (track.frames if track is not None else None)
    if track is None or not frames:
        return Forecast(basis=basis, size_bytes=size, wall_s=None, cpu_s=None)
    pixels = float(expect.width * expect.height * frames)
    attempt = decided.attempts[0]
    row = next(row for row in ENCODERS if row.name == attempt.encoder)
    bytes_to_x264 = _BYTES.get(row.codec)
    if size is None and track.size_bytes and bytes_to_x264 is not None:
        spent = track.size_bytes * 8 / pixels * CODEC_WORTH.get(track.codec, OLD_CODEC_WORTH)
        quality = attempt.args[attempt.args.index("-crf:v:0") + 1] if "-crf:v:0" in attempt.args else None
        # x264 and x265 halve their bits every six steps of CRF; SVT-AV1's scale is about twice as fine
        steps = 0.0 if quality is None else (float(quality) - row.crf_default) / (6 if row.crf_max < 60 else 12)
        video = _SCALE * spent**_POWER / 8 * pixels * bytes_to_x264 * 2**-steps
        sound = sum(track.size_bytes or 0 for track in media.audio)
        size = around(video + sound, SIZE_ERROR)
    cost = _CPU_S_PER_PIXEL.get(attempt.encoder)
    if cost is None:
        return Forecast(basis=basis, size_bytes=size, wall_s=None, cpu_s=None)
    decoded = float(track.width * track.height * (track.frames or frames))
    cpu_s = cost * pixels + _DECODED * decoded
    wall_s = _AROUND_S + _STARTING_S + cpu_s / math.sqrt(min(cores, _CORES_USED) * 2)
    return Forecast(basis=basis, size_bytes=size, wall_s=around(wall_s, TIME_ERROR), cpu_s=round(_AROUND_S + cpu_s, 3))
