"""From what a caller sent to drafts of clips, refusing at once whatever could never be done."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import msgspec

from reelpress.captions.editing import checked
from reelpress.facts.captions import Captions
from reelpress.facts.framing import MAX_ZOOM, Framing, Shot
from reelpress.facts.values import from_plain
from reelpress.jobs.clip_model import ClipDraft
from reelpress.jobs.exports import Wanted
from reelpress.plan.clip_refusals import FRAMING_BELOW, MAX_SHOTS, may_be_named
from reelpress.service.clip_shapes import DraftShape, ExportChangeShape, ExportShape
from reelpress.service.problems import RequestRefused

# A clip of a longer stretch than this is no short, and takes a worker for longer than anybody meant.
LONGEST_S = 3600.0
SHORTEST_S = 0.2
_MOST_KEYS = 20_000
_WINDOWS = {"still": 1, "track": 1, "split": 2, "fit": 0}


def wanted_of(shape: ExportShape | ExportChangeShape) -> Wanted:
    """Return what an export is to hold. Raises :class:`RequestRefused` 422 for what cannot be meant."""
    drafts = tuple(_draft(one, number) for number, one in enumerate(shape.clips))
    return Wanted(width=shape.width, height=shape.height, platform=shape.platform, drafts=drafts)


def check_stretch(start_s: float, end_s: float, where: str = "") -> None:
    """Raise :class:`RequestRefused` 422 for a stretch that is empty, or longer than an hour."""
    if not SHORTEST_S <= end_s - start_s <= LONGEST_S:
        raise RequestRefused(
            422, "invalid", f"A clip lasts {SHORTEST_S:g} to {LONGEST_S:g} seconds.",
            evidence=f"{where}{start_s:g} s to {end_s:g} s",
        )  # fmt: skip


def framing_of(plain: dict[str, Any], where: str) -> Framing:
    """Return a framing that was sent. Raises :class:`RequestRefused` 422."""
    try:
        framing = from_plain(plain, Framing)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _refused("This is no framing.", f"{where}: {error}") from None
    problem = next(_problems(framing), None)
    if problem is not None:
        raise _refused("This framing cannot be.", f"{where}: {problem}")
    return framing


def captions_of(plain: dict[str, Any], where: str) -> Captions:
    """Return captions that were sent, cleaned. Raises :class:`RequestRefused` 422, and :class:`InputError`."""
    try:
        captions = from_plain(plain, Captions)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _refused("These are no captions.", f"{where}: {error}") from None
    return checked(captions)


def _draft(shape: DraftShape, number: int) -> ClipDraft:
    where = f"clips.{number}"
    check_stretch(shape.start_s, shape.end_s, f"{where}: ")
    return ClipDraft(
        id=shape.id, name=_one_line(shape.name), start_s=shape.start_s,
        end_s=shape.end_s, layout=shape.layout,
        framing=None if shape.framing is None else framing_of(shape.framing, f"{where}.framing"),
        captions=None if shape.captions is None else captions_of(shape.captions, f"{where}.captions"),
    )  # fmt: skip


def _one_line(text: str) -> str:
    return " ".join("".join(c for c in text if c.isspace() or may_be_named(c)).split())


def _problems(framing: Framing) -> Iterator[str]:
    shots = framing.shots
    if not 1 <= len(shots) <= MAX_SHOTS:
        yield f"{len(shots)} shots, 1 to {MAX_SHOTS} possible"
    at = None
    for number, shot in enumerate(shots):
        if not (math.isfinite(shot.start_s) and math.isfinite(shot.end_s) and 0 <= shot.start_s < shot.end_s):
            yield f"shot {number}: from {shot.start_s:g} s to {shot.end_s:g} s"
        if at is not None and abs(shot.start_s - at) > 0.001:
            yield f"shot {number} begins at {shot.start_s:g} s, and the one before ends at {at:g} s"
        at = shot.end_s
        yield from (f"shot {number}: {problem}" for problem in _problems_of_windows(shot))


def _problems_of_windows(shot: Shot) -> Iterator[str]:
    if len(shot.windows) != _WINDOWS[shot.layout]:
        yield f"{len(shot.windows)} windows, {_WINDOWS[shot.layout]} for {shot.layout}"
    for window in shot.windows:
        path = window.path
        if not 1 <= window.zoom <= MAX_ZOOM:
            yield f"zoom {window.zoom:g}, 1 to {MAX_ZOOM:g} possible"
        if not 1 <= len(path) <= _MOST_KEYS:
            yield f"{len(path)} keys, 1 to {_MOST_KEYS} possible"
        if not all(abs(number) < FRAMING_BELOW for key in path for number in (key.t_s, key.x, key.y)):
            yield "a key that is at no place, or at no time"
        if any(one.t_s >= two.t_s for one, two in itertools.pairwise(path)):
            yield "keys that are not in the order of time"


def _refused(what: str, evidence: str) -> RequestRefused:
    return RequestRefused(422, "invalid", what, evidence=evidence[:500])
