"""Colour of clips: always 8-bit limited BT.709, whatever the source has. Pure."""

from __future__ import annotations

import msgspec

from reelpress.facts.media import VideoTrack
from reelpress.plan.colour import ColourPlan, plan_colour, players_guess
from reelpress.plan.encoders import EncoderRow
from reelpress.plan.geometry import Size
from reelpress.plan.model import Reason
from reelpress.request import Request

# Names of matrices that swscale takes; those of BT.601 are one and the same.
_MATRICES = {"bt470bg": "bt601", "smpte170m": "bt601", "fcc": "fcc", "smpte240m": "smpte240m"}
BT709_TAGS = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


def clip_colour(track: VideoTrack, size: Size, row: EncoderRow) -> ColourPlan:
    """Return the filters that scale a picture to ``size`` and make its colours BT.709, and why they are these."""
    # where a picture changes size, each shot's own window is cut out of it before
    track = msgspec.structs.replace(track, changes_size=False)
    plan = plan_colour(track, size, row, Request(hdr="tonemap"))
    is_bt709 = (plan.primaries, plan.transfer, plan.matrix, plan.range) == ("bt709", "bt709", "bt709", "limited")
    # what is stated for want of a matrix goes by the size of the output, not by that of the source
    if is_bt709 and not any(reason.code == "colour_stated" for reason in plan.reasons):
        return plan
    colour = track.colour
    stated = colour.matrix or players_guess(track.width, track.height)
    matrix = stated if stated == "bt601" else _MATRICES.get(stated)
    full = colour.range == "full"
    scale = f"scale=w={size.width}:h={size.height}"
    reasons = tuple(r for r in plan.reasons if r.code != "colour_stated")
    if matrix is not None:
        scale += f":in_color_matrix={matrix}:out_color_matrix=bt709"
        text = f"Colours of {stated} become those of BT.709."
        reasons = (*reasons, Reason(code="matrix_converted", text=text, fact=stated))
    if full:
        scale += ":in_range=pc:out_range=tv"
    return ColourPlan(
        filters=(scale, f"format={row.pix_fmt}", "setsar=1", BT709_TAGS), pix_fmt=row.pix_fmt, primaries="bt709",
        transfer="bt709", matrix="bt709", range="limited", keeps_hdr=None, reasons=reasons,
    )  # fmt: skip
