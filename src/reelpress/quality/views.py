"""How two videos are brought together before they are compared: size, colours, model; and what cannot be. Pure.

Pictures are compared as a viewer sees them: turned upright, cropped, with square pixels, in limited range. What the
files say of range and matrix is heeded, so that a wrong tag shows as wrong colours.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import msgspec

from reelpress.facts.media import Colour, VideoTrack
from reelpress.facts.quality import Finding, Measuring, Viewing
from reelpress.facts.values import Value
from reelpress.plan.colour import plan_colour, players_guess
from reelpress.plan.compress import deinterlace
from reelpress.plan.encoders import cpu_row
from reelpress.plan.geometry import Size, crop_filter
from reelpress.quality.vmaf import too_small
from reelpress.request import Request

# Models are fitted to screens of 1080 and of 2160 lines: https://github.com/Netflix/vmaf/blob/master/resource/doc/models.md
FROM_LINES_4K = 1440
MOST_LINES: dict[Viewing, int] = {"phone": 1080, "1080p": 1080, "4k": 2160}
_SAME_SHAPE = 0.01
# swscale's names of matrices; those of BT.601 are one and the same
_MATRICES = {
    "bt709": "bt709", "bt470bg": "bt601", "smpte170m": "bt601", "bt601": "bt601", "fcc": "fcc",
    "smpte240m": "smpte240m", "bt2020nc": "bt2020", "bt2020c": "bt2020",
}  # fmt: skip

Refusal = Literal["hdr_refused", "sdr_to_hdr", "too_small"]


class View(Value, frozen=True, kw_only=True):
    """At which size and with which model, and the steps that bring the pictures of either side there.

    Sizes stand in the steps as ``_SIZE``. Tone-mapping a picture and making it smaller give another picture in the
    other order, so where there is any (``tone_mapped``) what is looked at small is made at the compared size first.
    """

    viewing: Viewing
    width: int
    height: int
    pix_fmt: str
    reference_steps: tuple[str, ...]
    encoded_steps: tuple[str, ...]
    tone_mapped: bool = False
    mapped: tuple[str, ...] = ()

    def reference(self, width: int, height: int) -> str:
        """Return the filters that bring the reference's pictures to a size."""
        return _at_size(self.reference_steps, width, height, self.pix_fmt)

    def encoded(self, width: int, height: int) -> str:
        """Return the filters that bring the encode's pictures to a size."""
        return _at_size(self.encoded_steps, width, height, self.pix_fmt)

    def filters(self, side: Literal["reference", "encoded"], small: tuple[int, int] | None = None) -> str:
        """Return the filters that bring a side's pictures to the compared size, or to one to look at."""
        bring = self.reference if side == "reference" else self.encoded
        if small is None:
            return bring(self.width, self.height)
        if not self.tone_mapped:
            return bring(*small)
        return f"{bring(self.width, self.height)},scale=w={small[0]}:h={small[1]}:flags=area"


class Refused(Value, frozen=True, kw_only=True):
    """Why two videos cannot be compared at all."""

    code: Refusal
    text: str


_SIZE = "<size>"  # stands for width and height in a step
_FINER = {"422": "yuv422p", "444": "yuv444p", "rgb": "yuv444p"}
_ZIMG = {"bt709": "709", "bt601": "470bg", "fcc": "fcc", "smpte240m": "smpte240m", "bt2020": "2020_ncl"}
_QUICK = "bicubic"
# Where range or matrix change, zimg does it in floating point. swscale goes by RGB of 8 bits, which cuts off what lies
# beyond it: 6 points of VMAF at sharp edges of a right copy; and its quick arithmetic leaves luma 2 levels too low, and
# Cb 4 on the way to a small picture (benchmarks/compare_gate.py, full range with JPEG's tags).
_EXACT = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


def decide_view(
    reference: VideoTrack, encoded: VideoTrack, how: Measuring, *, has_zscale: bool = True
) -> View | Refused:  # fmt: skip
    """Decide how to compare two tracks; ``has_zscale`` says whether the FFmpeg that does it has that filter."""
    if how.prepare is not None and encoded.colour.is_hdr:  # the models know no PQ and no HLG: both have to be mapped
        how = msgspec.structs.replace(how, prepare=None, size="encoded")
    size, viewing = _size(reference, encoded, how)
    why = too_small(size.width, size.height)
    if why is not None:
        return Refused(code="too_small", text=why)
    mapped: list[str] = []
    deep = max(reference.bit_depth or 8, encoded.bit_depth or 8) > 8
    pix_fmt = "yuv420p10le" if deep else "yuv420p"
    if how.prepare is not None:
        mapped.append("The reference went through the filters of the plan.")
        wanted: tuple[str, ...] = (how.prepare, f"scale={_SIZE}:flags=bicubic")
        made: tuple[str, ...] = (*crop_filter(encoded), *_plain_scale(encoded, encoded, has_zscale))
    else:
        before = (*crop_filter(reference), *_fields(reference, encoded, size, mapped))
        colours = _reference_colours(reference, encoded, how, mapped, has_zscale)
        if isinstance(colours, Refused):
            return colours
        wanted = (*before, *colours)
        made = (
            *crop_filter(encoded),
            *_encoded_fields(reference, encoded, size),
            *_encoded_colours(reference, encoded, has_zscale),
        )
    shown = (encoded.display_width, encoded.display_height)
    for track, who in ((reference, "reference"), (encoded, "encode")):
        if (track.display_width, track.display_height) != (size.width, size.height) and how.prepare is None:
            mapped.append(
                f"The {who}, {track.display_width}x{track.display_height}, is brought to {size.width}x{size.height}."
            )
    if how.prepare is not None and shown != (size.width, size.height):
        mapped.append(f"The encode, {shown[0]}x{shown[1]}, is brought to {size.width}x{size.height}.")
    if is_full(reference) != is_full(encoded):
        which = "reference" if is_full(reference) else "encode"
        mapped.append(f"The {which}'s full range is brought to limited range.")
    if deep and (reference.bit_depth or 8) != (encoded.bit_depth or 8):
        mapped.append(f"{reference.bit_depth} bits against {encoded.bit_depth}: compared with 10.")
    return View(
        viewing=viewing, width=size.width, height=size.height, pix_fmt=pix_fmt, reference_steps=wanted,
        encoded_steps=made, mapped=tuple(mapped),
        tone_mapped=how.prepare is None and (reference.colour.is_hdr or _is_wide(reference)),
    )  # fmt: skip


def judge_shape(reference: VideoTrack, encoded: VideoTrack) -> list[Finding]:
    """Tell where the encode is not shown in the reference's shape."""
    wanted, made = (track.display_width / track.display_height for track in (reference, encoded))
    # sizes are rounded to even numbers
    rounding = 2 / min(encoded.display_width, encoded.display_height)
    if abs(made / wanted - 1) <= _SAME_SHAPE + rounding:
        return []
    shapes = " against ".join(f"{track.display_width}x{track.display_height}" for track in (encoded, reference))
    how = "wider" if made > wanted else "narrower"
    text = f"It is shown {abs(made / wanted - 1) * 100:.0f} % {how} than the reference."
    return [Finding(code="aspect_wrong", text=text, evidence=shapes)]


def _at_size(steps: tuple[str, ...], width: int, height: int, pix_fmt: str) -> str:
    chain = ",".join(steps).replace(_SIZE, f"w={width}:h={height}")
    # What the pictures were brought to is said of both alike, else FFmpeg converts those that do not say it.
    same = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    return f"{chain},format={pix_fmt},setsar=1,{same}"


def _size(reference: VideoTrack, encoded: VideoTrack, how: Measuring) -> tuple[Size, Viewing]:
    base = reference if how.size == "reference" and how.prepare is None else encoded
    viewing: Viewing = how.viewing or ("4k" if _lines(encoded) > FROM_LINES_4K else "1080p")
    scale = min(Fraction(1), Fraction(MOST_LINES[viewing], _lines(base)))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (base.display_width, base.display_height))
    return Size(width=width, height=height), viewing


def _lines(track: VideoTrack) -> int:
    return min(track.display_width, track.display_height)


def is_full(track: VideoTrack) -> bool:
    """Tell whether a track says that its samples use the full range."""
    return track.colour.range == "full" or (track.pix_fmt or "").startswith("yuvj")


def _plain_scale(track: VideoTrack, like: VideoTrack, has_zscale: bool) -> tuple[str, ...]:
    """Return the steps that scale a track's pictures, into limited range and the matrix of another."""
    full = is_full(track)
    known = _MATRICES.get(track.colour.matrix or ""), _MATRICES.get(like.colour.matrix or "")
    if track.chroma == "rgb":
        return (_scale(_EXACT, f"out_color_matrix={_matrix(like)}", "out_range=tv"),)
    if like.chroma == "rgb":
        levels = ["in_range=pc", "out_range=tv"] if full else []
        return (_scale(_EXACT, *levels, f"in_color_matrix={_matrix(track)}", f"out_color_matrix={_matrix(track)}"),)
    exchanged = known[0] is not None and known[1] is not None and known[0] != known[1]
    if not full and not exchanged:
        # where nothing is said swscale would take what it knows for unknown, and others' limited for a change
        unsaid = () if track.colour.range is not None else ("in_range=tv", "out_range=tv")
        return (_scale(_QUICK, *unsaid),)
    if has_zscale and not (track.width % 2 or track.height % 2 or track.crop):  # zimg wants whole samples of colour
        matrices = [_ZIMG.get(one or "", "709") for one in (known if exchanged else known[:1] * 2)]
        levels = [f"rangein={'full' if full else 'limited'}", "range=limited"]
        brought = ":".join((*levels, f"matrixin={matrices[0]}", f"matrix={matrices[1]}", "dither=none"))
        # yuvj420p and its kin would stay what they are, and be taken for full range once more
        plain = [f"format={name.replace('yuvj', 'yuv')}"] if (name := track.pix_fmt or "").startswith("yuvj") else []
        return f"zscale={brought}", *plain, _scale(_QUICK)
    levels = ["in_range=pc", "out_range=tv"] if full else []
    colours = [f"in_color_matrix={known[0]}", f"out_color_matrix={known[1]}"] if exchanged else []
    return (_scale(_EXACT, *levels, *colours),)


def _fewer_colours(encoded: VideoTrack, reference: VideoTrack) -> tuple[str, ...]:
    """Return the steps by which an encode with more samples of colour than the reference is brought to as many.

    They were made by interpolation; means give back what there was, and bicubic takes 3 dB more off sharp edges. A
    reference with more of them is left to bicubic, as encoders have it.
    """
    finer = _FINER.get(encoded.chroma or "")
    if reference.chroma != "420" or finer is None:
        return ()
    return f"format={finer}{'10le' if (encoded.bit_depth or 8) > 8 else ''}", "scale=flags=area"


def _scale(flags: str, *options: str) -> str:
    return ":".join((f"scale={_SIZE}", f"flags={flags}", *options))


def _matrix(track: VideoTrack) -> str:
    if track.chroma == "rgb":
        return "bt709"
    return _MATRICES.get(track.colour.matrix or "", players_guess(track.width, track.height))


def _reference_colours(
    reference: VideoTrack, encoded: VideoTrack, how: Measuring, mapped: list[str], has_zscale: bool
) -> tuple[str, ...] | Refused:
    hdr, made_hdr = reference.colour.is_hdr, encoded.colour.is_hdr
    if made_hdr and not hdr:
        return Refused(code="sdr_to_hdr", text="The reference is SDR and the encode HDR; no way back is known.")
    if hdr and how.hdr == "refuse":
        told = "both are HDR" if made_hdr else "the reference is HDR and the encode SDR"
        return Refused(code="hdr_refused", text=f"VMAF's models know SDR alone, and {told}.")
    if hdr and made_hdr:
        mapped.append("HDR against HDR: both are tone-mapped to BT.709, as compress does it.")
    elif hdr:
        mapped.append("HDR against SDR: the reference is tone-mapped to BT.709, as compress does it.")
    elif _is_wide(reference) and not _is_wide(encoded):
        mapped.append("Wide gamut against BT.709: the reference is brought to BT.709, as compress does it.")
    else:
        return _plain_scale(reference, encoded if reference.chroma == "rgb" else reference, has_zscale)
    return _planned(reference)


def _encoded_colours(reference: VideoTrack, encoded: VideoTrack, has_zscale: bool) -> tuple[str, ...]:
    if encoded.colour.is_hdr:
        return _planned(encoded)
    if reference.colour.is_hdr or (_is_wide(reference) and not _is_wide(encoded)):  # which is brought to BT.709 itself
        reference = msgspec.structs.replace(reference, colour=Colour(range="limited", matrix="bt709"))
    return *_plain_scale(encoded, reference, has_zscale), *_fewer_colours(encoded, reference)


def _planned(track: VideoTrack) -> tuple[str, ...]:
    """Return the steps with which a plan brings a track to BT.709, at a size to be put in."""
    place = Size(width=1, height=1)
    filters = plan_colour(track, place, cpu_row("h264"), Request(hdr="tonemap")).filters
    return tuple(step.replace("w=1:h=1", _SIZE) for step in filters if step != "format=yuv420p")


def _is_wide(track: VideoTrack) -> bool:
    return track.colour.primaries == "bt2020" or (track.colour.matrix or "").startswith("bt2020")


def _fields(reference: VideoTrack, encoded: VideoTrack, size: Size, mapped: list[str]) -> tuple[str, ...]:
    if not reference.is_interlaced or (encoded.is_interlaced and _keeps_lines(reference, encoded, size)):
        return ()
    rates = reference.fps_avg, encoded.fps_avg
    if rates[0] is not None and rates[1] is not None and rates[1] > rates[0] * Fraction(3, 2):
        mapped.append("The reference is deinterlaced, one frame for every field.")
        return ("bwdif=mode=send_field:parity=auto:deint=interlaced",)
    mapped.append("The reference is deinterlaced as compress does it.")
    return deinterlace(reference)[0]


def _encoded_fields(reference: VideoTrack, encoded: VideoTrack, size: Size) -> tuple[str, ...]:
    if not encoded.is_interlaced or (reference.is_interlaced and _keeps_lines(reference, encoded, size)):
        return ()
    return deinterlace(encoded)[0]


def _keeps_lines(reference: VideoTrack, encoded: VideoTrack, size: Size) -> bool:
    """Tell whether fields stay where they are: no side's lines are resampled."""
    return reference.height == encoded.height == size.height
