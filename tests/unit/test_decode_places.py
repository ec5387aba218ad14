"""Which places of an output are decoded, by where its keyframes lie."""

from __future__ import annotations

import pytest

from reelpress.probe.media_decode import places


@pytest.mark.parametrize(
    ("keys_s", "wanted"),
    [
        ((), (0.0, 10.0, 19.0)),  # nothing is known
        ((0,), (0.0,)),  # from the first keyframe to the end is all of it
        ((0, 4, 8, 16), (0, 8, 16)),
        ((0, 16), (0, 16)),  # the start has decoded what comes before the middle
        ((0, 8), (0, 8)),  # the end will decode it
        ((0, 10, 19), (0, 10, 19)),
    ],
)
def test_no_place_is_decoded_twice(keys_s: tuple[int, ...], wanted: tuple[float, ...]) -> None:
    assert places(keys_s, 20.0) == wanted
