"""Which clips are refused, and why, before anything is planned. Pure."""

from __future__ import annotations

import itertools
import math
import unicodedata

import msgspec

from reelpress.clip_request import ClipRequest
from reelpress.facts.framing import MAX_ZOOM, Framing, Shot
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.plan.compress import hardware_absent, no_video
from reelpress.plan.encoders import SHORTS, X264_PRESETS, cpu_row
from reelpress.plan.model import Reason, Reject, RejectCode

CLIP_PRESETS = (SHORTS, *X264_PRESETS)
MIN_DURATION_S = 0.2
# So much beyond the end of the programme is taken for its end: pages and people round.
END_SLACK_S = 0.5
MIN_SIDE, MAX_SIDE = 64, 4096
MAX_SHOTS = 2000
# Control characters, what ends a line, and halves of characters.
_NOT_ON_A_LINE = ("Cc", "Zl", "Zp", "Cs")
# Places and times in a framing lie under this. Places may be outside of the picture: a window stops at its edge.
FRAMING_BELOW = 1e7


def may_be_named(char: str) -> bool:
    """Tell whether a character may be in the name of a clip: all but those that steer, and spaces and joiners too."""
    return unicodedata.category(char) not in _NOT_ON_A_LINE


def within(media: MediaFacts, request: ClipRequest) -> ClipRequest:
    """Return the request with its end inside the programme, where it is at most ``END_SLACK_S`` beyond it."""
    end_s = programme_s(media)
    return request if end_s is None or request.end_s <= end_s else msgspec.structs.replace(request, end_s=end_s)


def programme_s(media: MediaFacts) -> float | None:
    """Return how long the pictures go on, in seconds, as far as is known."""
    track = media.main_video
    if track is not None and track.duration_s is not None:
        return track.duration_s
    return media.duration_s


def refuse(media: MediaFacts, host: HostFacts, request: ClipRequest) -> Reject | None:
    """Return why no clip can be made, before anything is analysed, or ``None``."""
    if request.hardware == "require" and host.gpu_note is not None:
        return hardware_absent(host.gpu_note)
    if not host.ffmpegs:
        hint = "Reinstall imageio-ffmpeg, or set REELPRESS_FFMPEG to a binary."
        return reject("hardware_absent", "no_ffmpeg", "No FFmpeg was found.", None, hint)
    track = media.main_video
    if track is None:
        missing = no_video(media)
        why = missing.hint if isinstance(missing, Reject) else "A clip needs pictures."
        return Reject(code="input_unusable", reasons=missing.reasons, hint=why)
    dolby = track.colour.dolby_vision
    if dolby is not None and dolby.base_layer == "none":
        text = "Dolby Vision profile 5 has no base layer: decoded without Dolby's own mapping its colours are wrong."
        hint = "Export the video as HDR10 or SDR first."
        return reject("input_unusable", "dolby_vision_only", text, f"profile {dolby.profile}", hint)
    return refuse_range(media, request.start_s, request.end_s) or _refuse_wish(request)


def refuse_range(media: MediaFacts, start: float, end: float) -> Reject | None:
    """Return why no clip can be made from ``start`` to ``end``, in seconds of the programme, or ``None``."""
    programme = programme_s(media)
    asked = f"{start:g} s to {end:g} s"
    if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or end <= start:
        text = "The clip does not end after it begins, at a time of the programme."
        return reject("usage", "range_empty", text, asked, "Times are seconds from the first picture on.")
    if programme is not None and (start >= programme or end > programme + END_SLACK_S):
        text = f"The clip reaches beyond the programme, which is {programme:.3f} s long."
        return reject("usage", "range_outside", text, asked, "Choose times inside the programme.")
    if min(end, programme or end) - start < MIN_DURATION_S:
        text, hint = f"The clip is shorter than {MIN_DURATION_S:g} s.", "Let it end later."
        if programme is not None and programme - start < MIN_DURATION_S:
            text = f"Less than {MIN_DURATION_S:g} s of the clip are there: the programme is {programme:.3f} s long."
            hint = "Let it begin sooner."
        return reject("usage", "range_too_short", text, asked, hint)
    return None


def _refuse_wish(request: ClipRequest) -> Reject | None:
    row = cpu_row("h264")
    sides = (request.width, request.height)
    checks = (
        (
            any(side % 2 or not MIN_SIDE <= side <= MAX_SIDE for side in sides), "size_unusable",
            f"Sides of a clip are even and from {MIN_SIDE} to {MAX_SIDE} pixels.", f"{sides[0]}x{sides[1]}",
        ),
        (request.preset not in CLIP_PRESETS, "preset_unknown", "There is no such preset.", request.preset),
        (
            request.crf is not None and not row.crf_min <= request.crf <= row.crf_max, "crf_outside",
            f"A CRF lies from {row.crf_min:g} to {row.crf_max:g}.", f"{request.crf}",
        ),
        (
            not 1 <= request.min_fps <= request.max_fps <= 240, "fps_outside",
            "The frame rate is from 1 to 240, the least at most the greatest.",
            f"{float(request.min_fps):g} to {float(request.max_fps):g}",
        ),
        (
            not all(map(may_be_named, request.name or "")), "name_unusable",
            "A clip's name is one line of text, without control characters.", None,
        ),
    )  # fmt: skip
    found = next((check for check in checks if check[0]), None)
    if found is None:
        return None
    hint = f"Presets are {', '.join(CLIP_PRESETS)}." if found[1] == "preset_unknown" else None
    return reject("usage", found[1], found[2], found[3], hint)


def refuse_framing(framing: Framing) -> Reject | None:
    """Return why a framing cannot be drawn, or ``None``."""
    counts = {"still": 1, "track": 1, "fit": 0, "split": 2}
    shots = framing.shots
    fact = None
    if not shots or len(shots) > MAX_SHOTS:
        fact = f"{len(shots)} shots"
    elif not all(abs(t_s) < FRAMING_BELOW for shot in shots for t_s in (shot.start_s, shot.end_s)):
        fact = "a shot that begins or ends at no time of a video"
    elif any(a.start_s >= b.start_s for a, b in itertools.pairwise(shots)):
        fact = "shots out of order"
    else:
        fact = next((why for shot in shots if (why := _odd(shot, counts[shot.layout])) is not None), None)
    if fact is None:
        return None
    return reject("usage", "framing_unusable", "The framing is not one that can be drawn.", fact, None)


def _odd(shot: Shot, windows: int) -> str | None:
    if len(shot.windows) < windows:
        return f"{len(shot.windows)} windows for {shot.layout}"
    for window in shot.windows:
        numbers = [number for key in window.path for number in (key.t_s, key.x, key.y)]
        if not window.path or not 1 <= window.zoom <= MAX_ZOOM or not all(abs(n) < FRAMING_BELOW for n in numbers):
            return f"a window without a place, or a zoom that is not from 1 to {MAX_ZOOM:g}"
        if any(a.t_s > b.t_s for a, b in itertools.pairwise(window.path)):
            return "keys out of order"
    return None


def reject(code: RejectCode, reason: str, text: str, fact: str | None, hint: str | None) -> Reject:
    """Return a refusal for one reason."""
    return Reject(code=code, reasons=(Reason(code=reason, text=text, fact=fact),), hint=hint)
