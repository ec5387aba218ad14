"""What a media file is: facts read from it, each either known or ``None`` with a reason in ``unknown``.

Names of codecs, pixel formats and colour values are FFmpeg's own (``h264``, ``yuv420p10le``, ``smpte2084``).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from reelpress.facts.values import Value

FieldOrder = Literal["progressive", "tt", "bb", "tb", "bt"]
Chroma = Literal["420", "422", "444", "411", "410", "440", "gray", "rgb"]
StreamKind = Literal["data", "attachment", "attached_picture", "unknown"]

HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})


class MasteringDisplay(Value, frozen=True, kw_only=True):
    """SMPTE ST 2086: the display a programme was graded on. Chromaticities are CIE 1931, luminance in cd/m²."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    min_luminance: Fraction
    max_luminance: Fraction


class ContentLight(Value, frozen=True, kw_only=True):
    """CTA-861.3 content light levels in cd/m²."""

    max_cll: int
    max_fall: int


class DolbyVision(Value, frozen=True, kw_only=True):
    """Dolby Vision as far as the container tells; ``base_layer`` is what a player without Dolby Vision shows."""

    profile: int | None
    compatibility_id: int | None
    base_layer: Literal["hdr10", "hlg", "sdr", "none"] | None


class Colour(Value, frozen=True, kw_only=True):
    """Colour description; ``None`` where the file does not say."""

    range: Literal["limited", "full"] | None = None
    primaries: str | None = None
    transfer: str | None = None
    matrix: str | None = None
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    dolby_vision: DolbyVision | None = None

    @property
    def is_hdr(self) -> bool:
        """True for PQ (HDR10, Dolby Vision 8.1) and HLG."""
        return self.transfer in HDR_TRANSFERS


class Edit(Value, frozen=True, kw_only=True):
    """One entry of an ISO BMFF edit list. ``media_time_s`` is ``None`` for an empty edit (a delay)."""

    duration_s: float
    media_time_s: float | None


class Crop(Value, frozen=True, kw_only=True):
    """Pixels that the container (``clap`` in MP4, ``PixelCrop`` in Matroska) cuts off the decoded picture."""

    left: int
    right: int
    top: int
    bottom: int


MOST_HELD = 100
# At most so many pauses are told, the longest, and none that is shorter: what follows them is decoded from before them.
MOST_PAUSES, PAUSE_S = 64, 0.25
# For how long a last picture may stay before its length matters: what a duration may be off by.
STAYS_S = 0.1


class VideoTrack(Value, frozen=True, kw_only=True):
    """One real video stream (never a cover picture).

    ``width`` x ``height`` are the decoded pixels; ``display_width`` x ``display_height`` are what a viewer should
    see, after the crop, the sample aspect ratio and the rotation, before any rounding to even. A ``mirrored`` picture
    is flipped top to bottom first, then turned by ``rotation_deg``.
    """

    index: int
    codec: str
    profile: str | None
    codec_tag: str | None
    width: int
    height: int
    sample_aspect_ratio: Fraction  # 1 where the file does not say
    rotation_deg: Literal[0, 90, 180, 270]  # clockwise turn that makes the picture upright
    mirrored: bool  # the display matrix also flips
    display_width: int
    display_height: int
    pix_fmt: str | None
    bit_depth: int | None
    chroma: Chroma | None
    has_alpha: bool
    colour: Colour
    field_order: FieldOrder | None
    is_interlaced: bool | None  # field order says so, or decoded frames carry the flag
    time_base: Fraction
    fps_avg: Fraction | None  # frames over duration, from timestamps
    fps_nominal: Fraction | None  # the rate the file claims
    fps_peak: float | None  # 1 / 5th percentile of frame intervals: of its fastest stretches, or fps_avg if more
    is_vfr: bool | None
    frames: int | None  # counted packets that will be shown, not a header's claim
    start_s: float | None
    duration_s: float | None
    size_bytes: int | None  # sum of packets
    bitrate_bps: int | None
    keyframes: int | None
    has_closed_captions: bool
    edits: tuple[Edit, ...]
    decodes: bool  # at least one frame came out of a software decoder
    changes_size: bool  # frame size changes inside the stream, as far as was looked
    crop: Crop | None = None  # of the decoded picture, before it is turned
    is_cut_left_or_top: bool = False  # by the bitstream itself; the decoded pixels are without it
    keyframe_times_s: tuple[float, ...] = ()  # at most 31, spread over it; none where packets were not read
    longest_gop_s: float | None = (
        None  # from one keyframe to the next or to the end; None where that was not read, or has no times
    )
    clock_jumps: int = 0  # how often the container's clock jumped, where that was looked for; times run on behind it
    # of variable rates: frames that stay after others came quickly, seconds from the first frame on; at most MOST_HELD
    held_s: tuple[float, ...] = ()
    # of variable rates: (from, to) where one picture stays, in seconds from the first one on; at most MOST_PAUSES
    pauses_s: tuple[tuple[float, float], ...] = ()
    # when the last picture comes, in seconds from the first, and how long it stays; None where that was not read
    last_from_s: float | None = None
    last_s: float | None = None
    filled_slots: tuple[tuple[int, int], ...] = ()  # of variable rates: (n, slots of 1/n second that hold a frame)
    # (seconds from the first picture on, bytes of packets before), rising to its end; at most 65, none where not all
    # packets were read
    bytes_by_s: tuple[tuple[float, int], ...] = ()

    @property
    def ends_still(self) -> bool:
        """Whether the last picture stays for longer than others do, as where a recorder ended on what stood still."""
        usual_s = 0.0 if self.is_vfr or not self.fps_avg else 2 / float(self.fps_avg)
        return self.last_s is not None and self.last_s > max(STAYS_S, usual_s)

    @property
    def changes_until_s(self) -> float | None:
        """Until when something new is to be seen, in seconds from the first picture: the duration less a still end."""
        return self.duration_s if self.still_from_s is None else self.still_from_s + STAYS_S

    @property
    def still_from_s(self) -> float | None:
        """When the last picture comes, in seconds from the first, where it stays; elsewhere ``None``."""
        return self.last_from_s if self.ends_still else None

    @property
    def still_until_s(self) -> float | None:
        """When the last picture ends, in seconds from the first, where it stays; elsewhere ``None``."""
        return self.duration_s if self.ends_still else None


class AudioTrack(Value, frozen=True, kw_only=True):
    """One audio stream; ``decodes`` says whether this FFmpeg can open a decoder for it.

    Of one that ``begins_late``, FFmpeg does not know its rate and channels before it decodes: it cannot be copied.
    """

    index: int
    codec: str | None
    profile: str | None
    sample_rate_hz: int | None
    channels: int | None
    layout: str | None
    bitrate_bps: int | None
    size_bytes: int | None
    start_s: float | None
    duration_s: float | None
    language: str | None
    title: str | None
    is_default: bool
    edits: tuple[Edit, ...]
    decodes: bool
    begins_late: bool = False


class SubtitleTrack(Value, frozen=True, kw_only=True):
    """One subtitle stream; ``is_text`` is False for bitmaps (PGS, VobSub, DVB).

    ``decodes`` is False for what no FFmpeg reads (TTML, Blu-ray text).
    """

    index: int
    codec: str | None
    is_text: bool
    language: str | None
    title: str | None
    is_default: bool
    is_forced: bool
    decodes: bool = True


class OtherTrack(Value, frozen=True, kw_only=True):
    """A stream that is neither video, audio nor subtitle: data, timecode, attachment, cover picture."""

    index: int
    kind: StreamKind
    codec: str | None
    title: str | None


class Chapter(Value, frozen=True, kw_only=True):
    """A named stretch of the programme."""

    start_s: float
    end_s: float
    title: str | None


class Stretch(Value, frozen=True, kw_only=True):
    """A stretch of a file of which the ends were read, in seconds from its first picture, and where it lies.

    ``keyframe_s`` is when a keyframe is shown, at the start or before it, from which decoding was seen to begin well;
    ``enter_s`` is its decode time, which is where to seek. Both are ``None`` where an index tells keyframes, and where
    none was seen. The pictures are at about ``begin_byte`` to ``end_byte``, ``None`` where the container does not tell.
    """

    start_s: float
    end_s: float
    keyframe_s: float | None = None
    enter_s: float | None = None
    begin_byte: int | None = None
    end_byte: int | None = None


class MediaFacts(Value, frozen=True, kw_only=True):
    """Everything the planner may know about one file.

    ``unknown`` maps a field's name to the reason it is ``None``; ``damage`` lists what was seen to be broken.
    """

    size_bytes: int
    container: str  # the demuxer's name as FFmpeg gives it, e.g. "mov,mp4,m4a,3gp,3g2,mj2"
    duration_s: float | None  # from timestamps where they were read, else what the header claims
    header_duration_s: float | None
    start_s: float | None
    is_faststart: bool | None  # ISO BMFF only: moov before mdat
    is_fragmented: bool | None
    scan_complete: bool  # every packet was read; counts and durations are measured, not claimed
    video: tuple[VideoTrack, ...]
    audio: tuple[AudioTrack, ...]
    subtitles: tuple[SubtitleTrack, ...]
    other: tuple[OtherTrack, ...]
    chapters: tuple[Chapter, ...]
    title: str | None
    creation_time: str | None  # as the file spells it
    location: str | None  # ISO 6709, as the file spells it
    unknown: dict[str, str]
    damage: tuple[str, ...]
    stretches: tuple[Stretch, ...] = ()  # what was read instead of all of it; none where every packet was to be read

    @property
    def main_video(self) -> VideoTrack | None:
        """The stream a player would show: decodable, with frames, the most pixels; the first among equals."""
        usable = [v for v in self.video if v.decodes and v.frames != 0]
        return max(usable, key=lambda v: v.display_width * v.display_height, default=None)

    @property
    def main_audio(self) -> AudioTrack | None:
        """The sound a player would play: the default among those that decode and are not empty, else the first."""
        usable = [a for a in self.audio if a.decodes and not (a.size_bytes == 0 and self.scan_complete)]
        return next((a for a in usable if a.is_default), usable[0] if usable else None)


class Decoded(Value, frozen=True, kw_only=True):
    """What a software decoder made of an output: of ``whole`` of it, or of its start, middle and end.

    ``errors`` are its complaints, the codec in brackets first where one decoder spoke.
    """

    whole: bool
    errors: tuple[str, ...]
