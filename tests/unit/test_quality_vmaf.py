"""VMAF's log read, and scores of frames pooled."""

from __future__ import annotations

import pytest

from reelpress.quality.vmaf import LogReader, pool

LOG = """Frame,psnr_y,psnr_cb,psnr_cr,vmaf,
0,35.083754,37.808584,37.972696,80.379959,
1,34.412834,36.645570,36.597239,80.229054,
"""


def test_columns_are_found_by_name_and_other_lines_are_passed_over() -> None:
    reader = LogReader()
    for line in ("frame=2", *LOG.splitlines(), "progress=end", "1,2,x,4,5,"):
        reader.feed(line)
    scores = reader.scores([0.0, 0.04])
    assert scores.vmaf == (80.379959, 80.229054)
    assert scores.psnr_cr_db == (37.972696, 36.597239)
    assert reader.numbers() == (0, 1)


def test_pooling_is_netflix_s() -> None:
    # the harmonic mean of scores plus one, less one: 2 / (1/101 + 1/1) - 1
    pooled = pool([100.0, 0.0])
    assert pooled.mean == 50
    assert pooled.harmonic_mean == pytest.approx(2 / (1 / 101 + 1) - 1, abs=1e-4)
    assert pooled.min == 0
    assert pooled.worst_second is None


def test_the_worst_second_is_a_whole_one_and_never_reaches_over_a_gap() -> None:
    at = [n / 10 for n in range(30)]
    scores = [90.0] * 12 + [50.0] * 10 + [90.0] * 8
    worst = pool(scores, at).worst_second
    assert worst is not None
    assert (worst.score, worst.at_s) == (50.0, 1.2)
    # the last half second is bad, but no whole second is as bad; half a second and what follows a gap are none either
    ending = pool([90.0] * 25 + [0.0] * 5, at).worst_second
    assert ending is not None
    assert (ending.score, ending.at_s) == (45.0, 2.0)
    gap = pool([90.0] * 15 + [0.0] * 5, [*at[:15], *(10 + n / 10 for n in range(5))]).worst_second
    assert gap is not None
    assert gap.score == 90.0
