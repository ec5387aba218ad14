"""Output size and frame rate: fit the box, never enlarge, even numbers, never a repeated frame."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from reelpress.facts.media import MOST_HELD, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.model import Reason
from reelpress.request import Request

# A source within this share above the cap is left alone: 30.06 fps phone video is 30 fps video.
FPS_TOLERANCE = 1.02
# Fast stretches count as above the cap only well beyond timestamp jitter.
FPS_PEAK_TOLERANCE = 1.5
# Dropping every n-th frame evenly is preferred while it keeps at least this share of the cap (50 -> 25 for 30).
EVEN_DECIMATION_SHARE = 0.75
# What is due of the slots that were counted: times are rounded, and what is decoded may begin later.
SLOTS_SHARE = 0.95
_SAME_S = 0.0004  # less than the millisecond that the coarsest containers count in


class Size(Value, frozen=True, kw_only=True):
    """Output size in pixels, both even."""

    width: int
    height: int


def fit(track: VideoTrack, request: Request) -> tuple[Size, tuple[Reason, ...]]:
    """Return the output size for a track, and why.

    The box applies to the longer and the shorter side, so portrait video gets a portrait box.
    """
    shown_w, shown_h = track.display_width, track.display_height
    long_side, short_side = (
        max(request.max_width, request.max_height),
        min(request.max_width, request.max_height),
    )
    box_w, box_h = (long_side, short_side) if shown_w >= shown_h else (short_side, long_side)
    scale = min(Fraction(1), Fraction(box_w, shown_w), Fraction(box_h, shown_h))
    size = Size(width=_even(shown_w * scale, min(shown_w, box_w)), height=_even(shown_h * scale, min(shown_h, box_h)))
    reasons = []
    if track.rotation_deg or track.mirrored:
        turn = f"{track.rotation_deg} degrees" + (" and mirrored" if track.mirrored else "")
        reasons.append(Reason(code="rotation_baked", text=f"Turned by {turn}; the flag is cleared.", fact=turn))
    if track.crop is not None:
        cut = f"left {track.crop.left}, right {track.crop.right}, top {track.crop.top}, bottom {track.crop.bottom}"
        reasons.append(Reason(code="cropped", text=f"Cropped as the file says: {cut} pixels.", fact=cut))
    if track.sample_aspect_ratio != 1:
        sar = f"{track.sample_aspect_ratio.numerator}:{track.sample_aspect_ratio.denominator}"
        reasons.append(Reason(code="square_pixels", text=f"Pixels of {sar} become square.", fact=sar))
    if scale < 1:
        text = f"{shown_w}x{shown_h} fits the {box_w}x{box_h} box as {size.width}x{size.height}."
        reasons.append(Reason(code="scaled_down", text=text, fact=f"{shown_w}x{shown_h}"))
    elif (size.width, size.height) != (shown_w, shown_h):
        text = f"{shown_w}x{shown_h} becomes even: {size.width}x{size.height}."
        reasons.append(Reason(code="made_even", text=text, fact=f"{shown_w}x{shown_h}"))
    return size, tuple(reasons)


def crop_filter(track: VideoTrack) -> tuple[str, ...]:
    """Return the filter that cuts off what the container says, from pictures that FFmpeg has turned upright.

    FFmpeg 9 cuts by itself, 5.1 does not: the filter finds nothing left to do where that was done.
    """
    crop = track.crop
    if crop is None:
        return ()
    width, height = kept_size(track)
    top, right, bottom, left = crop.top, crop.right, crop.bottom, crop.left
    if track.mirrored:
        top, bottom = bottom, top
    for _ in range(track.rotation_deg // 90):  # clockwise
        top, right, bottom, left = left, top, right, bottom
    return (f"crop={width}:{height}:{_offset('iw', width, left, right)}:{_offset('ih', height, top, bottom)}",)


def kept_size(track: VideoTrack) -> tuple[int, int]:
    """Return width and height in pixels of what FFmpeg decodes, once it is cropped and turned upright."""
    crop, width, height = track.crop, track.width, track.height
    if crop is not None:
        width, height = width - crop.left - crop.right, height - crop.top - crop.bottom
    return (height, width) if track.rotation_deg in (90, 270) else (width, height)


def _offset(length: str, kept: int, before: int, after: int) -> str:
    return f"({length}-{kept})*{before}/{before + after}" if before else "0"


def _even(length: Fraction | int, limit: int) -> int:
    """Return the nearest even number that is not above ``limit`` and at least 2."""
    even = 2 * round(Fraction(length) / 2)
    if even > limit:
        even -= 2
    return max(2, int(even))


class Timing(Value, frozen=True, kw_only=True):
    """How timestamps and frames go through: filters, the encoder's time base, and how many frames may come out."""

    filters: tuple[str, ...]
    time_base: Fraction
    fps: Fraction | None  # expected average, None when unknown
    keeps_all_frames: bool
    frames_at_most: int | None
    frames_at_least: int | None = None  # of frames that are kept by their time
    every: int | None = None  # of so many frames one is kept; None where their times decide


def timing(track: VideoTrack, request: Request) -> tuple[Timing, tuple[Reason, ...]]:
    """Decide which frames are kept and on which clock; frames are only ever dropped, never repeated."""
    cap = request.max_fps
    fps = track.fps_avg
    over = fps is not None and fps > cap * Fraction(FPS_TOLERANCE)
    peaks = bool(track.is_vfr) and track.fps_peak is not None and track.fps_peak > float(cap) * FPS_PEAK_TOLERANCE
    pauses_often = not over and len(track.held_s) >= MOST_HELD  # then each would have to be named
    if fps is None or not (over or peaks) or pauses_often:
        return _keep_frames(track)
    even = ceil(Fraction(fps) / cap - Fraction(1, 50))
    every = at_least = None
    if not track.is_vfr and even >= 2 and fps / even >= cap * Fraction(EVEN_DECIMATION_SHARE):
        every = even
        kept = fps / even
        # counts frames instead of comparing times, so that millisecond rounding cannot make it uneven
        select = f"select='not(mod(n,{even}))'"
        at_most = None if track.frames is None else ceil(track.frames / even)
        rates = f"{float(fps):.5g} becomes {float(kept):.5g} fps (cap {float(cap):g})"
        text = f"Every {_ordinal(even)} frame is kept: {rates}."
    else:
        kept = min(cap, fps)
        # One frame per slot of 1/cap. The quarter slot keeps a frame whose time was rounded down in its own slot.
        slot = f"floor((t-start_t)*{float(cap):g}+0.25)"
        before = f"floor((prev_selected_t-start_t)*{float(cap):g}+0.25)"
        # What stays on the screen is kept, too: else what came just before would stay in its place.
        held = "".join(f"+between(t-start_t,{t - _SAME_S:.4f},{t + _SAME_S:.4f})" for t in track.held_s)
        select = f"select='isnan(prev_selected_t)+gt({slot},{before}){held}'"
        at_most = None if track.duration_s is None else ceil(track.duration_s * cap) + 2 + len(track.held_s)
        at_least = _slots_at_least(track, fps, cap)
        text = f"At most {float(cap):g} frames a second are kept of {float(fps):.5g}; none is repeated."
    reason = Reason(code="fps_capped", text=text, fact=f"{float(fps):.5g} fps")
    base = _time_base(track)
    clock = Timing(
        filters=(select,), time_base=base, fps=kept, keeps_all_frames=False, frames_at_most=at_most,
        frames_at_least=at_least, every=every,
    )  # fmt: skip
    return clock, (reason,)


def _slots_at_least(track: VideoTrack, fps: Fraction, cap: Fraction) -> int | None:
    """Return how many slots of 1/cap second hold a frame at least, ``None`` where nobody counted them."""
    if not track.is_vfr:  # above the cap: no slot is empty
        filled = Fraction(0) if track.frames is None else (track.frames - 1) / fps * cap
    else:
        coarser = [(n, count) for n, count in track.filled_slots if n <= cap]
        slots_a_second, count = max(coarser, default=(0, 0))
        # a slot of the cap may hold the end of one coarser slot and the begin of the next
        filled = Fraction(count if slots_a_second == cap else count // 2)
    return int(filled * Fraction(SLOTS_SHARE)) if filled else None


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _keep_frames(track: VideoTrack) -> tuple[Timing, tuple[Reason, ...]]:
    reasons: tuple[Reason, ...] = ()
    filters: tuple[str, ...] = ()
    base, grid = _time_base(track), _grid_rate(track)
    if track.is_vfr:
        fact = f"{float(track.fps_avg):.5g} fps avg" if track.fps_avg else None
        reasons = (Reason(code="vfr_kept", text="Variable frame rate is kept by timestamps.", fact=fact),)
    elif grid is not None and track.time_base > Fraction(1, 10_000):
        # Matroska and FLV round to milliseconds: put constant-rate frames back on their grid, from the first frame on
        step = int(1 / (grid * base))
        filters = (f"settb={base.numerator}/{base.denominator}", f"setpts=STARTPTS+round((PTS-STARTPTS)/{step})*{step}")
    clock = Timing(
        filters=filters, time_base=base, fps=track.fps_avg, keeps_all_frames=True, frames_at_most=track.frames,
        every=1,
    )  # fmt: skip
    return clock, reasons


def _grid_rate(track: VideoTrack) -> Fraction | None:
    """Return the claimed rate if the frames keep to it from the first to the last, within two ticks of their clock.

    A share would not do: 24 and 24000/1001 differ by a thousandth, and drift apart by a frame every 42 seconds.
    """
    claimed, measured, duration = track.fps_nominal, track.fps_avg, track.duration_s
    if claimed is None or measured is None or duration is None or track.is_vfr:
        return None
    drift_s = abs(measured / claimed - 1) * Fraction(duration)
    return claimed if drift_s <= 2 * track.time_base and claimed.numerator <= 1_000_000 else None


def _time_base(track: VideoTrack) -> Fraction:
    """Return the encoder's clock: exact for constant rates, the source's own where frames come as they please.

    Left to itself FFmpeg counts in 1/fps, which moves the frames of a variable-rate video to its grid and drops those
    that land together.
    """
    rate = _grid_rate(track)
    if rate is not None:
        ticks = rate.numerator
        while ticks < 10_000:  # fine enough for where the first frame starts
            ticks *= 2
        return Fraction(1, ticks)
    if track.time_base.numerator == 1 and 1000 <= track.time_base.denominator <= 1_000_000:
        return track.time_base
    return Fraction(1, 90_000)
