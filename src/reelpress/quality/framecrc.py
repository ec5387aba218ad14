"""Packets of a file as FFmpeg tells them, without decoding: when each is shown, its size, whether it is a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from reelpress.facts.formats import QUIET
from reelpress.facts.values import Value
from reelpress.run.process import CancelToken, Limits, run

_LIMITS = Limits(wall_s=60, stall_s=30)
_KEY, _DISCARD = 1, 4  # AV_PKT_FLAG_KEY, AV_PKT_FLAG_DISCARD (libavcodec/packet.h)
_NOWHERE = 2**62  # no time is so far from 0 but AV_NOPTS_VALUE, which is written as -2**63


class Packet(Value, frozen=True, kw_only=True, array_like=True):
    """One packet: when it is shown, in seconds on its stream's clock, and its size.

    ``is_shown`` is false of one that is decoded only for others.
    """

    at_s: float
    size_bytes: int
    is_key: bool
    is_shown: bool = True


class PacketReader:
    """Takes lines of FFmpeg's ``framecrc`` format; what is none of it is passed over, and packets without a time.

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
                number, _, told = line[4:].partition(":")
                self._units[int(number)] = Fraction(told.strip())
            elif not line.startswith("#"):
                fields = [field.strip() for field in line.split(",")]
                stream, pts, size = int(fields[0]), int(fields[2]), int(fields[4])
                flags = next((int(field[2:], base=0) for field in fields[6:] if field.startswith("F=")), _KEY)
                unit = self._units[stream]
                if abs(pts) < _NOWHERE:
                    packet = Packet(
                        at_s=float(pts * unit), size_bytes=size, is_key=bool(flags & _KEY),
                        is_shown=not flags & _DISCARD,
                    )  # fmt: skip
                    self.streams.setdefault(stream, []).append(packet)
        except (ValueError, IndexError, KeyError, ZeroDivisionError):
            return


def packets_of(
    ffmpeg: str,
    path: Path,
    input_args: Sequence[str],
    maps: Sequence[str],
    *,
    limits: Limits = _LIMITS,
    cancel: CancelToken | None,
    spend: Callable[[float], None],
) -> dict[int, list[Packet]]:
    """Return the packets of the streams that ``maps`` name, by their places there; none of a file that fails.

    ``input_args`` are FFmpeg's whitelists for it. ``spend`` is told CPU seconds.
    """
    reader = PacketReader()
    args = (
        ffmpeg, *QUIET, *input_args, "-i", f"file:{path}",
        *(token for each in maps for token in ("-map", each)), "-c", "copy", "-f", "framecrc", "-",
    )  # fmt: skip
    done = run(args, limits=limits, cancel=cancel, on_line=reader.feed)
    spend(done.cpu_s)
    return reader.streams if done.returncode == 0 else {}
