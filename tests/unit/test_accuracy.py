"""How right predictions were, from lines of a ledger, and what quotes learn from that."""

from __future__ import annotations

import pytest

from reelpress.facts.prediction import Interval, Predicted, around
from reelpress.observe.accuracy import accuracies
from reelpress.observe.entry import Entry
from reelpress.quoting.prediction import LEARN_FROM, ErrorTable, learned


def entry(
    size: float, wall_s: float, *, vmaf: float | None = None, encoder: str = "libx264", said: str = "libx264",
    basis: str = "sampled", quote: str | None = "quo_1", status: str = "done",
) -> Entry:  # fmt: skip
    predicted = Predicted(
        basis=basis, outcome="encoded", encoder=said, size_bytes=around(1000.0, 0.1), wall_s=around(10.0, 0.2),
        vmaf=Interval(low=94.0, likely=95.0, high=96.0), quote=quote,
    )  # fmt: skip
    return Entry(
        job="j", run=1, user_id="u", kind="compress", finished_at=0.0, status=status, encoder=encoder,
        output_bytes=round(size), engine_s=wall_s, vmaf=vmaf, predicted=predicted,
    )  # fmt: skip


def test_deviations_are_told_with_and_without_their_sign() -> None:
    [found] = accuracies([entry(950, 10), entry(1050, 15), entry(1300, 9)])
    assert (found.basis, found.encoder, found.jobs, found.as_said) == ("sampled", "libx264", 3, 3)
    assert found.size is not None
    assert (found.size.median, found.size.bias, found.size.within) == (0.05, 0.05, pytest.approx(2 / 3, abs=1e-4))
    assert found.size.inside == pytest.approx(2 / 3, abs=1e-4)
    assert found.wall is not None
    assert (found.wall.median, found.wall.bias) == (0.1, 0.0)
    assert found.vmaf is None


def test_vmaf_is_off_by_points() -> None:
    [found] = accuracies([entry(1000, 10, vmaf=93.5)])
    assert found.vmaf is not None
    assert (found.vmaf.median, found.vmaf.bias, found.vmaf.inside) == (1.5, -1.5, 0.0)


def test_a_job_that_another_encoder_ended_says_nothing_of_bytes() -> None:
    [found] = accuracies([entry(5000, 99, said="h264_nvenc"), entry(1000, 10, encoder="h264_nvenc", said="h264_nvenc")])
    assert (found.jobs, found.as_said) == (2, 1)
    assert found.size is not None
    assert found.size.median == 0.0


def test_jobs_that_failed_and_jobs_without_a_prediction_are_left_out() -> None:
    bare = Entry(job="j", run=1, user_id="u", kind="compress", finished_at=0.0, status="done")
    assert accuracies([entry(1, 1, status="failed"), bare]) == ()


def test_quotes_learn_from_enough_jobs_that_a_quote_was_made_of() -> None:
    quoted = [entry(1200, 14) for _ in range(LEARN_FROM)]
    assert learned(quoted[1:]) == ErrorTable()
    assert learned([*quoted[1:], entry(1200, 14, quote=None)]) == ErrorTable()
    better = learned(quoted)
    assert better.sampled.size == pytest.approx(0.2)
    assert better.sampled.wall == pytest.approx(0.4)
    assert better.sampled.vmaf == ErrorTable().sampled.vmaf
    assert better.rehearsed == ErrorTable().rehearsed
