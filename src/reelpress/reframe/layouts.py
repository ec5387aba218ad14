"""Chooses how each shot of a stretch is framed, and says why. Pure: from evidence to a framing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import fmean, median

import numpy as np

from reelpress.clip_request import LayoutChoice
from reelpress.facts.framing import Framing, PathKey, Rule, Shot, Window
from reelpress.facts.values import Value
from reelpress.reframe.evidence import SHOWN_FROM_S, Evidence, Sample
from reelpress.reframe.panes import in_order, pane_of, side_of
from reelpress.reframe.people import Person, find_people
from reelpress.reframe.placing import Line, Placed, Target, head_room, place, shares_of

MIN_LAYOUT_S = (
    1.5  # a shot shorter than this is not split, nor shown whole unless the one before is: that would but flicker
)
_SAME_SHAPE = 1.02
_SIDE_ROOM = 0.5  # of a face's width, to either side, that belongs into the window with it
_FITS = 0.9  # of the samples in which all people fit into one window
_BOTH_STAY = 0.6  # of the shot that both are there, to be shown side by side
_LEAST_HELD = 0.65  # of the subject's samples that a window must have, or the whole picture is shown
_LEAST_ENERGY = 0.06  # mean change of brightness, in per cent of the range
_FLAT, _SHARP = 0.75, 0.012  # of the pixels of a screen's picture, see docs/framing.md
_ABOVE_CHANCE = 0.175  # of the movement that is not in a window by chance: with less in it, it is everywhere
_SMOOTH_SAMPLES = 2  # before and after, over which movement is added up

NO_FACE = "no face found: followed movement"
NOTHING = "no face and little movement: the middle was taken"
EVERYWHERE = "movement everywhere and no face: the middle was taken"
SCREEN = "text or a screen: the whole picture is shown"
TOO_FAST = "the subject moves faster than a window may: the whole picture is shown"
TOO_WIDE = "more people than fit into the window: the whole picture is shown"
LEAVES = "the subject leaves the still window"
ONE_OF_SEVERAL = "not all people fit into the window: the largest was followed"
HALVES = "no two people found: the two halves are shown"


class _Shape(Value, frozen=True, kw_only=True):
    """The picture's and the window's width over height."""

    picture: float
    window: float

    @property
    def shares(self) -> tuple[float, float]:
        return shares_of(self.picture, self.window)


class _Found(Value, frozen=True, kw_only=True):
    """A choice for one shot, without its times."""

    layout: LayoutChoice
    windows: tuple[Window, ...]
    rule: Rule
    note: str | None = None
    subjects: int = 0


def choose_framing(
    evidence: Evidence, *, display_aspect: float, aspect: float, layout: LayoutChoice, start_s: float
) -> Framing:
    """Return the framing of a stretch that begins at ``start_s`` (programme seconds).

    ``display_aspect`` and ``aspect`` are width over height of the picture and of the window. A ``layout`` other than
    ``auto`` is obeyed in every shot.
    """
    shape = _Shape(picture=display_aspect, window=aspect)
    edges = [0.0, *evidence.cuts_s, evidence.duration_s]
    shots: list[Shot] = []
    for begin_s, end_s in itertools.pairwise(edges):
        samples = [sample for sample in evidence.samples if begin_s <= sample.t_s + SHOWN_FROM_S < end_s]
        found = _choose(samples, shape, layout, begin_s, end_s)
        if layout == "auto" and end_s - begin_s < MIN_LAYOUT_S and shots and shots[-1].layout == "fit":
            found = _Found(layout="fit", windows=(), rule=found.rule, note=shots[-1].note, subjects=found.subjects)
        shots.append(Shot(
            start_s=round(start_s + begin_s, 6), end_s=round(start_s + end_s, 6), layout=found.layout,  # type: ignore[arg-type]
            windows=tuple(_later(window, start_s) for window in found.windows), rule=found.rule, note=found.note,
            subjects=found.subjects,
        ))  # fmt: skip
    return Framing(shots=tuple(shots), detector=evidence.detector)


def _choose(samples: Sequence[Sample], shape: _Shape, layout: LayoutChoice, begin_s: float, end_s: float) -> _Found:
    stage = _Stage(samples, shape, layout, begin_s, end_s)
    people = find_people(samples)
    if layout == "split":
        return stage.split(people[:2], HALVES if len(people) < 2 else None)
    if 1 / _SAME_SHAPE <= shape.picture / shape.window <= _SAME_SHAPE and layout in ("auto", "still"):
        return stage.whole(people)
    if people:
        return stage.faces(people)
    return stage.movement()


class _Stage:
    """One shot: what was seen of it, and the ways to frame it."""

    def __init__(
        self, samples: Sequence[Sample], shape: _Shape, layout: LayoutChoice, begin_s: float, end_s: float
    ) -> None:
        self.samples, self.shape, self.layout, self.begin_s, self.end_s = samples, shape, layout, begin_s, end_s
        self.is_free = layout == "auto"
        self.is_long = end_s - begin_s >= MIN_LAYOUT_S

    def whole(self, people: Sequence[Person]) -> _Found:
        """Show all of a picture that has the window's shape."""
        return _Found(
            layout="still", windows=(self._place([], may_move=False).window,), rule="whole", subjects=len(people)
        )

    def faces(self, people: Sequence[Person]) -> _Found:
        """Frame people: all in one window, two in two, the largest, or the whole picture."""
        count = len(people)
        group = self._group_targets(people)
        note = None
        if group is None:
            both = self._both_stay(people)
            if self.is_free and self.is_long and count == 2 and both:
                return self.split(people)
            if self.is_free and self.is_long and count > 2:
                return self._fit("faces", TOO_WIDE, count)
            group, note = self._largest_targets(people), ONE_OF_SEVERAL
        return self._one_window(group, "faces", note, count)

    def movement(self) -> _Found:
        """Frame what moves; nothing does, or all of it: the middle, or the whole picture."""
        if self.is_free and self.is_long and self._is_screen():
            return self._fit("motion" if self._energy() >= _LEAST_ENERGY else "centre", SCREEN, 0)
        if self._energy() < _LEAST_ENERGY:
            return self._one_window([], "centre", NOTHING, 0)
        targets = self._moving_targets()
        if not targets:
            return self._one_window([], "centre", EVERYWHERE, 0)
        return self._one_window(targets, "motion", NO_FACE, 0)

    def split(self, people: Sequence[Person], note: str | None = None) -> _Found:
        """Show two parts of the picture, one above the other: the left person's above, or the upper one's.

        That depends on where panes leave something out, which is above and below in pictures that are narrower.
        """
        panes = []
        pane = _Shape(picture=self.shape.picture, window=2 * self.shape.window)
        side = side_of(pane.shares)
        if len(people) < 2:
            for end in (0.0, 1.0):
                half = pane.shares[side] / 2
                at = round(min(max(end, half), 1 - half), 5)
                x, y = (at, 0.5) if side == 0 else (0.5, at)
                panes.append(Window(path=(PathKey(t_s=self.begin_s, x=x, y=y),)))
            rule: Rule = "centre"
        else:
            first, second = in_order(people, side)
            for person, other in ((first, second), (second, first)):
                panes.append(pane_of(person, other, pane.picture, pane.window, self.begin_s, self.end_s))
            rule = "faces"
        return _Found(layout="split", windows=tuple(panes), rule=rule, note=note, subjects=len(people))

    def _one_window(self, targets: Sequence[Target], rule: Rule, note: str | None, subjects: int) -> _Found:
        if self.layout == "fit":
            return _Found(layout="fit", windows=(), rule=rule, note=None, subjects=subjects)
        placed = self._place(targets, may_move=self.layout != "still", must_move=self.layout == "track")
        if targets and placed.held < _LEAST_HELD:
            if self.is_free and self.is_long:
                return self._fit(rule, TOO_FAST, subjects)
            note = LEAVES if self.layout == "still" else note
        layout: LayoutChoice = "track" if placed.moves or self.layout == "track" else "still"
        return _Found(layout=layout, windows=(placed.window,), rule=rule, note=note, subjects=subjects)

    def _fit(self, rule: Rule, note: str, subjects: int) -> _Found:
        return _Found(layout="fit", windows=(), rule=rule, note=note, subjects=subjects)

    def _place(self, targets: Sequence[Target], *, may_move: bool, must_move: bool = False) -> Placed:
        return place(
            targets, start_s=self.begin_s, end_s=self.end_s, shares=self.shape.shares, may_move=may_move,
            must_move=must_move,
        )  # fmt: skip

    def _target(self, people: Sequence[Person], t_s: float) -> Target:
        """Return the middle of a group at a time, with room above."""
        middles = [person.middle(t_s) for person in people]
        xs, ys = [x for x, _ in middles], [y for _, y in middles]
        return Target(t_s=t_s, x=(min(xs) + max(xs)) / 2, y=head_room((min(ys) + max(ys)) / 2, self.shape.shares[1]))

    def _group_targets(self, people: Sequence[Person]) -> list[Target] | None:
        """Return where the middle of all is whenever somebody is there, unless they do not fit into one window."""
        targets, fitting = [], 0
        for sample in self.samples:
            there = [person for person in people if person.is_there(sample.t_s)]
            if not there:
                continue
            reach = [(person.middle(sample.t_s)[0], person.width * (0.5 + _SIDE_ROOM)) for person in there]
            fitting += max(x + room for x, room in reach) - min(x - room for x, room in reach) <= self.shape.shares[0]
            targets.append(self._target(there, sample.t_s))
        return targets if len(people) == 1 or fitting >= _FITS * len(targets) else None

    def _largest_targets(self, people: Sequence[Person]) -> list[Target]:
        """Return where the first one of those who are there is, whenever somebody is."""
        there = [[person for person in people if person.is_there(sample.t_s)][:1] for sample in self.samples]
        return [self._target(first, sample.t_s) for sample, first in zip(self.samples, there, strict=True) if first]

    def _both_stay(self, people: Sequence[Person]) -> bool:
        there = [all(person.is_there(sample.t_s) for person in people) for sample in self.samples]
        return sum(there) >= _BOTH_STAY * len(there)

    def _energy(self) -> float:
        return fmean([fmean(sample.columns) for sample in self.samples if sample.columns] or [0.0])

    def _is_screen(self) -> bool:
        if not self.samples:
            return False
        flat, sharp = median(sample.flat for sample in self.samples), median(sample.sharp for sample in self.samples)
        return flat >= _FLAT and sharp >= _SHARP

    def _moving_targets(self) -> list[Target]:
        """Return where most of the movement is, for each sample with some; none if it is no more in one place.

        It is everywhere if a window at its middle has hardly more of it than its share of the picture.
        """
        seen = [sample for sample in self.samples if sample.columns]
        across = np.array([sample.columns for sample in seen])
        down = np.array([sample.rows for sample in seen])
        near = np.ones(2 * _SMOOTH_SAMPLES + 1)
        across, down = (
            np.apply_along_axis(lambda strip: np.convolve(strip, near, mode="same"), 0, strips)
            for strips in (across, down)
        )
        energy = across.sum(axis=1)
        usual = float(np.median(energy[energy > 0])) if (energy > 0).any() else 0.0
        targets, inside = [], []
        width, height = self.shape.shares
        for index, sample in enumerate(seen):
            if energy[index] < 0.2 * usual or energy[index] <= 0:
                continue
            x, y = _middle_of(across[index]), _middle_of(down[index])
            targets.append(Target(t_s=sample.t_s, x=x, y=y, weight=round(min(1.0, energy[index] / usual), 3)))
            inside.append(
                _share_around(across[index], x, width) if width < 1 else _share_around(down[index], y, height)
            )
        share = min(width, height)
        if not targets or fmean(inside) < share + _ABOVE_CHANCE * (1 - share):
            return []
        return targets


def _middle_of(strips: Line) -> float:
    """Return where half of what is in the strips lies to either side, as a share of the whole."""
    mass = np.concatenate([[0.0], np.cumsum(strips)])
    return float(np.interp(mass[-1] / 2, mass, np.linspace(0, 1, len(mass))))


def _share_around(strips: Line, middle: float, width: float) -> float:
    """Return how much of what is in the strips a window of this width has, kept inside the picture."""
    left = min(max(middle - width / 2, 0.0), 1 - width)
    mass = np.concatenate([[0.0], np.cumsum(strips)]) / strips.sum()
    at = np.linspace(0, 1, len(mass))
    return float(np.interp(left + width, at, mass) - np.interp(left, at, mass))


def _later(window: Window, by_s: float) -> Window:
    keys = tuple(PathKey(t_s=round(key.t_s + by_s, 4), x=key.x, y=key.y) for key in window.path)
    return Window(path=keys, zoom=window.zoom)
