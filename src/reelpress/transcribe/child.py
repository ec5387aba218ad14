"""The half of a transcription that touches hostile bytes and native code: one request on stdin, messages on stdout.

Run by :mod:`reelpress.transcribe.transcribe` as a process of its own. Audio is decoded, heard and written down window
by window; a window that is written is never heard again, whatever becomes of this process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reelpress.errors import TranscribeError
from reelpress.facts.transcript import Word
from reelpress.facts.values import from_json, to_json
from reelpress.transcribe.audio import Audio, Samples
from reelpress.transcribe.engine import Engine, Whisper, find_speech, gpu_count, known_languages
from reelpress.transcribe.exchange import (
    FailedError,
    Failure,
    Finish,
    Loading,
    Message,
    Moved,
    Request,
    Window,
    read_windows,
    write_window,
)
from reelpress.transcribe.guards import Heard, is_silence, kept_words
from reelpress.transcribe.ladder import Ladder, rungs
from reelpress.transcribe.models import find_model
from reelpress.transcribe.windows import OVERLAP_S, RATE_HZ, Cut, Span, choose_cut, clips

_OVERLAP = int(OVERLAP_S * RATE_HZ)


def say(message: Message) -> None:
    """Print one message."""
    sys.stdout.buffer.write(to_json(message) + b"\n")
    sys.stdout.buffer.flush()


def transcribe_windows(request: Request) -> Finish:
    """Write all windows that are missing. Raises :class:`FailedError` or :class:`TranscribeError`."""
    options, folder = request.options, Path(os.fsdecode(request.windows))
    done = read_windows(folder, request.key)
    with Audio(Path(os.fsdecode(request.source)), options.max_duration_s) as audio:
        if not audio.has_sound:
            return Finish(windows=0, resumed_windows=0, notes=("the file has no sound",))
        if options.language is not None and options.language not in known_languages():
            raise FailedError(
                f"Whisper knows no language {options.language}", hint=f"one of {', '.join(known_languages())}"
            )
        model = find_model(options.model, options.models_dir)

        def load(device: str) -> Engine:
            say(Loading(device=device))
            return Whisper(model, device, threads=options.threads, beam_size=options.beam_size)

        count = gpu_count() if options.device != "cpu" else 0
        ladder = Ladder(rungs(options.device, gpus=count, batch_size=options.batch_size), load)
        worker = _Worker(request, folder, audio, ladder, done[-1] if done else None)
        windows = len(done)
        while not worker.is_done:
            worker.one_window()
            windows += 1
        return Finish(windows=windows, resumed_windows=len(done), notes=tuple(audio.notes))


class _Worker:
    """Goes through the audio from where an earlier run left it."""

    def __init__(self, request: Request, folder: Path, audio: Audio, ladder: Ladder, before: Window | None) -> None:
        self._request, self._folder, self._audio, self._ladder = request, folder, audio, ladder
        self._size = int(request.options.window_s * RATE_HZ)
        self.is_done = before is not None and before.is_last
        self._number, self._end, lead = 0, 0, 0  # of the window before: its successor, its end, what is heard twice
        self._language, self._probability = request.options.language, None if request.options.language is None else 1.0
        if before is not None:
            self._number, self._end, lead = before.number + 1, before.end, before.overlap
            if before.language is not None:
                self._language, self._probability = before.language, before.language_probability
        self._begin = self._end - lead  # where the samples at hand begin
        if not self.is_done:
            audio.skip(self._begin)
        self._samples: Samples = np.zeros(0, np.float32)

    def one_window(self) -> None:
        """Hear and write the next window."""
        lead = self._end - self._begin
        wanted = lead + self._size + _OVERLAP
        self._samples = np.concatenate([self._samples, self._audio.read(wanted - len(self._samples))])
        samples = self._samples
        speech = find_speech(samples)
        is_last = len(samples) < wanted
        cut = Cut(at=len(samples), overlap=0) if is_last else choose_cut(speech, lead + self._size)
        noted = len(self._ladder.notes)
        stretches = clips(speech, 0, cut.at + cut.overlap)
        said = self._hear(samples, stretches)
        end = self._begin + cut.at
        start_s, end_s = self._end / RATE_HZ, end / RATE_HZ
        kept = [kept_words(heard, start_s, end_s) for heard in said if not is_silence(heard)]
        window = Window(
            key=self._request.key, number=self._number, start=self._end, end=end, overlap=cut.overlap, is_last=is_last,
            speech=sum(max(0, min(span.end, cut.at) - max(span.start, lead)) for span in speech),
            said=tuple(heard.words for heard in kept if heard.words),
            language=self._language, language_probability=self._probability,
            device=self._ladder.device, compute_type=self._ladder.compute_type,
            notes=tuple(self._ladder.notes[noted:]),
        )  # fmt: skip
        try:
            write_window(self._folder, window)
        except OSError as error:
            raise FailedError("a part of the transcript could not be written", error.strerror) from error
        self._samples = samples[cut.at - cut.overlap :]
        self._begin = end - cut.overlap
        self._number, self._end, self.is_done = self._number + 1, end, is_last
        say(Moved(share=1.0 if is_last else self._audio.share))

    def _hear(self, samples: Samples, stretches: Sequence[Span]) -> list[Heard]:
        """Return what is said in a window, in seconds of the video."""
        if not stretches:
            return []
        if self._language is None:
            spoken = np.concatenate([samples[span.start : span.end] for span in stretches])
            self._language, self._probability = self._ladder.language(spoken)
        before, after = self._share(self._end), self._audio.share
        found: list[Heard] = []
        for count, heard in self._ladder.hear(samples, stretches, self._language):
            found += heard
            say(Moved(share=before + (after - before) * count / len(stretches)))
        offset_s = self._begin / RATE_HZ
        return [_moved(heard, offset_s) for heard in found]

    def _share(self, at: int) -> float:
        return self._audio.share * at / max(self._audio.position, 1)


def _moved(heard: Heard, offset_s: float) -> Heard:
    words = tuple(
        Word(start_s=w.start_s + offset_s, end_s=w.end_s + offset_s, text=w.text, probability=w.probability)
        for w in heard.words
    )
    return Heard(
        words=words, no_speech_prob=heard.no_speech_prob, avg_logprob=heard.avg_logprob,
        compression_ratio=heard.compression_ratio,
    )  # fmt: skip


def main() -> None:
    """Answer the request on stdin; without one there is nothing to do."""
    asked = sys.stdin.buffer.read()
    if not asked:
        return
    answer: Finish | Failure
    try:
        answer = transcribe_windows(from_json(asked, Request))
    except FailedError as failed:
        answer = failed.failure
    except TranscribeError as error:
        answer = Failure(what=error.what, evidence=error.evidence, hint=error.hint)
    except MemoryError as error:
        answer = Failure(what="memory ran out", evidence=str(error) or None, hint="choose a smaller model or window_s")
    say(answer)
    os._exit(0)  # taking the model apart takes longer than what anybody waits for
