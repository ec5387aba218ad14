"""Reads one opened container to its end and composes what the file is: packets, some frames, tracks, damage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# PyAV imports these on first use, which is when no file can be opened any more.
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition

from reelpress.facts.formats import INDEXED_FORMATS
from reelpress.facts.media import AudioTrack, Chapter, Decoded, MediaFacts, OtherTrack, SubtitleTrack, VideoTrack
from reelpress.probe.isobmff import FileBoxes
from reelpress.probe.media_decode import OutputDecoder
from reelpress.probe.media_frames import FrameSampler
from reelpress.probe.media_lines import stream_lines
from reelpress.probe.media_refusal import RefusedError, log_lines
from reelpress.probe.media_request import Decoding, Request
from reelpress.probe.media_scan import Scan, is_discontinuous, scan_packets
from reelpress.probe.media_sound import LateSound
from reelpress.probe.media_stream import Clock, StreamScan
from reelpress.probe.media_stretches import Stretches, read_head, read_stretches
from reelpress.probe.media_tracks import (
    StreamLine,
    build_audio,
    build_other,
    build_subtitle,
    claimed_s,
    text,
)
from reelpress.probe.media_video import build_video

_MAX_DAMAGE = 12
_MAX_LOGS = 400
_HEADER_TELLS = ("mov,", "matroska", "flv", "avi", "asf", "wav")  # elsewhere it is guessed from the size


class Reader:
    """Reads one opened container to its end and composes the facts."""

    def __init__(self, container: InputContainer, boxes: FileBoxes | None, logs: list[Any], request: Request) -> None:
        self.container, self.boxes, self.logs, self.request = container, boxes, logs, request
        self.unknown: dict[str, str] = {}
        self.is_mov = container.format.name.startswith("mov,")
        self.pictures = {
            s.index for s in container.streams if s.type == "video" and s.disposition & Disposition.attached_pic
        }
        self.sound = LateSound(container)
        self.stretches: Stretches | None = None
        self.decoded: Decoded | None = None
        self.jumps = is_discontinuous(container)
        clock = Clock()
        self.scans = {s.index: StreamScan(s, is_discontinuous=self.jumps, clock=clock) for s in container.streams}
        self.samplers = {
            s.index: FrameSampler(s, request.max_pixels, 1 if request.decoding is None else request.decoding.threads)
            for s in container.streams.video
            if s.index not in self.pictures
        }

    def facts(self, size: int) -> MediaFacts:
        """Read all packets, decode some frames, and return what the file is."""
        container = self.container
        if not len(container.streams):
            raise RefusedError("not_media", "the file holds no streams", f"FFmpeg took it for {container.format.name}")
        lines = stream_lines(container)
        header_s = claimed_s(container)
        scan, problems = self._read(header_s)
        tracks = self._tracks(lines, is_complete=scan.is_complete)
        start_s, duration_s = self._span(scan, header_s)
        facts = MediaFacts(
            size_bytes=size,
            container=container.format.name,
            duration_s=duration_s,
            header_duration_s=header_s,
            start_s=start_s,
            is_faststart=self.boxes.is_faststart if self.boxes is not None and self.is_mov else None,
            is_fragmented=self.boxes.is_fragmented if self.boxes is not None and self.is_mov else None,
            scan_complete=scan.is_complete,
            chapters=self._chapters(),
            title=text(container.metadata.get("title")),
            creation_time=self._tag("com.apple.quicktime.creationdate", "creation_time", "date"),
            location=self._tag("com.apple.quicktime.location.ISO6709", "location", "location-eng"),
            unknown=self.unknown,
            damage=tuple(self._damage(scan, problems, header_s, duration_s))[:_MAX_DAMAGE],
            stretches=() if self.stretches is None else tuple(self.stretches.read),
            **tracks,
        )
        if facts.container == "gif" and scan.is_complete and facts.video and facts.video[0].frames == 1:
            raise RefusedError("image", "the file is a still picture, not a video", "a GIF of one frame")
        return facts

    def _read(self, header_s: float | None) -> tuple[Scan, list[str]]:
        """Read packets and decode frames; return how it ended, and what FFmpeg said before anything was sought."""
        if self.request.decoding is not None and self.samplers:
            return self._read_output(self.request.decoding)
        # Without a length in the header, nobody can go to a place in the file without reading all before it.
        is_whole = self.request.stretches is None or header_s is None or not self.samplers
        if is_whole:
            scan = scan_packets(self.container, self.scans, self._feed, self.request.scan_budget_s)
        else:
            scan = Scan(is_complete=False, error=read_head(self.container, self.scans, self.samplers, self._feed))
        for decoder in self.samplers.values():
            if scan.is_complete or decoder.frames == 0:
                decoder.feed(None)
        self._close_scans()
        problems = log_lines(self.logs)
        if not is_whole:
            self.stretches = self._read_stretches(self.request.stretches or ())
            return scan, problems
        for index, sampler in self.samplers.items():
            timed = self.scans[index]
            if timed.shown <= 12 or timed.jumps:
                continue
            if timed.start is not None and timed.end is not None:
                sampler.sample_later(self.container, timed.start, timed.end)
        return scan, problems

    def _read_output(self, decoding: Decoding) -> tuple[Scan, list[str]]:
        """Read all packets, then decode the pictures of the first video stream, and the sound at their end."""
        scan = scan_packets(self.container, self.scans, lambda _packet: None, self.request.scan_budget_s)
        problems = log_lines(self.logs)
        index, sampler = next(iter(self.samplers.items()))
        decoder = OutputDecoder(self.container, sampler, self.scans[index], self.logs, decoding.whole_up_to_s)
        self.decoded = decoder.decode()
        self._close_scans()
        return scan, problems

    def _close_scans(self) -> None:
        for index, packets in self.scans.items():
            sampler = self.samplers.get(index)
            packets.close(
                has_durations=self.is_mov,
                first_pts=sampler.first_pts if sampler is not None else None,
                first_dts=sampler.first_dts if sampler is not None else None,
            )
        for index, packet_s in self.sound.packet_s.items():
            self.scans[index].lengthen(packet_s)

    def _read_stretches(self, stretches: Sequence[tuple[float, float]]) -> Stretches:
        main = max((s.stream for s in self.samplers.values()), key=lambda s: (s.width or 0) * (s.height or 0))
        start = self.scans[main.index].start
        zero = start if start is not None else main.start_time or 0
        self.sound.look_at(stretches, zero=zero, main=main)
        return read_stretches(
            self.container, self.samplers, stretches, zero=zero,
            main=main, is_discontinuous=self.jumps, is_indexed=self.container.format.name in INDEXED_FORMATS,
            budget_s=self.request.scan_budget_s,
        )  # fmt: skip

    def _feed(self, packet: Packet[Any]) -> None:
        sampler = self.samplers.get(packet.stream_index)
        if sampler is not None:
            sampler.feed(packet)
        else:
            self.sound.feed(packet)
        if len(self.logs) > _MAX_LOGS:
            del self.logs[_MAX_LOGS // 2 :]

    def _tracks(self, lines: dict[int, StreamLine], *, is_complete: bool) -> dict[str, Any]:
        video, audio, subtitles, other = (
            list[VideoTrack](),
            list[AudioTrack](),
            list[SubtitleTrack](),
            list[OtherTrack](),
        )
        shared: dict[str, Any] = {"unknown": self.unknown, "is_complete": is_complete}
        for stream in self.container.streams:
            line = lines.get(stream.index, StreamLine())
            boxes = self.boxes.track(stream.id, stream.index) if self.boxes is not None and self.is_mov else None
            scan = self.scans[stream.index]
            if (sampler := self.samplers.get(stream.index)) is not None:
                shared["position"] = len(video)
                video.append(build_video(stream, scan, sampler, boxes, line, stretches=self.stretches, **shared))
            elif stream.type == "audio":
                shared["position"] = len(audio)
                late = stream.index in self.sound.late
                audio.append(build_audio(stream, scan, boxes, line, begins_late=late, **shared))
            elif stream.type == "subtitle":
                subtitles.append(build_subtitle(stream, line))
            else:
                other.append(build_other(stream, line))
        return {"video": tuple(video), "audio": tuple(audio), "subtitles": tuple(subtitles), "other": tuple(other)}

    def _span(self, scan: Scan, header_s: float | None) -> tuple[float | None, float | None]:
        """Return start and duration over all picture and sound."""
        timed = [s for i, s in self.scans.items() if s.kind in {"video", "audio"} and i not in self.pictures]
        starts = [float(s.start * s.time_base) for s in timed if s.start is not None]
        ends = [float(s.end * s.time_base) for s in timed if s.end is not None]
        if not scan.is_complete:
            reached = f"up to {max(ends):.1f} s of the programme" if ends else "before the first one"
            how = f"packets were read for {self.request.scan_budget_s:g} s, {reached}"
            if self.stretches is not None:
                how = "packets were read of the beginning and of the stretches that were asked for"
                how += "" if self.stretches.are_all_read else f", for {self.request.scan_budget_s:g} s"
            self.unknown["scan"] = f"{how}; the rest is what the index and the header claim"
            if header_s is None:
                self.unknown["duration_s"] = "not every packet was read, and the header does not tell"
        if not starts:
            self.unknown["start_s"] = "no packet of picture or sound carries a time"
            if scan.is_complete:
                self.unknown["duration_s"] = self.unknown["start_s"]
            return None, None if scan.is_complete else header_s
        return min(starts), max(ends) - min(starts) if scan.is_complete else header_s

    def _chapters(self) -> tuple[Chapter, ...]:
        chapters = []
        for raw in self.container.chapters()[:1000]:
            base = raw["time_base"]
            if base is None:
                continue
            start, end = float(raw["start"] * base), float(raw["end"] * base)
            chapters.append(Chapter(start_s=start, end_s=max(start, end), title=text(raw["metadata"].get("title"))))
        return tuple(chapters)

    def _tag(self, *names: str) -> str | None:
        places = [self.container.metadata, *(s.metadata for s in self.container.streams)]
        return next((found for place in places for name in names if (found := text(place.get(name)))), None)

    def _damage(self, scan: Scan, problems: list[str], header_s: float | None, duration_s: float | None) -> list[str]:
        damage = []
        if scan.error is not None:
            damage.append(f"reading stopped: {scan.error}")
        if self.stretches is not None:
            damage += [
                f"no picture could be read from {start_s:.3f} s on: {why}"
                for start_s, why in self.stretches.missing if duration_s is None or start_s < duration_s
            ]  # fmt: skip
        if scan.is_complete:
            damage += self._disagreements(header_s, duration_s)
        if self.boxes is not None and self.is_mov:
            damage += self.boxes.problems
        for index, packets in self.scans.items():
            if packets.corrupt:
                damage.append(f"stream {index}: {packets.corrupt} of {packets.packets} packets are marked corrupt")
            for at_s, jump_s in packets.jumps[:3]:
                damage.append(f"stream {index}: timestamps jump by {jump_s:+.3f} s at {at_s:.3f} s")
        for index, sampler in self.samplers.items():
            damage += [f"stream {index}: decoding: {error}" for error in sampler.errors]
        return damage + problems

    def _disagreements(self, header_s: float | None, duration_s: float | None) -> list[str]:
        found = []
        for stream in self.container.streams:
            packets = self.scans[stream.index].packets
            claimed = len(stream.index_entries) if self.is_mov and stream.type in {"video", "audio"} else 0
            if claimed > packets and stream.index not in self.pictures:
                found.append(f"file ends early: stream {stream.index} has {packets} of {claimed} packets")
        tells = self.container.format.name.startswith(_HEADER_TELLS)
        if tells and header_s is not None and duration_s is not None:
            lasts_s, slack_s = self._lasts_s(duration_s), max(1.0, 0.02 * duration_s)
            if header_s - lasts_s > slack_s:
                found.append(f"file ends early: the header claims {header_s:.3f} s, packets last {lasts_s:.3f} s")
            elif duration_s - header_s > slack_s:
                found.append(f"the header claims {header_s:.3f} s, packets last {duration_s:.3f} s")
        return found

    def _lasts_s(self, duration_s: float) -> float:
        """Return how long packets last as headers count: subtitles may outlast the rest, Matroska counts from 0."""
        timed = [s for s in self.scans.values() if s.kind in {"video", "audio", "subtitle"}]
        ends = [float(s.end * s.time_base) for s in timed if s.end is not None]
        starts = [float(s.start * s.time_base) for s in timed if s.start is not None]
        from_s = 0.0 if self.container.format.name.startswith("matroska") else min(starts, default=0.0)
        return max(duration_s, max(ends, default=0.0) - from_s)
