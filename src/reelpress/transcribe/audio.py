"""The sound of a file somebody uploaded, as Whisper wants it: mono, 16 kHz, on the clock of the video.

Only for the child process. The file is handed to FFmpeg as an open file, and no protocol is allowed, so nothing that
it refers to can be opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import av
import av.logging
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.stream import Discard
from numpy.typing import NDArray

from reelpress.facts.formats import format_whitelist
from reelpress.probe.media import HINTS
from reelpress.probe.media_refusal import RefusedError, refuse_by_content, regular_size, why_not_opened
from reelpress.transcribe.exchange import FailedError
from reelpress.transcribe.windows import RATE_HZ

Samples = NDArray[np.float32]

_NO_PROTOCOL = "none"
_HEAD_BYTES = 4096
_READ_BYTES = 256 * 1024
_TOLERATED_S = 0.1  # how far sound may be off its timestamps before something is done
_GAP_S = 3600.0  # timestamps that jump further ahead, or go back, begin a new clock
_SILENCE = np.zeros(60 * RATE_HZ, np.float32)


class Audio:
    """One file's best audio track, read forward only; a context manager.

    ``has_sound`` is false when there is no such track. ``position`` is how many samples were read, and ``share`` how
    much of the file that is, from 0 to 1, by its header. ``notes`` grow while it is read. A gap in the timestamps is
    silence; so is what comes before the first one.
    """

    def __init__(self, path: Path, max_duration_s: float) -> None:
        """Open a file. Raises :class:`FailedError` when it cannot be used."""
        self.position, self.share = 0, 0.0
        self._max_samples = int(max_duration_s * RATE_HZ)
        self._damaged, self._jumps, self._stopped = 0, 0, ""
        try:
            self._size = regular_size(str(path))
            with contextlib.ExitStack() as opened:
                self._file = opened.enter_context(path.open("rb"))
                self._container = opened.enter_context(self._open())
                self._opened = opened.pop_all()
        except OSError as error:
            raise FailedError("the sound cannot be read", error.strerror, HINTS["unreadable"]) from error
        except RefusedError as refused:
            refusal = refused.refusal
            raise FailedError(
                f"the sound cannot be read: {refusal.what}", refusal.evidence, HINTS.get(refusal.kind)
            ) from refused
        self._stream = self._container.streams.best("audio")
        for stream in self._container.streams:
            if stream is not self._stream:
                stream.discard = Discard.all
        self.has_sound = self._stream is not None and self._stream.codec_context is not None
        self._rest: Samples = _SILENCE[:0]
        self._chunks = self._decode() if self.has_sound else iter(())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._opened.close()

    @property
    def notes(self) -> list[str]:
        """What is wrong with the sound."""
        found = []
        if self._damaged:
            found.append(f"{self._damaged} packets of sound could not be decoded")
        if self._jumps:
            found.append(f"the timestamps of the sound jump {self._jumps} times: times behind a jump may be off")
        if self._stopped:
            found.append(f"reading the sound stopped at {self.position / RATE_HZ:.1f} s: {self._stopped}")
        return found

    def read(self, count: int) -> Samples:
        """Return the next ``count`` samples, fewer only at the end. Raises :class:`FailedError`."""
        parts, missing = [self._rest], count - len(self._rest)
        while missing > 0 and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            missing -= len(chunk)
        joined = np.concatenate(parts)
        self._rest = joined[count:].copy()
        self.position += len(joined[:count])
        return joined[:count]

    def skip(self, count: int) -> None:
        """Read ``count`` samples for nothing: exact in every container, and decoding sound is quick."""
        while count > 0 and len(read := self.read(min(count, len(_SILENCE)))):
            count -= len(read)

    def _open(self) -> InputContainer:
        head = self._file.read(_HEAD_BYTES)
        self._file.seek(0)
        refuse_by_content(head, None)
        options = {
            "protocol_whitelist": _NO_PROTOCOL, "format_whitelist": format_whitelist(), "enable_drefs": "0",
            "fflags": "-genpts",
        }  # fmt: skip
        av.logging.set_level(av.logging.ERROR)
        with av.logging.Capture(local=False) as logs:
            try:
                container = av.open(
                    self._file, "r", options=options, metadata_errors="replace", buffer_size=_READ_BYTES
                )
            except (av.FFmpegError, OSError, ValueError) as error:
                raise why_not_opened(error, logs, head, None) from error
            finally:
                av.logging.set_level(None)
        container.flags &= ~0x0400  # AVFMT_FLAG_GENPTS, which PyAV sets: it reads ahead without bound
        return container

    def _decode(self) -> Iterator[Samples]:
        """Yield the sound on the clock of the video, as it comes."""
        clock = _Clock((self._container.start_time or 0) / av.time_base)
        resampler, form = _resampler(), None
        for frame in self._frames():
            silence = clock.silence_before(frame)
            self._jumps = clock.jumps
            for begin in range(0, silence, len(_SILENCE)):
                yield _SILENCE[: min(silence - begin, len(_SILENCE))]
            clock.made += silence
            this_form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form not in (None, this_form):
                resampler = _resampler()
            form = this_form
            frame.pts = None
            for samples in _resampled(resampler, frame):
                clock.made += len(samples)
                yield samples
            if clock.made > self._max_samples:
                raise FailedError(
                    "the sound is too long to be transcribed", f"more than {self._max_samples / RATE_HZ:g} s",
                    "raise max_duration_s",
                )  # fmt: skip
        if form is not None:
            yield from _resampled(resampler, None)
        elif self._damaged or self._stopped:
            raise FailedError(
                "the sound is broken: nothing of it could be decoded", "; ".join(self.notes),
                "check whether the video plays with sound elsewhere; convert it first",
            )  # fmt: skip

    def _frames(self) -> Iterator[AudioFrame]:
        duration = self._container.duration
        duration_s = duration / av.time_base if duration else None
        packets: Iterator[Any] = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._stopped = str(error.strerror)
                return
            if duration_s and packet.pts is not None:
                start_s = (self._container.start_time or 0) / av.time_base
                self._note_share((float(packet.pts * packet.time_base) - start_s) / duration_s)
            elif not duration_s and packet.pos is not None:
                self._note_share(packet.pos / self._size)
            try:
                yield from packet.decode()
            except (av.FFmpegError, ValueError):
                self._damaged += 1

    def _note_share(self, share: float) -> None:
        self.share = max(self.share, min(share, 1.0))


class _Clock:
    """Holds the samples ``made`` so far against the timestamps of the frames."""

    def __init__(self, start_s: float) -> None:
        self.made, self.jumps = 0, 0
        self._start_s = start_s

    def silence_before(self, frame: AudioFrame) -> int:
        """Return how many samples of silence a frame needs before it. Sound is never dropped: clocks may lie."""
        off = 0 if frame.time is None else round((frame.time - self._start_s) * RATE_HZ) - self.made
        if abs(off) <= _TOLERATED_S * RATE_HZ:
            return 0
        if 0 < off <= _GAP_S * RATE_HZ:
            return off
        self._start_s += off / RATE_HZ
        self.jumps += 1
        return 0


def _resampler() -> AudioResampler:
    return AudioResampler(format="flt", layout="mono", rate=RATE_HZ)


def _resampled(resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[Samples]:
    for out in resampler.resample(frame):
        yield np.nan_to_num(out.to_ndarray()[0], posinf=0, neginf=0)
