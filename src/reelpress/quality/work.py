"""One comparison under way: its two sides, how it is measured, and looks at them by FFmpeg."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from reelpress.facts.quality import Finding, Measuring, SelfTest, Window
from reelpress.quality.graph import (
    Side,
    first_picture,
    look,
    small_size,
)
from reelpress.quality.looking import MeasuringError, Runner, Seen, Times, read_seen
from reelpress.quality.views import View

Pair = tuple[Seen, Seen]  # of the encode and of the reference, on their programme's clocks
Run = tuple[Window | None, Pair]  # a stretch to score, ``None`` for all, and what was seen of it


class Work:
    """What a comparison is about, how it is carried out, and what was found on the way."""

    def __init__(
        self, *, ffmpeg: str, runner: Runner, folder: Path, how: Measuring, view: View, encoded: Side, reference: Side,
        threads: int,
    ) -> None:  # fmt: skip
        self.ffmpeg, self.runner, self.folder, self.how, self.view = ffmpeg, runner, folder, how, view
        self.encoded, self.reference, self.threads = encoded, reference, threads
        self.findings: list[Finding] = []
        self.self_test: SelfTest | None = None
        self.looks = 0
        self.origins: dict[str, float] = {}  # when their first pictures are shown, on the clock they were looked at
        self.heard: dict[str, Path] = {}  # sound that was written along with a whole file's pictures

    def name_of(self, side: Side) -> str:
        """Return how a sentence that begins with this side calls it."""
        return "The encode" if side.path == self.encoded.path else "The reference"

    def brought(self, side: Side, small: tuple[int, int] | None = None) -> Side:
        """Return a side with the filters that bring it to the compared size, or to one to look at."""
        name: Literal["reference", "encoded"] = "encoded" if side is self.encoded else "reference"
        return msgspec.structs.replace(side, filters=self.view.filters(name, small))

    def look_at(self, side: Side, window: Window | None) -> Seen:
        """Decode a file, or a stretch of it, small; of a whole file its sound, too."""
        self.looks += 1
        target = self.folder / f"look-{self.looks}"
        small = small_size(self.view)
        track = side.facts.main_audio if window is None else None
        argv = look(self.ffmpeg, self.brought(side, small), window, target, sound=track.index if track else None)
        self.runner.run(argv, f"{self.name_of(side)} could not be decoded.", grows=target)
        if track is not None:
            self.heard[side.path] = target.with_name(f"{target.name}.sound")
        return read_seen(target, small)

    def first_picture_s(self, side: Side, *, as_written: bool = False) -> float:
        """Return when the first picture is shown, on the container's own clock, or as its edit list is written."""
        target = self.folder / "first.times"
        argv = first_picture(self.ffmpeg, side, target, as_written=as_written)
        self.runner.run(argv, f"{self.name_of(side)} could not be decoded.")
        at_s = Times(target).at_s
        if not at_s:
            raise MeasuringError(f"{self.name_of(side)} gave no picture.", reason="undecodable")
        return at_s[0]
