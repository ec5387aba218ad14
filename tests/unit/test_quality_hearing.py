"""Whether sound is there, and whose: told from samples alone."""

from __future__ import annotations

import numpy as np
import pytest

from reelpress.quality.hearing import is_heard, judge_heard

RATE = 8000


def bursts(seed: int = 1, seconds: float = 6.0) -> np.ndarray:
    """Noise in bursts of odd lengths with short pauses between them, as speech has."""
    random = np.random.default_rng(seed)
    steps = random.integers(0, 3, int(seconds * 8)).clip(0, 1)
    loud = np.repeat(steps, RATE // 8)
    return np.asarray(random.normal(0, 3000, len(loud)) * loud, np.int16)


def codes(made: np.ndarray, wanted: np.ndarray, lag_s: float | None = 0.0) -> list[str]:
    return [finding.code for finding in judge_heard(made, wanted, RATE, lag_s)]


@pytest.mark.parametrize("gain", [1.0, 0.25, 2.0])
def test_the_same_sound_is_there(gain: float) -> None:
    wanted = bursts()
    noise = np.random.default_rng(9).normal(0, 60, len(wanted))
    made = np.clip(wanted * gain + noise, -32768, 32767).astype(np.int16)
    assert codes(made, wanted) == []
    assert codes(made, wanted, None) == []
    assert codes(made[: -RATE // 10], wanted) == []  # ends a tenth of a second early


def test_silence_of_what_was_silent_is_no_fault() -> None:
    wanted = np.zeros(4 * RATE, np.int16)
    assert codes(wanted, wanted) == []
    assert not is_heard(wanted, RATE)
    assert not is_heard(np.full(4 * RATE, 900, np.int16), RATE)  # a constant is no sound
    assert is_heard(bursts(), RATE)


def test_silence_of_what_was_heard_is() -> None:
    wanted = bursts()
    assert codes(np.zeros_like(wanted), wanted, None) == ["sound_missing"]
    assert codes(np.zeros(0, np.int16), wanted, None) == ["sound_missing"]


def test_a_hole_is_found_where_it_is() -> None:
    wanted = np.asarray(np.random.default_rng(3).normal(0, 2000, 6 * RATE), np.int16)
    made = wanted.copy()
    made[2 * RATE : int(2.4 * RATE)] = 0
    (found,) = judge_heard(made, wanted, RATE, 0.0)
    assert found.code == "sound_missing"
    assert found.at_s == pytest.approx(2.0, abs=0.06)
    made = wanted.copy()
    made[2 * RATE : int(2.15 * RATE)] = 0
    assert codes(made, wanted) == []
    assert codes(wanted[: 3 * RATE], wanted) == ["sound_missing"]  # ends after half


@pytest.mark.parametrize("lag_s", [0.5, -0.5])
def test_sound_at_another_time_is_not_missing(lag_s: float) -> None:
    wanted = np.asarray(np.random.default_rng(3).normal(0, 2000, 6 * RATE), np.int16)
    moved = round(abs(lag_s) * RATE)
    made = wanted[moved:] if lag_s > 0 else np.concatenate((np.zeros(moved, np.int16), wanted))
    assert codes(made, wanted, lag_s) == []


def test_another_sound_is_another() -> None:
    assert codes(bursts(2), bursts(1), None) == ["sound_other"]
    assert codes(bursts(2), bursts(1), 0.0) != ["sound_other"]  # it was found to be the same
    short = [np.asarray(np.random.default_rng(seed).normal(0, 2000, RATE // 2), np.int16) for seed in (1, 2)]
    assert codes(short[0], short[1], None) == []  # too short to tell
