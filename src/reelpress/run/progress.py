"""What FFmpeg says about its progress (``-progress pipe:1``): key=value lines in, values out. Pure."""

from __future__ import annotations

import math

from reelpress.facts.values import Value

_KEYS = {"frame", "fps", "total_size", "speed", "dup_frames", "drop_frames", "progress"}
_TIME_KEYS = {"out_time_us", "out_time_ms", "out_time"}


class Progress(Value, frozen=True, kw_only=True):
    """One block of progress; ``None`` is what FFmpeg did not say, or says it does not know (``N/A``).

    ``out_time_s`` is the end of what was written, in programme seconds; ``speed`` is programme seconds per second.
    ``ended`` marks the last block, which FFmpeg writes also after a failure.
    """

    frames: int | None = None
    fps: float | None = None
    out_time_s: float | None = None
    total_size_bytes: int | None = None
    speed: float | None = None
    dup_frames: int | None = None
    drop_frames: int | None = None
    ended: bool = False


class ProgressParser:
    """Gathers lines into blocks; a line that makes no sense is as good as absent."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Progress | None:
        """Take one line; return the block that it completes."""
        key, equals, value = line.partition("=")
        if not equals:
            return None
        if key.strip() in _KEYS | _TIME_KEYS:
            self._fields[key.strip()] = value.strip()
        if key.strip() != "progress":
            return None
        fields, self._fields = self._fields, {}
        return Progress(
            frames=_count(fields.get("frame")),
            fps=_number(fields.get("fps")),
            out_time_s=_out_time_s(fields),
            total_size_bytes=_count(fields.get("total_size")),
            speed=_number(fields.get("speed", "").removesuffix("x")),
            dup_frames=_count(fields.get("dup_frames")),
            drop_frames=_count(fields.get("drop_frames")),
            ended=fields["progress"] == "end",
        )


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _count(text: str | None) -> int | None:
    # Longer than any counter of 64 bits is garbage, and Python refuses to read very long numbers.
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 20 else None


def _out_time_s(fields: dict[str, str]) -> float | None:
    for key in ("out_time_us", "out_time_ms"):  # both are microseconds, whatever the second one's name says
        if (microseconds := _number(fields.get(key))) is not None:
            return microseconds / 1e6
    sign = -1.0 if fields.get("out_time", "").startswith("-") else 1.0
    parts = [_number(part) for part in fields.get("out_time", "").removeprefix("-").split(":")]
    if len(parts) != 3 or parts[0] is None or parts[1] is None or parts[2] is None:
        return None
    return sign * (parts[0] * 3600 + parts[1] * 60 + parts[2])
