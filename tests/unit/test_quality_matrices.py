"""Colours of BT.601 taken for BT.709's, told from other differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reelpress.quality.align import match
from reelpress.quality.looking import Seen
from reelpress.quality.matrices import _exchange, judge_matrix


def seen(cb: Any, cr: Any) -> Seen:
    luma = np.stack([np.tile(np.arange(64), (36, 1)) + 8 * n for n in range(len(cb))])
    planes = tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (luma, cb, cr))
    return Seen(np.arange(len(cb)) / 25, planes)  # type: ignore[arg-type]


def colours(spread: float = 18.0, tint: float = 10.0) -> tuple[Any, Any]:
    random = np.random.default_rng(5)
    return random.normal(128 - tint, spread, (12, 18, 32)), random.normal(128 + tint, spread, (12, 18, 32))


def judged(made: tuple[Any, Any], wanted: tuple[Any, Any]) -> list[str]:
    return [f.code for f in judge_matrix([match(seen(*made), seen(*wanted), 0.01)])]


def exchanged(pair: tuple[Any, Any], first: str, then: str) -> tuple[Any, Any]:
    by = _exchange(first, then)
    cb, cr = (plane - 128 for plane in pair)
    return by[0][0] * cb + by[0][1] * cr + 128, by[1][0] * cb + by[1][1] * cr + 128


@pytest.mark.parametrize(("first", "then"), [("BT.601", "BT.709"), ("BT.709", "BT.601")])
def test_an_exchange_is_found_under_the_noise_of_an_encode(first: str, then: str) -> None:
    wanted = colours()
    noise = np.random.default_rng(6).normal(0, 1.0, wanted[0].shape)
    cb, cr = exchanged(wanted, first, then)
    assert judged((cb + noise, cr - noise), wanted) == ["matrix_wrong"]


def test_other_differences_are_not() -> None:
    wanted = colours()
    noise = np.random.default_rng(6).normal(0, 4.0, wanted[0].shape)
    assert judged(wanted, wanted) == []
    assert judged((wanted[0] + noise, wanted[1] - noise), wanted) == []
    assert judged((wanted[0] * 0.9 + 12.8, wanted[1] * 0.9 + 12.8), wanted) == []  # paler
    grey = colours(0.5, 0.0)
    assert judged(exchanged(grey, "BT.601", "BT.709"), grey) == []


def test_the_exchange_is_that_of_the_recommendations() -> None:
    """Pure blue and red have Cb and Cr of a half by either."""
    by = _exchange("BT.601", "BT.709")
    blue = by @ np.array([0.5, -0.5 * 0.114 / 0.701])
    assert blue == pytest.approx([0.5, -0.5 * 0.0722 / 0.7874])
    assert by @ _exchange("BT.709", "BT.601") == pytest.approx(np.eye(2))
