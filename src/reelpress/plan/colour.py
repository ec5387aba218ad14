"""Colour: what the output's pixels and tags will be, and the filters that make both agree.

Targets: 8-bit limited-range yuv420p. HDR (PQ or HLG) is tone-mapped to BT.709, or kept as 10-bit where asked and the
codec can. BT.601 and BT.709 material keeps its matrix; BT.2020, RGB and matrices that few players know become BT.709.
Unknown stays unknown.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from reelpress.facts.media import Colour, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.encoders import EncoderRow
from reelpress.plan.geometry import Size
from reelpress.plan.model import Reason
from reelpress.request import Request

# zscale's own names for values that FFmpeg spells otherwise are not needed: it accepts FFmpeg's.
# Nominal peak for the linear-light step: 203 cd/m² is HDR reference white (ITU-R BT.2408), so that diffuse white
# lands at 1.0 before the curve; with zscale's 100 the whole picture comes out a stop too bright or flat.
REFERENCE_WHITE_NITS = 203

MATRIX_BT709 = ("bt709", "bt709", "bt709")

# Matrices that FFmpeg's scaler knows. FFmpeg 9 refuses pictures of others, older ones take them for BT.601; what is
# only made smaller is the same in any.
_SCALED_MATRICES = frozenset({"gbr", "bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"})
# Matrices that zscale converts from as well. Of constant luminance it does so from transfers like BT.709's alone.
_CONVERTED_MATRICES = (_SCALED_MATRICES - {"gbr"}) | {"ycgco", "chroma-derived-nc", "chroma-derived-c", "ictcp"}
_OF_HDR_ALONE = "ictcp"
_UNWRITTEN_PRIMARIES = "ebu3213"  # x264 has no number for them, and x265 refuses pictures that have them


class ColourPlan(Value, frozen=True, kw_only=True):
    """Scaling and colour as filters, with the tags they end in (``None``: the source does not say, nor do we)."""

    filters: tuple[str, ...]
    pix_fmt: str
    primaries: str | None
    transfer: str | None
    matrix: str | None
    range: Literal["limited", "full"] | None
    keeps_hdr: Colour | None
    reasons: tuple[Reason, ...]
    tags: str | None = None  # what `setparams` says of frames that need nothing but scaling; "" for nothing


def plan_colour(track: VideoTrack, size: Size, row: EncoderRow, request: Request) -> ColourPlan:
    """Decide scaling and colour for one track."""
    plan = _plan(track, size, row, request)
    if not _has_bars(track):
        return plan
    text = "Its picture changes size midway: where it has another shape, it stands between bars."
    reason = Reason(code="size_changes", text=text, fact=f"begins with {track.width}x{track.height}")
    return msgspec.structs.replace(plan, reasons=(*plan.reasons, reason))


def _plan(track: VideoTrack, size: Size, row: EncoderRow, request: Request) -> ColourPlan:
    colour = track.colour
    if colour.is_hdr:
        if request.hdr == "keep" and row.pix_fmt_hdr is not None:
            return _keep_hdr(track, size, row)
        return _tonemap(track, size, row)
    if track.chroma == "rgb":
        return _rgb(track, size, row)
    if colour.primaries == "bt2020" or (colour.matrix or "").startswith("bt2020"):
        return _wide_gamut(track, size, row)
    if _is_strange(colour.matrix) and colour.matrix in _CONVERTED_MATRICES - {_OF_HDR_ALONE}:
        return _strange_matrix(track, size, row)
    return _plain(track, size, row)


def _scale(track: VideoTrack, size: Size, *extra: str) -> tuple[str, ...]:
    """Return the filters that bring every picture of a track to one size: of another shape, between bars."""
    scale = (f"scale=w={size.width}:h={size.height}", *extra)
    hidden = hidden_matrix(track)
    if not _has_bars(track):
        return (*hidden, ":".join(scale))
    kept = "force_original_aspect_ratio=decrease:force_divisible_by=2"
    return (*hidden, ":".join((*scale, kept)), f"pad=w={size.width}:h={size.height}:x=-1:y=-1")


def hidden_matrix(track: VideoTrack) -> tuple[str, ...]:
    """Return what has to stand before whatever scales pictures of a track: a lie where it refuses the truth."""
    return ("setparams=colorspace=bt709",) if _is_strange(track.colour.matrix) else ()


def _is_strange(matrix: str | None) -> bool:
    return matrix is not None and matrix not in _SCALED_MATRICES


def _to_yuv(track: VideoTrack, size: Size) -> tuple[tuple[str, ...], str, Literal["limited", "full"]]:
    """Return the filters that scale pictures of BT.2020, and the matrix and range that they have then, for zscale."""
    colour = track.colour
    if track.chroma == "rgb":
        return _scale(track, size, "out_color_matrix=bt2020", "out_range=tv"), "bt2020nc", "limited"
    is_known = colour.matrix in _CONVERTED_MATRICES or (colour.matrix == "bt2020c" and not colour.is_hdr)
    matrix = colour.matrix if colour.matrix is not None and is_known else "bt2020nc"
    return _scale(track, size), matrix, colour.range or "limited"


def _has_bars(track: VideoTrack) -> bool:
    # FFmpeg goes by the shape of what is stored: of pixels that are not square it would be the wrong one
    return track.changes_size and track.sample_aspect_ratio == 1


def _depth_reasons(track: VideoTrack, pix_fmt: str) -> tuple[Reason, ...]:
    reasons = []
    if track.pix_fmt is not None and track.pix_fmt != pix_fmt:
        text = f"{track.pix_fmt} becomes {pix_fmt}, which every player decodes."
        reasons.append(Reason(code="pixel_format", text=text, fact=track.pix_fmt))
    if track.has_alpha:
        reasons.append(Reason(code="alpha_dropped", text="Transparency is dropped.", fact=track.pix_fmt))
    return tuple(reasons)


def _bt709(filters: tuple[str, ...], row: EncoderRow, reasons: tuple[Reason, ...]) -> ColourPlan:
    tags = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    primaries, transfer, matrix = MATRIX_BT709
    return ColourPlan(
        filters=(*filters, f"format={row.pix_fmt}", tags), pix_fmt=row.pix_fmt, primaries=primaries,
        transfer=transfer, matrix=matrix, range="limited", keeps_hdr=None, reasons=reasons,
    )  # fmt: skip


def _keep_hdr(track: VideoTrack, size: Size, row: EncoderRow) -> ColourPlan:
    colour, pix_fmt = track.colour, row.pix_fmt_hdr or row.pix_fmt
    text = f"HDR ({colour.transfer}) is kept as 10-bit {row.codec}."
    reasons: tuple[Reason, ...] = (Reason(code="hdr_kept", text=text, fact=colour.transfer),)
    if colour.dolby_vision is not None:
        note = "Dolby Vision's dynamic metadata is dropped; its base layer stays."
        reasons = (*reasons, Reason(code="dolby_vision_dropped", text=note, fact=None))
    scale, matrix, range_ = _to_yuv(track, size)
    shown: tuple[str, ...] = ()
    if colour.matrix is not None and _is_strange(colour.matrix):
        matrix, shown = colour.matrix, (f"setparams=colorspace={colour.matrix}",)
    return ColourPlan(
        filters=(*scale, f"format={pix_fmt}", "setsar=1", *shown), pix_fmt=pix_fmt,
        primaries=colour.primaries or "bt2020", transfer=colour.transfer, matrix=matrix, range=range_,
        keeps_hdr=colour, reasons=reasons,
    )  # fmt: skip


def _tonemap(track: VideoTrack, size: Size, row: EncoderRow) -> ColourPlan:
    colour = track.colour
    # Tags are stated, not read from frames: phones write them in the container, the bitstream or only one of both.
    scale, matrix, range_ = _to_yuv(track, size)
    source = (
        f"tin={colour.transfer}:pin={colour.primaries or 'bt2020'}:min={matrix}"
        f":rin={'pc' if range_ == 'full' else 'tv'}"
    )
    filters = (
        *scale, "format=yuv420p10le", "setsar=1",
        f"zscale={source}:t=linear:npl={REFERENCE_WHITE_NITS}", "format=gbrpf32le", "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0", "zscale=t=bt709:m=bt709:r=tv",
    )  # fmt: skip
    text = f"HDR ({colour.transfer}) is tone-mapped to BT.709."
    return _bt709(
        filters,
        row,
        (Reason(code="tonemapped", text=text, fact=colour.transfer), *_depth_reasons(track, row.pix_fmt)),
    )


def _rgb(track: VideoTrack, size: Size, row: EncoderRow) -> ColourPlan:
    filters = (*_scale(track, size, "out_color_matrix=bt709", "out_range=tv"), "setsar=1")
    reason = Reason(code="rgb_converted", text="RGB becomes BT.709 limited range.", fact=track.pix_fmt)
    return _bt709(filters, row, (reason, *_depth_reasons(track, row.pix_fmt)))


def _wide_gamut(track: VideoTrack, size: Size, row: EncoderRow) -> ColourPlan:
    colour = track.colour
    fact = f"{colour.primaries}/{colour.transfer}/{colour.matrix}"
    reason = Reason(code="gamut_converted", text="Wide-gamut SDR becomes BT.709.", fact=fact)
    return _converted(track, size, row, primaries="bt2020", reason=reason)


def _strange_matrix(track: VideoTrack, size: Size, row: EncoderRow) -> ColourPlan:
    text = f"Colours of {track.colour.matrix}, which few players know, become those of BT.709."
    reason = Reason(code="matrix_converted", text=text, fact=track.colour.matrix)
    return _converted(track, size, row, primaries="bt709", reason=reason)


def _converted(track: VideoTrack, size: Size, row: EncoderRow, *, primaries: str, reason: Reason) -> ColourPlan:
    """Make SDR of any matrix and primaries BT.709; ``primaries`` are those of a source that names none."""
    colour = track.colour
    depth = "yuv420p10le" if (track.bit_depth or 8) > 8 else "yuv420p"
    scale, matrix, range_ = _to_yuv(track, size)
    source = (
        f"tin={colour.transfer or 'bt709'}:pin={colour.primaries or primaries}:min={matrix}"
        f":rin={'pc' if range_ == 'full' else 'tv'}"
    )
    filters = (*scale, f"format={depth}", "setsar=1", f"zscale={source}:p=bt709:t=bt709:m=bt709:r=tv")
    return _bt709(filters, row, (reason, *_depth_reasons(track, row.pix_fmt)))


def _plain(track: VideoTrack, size: Size, row: EncoderRow) -> ColourPlan:
    colour = track.colour
    full = colour.range == "full"
    scale = _scale(track, size, "in_range=pc", "out_range=tv") if full else _scale(track, size)
    reasons = _depth_reasons(track, row.pix_fmt)
    if full:
        reasons = (
            *reasons,
            Reason(code="limited_range", text="Full range becomes limited range.", fact="full range"),
        )
    matrix, primaries, transfer = colour.matrix, colour.primaries, colour.transfer
    is_unsaid = primaries == _UNWRITTEN_PRIMARIES
    if is_unsaid:
        primaries = None
        text = f"Primaries {_UNWRITTEN_PRIMARIES} have no number in the output, and are left unsaid."
        reasons = (*reasons, Reason(code="primaries_unsaid", text=text, fact=_UNWRITTEN_PRIMARIES))
    if matrix is None and players_guess(track.width, track.height) != players_guess(size.width, size.height):
        # players take untagged video for BT.709 when large and BT.601 when small; a smaller copy must say what it was
        matrix = primaries = transfer = "bt709"
        text = "The source says no colour space; its size implies BT.709, its smaller copy would not."
        reasons = (*reasons, Reason(code="colour_stated", text=text, fact=f"{track.width}x{track.height}"))
    shown = "unknown" if is_unsaid and primaries is None else primaries
    tags = [
        f"{key}={value}"
        for key, value in (("color_primaries", shown), ("color_trc", transfer), ("colorspace", matrix))
        if value is not None
    ]
    known_range = "limited" if full or colour.range is not None else None
    if known_range:
        tags.insert(0, "range=tv")
    filters = (*scale, f"format={row.pix_fmt}", "setsar=1", *([f"setparams={':'.join(tags)}"] if tags else []))
    return ColourPlan(
        filters=filters, pix_fmt=row.pix_fmt, primaries=primaries, transfer=transfer, matrix=matrix,
        range="limited" if known_range else None, keeps_hdr=None, reasons=reasons,
        tags=":".join(tags) if track.pix_fmt == row.pix_fmt and not full else None,
    )  # fmt: skip


def players_guess(width: int, height: int) -> str:
    """Return the matrix players assume for untagged video of this size."""
    return "bt709" if max(width, height) >= 1280 or min(width, height) >= 720 else "bt601"
