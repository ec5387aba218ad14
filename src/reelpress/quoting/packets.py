"""Packets of a file, without decoding them: when each is shown, how large it is, whether it is a keyframe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from reelpress.facts.values import Value
from reelpress.run.process import CancelToken, Limits, run

_LIMITS = Limits(wall_s=60, stall_s=30)
_KEY = 1  # AV_PKT_FLAG_KEY


class Packet(Value, frozen=True, kw_only=True, array_like=True):
    """One packet: when it is shown, in seconds on its stream's clock, and its size."""

    at_s: float
    size_bytes: int
    is_key: bool


class PacketReader:
    """Takes lines of FFmpeg's ``framecrc`` format; what is none of it is passed over.

    A line is ``stream, dts, pts, duration, size, checksum``, and ``F=0x…`` where the flags are other than a keyframe's
    (libavformat/framecrcenc.c); ``#tb 0: 1/90000`` is the unit of a stream's times.
    """

    def __init__(self) -> None:
        self._units: dict[int, Fraction] = {}
        self.streams: dict[int, list[Packet]] = {}

    def feed(self, line: str) -> None:
        """Take one line."""
        try:
            if line.startswith("#tb "):
                number, _, unit = line[4:].partition(":")
                self._units[int(number)] = Fraction(unit.strip())
            elif not line.startswith("#"):
                fields = [field.strip() for field in line.split(",")]
                stream, pts, size = int(fields[0]), int(fields[2]), int(fields[4])
                flags = next((int(field[2:], base=0) for field in fields[6:] if field.startswith("F=")), _KEY)
                at_s = float(pts * self._units[stream])
                self.streams.setdefault(stream, []).append(
                    Packet(at_s=at_s, size_bytes=size, is_key=bool(flags & _KEY))
                )
        except (ValueError, IndexError, KeyError, ZeroDivisionError):
            return


def packets_of(
    ffmpeg: str,
    path: Path,
    input_args: Sequence[str],
    maps: Sequence[str],
    *,
    cancel: CancelToken,
    spend: Callable[[float], None],
) -> dict[int, list[Packet]]:
    """Return the packets of the streams that ``maps`` name, by their places there; none of a file that fails.

    ``input_args`` are FFmpeg's whitelists for it.
    """
    reader = PacketReader()
    args = (
        ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+error", *input_args, "-i", f"file:{path}",
        *(token for each in maps for token in ("-map", each)), "-c", "copy", "-f", "framecrc", "-",
    )  # fmt: skip
    done = run(args, limits=_LIMITS, cancel=cancel, on_line=reader.feed)
    spend(done.cpu_s)
    return reader.streams if done.returncode == 0 else {}
