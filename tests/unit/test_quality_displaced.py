"""Colours beside their luma: told from small planes alone."""

from __future__ import annotations

import numpy as np
import pytest

from reelpress.quality.align import match
from reelpress.quality.displaced import judge_place
from reelpress.quality.looking import Seen


def seen(cb_by: tuple[int, int] = (0, 0), noise: float = 0.0, portrait: bool = False) -> Seen:
    """Ten frames of soft patches of colour, one plane of which is moved (x, y)."""
    random = np.random.default_rng(5)
    height, width = (32, 18) if portrait else (18, 32)
    rough = random.normal(128, 12, (10, height, width))
    soft = sum(np.roll(rough, (y, x), (1, 2)) for y in (-1, 0, 1) for x in (-1, 0, 1)) / 9 * 3 - 256
    moved = np.roll(soft, cb_by[::-1], (1, 2))
    off = np.random.default_rng(6).normal(0, noise, (2, *soft.shape))
    planes = [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (moved + off[0], soft + off[1])]
    luma = np.random.default_rng(7).integers(20, 200, (10, 2 * height, 2 * width)).astype(np.uint8)
    return Seen(np.arange(10) / 25, (luma, planes[0], planes[1]))


@pytest.mark.parametrize("portrait", [False, True])
@pytest.mark.parametrize("by", [(3, 0), (-3, 0), (1, 0), (0, -2), (5, 3)])
def test_a_plane_that_was_moved_is_found(by: tuple[int, int], portrait: bool) -> None:
    (found,) = judge_place([match(seen(by, 1.0, portrait), seen(portrait=portrait), 0.01)])
    assert (found.code, found.severity) == ("colours_wrong", "damage")
    assert found.evidence is not None
    assert found.evidence.startswith("Cb")


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0, 12.0])
def test_coarse_colours_are_in_their_place(noise: float) -> None:
    assert judge_place([match(seen(noise=noise), seen(), 0.01)]) == []


def test_grey_has_no_place() -> None:
    grey = seen()
    for plane in (grey.cb, grey.cr):
        plane[:] = 128
    assert judge_place([match(grey, grey, 0.01)]) == []
