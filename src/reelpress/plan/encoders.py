"""The encoders, one row each: scale and range of quality, presets, pixel formats, limits, and the argv of one encode.

GPU rows describe NVENC so that settings can be validated and explained; the attempts that use them are planned by
the ladder once a machine's GPU path was proven to work.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from reelpress.facts.media import Colour, MasteringDisplay
from reelpress.facts.values import Value
from reelpress.request import Codec, Request

# The product's own H.264 preset: `faster`'s quality and size for less CPU. Found by benchmarks/x264_search.py, numbers
# in benchmarks/results. Pictures that mostly repeat (by x264's own count of skipped macroblocks in samples) need
# less search; film and faces lose a tenth in size by that, so without samples the thorough setting is used.
LEAN = "lean"
LEAN_BASE = "veryfast"
LEAN_STILL = "trellis=1:rc-lookahead=40"
LEAN_MOTION = "trellis=1:rc-lookahead=40:ref=2:subme=3:me=dia"
STILL_FROM_P_SKIP = 0.45  # in samples made as the encode would be
STILL_FROM_P_SKIP_SMALL = 0.5  # in short and small ones: twelve real clips lie at 0.12 to 0.48 and at 0.53 to 1.0

# The preset of vertical clips, which are made by the dozen and encoded again by the platform: x264's fastest with its
# better half of tools, and the NVENC settings of the product's requirements beside it.
SHORTS = "shorts"
SHORTS_BASE, SHORTS_CRF = "superfast", 24.0
SHORTS_GPU_PRESET, SHORTS_CQ = "p4", 23.0

X264_PRESETS = (
    "lean", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip
X265_PRESETS = tuple(p for p in X264_PRESETS if p != "lean")
SVT_PRESETS = tuple(str(n) for n in range(14))
_SVT_MAX_FPS = Fraction(240)
NVENC_PRESETS = tuple(f"p{n}" for n in range(1, 8))

# FFmpeg 9 dropped most of NVENC's legacy preset names (Changelog, version 9.0). NVIDIA's migration guide gives the
# p-preset and tune that stand for each; `slow`, `medium` and `fast` are what FFmpeg itself still maps (P7, P4, P1).
LEGACY_GPU_PRESETS: dict[str, tuple[str, str]] = {
    "default": ("p4", "hq"),
    "slow": ("p7", "hq"),
    "medium": ("p4", "hq"),
    "fast": ("p1", "hq"),
    "hp": ("p1", "hq"),
    "hq": ("p7", "hq"),
    "bd": ("p7", "hq"),
    "ll": ("p4", "ll"),
    "llhq": ("p7", "ll"),
    "llhp": ("p1", "ll"),
}
GPU_PRESETS = (*LEGACY_GPU_PRESETS, *NVENC_PRESETS)


class EncoderRow(Value, frozen=True, kw_only=True):
    """One encoder. ``crf`` numbers are on its own scale (CQ for NVENC).

    ``crf_min`` is 1 where 0 means something else: x264's mode without loss, which players' profiles do not have, and
    "as you like" to SVT-AV1 and NVENC.
    """

    name: str
    codec: Codec
    device: Literal["cpu", "nvidia"]
    tag: str
    crf_default: float
    crf_max: float
    crf_integer: bool
    presets: tuple[str, ...]
    preset_default: str
    pix_fmt: str
    pix_fmt_hdr: str | None  # None: the encoder is not used for 10-bit
    min_width: int
    min_height: int
    max_side: int
    crf_min: float = 1.0


ENCODERS: tuple[EncoderRow, ...] = (
    EncoderRow(
        name="libx264", codec="h264", device="cpu", tag="avc1", crf_default=23, crf_max=51, crf_integer=False,
        presets=X264_PRESETS, preset_default="lean", pix_fmt="yuv420p", pix_fmt_hdr=None,
        min_width=2, min_height=2, max_side=16384,
    ),
    EncoderRow(
        name="libx265", codec="hevc", device="cpu", tag="hvc1", crf_default=26, crf_max=51, crf_integer=False,
        presets=X265_PRESETS, preset_default="fast", pix_fmt="yuv420p", pix_fmt_hdr="yuv420p10le",
        min_width=32, min_height=32, max_side=16384, crf_min=0.0,
    ),
    EncoderRow(
        name="libsvtav1", codec="av1", device="cpu", tag="av01", crf_default=34, crf_max=63, crf_integer=True,
        presets=SVT_PRESETS, preset_default="8", pix_fmt="yuv420p", pix_fmt_hdr="yuv420p10le",
        min_width=64, min_height=64, max_side=8192,
    ),
    EncoderRow(
        name="h264_nvenc", codec="h264", device="nvidia", tag="avc1", crf_default=23, crf_max=51, crf_integer=False,
        presets=GPU_PRESETS, preset_default="fast", pix_fmt="yuv420p", pix_fmt_hdr=None,
        min_width=160, min_height=160, max_side=4096,
    ),
    EncoderRow(
        name="hevc_nvenc", codec="hevc", device="nvidia", tag="hvc1", crf_default=26, crf_max=51, crf_integer=False,
        presets=GPU_PRESETS, preset_default="fast", pix_fmt="yuv420p", pix_fmt_hdr="p010le",
        min_width=160, min_height=160, max_side=8192,
    ),
    EncoderRow(
        name="av1_nvenc", codec="av1", device="nvidia", tag="av01", crf_default=34, crf_max=63, crf_integer=False,
        presets=GPU_PRESETS, preset_default="fast", pix_fmt="yuv420p", pix_fmt_hdr="p010le",
        min_width=160, min_height=160, max_side=8192,
    ),
)  # fmt: skip


def cpu_row(codec: Codec) -> EncoderRow:
    """Return the CPU encoder for a codec."""
    return next(row for row in ENCODERS if row.codec == codec and row.device == "cpu")


def gpu_row(codec: Codec) -> EncoderRow:
    """Return the GPU encoder for a codec."""
    return next(row for row in ENCODERS if row.codec == codec and row.device == "nvidia")


def coarseness(request: Request) -> float:
    """Return the CRF that is asked for, or the default, as a share of its encoder's scale; 1.0 is the coarsest."""
    row = cpu_row(request.codec)
    return (row.crf_default if request.crf is None else request.crf) / row.crf_max


def _number(value: float) -> str:
    return f"{value:g}"


def quality_args(
    row: EncoderRow, *, crf: float, preset: str, hdr: Colour | None, threads: int, still: bool = False,
    fps: Fraction | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """Return the encoder's own options for one CPU encode, stream specifier ``v:0`` throughout.

    ``still`` says that samples found a picture that mostly repeats (only ``lean`` cares). ``hdr`` is the colour
    description to write when HDR is kept, else ``None``. ``threads`` 0 leaves the choice to
    the encoder. ``fps`` is the rate of the pictures that the encoder gets, ``None`` where it is not known.
    """
    if row.name == "libx264":
        args = _x264_args(crf=crf, preset=preset, still=still)
    elif row.name == "libx265":
        args = _x265_args(crf=crf, preset=preset, hdr=hdr)
    else:
        args = _svt_args(crf=crf, preset=preset, hdr=hdr, fps=fps)
    return args if threads == 0 else (*args, "-threads:v:0", str(threads))


def _x264_args(*, crf: float, preset: str, still: bool) -> tuple[str, ...]:
    base, extra = (preset, "") if preset != LEAN else (LEAN_BASE, LEAN_STILL if still else LEAN_MOTION)
    base = SHORTS_BASE if preset == SHORTS else base
    args = ("-c:v:0", "libx264", "-preset:v:0", base, "-crf:v:0", _number(crf), "-profile:v:0", "high")
    return (*args, "-x264-params:v:0", extra) if extra else args


def _x265_args(*, crf: float, preset: str, hdr: Colour | None) -> tuple[str, ...]:
    params = ["log-level=error"]
    if hdr is not None:
        # FFmpeg before 7.1 does not hand mastering metadata to x265, so it is always written out
        params += ["hdr10-opt=1" if hdr.transfer == "smpte2084" else "hdr10-opt=0", "repeat-headers=1"]
        if hdr.mastering_display is not None:
            params.append(f"master-display={_x265_display(hdr.mastering_display)}")
        if hdr.content_light is not None:
            params.append(f"max-cll={hdr.content_light.max_cll},{hdr.content_light.max_fall}")
    return (
        "-c:v:0", "libx265", "-preset:v:0", preset, "-crf:v:0", _number(crf), "-tag:v:0", "hvc1",
        "-x265-params:v:0", ":".join(params),
    )  # fmt: skip


def _svt_args(*, crf: float, preset: str, hdr: Colour | None, fps: Fraction | None) -> tuple[str, ...]:
    args = ("-c:v:0", "libsvtav1", "-preset:v:0", preset, "-crf:v:0", _number(crf))
    params = []
    if fps is not None:
        # FFmpeg would tell it the rate of the source, whatever is left out of it, and SVT-AV1 refuses more than 240
        rate = min(fps, _SVT_MAX_FPS)
        params.append(f"fps-num={rate.numerator}:fps-denom={rate.denominator}")
    if hdr is not None:
        if hdr.mastering_display is not None:
            params.append(f"mastering-display={_svt_display(hdr.mastering_display)}")
        if hdr.content_light is not None:
            params.append(f"content-light={hdr.content_light.max_cll},{hdr.content_light.max_fall}")
    return (*args, "-svtav1-params:v:0", ":".join(params)) if params else args


def _x265_display(display: MasteringDisplay) -> str:
    """Write a mastering display as x265 wants it: chromaticity in 1/50000, luminance in 1/10000 cd/m²."""

    def point(xy: tuple[Fraction, Fraction]) -> str:
        return f"({round(xy[0] * 50000)},{round(xy[1] * 50000)})"

    low, high = round(display.min_luminance * 10000), round(display.max_luminance * 10000)
    return f"G{point(display.green)}B{point(display.blue)}R{point(display.red)}WP{point(display.white)}L({high},{low})"


def _svt_display(display: MasteringDisplay) -> str:
    """Write a mastering display as SVT-AV1 wants it: plain decimals."""

    def point(xy: tuple[Fraction, Fraction]) -> str:
        return f"({float(xy[0]):.5f},{float(xy[1]):.5f})"

    low, high = float(display.min_luminance), float(display.max_luminance)
    points = f"G{point(display.green)}B{point(display.blue)}R{point(display.red)}WP{point(display.white)}"
    return f"{points}L({high:.4f},{low:.4f})"
