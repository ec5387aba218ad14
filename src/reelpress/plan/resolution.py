"""``--resolution auto``: which sizes to try, what a choice means for a request, and how it is told. Pure."""

from __future__ import annotations

import math

import msgspec

from reelpress.facts.media import VideoTrack
from reelpress.facts.quality import ContentFacts, Window, spread_windows
from reelpress.plan.content import is_dark, may_halve_rate
from reelpress.plan.encoders import cpu_row
from reelpress.plan.geometry import Size, fit
from reelpress.plan.hull import LINES, NEAR_SIZE, AtTarget, Choice, Order
from reelpress.plan.model import Reason
from reelpress.request import Request

WINDOWS = 3
WINDOW_S = 2.0
# CRF that is tried, as a share of an encoder's scale: x264's 12 to 40. Beyond lies what nobody delivers.
FINEST, COARSEST = 12 / 51, 40 / 51


def windows(duration_s: float | None) -> tuple[Window, ...]:
    """Return the stretches to sample: three of two seconds in the middle of thirds, or all of a short video."""
    if duration_s is None or duration_s <= WINDOWS * WINDOW_S * 1.5:
        whole = min(duration_s or WINDOW_S, WINDOWS * WINDOW_S)
        return (Window(start_s=0.0, duration_s=round(max(0.1, whole), 3)),)
    return spread_windows(duration_s, WINDOWS, WINDOW_S)


def with_lines(request: Request, lines: int) -> Request:
    """Return the request with a box whose shorter side is at most so many pixels."""
    long_side, short_side = (
        max(request.max_width, request.max_height),
        min(request.max_width, request.max_height),
    )
    return msgspec.structs.replace(
        request, max_width=max(long_side, lines), max_height=min(short_side, lines), resolution="fixed"
    )


def sizes(track: VideoTrack, request: Request, below: tuple[int, ...] = LINES) -> dict[int, Size]:
    """Return the sizes to try by their shorter side, the full one first: what fits the box, and those of ``below``.

    None is larger than the source or the box: what is not there cannot be chosen.
    """
    full, _ = fit(track, request)
    found = {min(full.width, full.height): full}
    row = cpu_row(request.codec)
    for lines in below:
        if lines > NEAR_SIZE * min(found):
            continue
        size, _ = fit(track, with_lines(request, lines))
        shorter = min(size.width, size.height)
        if shorter <= NEAR_SIZE * min(found) and size.width >= row.min_width and size.height >= row.min_height:
            found[shorter] = size
    return found


def order(track: VideoTrack, request: Request, target: float | None) -> Order:
    """Return what to find out for a track: its sizes, and the CRF that this encoder may be given."""
    row = cpu_row(request.codec)
    own = row.crf_default if request.crf is None else request.crf
    steps = row.crf_max / 51
    return Order(
        sizes=tuple(sizes(track, request)), crf=own, target=target, crf_min=math.ceil(min(own, FINEST * row.crf_max)),
        crf_max=math.floor(max(own, COARSEST * row.crf_max)), crf_step=steps, crf_integer=row.crf_integer,
    )  # fmt: skip


def settled(choice: Choice, content: ContentFacts, track: VideoTrack, request: Request) -> Request:
    """Return the request that a choice comes to: its box, its CRF, and its cap on frames a second.

    At the full size, and without a target, the CRF is the request's own. In the dark it is never coarser than that:
    VMAF hardly sees the bands that a sky then falls into.
    """
    row = cpu_row(request.codec)
    own = row.crf_default if request.crf is None else request.crf
    crf = choice.chosen.crf
    if is_dark(content):
        crf = min(crf, own)
    rounded = float(math.floor(crf)) if row.crf_integer else math.floor(crf * 10) / 10
    changed = with_rate(content, track, request)
    if choice.chosen.lines != choice.tried[0].lines:
        changed = with_lines(changed, choice.chosen.lines)
    kept_crf = request.crf if crf == own else rounded
    return msgspec.structs.replace(changed, crf=kept_crf, resolution="fixed")


def with_rate(content: ContentFacts, track: VideoTrack, request: Request) -> Request:
    """Return the request with half the frames a second where a fast video hardly moves."""
    fps = track.fps_avg
    if fps is None:
        return request
    planned = min(fps, request.max_fps)
    return msgspec.structs.replace(request, max_fps=planned / 2) if may_halve_rate(content, float(planned)) else request


def reasons(
    choice: Choice, content: ContentFacts, before: Request, after: Request, names: dict[int, Size]
) -> tuple[Reason, ...]:
    """Say what was chosen and by which numbers, and which guards had a say."""
    full, chosen = choice.tried[0], choice.chosen
    told = "; ".join(_told(one, names) for one in choice.tried)
    size = f"{names[chosen.lines].width}x{names[chosen.lines].height}"
    if chosen.lines != full.lines:
        saved = 1 - chosen.bytes_per_s / full.bytes_per_s
        finer = f"{chosen.crf:.1f}" if after.crf is None else f"{after.crf:g}"
        text = f"{size} at CRF {finer} scores the same VMAF of {choice.target:.1f} with {saved:.0%} fewer bytes."
        found = [Reason(code="resolution_chosen", text=text, fact=told)]
    elif not choice.reached:
        text = f"Not even {size} scores a VMAF of {choice.target:.1f}: it keeps its size."
        found = [Reason(code="resolution_kept", text=text, fact=told)]
    else:
        text = f"{size} stays, at a VMAF of {choice.target:.1f}: {choice.ended}."
        found = [Reason(code="resolution_kept", text=text, fact=told)]
    own = cpu_row(before.codec).crf_default if before.crf is None else before.crf
    if is_dark(content) and chosen.crf > own:
        coarser = f"CRF {chosen.crf:.1f} would score that too, but bands would show"
        text = f"The picture is dark: {coarser}; CRF {own:g} stays."
        found.append(Reason(code="resolution_dark", text=text, fact=f"luma {content.luma:.0f} of 255"))
    return (*found, *rate_reasons(content, before, after))


def rate_reasons(content: ContentFacts, before: Request, after: Request) -> tuple[Reason, ...]:
    """Say why every second frame goes, where it does."""
    if after.max_fps == before.max_fps:
        return ()
    text = f"It hardly moves: at most {float(after.max_fps):.5g} frames a second are enough."
    return (Reason(code="rate_halved", text=text, fact=f"change of {content.change:.2f} of 255 from frame to frame"),)


def _told(one: AtTarget, names: dict[int, Size]) -> str:
    size = names[one.lines]
    return f"{size.width}x{size.height} CRF {one.crf:.1f}: {one.bytes_per_s * 8 / 1000:.0f} kb/s"
