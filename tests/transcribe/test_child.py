"""The child's work with an engine of the test's own: windows, resuming, and what comes after memory ran out.

The sound says what it is: every sample of a word has the word's number, which the engine hears if the word is whole.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from reelpress.errors import TranscribeError
from reelpress.facts.transcript import Word
from reelpress.transcribe import child
from reelpress.transcribe.audio import Samples
from reelpress.transcribe.exchange import FailedError, Finish, Loading, Message, Moved, Request, read_windows
from reelpress.transcribe.guards import Heard
from reelpress.transcribe.options import TranscribeOptions
from reelpress.transcribe.windows import RATE_HZ, Span

STEP = 16  # of 32768, between two words
WORD = RATE_HZ * 7 // 10  # no divisor of a window: cuts go through words
OUT_OF_MEMORY = RuntimeError("CUDA failed with error out of memory")


def words_in(seconds: float) -> list[int]:
    """Return the numbers of the words that are whole."""
    return list(range(1, int(seconds * RATE_HZ) // WORD + 1))


def counted(path: Path, seconds: float) -> Path:
    numbered = (np.arange(int(seconds * RATE_HZ)) // WORD + 1) * STEP
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(numbered.astype("<i2").tobytes())
    return path


def edges(samples: Samples) -> list[int]:
    """Return where words begin and end."""
    numbers = np.rint(samples * 32768 / STEP).astype(int)
    return [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]


def speech(samples: Samples) -> list[Span]:
    """Speech without any pause, in stretches of 40 words, which are 28 s."""
    at = edges(samples)
    bounds = sorted({*at[:-1:40], at[-1]})
    return [Span(start=a, end=b) for a, b in pairwise(bounds)]


class Counting:
    """Hears the numbers; ``fail`` may raise first."""

    compute_type = "none"

    def __init__(self, device: str, fail: Callable[[str, int], None]) -> None:
        self.device, self.fail = device, fail

    def language(self, samples: Samples) -> tuple[str, float]:
        return "de", 0.75

    def hear(self, samples: Samples, clips: Sequence[Span], language: str) -> list[Heard]:
        assert language == "de"
        self.fail(self.device, len(clips))
        return [self._one(samples, clip) for clip in clips]

    def _one(self, samples: Samples, clip: Span) -> Heard:
        words = [
            Word(
                start_s=(clip.start + a) / RATE_HZ, end_s=(clip.start + b) / RATE_HZ, probability=1,
                text=f" {round(float(samples[clip.start + a]) * 32768 / STEP)}",
            )
            for a, b in pairwise(edges(samples[clip.start : clip.end]))
            if b - a == WORD
        ]  # fmt: skip
        return Heard(words=tuple(words), no_speech_prob=0, avg_logprob=0, compression_ratio=1)


class World:
    """Runs the child's work in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.said: list[Message] = []
        self.fail: Callable[[str, int], None] = lambda device, size: None
        self.gpus = 0
        (folder / "windows").mkdir()
        (folder / "model").mkdir()
        for name in ("model.bin", "config.json", "tokenizer.json"):
            (folder / "model" / name).touch()
        monkeypatch.setattr(child, "say", self.said.append)
        monkeypatch.setattr(child, "find_speech", speech)
        monkeypatch.setattr(child, "gpu_count", lambda: self.gpus)
        monkeypatch.setattr(child, "Whisper", lambda folder, device, **_: Counting(device, self.fail))

    def run(self, source: Path, key: str = "k", **options: object) -> Finish:
        model = str(self.folder / "model")
        chosen = TranscribeOptions(**{"model": model, "window_s": 60, **options})  # type: ignore[arg-type]
        windows = os.fsencode(self.folder / "windows")
        return child.transcribe_windows(Request(source=os.fsencode(source), windows=windows, key=key, options=chosen))

    def words(self, key: str = "k") -> list[Word]:
        return [w for window in read_windows(self.folder / "windows", key) for words in window.said for w in words]

    def notes(self) -> list[str]:
        return [note for window in read_windows(self.folder / "windows", "k") for note in window.notes]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.mark.parametrize("seconds", [1, 59, 60, 61, 65, 66, 185])
def test_no_word_is_lost_or_doubled_where_windows_meet_in_speech(world: World, tmp_path: Path, seconds: int) -> None:
    finish = world.run(counted(tmp_path / "a.wav", seconds))
    assert [int(word.text) for word in world.words()] == words_in(seconds)
    for word in world.words():
        assert word.end_s == pytest.approx(int(word.text) * WORD / RATE_HZ)
    windows = read_windows(tmp_path / "windows", "k")
    assert len(windows) == finish.windows
    assert windows[-1].is_last
    assert windows[-1].end == seconds * RATE_HZ
    assert [w.start for w in windows[1:]] == [w.end for w in windows[:-1]]
    assert sum(window.speech for window in windows) == seconds * RATE_HZ


def test_a_killed_run_goes_on_at_the_next_window(world: World, tmp_path: Path) -> None:
    source = counted(tmp_path / "a.wav", 200)
    world.run(source, key="whole")
    expected = world.words("whole")
    for path in (tmp_path / "windows").iterdir():
        path.unlink()
    heard = 0

    def die_late(device: str, size: int) -> None:
        nonlocal heard
        heard += 1
        if heard == 8:
            raise KeyboardInterrupt

    world.fail = die_late
    with pytest.raises(KeyboardInterrupt):
        world.run(source)
    done = read_windows(tmp_path / "windows", "k")
    assert len(done) == 2  # the next one begins in the middle of a word
    heard, world.fail = 0, lambda device, size: None
    finish = world.run(source)
    assert finish.resumed_windows == len(done)
    assert world.words() == expected
    assert [int(word.text) for word in expected] == words_in(200)
    assert world.run(source).resumed_windows == finish.windows  # nothing is left to do


def test_windows_of_another_source_or_with_a_gap_are_not_used(world: World, tmp_path: Path) -> None:
    source = counted(tmp_path / "a.wav", 200)
    windows = world.run(source).windows
    assert world.run(source, key="other").resumed_windows == 0
    assert read_windows(tmp_path / "windows", "k") == []
    (tmp_path / "windows" / "window-00001.json").write_text("{ broken")
    assert len(read_windows(tmp_path / "windows", "other")) == 1
    assert world.run(source, key="other") == Finish(windows=windows, resumed_windows=1, notes=())


def test_progress_never_goes_back_and_ends_at_one(world: World, tmp_path: Path) -> None:
    world.run(counted(tmp_path / "a.wav", 200))
    shares = [message.share for message in world.said if isinstance(message, Moved)]
    assert shares == sorted(shares)
    assert len(set(shares)) > 5
    assert shares[-1] == 1


def test_out_of_memory_halves_the_batch_then_takes_the_cpu(world: World, tmp_path: Path) -> None:
    tried: list[tuple[str, int]] = []

    def small_gpu(device: str, size: int) -> None:
        tried.append((device, size))
        if device == "cuda":
            raise OUT_OF_MEMORY

    world.gpus, world.fail = 1, small_gpu
    world.run(counted(tmp_path / "a.wav", 140), window_s=120, batch_size=4)
    assert tried[:4] == [("cuda", 4), ("cuda", 2), ("cuda", 1), ("cpu", 1)]
    assert {device for device, _ in tried[3:]} == {"cpu"}
    assert [m.device for m in world.said if isinstance(m, Loading)] == ["cuda", "cpu"]
    assert [int(word.text) for word in world.words()] == words_in(140)
    assert [note.partition(":")[0] for note in world.notes()] == [f"cuda with batches of {n}" for n in (4, 2, 1)]
    assert read_windows(tmp_path / "windows", "k")[-1].device == "cpu"


def test_a_batch_that_fits_is_kept(world: World, tmp_path: Path) -> None:
    sizes: list[int] = []

    def needs_two(device: str, size: int) -> None:
        if size > 2:
            raise OUT_OF_MEMORY
        sizes.append(size)

    world.gpus, world.fail = 1, needs_two
    world.run(counted(tmp_path / "a.wav", 300), window_s=120, batch_size=8)
    assert max(sizes) == 2
    assert [int(word.text) for word in world.words()] == words_in(300)
    assert {window.device for window in read_windows(tmp_path / "windows", "k")} == {"cuda"}


def test_a_gpu_without_its_libraries_gives_way_to_the_cpu_at_once(world: World, tmp_path: Path) -> None:
    tried: list[str] = []

    def no_cublas(device: str, size: int) -> None:
        tried.append(device)
        if device == "cuda":
            raise RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")

    world.gpus, world.fail = 1, no_cublas
    world.run(counted(tmp_path / "a.wav", 20))
    assert tried == ["cuda", "cpu"]
    assert "libcublas" in world.notes()[0]


def test_memory_that_runs_out_on_the_cpu_is_an_error(world: World, tmp_path: Path) -> None:
    def none_left(device: str, size: int) -> None:
        raise MemoryError

    world.fail = none_left
    with pytest.raises(FailedError, match="memory ran out"):
        world.run(counted(tmp_path / "a.wav", 20))


def test_a_gpu_that_is_demanded_and_not_there_is_an_error(world: World, tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="no GPU"):
        world.run(counted(tmp_path / "a.wav", 20), device="cuda")
    world.gpus, world.fail = 1, lambda device, size: (_ for _ in ()).throw(OUT_OF_MEMORY)
    with pytest.raises(FailedError, match="memory ran out"):
        world.run(counted(tmp_path / "a.wav", 20), device="cuda")


def test_a_language_that_whisper_does_not_know_is_an_error(world: World, tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="no language xx"):
        world.run(counted(tmp_path / "a.wav", 20), language="xx")
    with pytest.raises(TranscribeError, match="not here"):
        world.run(counted(tmp_path / "a.wav", 20), model=str(tmp_path / "nothing"))
