"""When a clip begins, how many frames it has, and how FFmpeg comes by exactly these. Pure.

Frames are counted on a grid of the output's rate whose first point is the first frame, so every cut inside the clip is
a frame number. Where the source keeps a constant rate the grid is the source's own, or a whole multiple of it: no frame
is shown twice or left out by rounding.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import msgspec

from reelpress.clip_request import ClipRequest
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.model import Reason
from reelpress.plan.seeking import READ_ANYWAY_S, Pauses, can_seek, entry_before, pauses_of, run_up_s, seek_args

DEFAULT_FPS = Fraction(30)  # of a source that shows no rate
STANDARD_FPS = tuple(
    Fraction(n, d)
    for n, d in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001), (60, 1))
)
# A rate that the source claims is believed while it drifts by less than this share of a frame over the clip.
_DRIFT_FRAMES = 0.25
# Times come rounded to milliseconds: a start this little before a frame means that frame.
_EARLY_FRAMES = 0.05
# FFmpeg is told to begin this much earlier, and what is too early is left out by number. Pictures that need one from
# before a keyframe (open GOPs), and the picture still shown from before the start, are decoded on the way.
_RUN_UP_S = 0.3
_FINE = "settb=1/1000000"  # a container may count in whole frames, and what is shifted is cut off to what it counts in
_PAD_S = 0.5  # the last picture stays for at most this long where the source ends early


class Clock(Value, frozen=True, kw_only=True):
    """The frames of a clip, or of a part of one.

    ``start_s`` is the time of the first frame in programme seconds. ``seek_s`` is where FFmpeg begins to read, on the
    container's clock, ``None`` where that is its beginning. ``run_up_s`` is how much earlier it has to, ``None`` where
    times do not lead to places: then all is read, on FFmpeg's own clock, which runs on where the container's jumps.
    ``enter_s`` is a place on the container's clock from which decoding is known to begin well, ``None`` where that is
    any. One frame in ``aligned`` begins when one of the source does: a part that begins elsewhere has other pictures.
    Of a source that is thinned evenly one in ``every`` frames is shown, the first to begin with.
    """

    fps: Fraction
    frames: int
    start_s: float
    seek_s: float | None
    run_up_s: float | None
    enter_s: float | None
    origin_s: float  # where programme second 0 is on the clock that is read by
    floor_s: float  # where the container begins
    pauses: Pauses
    filters: tuple[str, ...]
    aligned: int = 1
    every: int = 1

    @property
    def duration_s(self) -> float:
        """How long the frames are shown."""
        return float(self.frames / self.fps)

    @property
    def seek_args(self) -> tuple[str, ...]:
        """The options that stand before ``-i``; times are the container's own then, or FFmpeg's without a run-up."""
        if self.run_up_s is None:
            return ()
        return ("-copyts",) if self.seek_s is None else seek_args(self.seek_s)

    @property
    def sound_shift(self) -> str:
        """The filter that puts what is heard with the first frame at 0."""
        return f"asetpts=PTS-{self.origin_s + self.start_s:.6f}/TB"

    @property
    def steps(self) -> tuple[str, ...]:
        """The filters that make exactly these frames of what is decoded."""
        still_from_s, pad = self.pauses.still_from_s, ceil(self.fps * Fraction(_PAD_S))
        shown_s = self.start_s if still_from_s is None else min(self.start_s, still_from_s)
        if still_from_s is not None and self.start_s + self.duration_s > still_from_s:
            pad = self.frames
        ends = (f"tpad=stop={pad}:stop_mode=clone", f"trim=end_frame={self.frames}")
        return (_FINE, f"setpts=PTS-{self.origin_s + shown_s:.6f}/TB", *self.filters, *ends)

    def frame_at(self, t_s: float) -> float:
        """Return a programme time as a frame number with its fraction; it may lie outside the clip."""
        return (t_s - self.start_s) * float(self.fps)

    def first_from(self, t_s: float) -> int:
        """Return the first frame that shows what begins at a programme time; it may lie outside the clip."""
        # `fps=` puts a picture at the nearest frame and, in the middle between two, at the later one. `framestep` then
        # leaves frames out: what begins with one of these is shown from the next one on.
        nearest = floor(round(self.frame_at(t_s) * self.every, 3) + 0.5)
        return ceil(nearest / self.every)

    def part(self, first: int, frames: int) -> Clock:
        """Return the clock of a part: the same pictures, counted from ``first``."""
        start_s = self.start_s + float(first / self.fps)
        return _placed(msgspec.structs.replace(self, start_s=start_s, frames=frames))


def clip_clock(media: MediaFacts, track: VideoTrack, request: ClipRequest) -> tuple[Clock, tuple[Reason, ...]]:
    """Return the clock of a clip, and why its rate is not the source's."""
    source_fps = _constant_fps(track, request.duration_s)
    start_s = request.start_s
    if source_fps is None:
        fps, told = _chosen_fps(track, request), "varies"
        filters: tuple[str, ...] = (_onto(fps),)
        aligned = every = 1
    else:
        fps, filters, every = _from_constant(source_fps, request)
        # where each picture is shown several times a clip may begin with any of these
        grid = fps if fps % source_fps == 0 else source_fps
        start_s = float(floor(start_s * grid + Fraction(_EARLY_FRAMES)) / grid)
        aligned = (fps / grid).numerator
        if aligned > fps:  # of a rate that fits nothing hardly any frame does
            aligned = 1
        told = f"{float(source_fps):.5g} fps"
    reasons: tuple[Reason, ...] = ()
    if fps != source_fps:
        text = f"The frame rate becomes {float(fps):.5g} fps, constant."
        reasons = (Reason(code="fps_made_constant", text=text, fact=told),)
    origin_s = track.start_s if track.start_s is not None else (media.start_s or 0.0)
    run_up: float | None = run_up_s(media, track, indexed_s=_RUN_UP_S)
    if not can_seek(media, track):
        run_up, origin_s = None, max(0.0, origin_s - (media.start_s or 0.0))
    entry_s = entry_before(media, track, start_s)
    clock = Clock(
        fps=fps, frames=max(1, round(request.duration_s * float(fps))), start_s=start_s, seek_s=None,
        run_up_s=run_up,
        enter_s=None if entry_s is None else origin_s + entry_s, origin_s=origin_s,
        floor_s=min(origin_s, media.start_s) if media.start_s is not None else origin_s,
        pauses=pauses_of(track), filters=filters, aligned=aligned, every=every,
    )  # fmt: skip
    return _placed(clock), reasons


def _placed(clock: Clock) -> Clock:
    if clock.run_up_s is None:
        return msgspec.structs.replace(clock, seek_s=None)
    first_s = clock.origin_s + clock.start_s
    seek_s = min(first_s - clock.run_up_s, clock.origin_s + clock.pauses.decoded_from_s(clock.start_s))
    if clock.enter_s is not None and clock.enter_s <= first_s:
        seek_s = max(seek_s, clock.enter_s)
    is_near = seek_s < clock.floor_s + READ_ANYWAY_S
    return msgspec.structs.replace(clock, seek_s=None if is_near else seek_s)


def _constant_fps(track: VideoTrack, duration_s: float) -> Fraction | None:
    """Return the rate of a source that keeps one, exactly; ``None`` where frames come as they please."""
    if track.is_vfr is not False or track.fps_avg is None:
        return None
    near = (track.fps_nominal, *STANDARD_FPS)
    drift = _DRIFT_FRAMES / max(1.0, duration_s)  # frames a second
    claimed = next((c for c in near if c is not None and abs(c - track.fps_avg) <= drift), track.fps_avg)
    return claimed.limit_denominator(1001)


def _from_constant(source: Fraction, request: ClipRequest) -> tuple[Fraction, tuple[str, ...], int]:
    """Return the output's rate, the filters that lead to it, and of how many frames one is shown."""
    cap, least = request.max_fps, request.min_fps
    if source < least:
        fps = min(source * ceil(least / source), cap)
    elif source > cap:
        fps = cap
        every = ceil(source / cap - Fraction(1, 50))
        if every >= 2 and source / every >= cap * Fraction(3, 4):
            return source / every, (_onto(source), f"framestep={every}"), every
    else:
        fps = source
    # else first onto the source's own grid, which takes the container's rounding out, then evenly from there
    return fps, (_onto(fps),) if fps % source == 0 else (_onto(source), _onto(fps)), 1


def _onto(fps: Fraction) -> str:
    return f"fps={_ratio(fps)}:start_time=0"


def _chosen_fps(track: VideoTrack, request: ClipRequest) -> Fraction:
    """Return the smallest standard rate that keeps up with a source's fastest stretches."""
    seen = Fraction(track.fps_peak) if track.fps_peak else track.fps_avg or DEFAULT_FPS
    wanted = min(max(seen, request.min_fps), request.max_fps)
    fitting = [rate for rate in STANDARD_FPS if request.min_fps <= rate <= request.max_fps]
    return next((rate for rate in fitting if rate >= wanted * Fraction(97, 100)), max(fitting, default=request.max_fps))


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
