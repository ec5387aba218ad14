"""The filter graph of a clip: its frames, its shots each in its layout, its captions. Pure.

Shots are told apart by frame numbers, never by times. Neighbouring shots whose windows have one size are one chain of
filters whose cuts are conditions on the frame number; others are chains of their own, put one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import floor

import msgspec

from reelpress.facts.framing import Framing, Shot, Window, window_shares
from reelpress.facts.media import VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.clip_clock import Clock
from reelpress.plan.clip_colour import BT709_TAGS, clip_colour
from reelpress.plan.colour import hidden_matrix
from reelpress.plan.encoders import EncoderRow
from reelpress.plan.geometry import Size, crop_filter, kept_size
from reelpress.plan.model import CAPTIONS, FONTS
from reelpress.plan.window_filters import Colours, moving_window, still_window
from reelpress.plan.window_path import TOLERANCE_PX, Upright, extent, moves, pieces

# The background of `fit`: the picture itself, made this much smaller, blurred and darkened there, and enlarged.
BLUR_SHRINK = 8
BLUR_SIGMA = 4
DARKEN = 0.7


class Stage(Value, frozen=True, kw_only=True):
    """What of a graph does not depend on the stretch: the source, the output, and what is done before framing."""

    track: VideoTrack
    row: EncoderRow
    size: Size
    before: tuple[str, ...]  # the container's crop, deinterlacing
    has_captions: bool

    @property
    def picture(self) -> Upright:
        """The picture that shots are cut from."""
        width, height = kept_size(self.track)
        aspect = self.track.display_width / self.track.display_height
        return Upright(width=width, height=height, aspect=aspect)

    def colours(self, size: Size) -> tuple[str, ...]:
        """Return the filters that scale to a size and make colours right."""
        return clip_colour(self.track, size, self.row).filters


class _Run(Value, frozen=True, kw_only=True):
    """Neighbouring shots that one chain makes, from frame ``first`` to before ``last``."""

    kind: str
    first: int
    last: int
    shots: tuple[tuple[int, int, Shot], ...]  # first frame, last frame, shot


def shot_frames(framing: Framing, clock: Clock) -> tuple[tuple[int, int, Shot], ...]:
    """Return the frames of each shot that has any; the first and the last one reach to the clip's ends."""
    begins = [min(max(0, clock.first_from(shot.start_s)), clock.frames) for shot in framing.shots]
    # what lies before the clip is over when it begins
    started = [i for i, begin in enumerate(begins) if begin == 0]
    first = started[-1] if started else 0
    begins[first] = 0
    ends = [*begins[first + 1 :], clock.frames]
    found = zip(begins[first:], ends, framing.shots[first:], strict=True)
    return tuple((begin, end, shot) for begin, end, shot in found if end > begin)


def video_graph(
    stage: Stage, framing: Framing, clock: Clock, *, first: int = 0, tolerance_px: float = TOLERANCE_PX
) -> str:
    """Return the graph from the input's video to ``[v]``.

    ``first`` is how many frames of the clip lie before the clock's first, for captions.
    """
    runs = _runs(stage, framing, clock, tolerance_px)
    start = ",".join((*stage.before, *clock.steps))
    lines: list[str] = []
    if len(runs) == 1:
        lines += [f"[0:{stage.track.index}]{start}[f0]", *_chain(stage, runs[0], clock, tolerance_px, "f0", "s0")]
        whole = "[s0]"
    else:
        lines.append(f"[0:{stage.track.index}]{start},split={len(runs)}{_labels('p', len(runs))}")
        for i, run in enumerate(runs):
            lines.append(f"[p{i}]trim=start_frame={run.first}:end_frame={run.last},setpts=PTS-STARTPTS[f{i}]")
            local = clock.part(run.first, run.last - run.first)
            lines += _chain(stage, run, local, tolerance_px, f"f{i}", f"s{i}")
        whole = f"{_labels('s', len(runs))}concat=n={len(runs)}:v=1:a=0,"
    captions = (f"ass=filename={CAPTIONS}:fontsdir={FONTS}",) if stage.has_captions else ()
    # counted anew: where a stretch ends is a guess of `concat`
    tick = f"settb={clock.fps.denominator}/{clock.fps.numerator}"
    end = (tick, f"setpts=N+{first}", *captions, f"format={stage.row.pix_fmt}")
    lines.append(f"{whole}{','.join(end)}[v]")
    return ";".join(lines)


def _labels(letter: str, count: int) -> str:
    return "".join(f"[{letter}{i}]" for i in range(count))


def _runs(stage: Stage, framing: Framing, clock: Clock, tolerance_px: float) -> list[_Run]:
    runs: list[_Run] = []
    for first, last, shot in shot_frames(framing, clock):
        kind = _kind(stage, shot, clock, first, last, tolerance_px)
        run = _Run(kind=kind, first=first, last=last, shots=((first, last, shot),))
        if runs and runs[-1].kind == kind and shot.layout != "split":
            before = runs.pop()
            run = msgspec.structs.replace(run, first=before.first, shots=(*before.shots, *run.shots))
        runs.append(run)
    return runs


def _kind(stage: Stage, shot: Shot, clock: Clock, first: int, last: int, tolerance_px: float) -> str:
    if shot.layout in ("fit", "split"):
        return shot.layout
    window = shot.windows[0]
    size = extent(stage.picture, _aspect(stage.size), window.zoom)
    path = pieces(window, size, stage.picture, clock, first, last, tolerance_px)
    return f"{'moving' if moves(path, last, size, stage.picture) else 'still'} {window.zoom:g}"


def _chain(stage: Stage, run: _Run, clock: Clock, tolerance_px: float, source: str, target: str) -> list[str]:
    """Return the graph of a run; frames count from the run's first."""
    shot = run.shots[0][2]
    if shot.layout == "fit":
        return _fit(stage, source, target)
    if shot.layout == "split":
        upper, lower = pane_sizes(stage.size)
        halves = [
            f"[{source}{half}]{_windows(stage, pane, clock, [(0, clock.frames, window)], tolerance_px)}[{target}{half}]"
            for half, pane, window in zip("ul", (upper, lower), shot.windows[:2], strict=True)
        ]
        return [
            f"[{source}]split[{source}u][{source}l]", *halves,
            f"[{target}u][{target}l]vstack,{BT709_TAGS}[{target}]",  # which FFmpeg 9 forgets there
        ]  # fmt: skip
    windows = [(first - run.first, last - run.first, shot.windows[0]) for first, last, shot in run.shots]
    return [f"[{source}]{_windows(stage, stage.size, clock, windows, tolerance_px)}[{target}]"]


def _windows(
    stage: Stage, target: Size, clock: Clock, windows: Sequence[tuple[int, int, Window]], tolerance_px: float
) -> str:
    picture = stage.picture
    size = extent(picture, _aspect(target), windows[0][2].zoom)
    paths = [pieces(window, size, picture, clock, first, last, tolerance_px) for first, last, window in windows]
    moving = any(moves(path, last, size, picture) for path, (_, last, _) in zip(paths, windows, strict=True))
    colours: Colours = stage.colours
    made = None if moving else still_window(paths, size, picture, target, colours)
    made = made or moving_window(paths, size, picture, target, colours)
    return ",".join((*made, "setsar=1"))  # or `concat` and `vstack` refuse


def pane_sizes(size: Size) -> tuple[Size, Size]:
    """Return the upper and the lower pane of ``split``; both are of even height."""
    upper = size.height // 4 * 2
    return Size(width=size.width, height=upper), Size(width=size.width, height=size.height - upper)


def fit_size(picture: Upright, size: Size) -> Size:
    """Return how large the whole picture is inside the output."""
    if picture.aspect >= size.width / size.height:
        return Size(width=size.width, height=min(size.height, _nearest_even(size.width / picture.aspect)))
    return Size(width=min(size.width, _nearest_even(size.height * picture.aspect)), height=size.height)


def enlargement(stage: Stage, shot: Shot) -> float:
    """Return how many times larger than in the source a shot's picture is shown; under 1 it is smaller."""
    shown_width = stage.track.display_width
    if shot.layout == "fit":
        return fit_size(stage.picture, stage.size).width / shown_width
    panes = pane_sizes(stage.size) if shot.layout == "split" else (stage.size,)
    factors = []
    for pane, window in zip(panes, shot.windows, strict=False):
        share, _ = window_shares(stage.picture.aspect, float(_aspect(pane)), window.zoom)
        factors.append(pane.width / (share * shown_width))
    return max(factors)


def _fit(stage: Stage, source: str, target: str) -> list[str]:
    picture, size = stage.picture, stage.size
    inner = fit_size(picture, size)
    small = Size(width=_even(size.width / BLUR_SHRINK), height=_even(size.height / BLUR_SHRINK))
    cut = extent(picture, _aspect(size), 1.0)
    blur = (
        f"crop=w={_even(cut.width)}:h={_even(cut.height)}", *stage.colours(small), f"gblur=sigma={BLUR_SIGMA}",
        f"lutyuv=y='16+(val-16)*{DARKEN}'", f"scale=w={size.width}:h={size.height}",
    )  # fmt: skip
    x, y = ((size.width - inner.width) // 4 * 2, (size.height - inner.height) // 4 * 2)
    return [
        f"[{source}]split[{source}b][{source}w]",
        f"[{source}b]{','.join(blur)}[{target}b]",
        f"[{source}w]{','.join(stage.colours(inner))}[{target}w]",
        f"[{target}b][{target}w]overlay=x={x}:y={y}:format=yuv420,setsar=1[{target}]",
    ]


def before_framing(track: VideoTrack, deinterlace: Iterable[str]) -> tuple[str, ...]:
    """Return what is done to pictures before anything else.

    A picture that changes its size or format midway is brought to its first one: FFmpeg would begin the graph anew, and
    count frames from 0 again. Frames that are as they should be pass untouched.
    """
    steady = (*hidden_matrix(track), f"scale=w={track.width}:h={track.height}") if keeps_graph(track) else ()
    return (*steady, *crop_filter(track), *deinterlace)


def keeps_graph(track: VideoTrack) -> bool:
    """Tell whether one graph can serve all pictures of a track; turned ones pass filters of FFmpeg's own first."""
    return track.rotation_deg == 0 and not track.mirrored and track.crop is None


def _aspect(size: Size) -> Fraction:
    return Fraction(size.width, size.height)


def _even(length: float) -> int:
    return max(2, 2 * int(length / 2))


def _nearest_even(length: float) -> int:
    """Round as the page does (web/framing.js), which takes the larger of two."""
    return max(2, 2 * floor(length / 2 + 0.5))
