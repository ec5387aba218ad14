"""Which layout a shot gets, and what it says about that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest

from reelpress.clip_request import LayoutChoice
from reelpress.facts.framing import Framing, Shot, middle_at, window_shares
from reelpress.reframe import layouts
from reelpress.reframe.evidence import Evidence, Face, Sample
from reelpress.reframe.layouts import choose_framing
from reelpress.reframe.people import find_people

WIDE, PORTRAIT = 16 / 9, 9 / 16
FACE_W, FACE_H = 0.08, 0.142

Where = Callable[[float], float]


def face(x: float, y: float = 0.4, *, size: float = 1.0, sure: float = 1.0) -> Face:
    width, height = FACE_W * size, FACE_H * size
    return Face(x=x - width / 2, y=y - height / 2, width=width, height=height, sure=sure)


def filmed(seconds: float, *people: Where, cuts: Sequence[float] = (), **more: object) -> Evidence:
    """Return evidence of people who are, at a time, where the functions say; NaN is not there."""
    samples = []
    for index in range(round(seconds * 5)):
        t_s = index / 5
        faces = tuple(face(person(t_s)) for person in people if person(t_s) == person(t_s))
        samples.append(Sample(t_s=t_s, faces=faces, columns=(0.0,) * 32, rows=(0.0,) * 16))
    return Evidence(duration_s=seconds, cuts_s=tuple(cuts), samples=tuple(samples), detector="haar", **more)  # type: ignore[arg-type]


def moved(seconds: float, strip: Callable[[float], Sequence[int]], level: float = 8.0) -> Evidence:
    """Return evidence without faces, in which the strips of 32 that are named change."""
    samples = []
    for index in range(round(seconds * 5)):
        columns = [level if i in strip(index / 5) else 0.0 for i in range(32)]
        samples.append(Sample(t_s=index / 5, columns=tuple(columns), rows=(level / 16,) * 16))
    return Evidence(duration_s=seconds, cuts_s=(), samples=tuple(samples), detector="haar")


def choose(
    evidence: Evidence, layout: LayoutChoice = "auto", *, picture: float = WIDE, start_s: float = 0.0
) -> Framing:
    return choose_framing(evidence, display_aspect=picture, aspect=PORTRAIT, layout=layout, start_s=start_s)


def only(framing: Framing) -> Shot:
    assert len(framing.shots) == 1
    return framing.shots[0]


def at(x: float) -> Where:
    return lambda _t: x


def middle(
    shot: Shot, t_s: float, *, picture: float = WIDE, aspect: float = PORTRAIT, pane: int = 0
) -> tuple[float, float]:
    window = shot.windows[pane]
    return middle_at(window, t_s, window_shares(picture, aspect, window.zoom))


def test_who_sits_gets_a_still_window() -> None:
    shot = only(choose(filmed(6, at(0.7))))
    assert (shot.layout, shot.rule, shot.note, shot.subjects) == ("still", "faces", None, 1)
    assert middle(shot, 3)[0] == pytest.approx(0.7, abs=0.01)
    assert len(shot.windows[0].path) == 1


def test_who_is_at_the_edge_gets_a_window_at_the_edge() -> None:
    shot = only(choose(filmed(6, at(0.04))))
    assert shot.layout == "still"
    assert middle(shot, 3)[0] == pytest.approx(window_shares(WIDE, PORTRAIT, 1)[0] / 2)


def test_who_walks_is_tracked_and_stays_in_the_window() -> None:
    shot = only(choose(filmed(10, lambda t: 0.25 + 0.05 * t)))
    assert (shot.layout, shot.rule) == ("track", "faces")
    for t in range(1, 10):
        assert abs(middle(shot, t)[0] - (0.25 + 0.05 * t)) < window_shares(WIDE, PORTRAIT, 1)[0] / 2


def test_who_runs_faster_than_a_window_may_is_shown_in_the_whole_picture() -> None:
    shot = only(choose(filmed(9, lambda t: 0.1 + abs((0.3 * t) % 1.6 - 0.8))))
    assert (shot.layout, shot.windows, shot.note) == ("fit", (), layouts.TOO_FAST)


def test_two_who_sit_close_share_a_window() -> None:
    shot = only(choose(filmed(6, at(0.45), at(0.55))))
    assert (shot.layout, shot.subjects) == ("still", 2)
    assert middle(shot, 3)[0] == pytest.approx(0.5, abs=0.01)


def test_two_far_apart_get_a_pane_each_the_left_one_above() -> None:
    shot = only(choose(filmed(6, at(0.8), at(0.2))))
    assert (shot.layout, shot.rule, shot.note, shot.subjects) == ("split", "faces", None, 2)
    for pane, x, other in ((0, 0.2, 0.8), (1, 0.8, 0.2)):
        window = shot.windows[pane]
        width, height = window_shares(WIDE, 2 * PORTRAIT, window.zoom)
        place = middle(shot, 3, aspect=2 * PORTRAIT, pane=pane)
        assert abs(place[0] - x) < width / 2 - FACE_W / 2
        assert abs(place[0] - other) > width / 2
        assert 0.25 < (0.4 - (place[1] - height / 2)) / height < 0.5  # the face is in the upper half


@pytest.mark.parametrize(("low", "is_as_close"), [(0.45, True), (0.85, False)])
def test_a_pane_has_a_whole_face_also_where_somebody_stands_up(low: float, *, is_as_close: bool) -> None:
    samples = tuple(
        Sample(t_s=i / 5, faces=(face(0.29, 0.1 if 10 <= i < 20 else low), face(0.71, 0.45))) for i in range(50)
    )
    shot = only(choose(Evidence(duration_s=10.0, cuts_s=(), samples=samples, detector="haar")))
    assert shot.layout == "split"
    up_and_down, sitting = shot.windows
    assert (up_and_down.zoom == sitting.zoom) is is_as_close
    height = window_shares(WIDE, 2 * PORTRAIT, up_and_down.zoom)[1]
    for t_s, y in ((1, low), (3, 0.1), (7, low)):
        assert abs(middle(shot, t_s, aspect=2 * PORTRAIT)[1] - y) <= (height - FACE_H) / 2 + 1e-3


def test_two_of_whom_one_leaves_at_once_are_not_split() -> None:
    shot = only(choose(filmed(10, at(0.2), lambda t: 0.8 if t < 2 else float("nan"))))
    assert (shot.layout, shot.note) == ("still", None if shot.subjects == 1 else layouts.ONE_OF_SEVERAL)
    assert middle(shot, 8)[0] == pytest.approx(0.2, abs=0.02)


def test_when_the_largest_has_left_who_is_still_there_is_shown() -> None:
    gone = float("nan")
    left = filmed(16, lambda t: 0.35 if t < 7 else gone, lambda t: 0.65 if t > 4 else gone)
    shot = only(choose(left))
    assert (shot.layout, shot.subjects) == ("track", 2)
    half = window_shares(WIDE, PORTRAIT, 1)[0] / 2
    for t_s, x in ((2, 0.35), (10, 0.65), (15, 0.65)):
        assert abs(middle(shot, t_s)[0] - x) < half
    # where no window can follow, all is shown rather than a place that is empty
    apart = filmed(10, lambda t: 0.1 if t < 5 else gone, lambda t: 0.9 if t > 3.5 else gone)
    assert only(choose(apart)).layout == "fit"


def test_a_group_wider_than_the_window_is_shown_whole() -> None:
    shot = only(choose(filmed(6, at(0.15), at(0.5), at(0.85))))
    assert (shot.layout, shot.note, shot.subjects) == ("fit", layouts.TOO_WIDE, 3)


def test_short_shots_are_neither_split_nor_shown_whole() -> None:
    shot = only(choose(filmed(1.2, at(0.2), at(0.8))))
    assert (shot.layout, shot.note) == ("still", layouts.ONE_OF_SEVERAL)
    assert only(choose(filmed(1.2, at(0.1), at(0.5), at(0.9)))).layout == "still"


def test_a_short_shot_among_screens_is_a_screen() -> None:
    samples = tuple(Sample(t_s=i / 5, columns=(0.5,) * 32, rows=(0.5,) * 16, flat=0.88, sharp=0.03) for i in range(30))
    evidence = Evidence(duration_s=6.0, cuts_s=(2.0, 3.0), samples=samples, detector="haar")
    assert [shot.layout for shot in choose(evidence).shots] == ["fit", "fit", "fit"]


def test_shots_do_not_know_each_other_and_leave_no_gap() -> None:
    there = filmed(8, lambda t: 0.2 if t < 4 else 0.8, cuts=[4.0])
    framing = choose(there, start_s=100.0)
    assert [(shot.start_s, shot.end_s) for shot in framing.shots] == [(100.0, 104.0), (104.0, 108.0)]
    assert [shot.layout for shot in framing.shots] == ["still", "still"]
    assert [round(middle(shot, shot.start_s)[0], 2) for shot in framing.shots] == [0.2, 0.8]
    assert all(key.t_s >= shot.start_s for shot in framing.shots for window in shot.windows for key in window.path)
    assert (framing.detector, framing.warnings) == ("haar", ())


def test_without_a_face_movement_is_followed_and_that_is_said() -> None:
    shot = only(choose(moved(6, lambda _t: (24, 25, 26))))
    assert (shot.layout, shot.rule, shot.note, shot.subjects) == ("still", "motion", layouts.NO_FACE, 0)
    assert middle(shot, 3)[0] == pytest.approx(25.5 / 32, abs=0.02)
    walk = only(choose(moved(12, lambda t: (8 + int(t * 1.3),))))
    assert (walk.layout, walk.rule) == ("track", "motion")


def test_with_no_movement_or_too_much_the_middle_is_taken_and_that_is_said() -> None:
    still = only(choose(moved(6, lambda _t: ())))
    assert (still.rule, still.note, middle(still, 3)[0]) == ("centre", layouts.NOTHING, 0.5)
    wild = only(choose(moved(6, lambda _t: range(32))))
    assert (wild.layout, wild.rule, wild.note) == ("still", "centre", layouts.EVERYWHERE)


def test_a_screen_is_shown_whole() -> None:
    samples = tuple(Sample(t_s=i / 5, columns=(0.5,) * 32, rows=(0.5,) * 16, flat=0.88, sharp=0.03) for i in range(20))
    evidence = Evidence(duration_s=4.0, cuts_s=(), samples=samples, detector="haar")
    assert (only(choose(evidence)).layout, only(choose(evidence)).note) == ("fit", layouts.SCREEN)
    assert only(choose(evidence, "still")).layout == "still"


@pytest.mark.parametrize("layout", ["still", "track", "fit", "split"])
def test_a_layout_that_was_asked_for_is_given(layout: LayoutChoice) -> None:
    for evidence in (
        filmed(6, at(0.2), at(0.8)),
        filmed(6, at(0.4)),
        moved(6, lambda _t: (3,)),
        moved(1, lambda _t: ()),
    ):
        shot = only(choose(evidence, layout))
        assert shot.layout == layout
        assert len(shot.windows) == {"still": 1, "track": 1, "fit": 0, "split": 2}[layout]


def test_a_still_window_that_was_asked_for_says_what_it_loses() -> None:
    shot = only(choose(filmed(10, lambda t: 0.1 + 0.08 * t), "still"))
    assert (shot.note, len(shot.windows[0].path)) == (layouts.LEAVES, 1)


def test_halves_are_told_where_there_are_no_two_people() -> None:
    shot = only(choose(filmed(6, at(0.5)), "split"))
    assert shot.note == layouts.HALVES
    first, second = (middle(shot, 1, aspect=2 * PORTRAIT, pane=pane)[0] for pane in (0, 1))
    width = window_shares(WIDE, 2 * PORTRAIT, 1)[0]
    assert (first - width / 2, second + width / 2) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))


@pytest.mark.parametrize("picture", [PORTRAIT, 1.0])
def test_of_a_picture_no_wider_than_a_pane_the_halves_are_its_upper_and_its_lower_one(picture: float) -> None:
    shot = only(choose(filmed(6, at(0.5)), "split", picture=picture))
    assert shot.note == layouts.HALVES
    upper, lower = (middle(shot, 1, picture=picture, aspect=2 * PORTRAIT, pane=pane) for pane in (0, 1))
    height = window_shares(picture, 2 * PORTRAIT, 1)[1]
    assert (upper[0], lower[0]) == (0.5, 0.5)
    assert (upper[1] - height / 2, lower[1] + height / 2) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))


def test_of_two_people_above_each_other_the_upper_one_is_above() -> None:
    samples = tuple(Sample(t_s=i / 5, faces=(face(0.6, 0.2), face(0.4, 0.7))) for i in range(30))
    evidence = Evidence(duration_s=6.0, cuts_s=(), samples=samples, detector="haar")
    shot = only(choose(evidence, "split", picture=PORTRAIT))
    for pane, (y, other) in enumerate([(0.2, 0.7), (0.7, 0.2)]):
        height = window_shares(PORTRAIT, 2 * PORTRAIT, shot.windows[pane].zoom)[1]
        at_y = middle(shot, 3, picture=PORTRAIT, aspect=2 * PORTRAIT, pane=pane)[1]
        assert abs(at_y - y) < height / 2 - FACE_H / 2
        assert abs(at_y - other) > height / 2 - FACE_H / 2


def test_a_picture_that_is_narrow_already_is_shown_whole() -> None:
    shot = only(choose(filmed(4, at(0.3)), picture=9 / 16))
    assert (shot.layout, shot.rule, shot.note) == ("still", "whole", None)
    assert middle(shot, 1, picture=9 / 16) == (0.5, 0.5)


def test_of_a_taller_picture_the_part_with_the_face_is_shown_with_room_above() -> None:
    tall = 9 / 21
    shot = only(choose(filmed(4, at(0.5)), picture=tall))
    assert (shot.layout, shot.rule) == ("still", "faces")
    height = window_shares(tall, PORTRAIT, 1)[1]
    y = middle(shot, 1, picture=tall)[1]
    assert 0.25 < (0.4 - (y - height / 2)) / height < 0.45


@pytest.mark.parametrize("aspect", [Fraction(9, 16), Fraction(1), Fraction(4, 5)])
@pytest.mark.parametrize("picture", [0.3, 0.5625, 1.0, 1.3333, 1.7778, 2.39])
def test_every_window_is_inside_every_picture(picture: float, aspect: Fraction) -> None:
    for evidence in (filmed(4, at(0.02)), filmed(4, at(0.98), at(0.1)), moved(4, lambda t: (int(t * 7),))):
        for layout in ("auto", "still", "track", "split"):
            framing = choose_framing(
                evidence, display_aspect=picture, aspect=float(aspect), layout=layout, start_s=5.0,  # type: ignore[arg-type]
            )  # fmt: skip
            for shot in framing.shots:
                for window in shot.windows:
                    assert 1 <= window.zoom <= 4
                    assert all(0 <= key.x <= 1 and 0 <= key.y <= 1 for key in window.path)


def test_a_hit_that_nothing_supports_is_nobody() -> None:
    samples = [Sample(t_s=i / 5, faces=(face(0.3),) if i == 7 else ()) for i in range(30)]
    assert find_people(samples) == []
    flicker = [Sample(t_s=i / 5, faces=(face(0.1 + 0.03 * i, sure=0.4),)) for i in range(0, 30, 9)]
    assert find_people(flicker) == []


def test_hits_that_only_one_cascade_saw_are_nobody() -> None:
    samples = [Sample(t_s=i / 5, faces=(face(0.3, sure=0.4),)) for i in range(30)]
    assert find_people(samples) == []


def test_a_collar_below_a_face_is_nobody() -> None:
    samples = [Sample(t_s=i / 5, faces=(face(0.5), face(0.51, 0.56, size=0.8))) for i in range(30)]
    assert len(find_people(samples)) == 1


def test_who_looks_away_for_a_while_is_one_person_still() -> None:
    samples = [
        Sample(t_s=i / 5, faces=() if 10 <= i < 25 else (face(0.3 if i < 10 else 0.36, 0.5 if i < 10 else 0.2),))
        for i in range(60)
    ]
    people = find_people(samples)
    assert len(people) == 1
    assert people[0].is_there(3.0)


def test_people_far_behind_are_not_minded() -> None:
    samples = [Sample(t_s=i / 5, faces=(face(0.3, size=2.0), face(0.9, size=0.5))) for i in range(30)]
    assert [round(person.middle(1.0)[0], 2) for person in find_people(samples)] == [0.3]


def test_who_passes_close_by_does_not_hide_who_stays() -> None:
    samples = [
        Sample(t_s=i / 5, faces=((face(0.3),) if i % 2 else ()) + ((face(0.8, size=3.0),) if 8 <= i < 12 else ()))
        for i in range(20)
    ]
    assert [round(person.middle(1.0)[0], 2) for person in find_people(samples)] == [0.3]
