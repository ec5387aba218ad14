"""Measures loudness by FFmpeg's ``ebur128``: of a stretch of a source, and of what was delivered."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from reelpress.errors import Cancelled
from reelpress.facts.loudness import Loudness
from reelpress.run.process import CancelToken, Limits, run

# The summary stands at the end; the last one counts, since titles of the file are printed before it.
_INTEGRATED = re.compile(r"^\s+I:\s+(-?[0-9.]+|-?inf|nan) LUFS$", re.MULTILINE)
_PEAK = re.compile(r"^\s+Peak:\s+(-?[0-9.]+|-?inf|nan) dBFS$", re.MULTILINE)
_NOTHING_LUFS = -69.9  # ebur128 says -70.0 of silence


def measure_loudness(
    ffmpeg: str,
    input_args: Sequence[str],
    *,
    stream: str,
    filters: Sequence[str] = (),
    wall_s: float,
    cancel: CancelToken | None,
    spend: Callable[[float], None],
) -> Loudness | None:
    """Return how loud an audio stream is once it went through ``filters``; ``None`` where that could not be measured.

    ``input_args`` are all arguments up to the input's name after ``-i``, ``stream`` is what ``-map`` takes. ``spend``
    is told the CPU seconds. Raises :class:`Cancelled`.
    """
    done = run(
        (
            ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", *input_args, "-map", stream, "-vn",
            "-filter:a:0", ",".join((*filters, "ebur128=peak=true:framelog=verbose")), "-f", "null", "-",
        ),
        limits=Limits(wall_s=wall_s), cancel=cancel,
    )  # fmt: skip
    spend(done.cpu_s)
    if done.stopped == "cancelled":
        raise Cancelled
    found = _INTEGRATED.findall(done.stderr_tail), _PEAK.findall(done.stderr_tail)
    if done.returncode != 0 or not all(found):
        return None
    integrated, peak = (float(values[-1]) for values in found)
    silent = not math.isfinite(integrated) or integrated < _NOTHING_LUFS
    return Loudness(
        integrated_lufs=None if silent else integrated, true_peak_dbtp=peak if math.isfinite(peak) else None
    )
