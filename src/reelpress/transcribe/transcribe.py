"""Speech to text for one video: :func:`transcribe` has a child process hear it, and writes what it heard.

The child may crash, be killed or run out of memory; the caller gets an error, and the next call goes on at the window
that was not finished. Windows lie in ``.STEM.reelpress-transcript`` beside the output until the transcript is written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from reelpress.captions.writing import srt, vtt
from reelpress.errors import Cancelled, OutputError, TranscribeError, UsageError
from reelpress.facts.transcript import TranscriptDocument
from reelpress.facts.values import to_json
from reelpress.run.partial import PartialFile
from reelpress.run.process import CancelToken, Finished, Limits, run
from reelpress.transcribe.exchange import (
    Failure,
    Finish,
    Loading,
    Message,
    Moved,
    Request,
    Window,
    read_message,
    read_windows,
)
from reelpress.transcribe.guards import in_order, without_loops
from reelpress.transcribe.models import require_extra
from reelpress.transcribe.options import TranscribeOptions
from reelpress.transcribe.subtitles import segments_of
from reelpress.transcribe.transcript import Transcript, TranscriptFile
from reelpress.transcribe.windows import RATE_HZ

OnProgress = Callable[[float], None]

_START_CHILD = "import sys; sys.path[:0] = sys.argv[1:]; from reelpress.transcribe.child import main; main()"
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_VERSION = 1  # of what a window holds; another one makes earlier windows void
_LARGEST_FILE_BYTES = 256 * 2**20
_SAMPLE_BYTES = 2**20


def transcribe(
    source: Path,
    folder: Path,
    *,
    stem: str,
    options: TranscribeOptions | None = None,
    cancel: CancelToken | None = None,
    on_progress: OnProgress | None = None,
) -> Transcript:
    """Write ``STEM.vtt``, ``STEM.srt`` and ``STEM.json`` into an existing folder, over older ones, and describe them.

    ``on_progress`` gets a share from 0 to 1 that never goes back. A file without sound, or in which nobody speaks,
    has an empty transcript and a note. Raises :class:`TranscribeError`, :class:`OutputError` when the files cannot be
    written, :class:`UsageError` for a ``stem`` that is no file name, and :class:`Cancelled`.
    """
    options = options or TranscribeOptions()
    if not stem or Path(stem).name != stem:
        raise UsageError("the transcript needs a file name, without a folder", evidence=repr(stem))
    require_extra()
    began = time.monotonic()
    windows_folder = folder / f".{stem}.reelpress-transcript"
    try:
        windows_folder.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write into {folder}", evidence=str(error), hint="make the folder first") from error
    child = _Child(source, windows_folder, options, cancel, on_progress)
    finish = child.finish()
    windows = read_windows(windows_folder, child.key)[: finish.windows]
    document = _document(windows, options, [*child.notes, *finish.notes])
    texts = {"vtt": vtt(document.segments), "srt": srt(document.segments), "json": _json(document)}
    files = {suffix: _write(folder / f"{stem}.{suffix}", text.encode()) for suffix, text in texts.items()}
    shutil.rmtree(windows_folder, ignore_errors=True)
    return Transcript(
        language=document.language, language_probability=document.language_probability,
        duration_s=document.duration_s, speech_s=document.speech_s, segments=len(document.segments),
        words=sum(len(segment.words) for segment in document.segments), model=options.model,
        device=windows[-1].device if windows else None, compute_type=windows[-1].compute_type if windows else None,
        windows=len(windows), resumed_windows=finish.resumed_windows, vtt=files["vtt"], srt=files["srt"],
        json=files["json"], wall_s=time.monotonic() - began, cpu_s=child.cpu_s, notes=document.notes,
    )  # fmt: skip


class _Child:
    """The child process, started a second time without the GPU if the first one dies of it."""

    def __init__(
        self,
        source: Path,
        windows: Path,
        options: TranscribeOptions,
        cancel: CancelToken | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._source, self._windows, self._options = source, windows, options
        self._cancel, self._on_progress, self._share = cancel, on_progress, 0.0
        self._device: str | None = None
        self._answer: Finish | Failure | None = None
        self.key = _key(source, options)
        self.cpu_s = 0.0
        self.notes: list[str] = []

    def finish(self) -> Finish:
        """Run to the end. Raises :class:`TranscribeError` and :class:`Cancelled`."""
        finished = self._run(self._options)
        if self._answer is None and finished.stopped is None and self._may_try_the_cpu():
            self.notes.append(f"the GPU was given up: {finished.how_it_ended[:300]}")
            finished = self._run(msgspec.structs.replace(self._options, device="cpu"))
        if isinstance(self._answer, Finish):
            return self._answer
        if finished.stopped == "cancelled":
            raise Cancelled("the transcription was cancelled")
        if isinstance(self._answer, Failure):
            raise TranscribeError(self._answer.what, evidence=self._answer.evidence, hint=self._answer.hint)
        if finished.stopped is not None:
            raise TranscribeError(
                "the transcription was stopped", evidence=finished.stop_reason,
                hint="choose a smaller model, or raise max_memory_bytes or stall_s",
            )  # fmt: skip
        hint = "memory may have run out: choose a smaller model" if finished.returncode == -signal.SIGKILL else None
        raise TranscribeError("the transcription crashed", evidence=finished.how_it_ended[:300], hint=hint)

    def _may_try_the_cpu(self) -> bool:
        return self._device == "cuda" and self._options.device == "auto"

    def _run(self, options: TranscribeOptions) -> Finished:
        request = Request(
            source=os.fsencode(self._source.absolute()), windows=os.fsencode(self._windows.absolute()), key=self.key,
            options=options,
        )  # fmt: skip
        roots = [_PACKAGE_ROOT, *(entry for entry in sys.path if Path(entry).is_absolute())]
        finished = run(
            [sys.executable, "-I", "-S", "-c", _START_CHILD, *roots],
            limits=Limits(
                stall_s=options.stall_s, resident_bytes=options.max_memory_bytes, file_size_bytes=_LARGEST_FILE_BYTES
            ),
            cancel=self._cancel, on_line=self._take, stdin=to_json(request), env=_OFFLINE,
        )  # fmt: skip
        self.cpu_s += finished.cpu_s
        return finished

    def _take(self, line: str) -> None:
        message: Message | None = read_message(line)
        if isinstance(message, Moved):
            if message.share > self._share and self._on_progress is not None:
                self._on_progress(min(message.share, 1.0))
            self._share = max(self._share, message.share)
        elif isinstance(message, Loading):
            self._device = message.device
        elif message is not None:
            self._answer = message


def _key(source: Path, options: TranscribeOptions) -> str:
    """Return what tells windows of this source and these options from others.

    A moved or copied file keeps its windows: its size and three pieces of it are what counts, not its name.
    """
    choices = (options.model, options.language, options.beam_size, options.window_s)
    digest = hashlib.sha256(repr((_VERSION, *choices)).encode())
    try:
        size = source.stat().st_size
        with source.open("rb") as file:
            for at in (0, size // 2, max(size - _SAMPLE_BYTES, 0)):
                file.seek(at)
                digest.update(file.read(_SAMPLE_BYTES))
    except OSError as error:
        raise TranscribeError("the video cannot be read", evidence=error.strerror) from error
    return f"{digest.hexdigest()}-{size}"


def _document(windows: Sequence[Window], options: TranscribeOptions, notes: list[str]) -> TranscriptDocument:
    """Join the windows into one transcript."""
    duration_s = windows[-1].end / RATE_HZ if windows else 0.0
    said, loops = without_loops([words for window in windows for words in window.said])
    segments = segments_of(in_order(said, duration_s))
    speech_s = sum(window.speech for window in windows) / RATE_HZ
    spoken = next((window for window in windows if window.language is not None and window.speech), None)
    if windows and not speech_s:
        notes = [*notes, "nobody speaks"]
    notes = [*(note for window in windows for note in window.notes), *notes, *loops]
    return TranscriptDocument(
        language=spoken.language if spoken else None,
        language_probability=spoken.language_probability if spoken else None,
        duration_s=round(duration_s, 3), speech_s=round(speech_s, 3), model=Path(options.model).name,
        segments=segments, notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _json(document: TranscriptDocument) -> str:
    return to_json(document).decode() + "\n"


def _write(target: Path, content: bytes) -> TranscriptFile:
    with PartialFile.open(target, overwrite=True) as partial:
        partial.path.write_bytes(content)
        partial.publish()
    return TranscriptFile(path=str(target), size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
