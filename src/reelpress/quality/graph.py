"""FFmpeg's commands of a comparison: small pictures with their times to look at, sound, and scores. Pure.

Times are put on one scale, seconds from the first picture of each file, by what was seen of the files and not by what
their headers say. Frames are never repeated or left out on the way to a comparison.
"""

from __future__ import annotations

from pathlib import Path

from reelpress.facts.formats import INDEXED_FORMATS, QUIET, RUN_UP_S, container_args, protocol_whitelist
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.quality import Window
from reelpress.facts.values import Value
from reelpress.plan.seeking import seek_args
from reelpress.quality.views import View
from reelpress.quality.vmaf import libvmaf_filter

TICKS = 1_000_000  # of a second: what times are told in
SMALL_W, SMALL_H = 64, 36  # of pictures that are looked at, and the other way round for portraits
SOUND_HZ = 8000
_HEAD = (*QUIET, "-y")
_RAW = ("-fps_mode", "passthrough", "-enc_time_base", f"1/{TICKS}", "-avoid_negative_ts", "disabled")
# what lies before a window is read along: the picture on the screen when it begins, and those of open GOPs
BEFORE_S = 1.0
_AFTER_S = 0.2  # and after it: the two files' clocks are rounded otherwise
LEAD_S = 0.5  # of that, at most, for a frame of the encode itself
_HEARD = f"aresample={SOUND_HZ}:async=1:first_pts=0,aformat=sample_fmts=s16:channel_layouts=mono"
_FINE = f"settb=1/{TICKS}"  # what a container counts in may be whole frames
HALF_TICK_S = 0.0005  # of the coarsest clock in use, Matroska's milliseconds


class Side(Value, frozen=True, kw_only=True):
    """One of two files: where it is, which track, and the filters that its pictures go through.

    ``first_s`` is where its first picture is, on the container's own clock, which is what seeking asks for; ``None``
    where that is not known yet.
    """

    path: str
    facts: MediaFacts
    track: VideoTrack
    filters: str
    first_s: float | None = None

    @property
    def can_seek(self) -> bool:
        """Tell whether what is sought is known to be found where it is: not in streams without any clock."""
        return self.first_s is not None and self.track.codec != "vvc" and self.facts.container not in _UNCLOCKED


class Span(Value, frozen=True, kw_only=True):
    """Which frames of the encode are compared, by their times, the first and the last included, and with what.

    Each meets the picture that the reference has on the screen ``late_s`` after its own time. That of the first is
    shown from ``wanted_from_s`` on, which may be long before.
    """

    from_s: float
    until_s: float
    late_s: float
    wanted_from_s: float


_UNCLOCKED = frozenset({"mpeg", "mpegvideo", "h264", "hevc", "m4v", "av1", "obu", "vc1", "dv", "rm", "flv"})


def small_size(view: View) -> tuple[int, int]:
    """Return width and height of the pictures that are looked at."""
    return (SMALL_W, SMALL_H) if view.width >= view.height else (SMALL_H, SMALL_W)


def input_args(
    side: Side, window: Window | None, *, after_s: float = 0.0, before_s: float = BEFORE_S
) -> tuple[tuple[str, ...], tuple[str, ...]]:  # fmt: skip
    """Return the options of an input up to its name, and the filters that put its first picture at 0 and cut.

    ``before_s`` and ``after_s`` are for how long before and after the window pictures are let through.
    """
    opened = ("-protocol_whitelist", protocol_whitelist(), *container_args(side.facts.container))
    name = ("-i", f"file:{side.path}")
    if window is None:
        return (*opened, *name), (f"{_FINE},setpts=PTS-STARTPTS",)
    begin_s = max(0.0, window.start_s - before_s)
    cut = f"trim=start={begin_s:.6f}:end={window.start_s + window.duration_s + after_s:.6f}"
    early_s = 0.3 if side.facts.container in INDEXED_FORMATS else RUN_UP_S
    first_s = side.first_s or 0.0
    sought = side.can_seek and begin_s > early_s
    seek = seek_args(first_s + begin_s - early_s) if sought else ("-copyts",)
    return (*opened, *seek, *name), (f"{_FINE},setpts=PTS-{first_s:.6f}/TB", cut)


def first_picture(ffmpeg: str, side: Side, target: Path, *, as_written: bool = False) -> tuple[str, ...]:
    """Return the command that tells when the first picture is shown on the container's own clock.

    An edit list may begin in the middle of a picture. FFmpeg leaves that one out and puts the next where the edit
    begins; ``as_written`` it is where the edit list has it. For ISO BMFF with one edit that is not empty.
    """
    opened = ("-protocol_whitelist", protocol_whitelist(), *container_args(side.facts.container))
    written = ("-advanced_editlist", "0") if as_written else ()
    cut = f"trim=start=-{HALF_TICK_S}," if as_written else ""
    return (
        ffmpeg, *_HEAD, *opened, *written, "-copyts", "-i", f"file:{side.path}",
        "-filter_complex", f"[0:{side.track.index}]settb=1/{TICKS},{cut}scale=16:16[v]", "-map", "[v]",
        "-frames:v", "1", *_RAW, "-f", "framecrc", f"file:{target}",
    )  # fmt: skip


def look(
    ffmpeg: str, side: Side, window: Window | None, target: Path, *, sound: int | None = None
) -> tuple[str, ...]:  # fmt: skip
    """Return the command that writes small pictures to ``target`` and their times beside it (``.times``).

    Of a window times count from the first picture. Of a whole file they are on FFmpeg's clock of it, which may depend
    on the tracks that are read: so its ``sound``, a track, is written along (``.sound``), on the same clock.
    """
    name, cut = input_args(side, window, after_s=_AFTER_S)
    steps = ",".join((*(cut if window is not None else (_FINE,)), side.filters, f"format=yuv420p,{_FINE}"))
    graph = f"[0:{side.track.index}]{steps},split[pictures][times]"
    heard: tuple[str, ...] = ()
    if sound is not None:
        graph += f";[0:{sound}]{_HEARD}[sound]"
        heard = ("-map", "[sound]", "-c:a", "pcm_s16le", "-f", "s16le", f"file:{target}.sound")
    return (
        ffmpeg, *_HEAD, *name, "-filter_complex", graph,
        "-map", "[pictures]", *_RAW, "-c:v", "rawvideo", "-f", "rawvideo", f"file:{target}",
        "-map", "[times]", *_RAW, "-f", "framecrc", f"file:{target}.times", *heard,
    )  # fmt: skip


def listen(ffmpeg: str, side: Side, track: int, target: Path) -> tuple[str, ...]:
    """Return the command that writes a track's sound from the first picture on, mono, 16 bits at ``SOUND_HZ``."""
    opened = ("-protocol_whitelist", protocol_whitelist(), *container_args(side.facts.container))
    name = (*opened, "-copyts", "-i", f"file:{side.path}")
    steps = f"a{_FINE},asetpts=PTS-{side.first_s or 0.0:.6f}/TB,atrim=start=0,{_HEARD}"
    return (
        ffmpeg, *_HEAD, *name, "-filter_complex", f"[0:{track}]{steps}[sound]",
        "-map", "[sound]", "-c:a", "pcm_s16le", "-f", "s16le", f"file:{target}",
    )  # fmt: skip


def score(
    ffmpeg: str, encoded: Side, reference: Side, view: View, window: Window | None, folder: Path, span: Span,
    *, threads: int, features: tuple[str, ...] = ("psnr",), every: int = 1,
) -> tuple[str, ...]:  # fmt: skip
    """Return the command that scores the encode against the reference; libvmaf's log comes on stdout.

    The times of what was compared go to ``made.times`` and ``wanted.times`` in ``folder``, with checksums of the
    pictures.
    """
    compare = libvmaf_filter(view.viewing, threads=threads, features=features, every=every, sync="default")
    return _compare(ffmpeg, (encoded, reference), window, folder, span, compare)


def xpsnr(
    ffmpeg: str, encoded: Side, reference: Side, _view: View, window: Window | None, folder: Path, span: Span,
) -> tuple[str, ...]:  # fmt: skip
    """Return the command that measures XPSNR of the same frames as :func:`score`, a line for each on stdout."""
    return _compare(ffmpeg, (encoded, reference), window, folder, span, "xpsnr=stats_file=-")


def _compare(
    ffmpeg: str,
    sides: tuple[Side, Side],
    window: Window | None,
    folder: Path,
    span: Span,
    compare: str,
) -> tuple[str, ...]:
    late_s = span.late_s
    chains = []
    inputs: list[str] = []
    for number, (side, label, shift) in enumerate(zip(sides, ("made", "wanted"), (late_s, 0.0), strict=True)):
        before_s = BEFORE_S
        if window is not None and label == "wanted":
            before_s = max(BEFORE_S, window.start_s - span.wanted_from_s + HALF_TICK_S)
        name, cut = input_args(side, window, after_s=_AFTER_S, before_s=before_s)
        inputs += name
        # the reference's picture on the screen when the window begins is of before it; and where either ends later than
        # the other, libvmaf would go on with the last picture of the one that ended
        begin = f"start={span.from_s - HALF_TICK_S:.6f}:" if label == "made" else ""
        end = f"trim={begin}end={span.until_s + late_s - shift + HALF_TICK_S:.6f}"
        moved = [f"setpts=PTS+{shift:.6f}/TB"] if shift else []
        steps = ",".join((*cut, side.filters, f"settb=1/{TICKS}", end, *moved))
        chains.append(f"[{number}:{side.track.index}]{steps},split[{label}][{label}_times]")
    graph = ";".join((*chains, f"[made][wanted]{compare}[scored]"))
    return (
        ffmpeg, *_HEAD, *inputs, "-filter_complex", graph, "-map", "[scored]", *_RAW, "-f", "null", "-",
        "-map", "[made_times]", *_RAW, "-f", "framecrc", f"file:{folder / 'made.times'}",
        "-map", "[wanted_times]", *_RAW, "-f", "framecrc", f"file:{folder / 'wanted.times'}",
    )  # fmt: skip
