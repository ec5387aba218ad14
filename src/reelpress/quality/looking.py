"""Decodes both files of a comparison small, in software, and reads what FFmpeg wrote: pictures, times, sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reelpress.errors import Cancelled, ReelpressError
from reelpress.quality.graph import TICKS
from reelpress.run.process import CancelToken, Finished, Limits, run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STALL_S = 300.0


class MeasuringError(ReelpressError):
    """What was to be measured could not be; nothing is said of the encode by that. It never leaves the comparison."""

    code = "unmeasured"

    def __init__(self, what: str, *, evidence: str | None = None, reason: str = "failed") -> None:
        super().__init__(what, evidence=evidence)
        self.reason = reason


class Runner:
    """Runs the commands of one comparison: under limits, cancellable, their CPU seconds added up."""

    def __init__(self, cancel: CancelToken | None, spend: Callable[[float], None]) -> None:
        self._cancel, self._spend = cancel, spend
        self.cpu_s = 0.0

    def run(self, argv: Sequence[str], what: str, *, on_line: Callable[[str], None] | None = None,
            grows: Path | None = None) -> Finished:  # fmt: skip
        """Run one command to its end.

        ``grows`` is a file by whose growth headway is told; without it only the time since the start counts.
        Raises :class:`MeasuringError` where it fails, and :class:`Cancelled`.
        """
        limits = Limits(wall_s=24 * 3600.0, stall_s=_STALL_S if grows is not None else None)
        done = run(
            argv, limits=limits, cancel=self._cancel, on_line=on_line,
            activity=None if grows is None else lambda: grows.stat().st_size if grows.exists() else 0,
        )  # fmt: skip
        self.cpu_s += done.cpu_s
        self._spend(done.cpu_s)
        if done.stopped == "cancelled":
            raise Cancelled
        if done.returncode != 0:
            raise MeasuringError(what, evidence=done.last_words()[:300])
        return done

    def go_on(self) -> None:
        """Raise :class:`Cancelled` where that is wished, for work between commands."""
        if self._cancel is not None and self._cancel.is_cancelled:
            raise Cancelled


class Times:
    """What FFmpeg's ``framecrc`` tells of frames: times in seconds, in order, and a checksum of each picture."""

    def __init__(self, path: Path) -> None:
        self.at_s: list[float] = []
        self.sums: list[str] = []
        if not path.exists():
            return
        with path.open(encoding="ascii", errors="replace") as file:
            for line in file:
                fields = line.split(",")
                if not line.startswith("#") and len(fields) >= 6:
                    self.at_s.append(int(fields[2]) / TICKS)
                    self.sums.append(fields[5].strip())


class Seen:
    """Small pictures of a file and their times: ``luma``, ``cb`` and ``cr`` are (frames, height, width)."""

    def __init__(self, at_s: NDArray[np.float64], planes: tuple[NDArray[np.uint8], ...]) -> None:
        self.at_s = at_s
        self.luma, self.cb, self.cr = planes

    def __len__(self) -> int:
        return len(self.at_s)

    def moved(self, by_s: float) -> Seen:
        """Return the same on another clock."""
        return Seen(self.at_s + by_s, (self.luma, self.cb, self.cr))


def read_seen(path: Path, small: tuple[int, int]) -> Seen:
    """Read what a command of ``graph.look`` wrote; the pictures stay on disk until they are used."""
    import numpy as np

    width, height = small
    times = np.array(Times(path.with_name(path.name + ".times")).at_s, dtype=np.float64)
    area = width * height
    frame = area * 3 // 2
    frames = min(len(times), path.stat().st_size // frame if path.exists() else 0)
    if not frames:
        empty = np.zeros((0, height, width), np.uint8)
        return Seen(times[:0], (empty, empty[:, ::2, ::2], empty[:, ::2, ::2]))
    raw = np.memmap(path, np.uint8, "r", shape=(frames, frame))
    luma = raw[:, :area].reshape(frames, height, width)
    cb = raw[:, area : area * 5 // 4].reshape(frames, height // 2, width // 2)
    cr = raw[:, area * 5 // 4 :].reshape(frames, height // 2, width // 2)
    return Seen(times[:frames], (luma, cb, cr))


def read_sound(path: Path) -> NDArray[np.int16]:
    """Read what a command of ``graph.listen`` wrote."""
    import numpy as np

    if not path.exists() or path.stat().st_size < 2:
        return np.zeros(0, np.int16)
    return np.memmap(path, np.int16, "r")
