"""What FFmpeg tells of every picture for finding cuts: how far it is from the one before, and whether it is black.

``scdet`` compares each picture with the one before it, so the filters belong behind what makes pictures small and
before what drops some. Their lines go to FFmpeg's standard output, where those of ``-progress`` may go, too: each is
one write, so lines of the two never mix. :mod:`reelpress.probe.shots` decides what of it is a cut.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from typing import overload

from reelpress.probe.shots import Look, find_cuts

# As text FFmpeg tells no more than six digits of a time, but all of a count.
CLOCK_HZ = 1_000_000
FRAME_LINE = re.compile(r"frame:\d+ +pts:(-?\d{1,18}) ")
_VALUE = re.compile(r"lavfi\.(scd\.mafd|scd\.score|blackframe\.pblack)=(-?[0-9.]{1,20})$")
_FIELDS = {"scd.mafd": "difference", "scd.score": "score", "blackframe.pblack": "black_percent"}
_MOST_LOOKS = 4_000_000  # 18 hours at 60 pictures a second, 68 MB

# Pictures go through these unchanged, on a clock of microseconds.
LOOK_FILTERS = (
    f"settb=1/{CLOCK_HZ}", "scdet=threshold=100", "blackframe=amount=90:threshold=32",
    "metadata=mode=print:file=-:direct=1",
)  # fmt: skip


def read_value(line: str) -> tuple[str, float] | None:
    """Return which field of a :class:`Look` a line tells, and its value; ``None`` for any other line."""
    found = _VALUE.match(line)
    try:
        return None if found is None else (_FIELDS[found[1]], float(found[2]))
    except ValueError:
        return None


class CutReader:
    """Gathers from the lines of FFmpeg's standard output what it tells of each picture."""

    def __init__(self) -> None:
        self._pts: int | None = None
        self._looks = _Looks()

    def feed(self, line: str) -> None:
        """Take one line; one that is not about pictures is passed over."""
        if (frame := FRAME_LINE.match(line)) is not None:
            self._pts = int(frame[1])
        elif self._pts is not None and (told := read_value(line)) is not None:
            self._looks.take(self._pts / CLOCK_HZ, *told)

    def cuts_s(self, end_s: float) -> tuple[float, ...]:
        """Return when new shots begin, of pictures of which the last is shown until ``end_s``.

        The very first shot is not among them. A hard cut is the time of the first picture behind it, a fade through
        black the middle of the black. Of cuts that are closer than the shortest shot the first counts.
        """
        return tuple(find_cuts(self._looks, end_s))


class _Looks(Sequence[Look]):
    """Looks at all pictures of a film, in few bytes each."""

    def __init__(self) -> None:
        self._times = array("d")
        self._fields = {"difference": array("f"), "score": array("f"), "black_percent": array("f")}

    def take(self, t_s: float, field: str, value: float) -> None:
        """Note what is told of the picture at a time; the difference is what is told first of each."""
        if field == "difference" and len(self._times) < _MOST_LOOKS:
            self._times.append(t_s)
            for values in self._fields.values():
                values.append(0.0)
        if self._times and self._times[-1] == t_s:
            self._fields[field][-1] = value

    def __len__(self) -> int:
        return len(self._times)

    @overload
    def __getitem__(self, index: int) -> Look: ...
    @overload
    def __getitem__(self, index: slice) -> list[Look]: ...
    def __getitem__(self, index: int | slice) -> Look | list[Look]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        return Look(
            t_s=self._times[index], difference=self._fields["difference"][index], score=self._fields["score"][index],
            black_percent=int(self._fields["black_percent"][index]),
        )  # fmt: skip
