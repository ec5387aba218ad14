"""Where one shot ends and the next begins. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from reelpress.facts.values import Value

# A flash is two cuts a few pictures apart: no shot is shorter than this.
MIN_SHOT_S = 0.4
# On pictures of 360 lines of three real films and a clip of streets, 31 cuts looked at by eye score 9.7 to 31 and
# nothing else scores more than 4.1.
CUT_THRESHOLD = 7.0
# Found on 31 hand-checked cuts of four real films and on eight long shots (docs/framing.md): cuts score 10.7 and more
# on pictures that are not dark, whatever moves; what is none at most 4.8. In dark pictures cuts score less, but still
# 7 times what the pictures around them differ by, and what is none at most 3 times.
LEAST_SCORE = 2.5
LEAST_RATIO = 5.0
_AROUND = 6  # pictures before and after
_LEAST_USUAL = 0.2
_HELD_S = 1.0
_BLACK_PERCENT, _ALL_PERCENT = 98, 100


class Look(Value, frozen=True, kw_only=True):
    """One picture, as a measure: ``t_s`` counts from the beginning of what is looked at.

    ``difference`` is the mean difference of brightness from the picture before, ``score`` that, or by how much it
    exceeds the one before where that is less; both in per cent of the range (FFmpeg's ``scdet``). ``black_percent`` is
    how much of the picture is black; what is under 90 is 0.
    """

    t_s: float
    difference: float
    score: float
    black_percent: int = 0


def find_cuts(looks: Sequence[Look], end_s: float) -> list[float]:
    """Return the times of the first pictures of new shots, in the seconds of ``looks``; the very first is not told.

    The last picture is shown until ``end_s``. A passage through black is a cut in its middle.
    """
    if not looks:
        return []
    cuts, begun_s, hard = [], looks[0].t_s, _hard_cuts(looks)
    for cut_s in sorted([*hard, *_fades(looks, set(hard))]):
        if cut_s - begun_s >= MIN_SHOT_S and end_s - cut_s >= MIN_SHOT_S / 2:
            cuts.append(cut_s)
            begun_s = cut_s
    return cuts


def _hard_cuts(looks: Sequence[Look]) -> list[float]:
    found = []
    for index, look in enumerate(looks):
        if index == 0:
            continue
        # FFmpeg's score is low behind another change; behind a picture that was held there is none
        score = look.difference if look.t_s - looks[index - 1].t_s >= _HELD_S else look.score
        if score < LEAST_SCORE:
            continue
        around = [*looks[max(1, index - _AROUND) : index], *looks[index + 1 : index + 1 + _AROUND]]
        differences = sorted(each.difference for each in around)
        usual = differences[len(differences) * 3 // 4] if differences else 0.0  # every second picture may be a repeat
        if score >= CUT_THRESHOLD or score >= LEAST_RATIO * max(usual, _LEAST_USUAL):
            found.append(look.t_s)
    return found


def _fades(looks: Sequence[Look], hard: set[float]) -> list[float]:
    """Return the middles of passages through black that nothing but fades lead into and out of.

    Black at the beginning or the end parts nothing, and what ``hard`` cuts lead into or out of is parted by these.
    A lit figure on a dark stage leaves a little less or more than that black. So pictures that are not black all over,
    as under a title, are a passage only between pictures that are not dark.
    """
    found: list[float] = []
    for dark in _spans(looks, 1, range(len(looks))):
        black = _spans(looks, _BLACK_PERCENT, dark)
        passages = [span for span in black if any(looks[n].black_percent == _ALL_PERCENT for n in span)]
        if not passages and black and dark.start > 0 and dark.stop < len(looks):
            passages = [range(black[0].start, black[-1].stop)]
        inside = [at for at in passages if at.start > 0 and at.stop < len(looks)]
        faded = [at for at in inside if not {looks[at.start].t_s, looks[at.stop].t_s} & hard]
        found += [looks[(at.start + at.stop) // 2].t_s for at in faded]
    return found


def _spans(looks: Sequence[Look], least_percent: int, within: range) -> list[range]:
    """Return the spans of pictures that are at least so black, by their numbers."""
    numbers = [n for n in within if looks[n].black_percent >= least_percent]
    spans = ([n for _, n in run] for _, run in itertools.groupby(enumerate(numbers), lambda each: each[1] - each[0]))
    return [range(span[0], span[-1] + 1) for span in spans]
