"""Sound that a voice activity detection takes for somebody speaking, made of pulses and vowels."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np

RATE_HZ = 16_000
# The first three formants of five vowels, in Hz.
_VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))


def babble(duration_s: float, seed: int = 0) -> np.ndarray:
    """Return syllables, one after the other, at a speaking pace."""
    random = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < duration_s * RATE_HZ:
        parts.append(_syllable(random))
    return np.concatenate(parts)[: int(duration_s * RATE_HZ)].astype(np.float32)


def _syllable(random: np.random.Generator) -> np.ndarray:
    count = int(random.uniform(0.12, 0.22) * RATE_HZ)
    pitch = np.linspace(random.uniform(110, 150), random.uniform(90, 130), count)
    phase = np.cumsum(pitch) / RATE_HZ
    begin, end = _VOWELS[random.integers(len(_VOWELS))], _VOWELS[random.integers(len(_VOWELS))]
    glide = np.linspace(0, 1, count)
    sound = np.zeros(count)
    for harmonic in range(1, 30):
        frequency = harmonic * pitch
        level = np.zeros(count)
        for n, (a, b) in enumerate(zip(begin, end, strict=True)):
            centre, width = a + (b - a) * glide, 60 + 40 * n
            level += 1 / (1 + ((frequency - centre) / width) ** 2) / (n + 1)
        sound += level * np.sin(2 * np.pi * harmonic * phase) / harmonic**0.5
    hiss = random.normal(0, 0.2, count // 5)
    sound[: len(hiss)] = hiss * np.hanning(len(hiss))
    sound *= np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / 400)
    return 0.3 * sound / max(np.abs(sound).max(), 1e-9)


def spoken(path: Path, parts: Iterable[tuple[str, float]]) -> Path:
    """Write a WAV file of parts: ``("voice", seconds)`` or ``("pause", seconds)``."""
    sounds = [babble(s, n) if kind == "voice" else np.zeros(int(s * RATE_HZ), np.float32)
              for n, (kind, s) in enumerate(parts)]  # fmt: skip
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.concatenate(sounds) * 32767).astype("<i2").tobytes())
    return path
