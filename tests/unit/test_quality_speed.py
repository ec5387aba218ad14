"""Sound at another speed than its pictures: found from samples alone."""

from __future__ import annotations

import numpy as np
import pytest

from reelpress.quality.speed import find_speed, judge_speed

RATE = 8000


def voice(seconds: float = 6.0, seed: int = 1) -> np.ndarray:
    """Tones of a voice that glides and pauses."""
    random = np.random.default_rng(seed)
    count = round(seconds * 10)
    pitch = np.interp(np.arange(count * 800) / 800, np.arange(count), random.uniform(90, 260, count))
    loud = np.interp(np.arange(count * 800) / 800, np.arange(count), random.uniform(0, 1, count) ** 2)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tones = sum(np.sin(n * phase) / n for n in range(1, 8))
    return np.asarray(6000 * loud * tones + random.normal(0, 200, len(pitch)), np.int16)


def played(sound: np.ndarray, factor: float) -> np.ndarray:
    count = int((len(sound) - 1) / factor)
    return np.asarray(np.interp(np.arange(count) * factor, np.arange(len(sound)), sound), np.int16)


@pytest.mark.by_turns
@pytest.mark.parametrize("factor", [0.96, 0.985, 0.997, 1.0043, 1.0427])
@pytest.mark.parametrize("seconds", [4.0, 30.0])
def test_another_speed_is_found(factor: float, seconds: float) -> None:
    wanted = voice(seconds)
    made = played(wanted, factor)[: len(wanted)]
    found = find_speed(made + np.random.default_rng(3).normal(0, 60, len(made)).astype(np.int16), wanted, RATE)
    assert found is not None
    assert found.factor == pytest.approx(factor, abs=0.0008)
    (told,) = judge_speed(found)
    assert told.code == "sound_drifts"
    assert ("slower" in told.text) == (factor < 1)


def test_the_same_speed_is_not_another() -> None:
    wanted = voice()
    assert find_speed(wanted, wanted, RATE) is None
    late = np.concatenate((np.zeros(RATE, np.int16), wanted))
    assert find_speed(late, wanted, RATE) is None
    tone = np.asarray(5000 * np.sin(np.arange(6 * RATE) * 2 * np.pi * 440 / RATE), np.int16)
    assert find_speed(tone, tone, RATE) is None
    assert judge_speed(None) == []


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_other_sounds_have_none(seed: int) -> None:
    assert find_speed(voice(seed=seed), voice(), RATE) is None
    noise = np.random.default_rng(seed).normal(0, 3000, 6 * RATE).astype(np.int16)
    assert find_speed(noise, voice(), RATE) is None
    assert find_speed(np.zeros(6 * RATE, np.int16), voice(), RATE) is None
    assert find_speed(noise[: RATE // 2], noise[: RATE // 2], RATE) is None
