"""faster-whisper behind the few calls that are needed. Only for the child process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import ctranslate2
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.tokenizer import _LANGUAGE_CODES
from faster_whisper.vad import VadOptions, get_speech_timestamps

from reelpress.facts.transcript import Word
from reelpress.transcribe.audio import Samples
from reelpress.transcribe.guards import AVG_LOGPROB, COMPRESSION_RATIO, NO_SPEECH_PROB, Heard, is_doubtful
from reelpress.transcribe.windows import CLIP_S, RATE_HZ, Span

_VAD = VadOptions(min_silence_duration_ms=500, speech_pad_ms=200, max_speech_duration_s=CLIP_S)
_FRAMES_HZ = 100  # what faster-whisper's seek counts in
_LANGUAGE_CLIPS = 4  # of 30 s, until one is sure


class Engine(Protocol):
    """A loaded model."""

    compute_type: str

    def language(self, samples: Samples) -> tuple[str, float]:
        """Return the language that is spoken, and how probable it is."""

    def hear(self, samples: Samples, clips: Sequence[Span], language: str) -> list[Heard]:
        """Return what is said in some stretches of the audio, all at once where there are several.

        Times are in seconds from the first sample. Raises ``RuntimeError`` or ``MemoryError`` when memory runs out.
        """


def find_speech(samples: Samples) -> list[Span]:
    """Return where somebody speaks, in stretches of at most 28 s, by Silero's voice activity detection."""
    if not len(samples):
        return []
    return [Span(start=found["start"], end=found["end"]) for found in get_speech_timestamps(samples, _VAD)]


def known_languages() -> tuple[str, ...]:
    """Return the codes of the languages that Whisper knows."""
    return tuple(_LANGUAGE_CODES)


def gpu_count() -> int:
    """Return how many GPUs CTranslate2 sees; none where its build or the driver is not made for them."""
    try:
        return int(ctranslate2.get_cuda_device_count())
    except RuntimeError:
        return 0


class Whisper:
    """A Whisper model on one device; loading it raises ``RuntimeError``, ``MemoryError`` or ``ValueError``."""

    def __init__(self, folder: Path, device: str, *, threads: int, beam_size: int) -> None:
        ctranslate2.set_random_seed(0)  # the same audio gives the same text, also at higher temperatures
        kind = "int8" if device == "cpu" else "float16"
        if kind not in ctranslate2.get_supported_compute_types(device):
            kind = "default"
        self._model = WhisperModel(
            str(folder), device=device, compute_type=kind, cpu_threads=threads, local_files_only=True
        )
        self._batched = BatchedInferencePipeline(self._model)
        self._beam_size = beam_size
        self.compute_type = str(self._model.model.compute_type)

    def language(self, samples: Samples) -> tuple[str, float]:
        """Return the language that is spoken, and how probable it is; English of models that know no other."""
        if not self._model.model.is_multilingual:
            return "en", 1.0
        code, probability, _ = self._model.detect_language(samples, language_detection_segments=_LANGUAGE_CLIPS)
        return str(code), float(probability)

    def hear(self, samples: Samples, clips: Sequence[Span], language: str) -> list[Heard]:
        """Return what is said. What is doubtful in a batch is heard again alone, with rising temperatures."""
        if len(clips) == 1:
            return self._hear_alone(samples, clips[0], language)
        segments, _ = self._batched.transcribe(
            samples, language=language, beam_size=self._beam_size, word_timestamps=True, batch_size=len(clips),
            vad_filter=False, without_timestamps=True,  # with them, the end of a clip would be lost
            clip_timestamps=[{"start": _inside(clip.start), "end": _inside(clip.end)} for clip in clips],
        )  # fmt: skip
        by_frame: dict[int, list[Any]] = {}
        for segment in segments:
            by_frame.setdefault(segment.seek, []).append(segment)
        found: list[Heard] = []
        for clip in clips:
            heard = _heard(by_frame.get(int(clip.start / RATE_HZ * _FRAMES_HZ), []), 0.0, clip.end)
            # Several segments mean times in spite of all, and that the end of the clip may be lost.
            is_sound = len(heard) == 1 and not is_doubtful(heard[0])
            found += heard if is_sound else self._hear_alone(samples, clip, language)
        return found

    def _hear_alone(self, samples: Samples, clip: Span, language: str) -> list[Heard]:
        segments, _ = self._model.transcribe(
            samples[clip.start : clip.end], language=language, beam_size=self._beam_size, word_timestamps=True,
            vad_filter=False, condition_on_previous_text=False,  # loops feed on it
            no_speech_threshold=NO_SPEECH_PROB, log_prob_threshold=AVG_LOGPROB,
            compression_ratio_threshold=COMPRESSION_RATIO,
        )  # fmt: skip
        return _heard(segments, clip.start / RATE_HZ, clip.end)


def _inside(sample: int) -> float:
    """Return a time within a sample, which faster-whisper rounds down to that sample."""
    return (sample + 0.5) / RATE_HZ


def _heard(segments: Iterable[Any], offset_s: float, end: int) -> list[Heard]:
    """Return faster-whisper's segments, whose times count from ``offset_s``, as values."""
    end_s = end / RATE_HZ
    return [
        Heard(
            words=tuple(
                Word(
                    start_s=min(float(word.start) + offset_s, end_s), end_s=min(float(word.end) + offset_s, end_s),
                    text=word.word, probability=round(float(word.probability), 4),
                )
                for word in segment.words or ()
            ),
            no_speech_prob=float(segment.no_speech_prob), avg_logprob=float(segment.avg_logprob),
            compression_ratio=float(segment.compression_ratio),
        )
        for segment in segments
    ]  # fmt: skip
