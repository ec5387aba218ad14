"""Single frames much worse than all around, and colours much worse than luma: from scores alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from reelpress.facts.quality import FrameScores
from reelpress.quality.looking import Seen
from reelpress.quality.outliers import judge_colour_scores, judge_outliers

FPS = 25


def scores(psnr: Callable[[int], float], vmaf: Callable[[int], float], frames: int = 100) -> FrameScores:
    at_s = tuple(n / FPS for n in range(frames))
    y = tuple(psnr(n) for n in range(frames))
    return FrameScores(at_s=at_s, vmaf=tuple(vmaf(n) for n in range(frames)), psnr_y_db=y, psnr_cb_db=y, psnr_cr_db=y)


def looks(luma: Callable[[int], int], frames: int = 100) -> list[Seen]:
    planes = np.stack([np.full((36, 64), luma(n), np.uint8) for n in range(frames)])
    return [Seen(np.arange(frames) / FPS, (planes, planes[:, ::2, ::2], planes[:, ::2, ::2]))]


STILL = looks(lambda _: 90)


@pytest.mark.parametrize("bad", [(50,), (50, 51), tuple(range(40, 48))])
def test_frames_that_stand_out_are_told(bad: tuple[int, ...]) -> None:
    made = scores(lambda n: 34.0 if n in bad else 49.0 + n % 3, lambda n: 70.0 if n in bad else 95.0)
    (found,) = judge_outliers(made, STILL)
    assert (found.code, found.severity, found.at_s) == ("pictures_wrong", "damage", bad[0] / FPS)
    assert str(len(bad) if len(bad) > 1 else "One frame") in found.text


def test_coarse_and_uneven_encodes_are_not() -> None:
    uneven = scores(lambda n: 40.0 - 6 * (n % 4 == 0), lambda n: 80.0 - 14 * (n % 4 == 0))
    assert judge_outliers(uneven, STILL) == []
    long_dip = scores(lambda n: 30.0 if 30 <= n < 60 else 45.0, lambda n: 60.0 if 30 <= n < 60 else 95.0)
    assert judge_outliers(long_dip, STILL) == []  # a second: what the worst second tells
    for frames in range(8, 26):  # longer than can be told from a matter of quality: all of it or nothing
        dip = scores(lambda n: 30.0 if n // frames == 1 else 45.0, lambda n: 60.0 if n // frames == 1 else 95.0)  # noqa: B023
        found = judge_outliers(dip, STILL)
        assert [one.at_s for one in found] in ([], [frames / FPS]), frames
    only_psnr = scores(lambda n: 34.0 if n == 50 else 60.0, lambda _: 97.0)
    assert judge_outliers(only_psnr, STILL) == []


def test_a_cut_and_a_flash_are_not() -> None:
    cut = scores(lambda n: 60.0 if n < 50 else 36.0, lambda n: 98.0 if n < 50 else 70.0)
    assert judge_outliers(cut, looks(lambda n: 16 if n < 50 else 120)) == []
    flash = scores(lambda n: 36.0 if n == 50 else 60.0, lambda n: 70.0 if n == 50 else 98.0)
    assert judge_outliers(flash, looks(lambda n: 200 if n == 50 else 16)) == []
    assert judge_outliers(flash, STILL) != []  # nothing flashed in the reference


def test_many_are_told_as_one() -> None:
    made = scores(lambda n: 30.0 if n % 10 == 5 else 48.0, lambda n: 60.0 if n % 10 == 5 else 95.0)
    (found,) = judge_outliers(made, STILL)
    assert "at 10 places" in found.text


def test_colours_are_held_against_luma() -> None:
    def of(luma: float, colour: float) -> FrameScores:
        return FrameScores(at_s=(0.0,), vmaf=(90.0,), psnr_y_db=(luma,), psnr_cb_db=(50.0,), psnr_cr_db=(colour,))

    assert [f.code for f in judge_colour_scores(of(49.5, 32.8))] == ["colours_wrong"]
    assert judge_colour_scores(of(60.0, 46.0)) == []  # all but lossless
    assert judge_colour_scores(of(30.0, 28.0)) == []  # coarse
    assert judge_colour_scores(FrameScores(at_s=(0.0,), vmaf=(90.0,))) == []
