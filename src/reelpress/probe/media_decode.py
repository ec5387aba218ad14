"""Decodes a file of ours in search of damage, in software: all of a short one, three places of others.

For the probe's child. Hardware decoders are never used here: a decoder must not vouch for the encoder beside it.

Between a keyframe and the last second, pictures that no other needs are left out where decoders can: half of them in
H.264, and a third of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet

from reelpress.facts.media import Decoded
from reelpress.probe.media_frames import FrameSampler
from reelpress.probe.media_refusal import log_lines
from reelpress.probe.media_stream import StreamScan

WINDOW_FRAMES = 8
_END_S = 1.0
_MOST_ERRORS = 5


def places(keys_s: Sequence[float], duration_s: float) -> tuple[float, ...]:
    """Return from where on to decode, in seconds; 8 frames from each but the last, from there all.

    These are the start, the keyframe before the middle, and the one before the last second. What is decoded from
    another place anyway is left out. ``keys_s`` are the times of keyframes; without them nothing is left out.
    """
    middle_s, end_s = duration_s / 2, duration_s - _END_S
    if not keys_s:
        return 0.0, middle_s, end_s
    middle, end = (max((k for k in keys_s if k <= s), default=0.0) for s in (middle_s, end_s))
    if end <= 0:
        return (0.0,)
    return (0.0, end) if middle in (0.0, end) else (0.0, middle, end)


class OutputDecoder:
    """Decodes an output's pictures, and its sound where its pictures are decoded to the end."""

    def __init__(
        self, container: InputContainer, sampler: FrameSampler, scan: StreamScan, logs: list[Any],
        whole_up_to_s: float | None,
    ) -> None:  # fmt: skip
        self._container, self._sampler, self._logs = container, sampler, logs
        self._zero, self._time_base = scan.start or 0, sampler.stream.time_base or 1
        self._errors: list[str] = []
        self._most_logs = len(logs) + 20 * _MOST_ERRORS  # after so many nothing more is to be learned
        duration_s = float((scan.end - self._zero) * self._time_base) if scan.end is not None else 0.0
        self._starts_s: tuple[float, ...] = (0.0,)
        self._hurries_to: int | None = None  # the time of the first picture that all are decoded from
        self._skipped = False
        if whole_up_to_s is not None and duration_s > whole_up_to_s:
            keys_s = [float((key - self._zero) * self._time_base) for key in scan.keyframe_pts]
            self._starts_s = places(keys_s, duration_s)
            self._hurries_to = self._zero + math.ceil((duration_s - _END_S) / self._time_base)

    def decode(self) -> Decoded:
        """Decode what is to be decoded and return what the decoders complained about, each complaint once.

        The first pictures that come out are those that the sampler looks at.
        """
        try:
            self._decode_places()
        finally:
            # Waits for their threads, and lets them have Python meanwhile. Freeing them waits, too, but keeps it, and a
            # thread with something to log waits for it (https://github.com/PyAV-Org/PyAV/issues/751).
            for context in self._decoders():
                context.flush_buffers()
        if self._sampler.frames == 0 and not self._errors:
            self._errors.append("no picture came out of the decoder")
        spoken = dict(map(_names, self._decoders()))
        lines = [*(_line(line, spoken) for line in log_lines(self._logs)), *self._errors]
        is_whole = len(self._starts_s) == 1 and not self._skipped
        return Decoded(whole=is_whole, errors=tuple(dict.fromkeys(lines))[:_MOST_ERRORS])

    def _decode_places(self) -> None:
        first_pts: int | None = None
        for start_s in self._starts_s:
            is_last = start_s == self._starts_s[-1]
            try:
                self._container.seek(self._zero + round(start_s / self._time_base), stream=self._sampler.stream)
                self._decode_from_here(is_last=is_last)
            except (av.FFmpegError, OSError) as error:
                self._note("", error)
            if start_s == 0:
                first_pts = self._sampler.first_pts
        self._sampler.first_pts = first_pts  # of the file's beginning, or of nothing

    def _decode_from_here(self, *, is_last: bool) -> None:
        sampler, frames = self._sampler, 0
        for packet in self._container.demux(sampler.stream, *(self._container.streams.audio if is_last else ())):
            if packet.stream_index == sampler.stream.index:
                self._hurry(packet, may=is_last and frames >= WINDOW_FRAMES)
                frames += self._take(sampler.take, packet)
            else:
                self._take(packet.stream.decode, packet)  # type: ignore[attr-defined]  # sound has decoders
            enough = not is_last and frames >= WINDOW_FRAMES
            if enough or len(self._logs) + len(self._errors) > self._most_logs:
                return

    def _hurry(self, packet: Packet[Any], *, may: bool) -> None:
        """Have the decoder leave out, or not, what the last second does not need."""
        context = self._sampler.stream.codec_context
        if context is None or self._hurries_to is None:
            return
        skips = may and packet.pts is not None and packet.pts < self._hurries_to
        wanted: Literal["NONREF", "DEFAULT"] = "NONREF" if skips else "DEFAULT"
        if context.skip_frame != wanted:
            context.skip_frame = wanted
            self._skipped |= skips

    def _take(self, decode: Callable[[Packet[Any] | None], Sequence[object]], packet: Packet[Any]) -> int:
        try:
            return len(decode(packet if packet.size else None))
        except av.EOFError:  # an empty packet in the middle of a stream is taken for its end
            return 0
        except (av.FFmpegError, ValueError) as error:
            context = packet.stream.codec_context
            self._note("" if context is None else f"[{_names(context)[1]}] ", error)
            return 0

    def _note(self, who: str, error: Exception) -> None:
        text = who + str(getattr(error, "strerror", None) or error or type(error).__name__)
        if text not in self._errors:
            self._errors.append(text)

    def _decoders(self) -> list[CodecContext]:
        streams = (self._sampler.stream, *self._container.streams.audio)
        return [stream.codec_context for stream in streams if stream.codec_context is not None]


def _names(context: CodecContext) -> tuple[str, str]:
    """Return what a decoder calls itself, and its codec."""
    return context.codec.name, context.codec.canonical_name


def _line(said: str, spoken: dict[str, str]) -> str:
    """Return a line of the log with the codec in front: a decoder may have another name (libdav1d, mp3float)."""
    name, _, text = said.partition(": ")
    return f"[{spoken.get(name, name)}] {text}"
