"""Where samples are taken, and what of."""

from __future__ import annotations

from typing import Any

import pytest

from reelpress.plan.compress import plan
from reelpress.plan.model import Encode
from reelpress.plan.sampling import SampleOrder, sample_order
from reelpress.request import Request

from cases import LONG, host
from factories import media, video

RICH = {"bitrate_bps": 8_000_000, "size_bytes": 600_000_000, **LONG}


def order_of(**track: Any) -> SampleOrder:
    facts = media(video(**{**RICH, **track}), size_bytes=610_000_000, duration_s=600.0, start_s=1.4)
    decided = plan(facts, host(), Request())
    assert isinstance(decided, Encode)
    order = sample_order(decided, facts, Request())
    assert order is not None
    return order


def places(order: SampleOrder) -> list[float]:
    (command,) = order.commands
    return [float(command[i + 1]) for i, token in enumerate(command) if token == "-ss"]


def test_content_samples_stand_in_the_middle_of_each_third() -> None:
    order = order_of(keyframes=300)
    assert places(order) == [100.0, 300.0, 500.0]
    assert (order.windows, order.counts_bytes) == (3, False)


def test_known_keyframes_are_started_from_on_the_files_own_clock() -> None:
    order = order_of(keyframes=300, keyframe_times_s=(1.5, 99.4, 104.4, 298.0, 310.0, 503.9))
    assert places(order) == pytest.approx([97.95, 296.55, 502.45])


def test_without_places_to_seek_to_only_the_beginning_is_sampled() -> None:
    order = order_of(keyframes=1, keyframe_times_s=(1.5,))
    assert places(order) == [0.0]
    assert order.windows == 1


@pytest.mark.parametrize(
    ("size", "seconds", "is_asked"),
    [
        ((1280, 720), 39.0, False),
        ((1280, 720), 41.0, True),
        ((1920, 1080), 41.0, False),  # each picture that is decoded has 2.25 times what is encoded of it
        ((1920, 1080), 91.0, True),
        ((640, 360), 41.0, True),
    ],
)
def test_what_kind_of_picture_it_is_is_asked_where_that_costs_little(
    size: tuple[int, int], seconds: float, *, is_asked: bool
) -> None:
    track = {**RICH, "width": size[0], "height": size[1], "duration_s": seconds, "keyframes": round(seconds / 2)}
    facts = media(video(**track), size_bytes=610_000_000, duration_s=seconds)
    request = Request(always_encode=True, max_width=1280, max_height=720)
    decided = plan(facts, host(), request)
    assert isinstance(decided, Encode)
    assert (sample_order(decided, facts, request) is not None) is is_asked
