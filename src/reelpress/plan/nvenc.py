"""NVENC: the argv of one encode on the GPU, and which CQ stands for which CRF. Pure.

The options are those that FFmpeg 5.1 and 9.0 spell alike. Quality is ``-rc vbr -cq``, which needs no ``-b:v 0`` in
either; ``-crf`` would be ignored with a warning, and the encode done at NVENC's default of 2 Mb/s.
"""

from __future__ import annotations

from reelpress.facts.values import Value
from reelpress.plan.encoders import EncoderRow

# What the product would like of a GPU. The trial finds out which of them this GPU, driver and FFmpeg take together.
FEATURES = ("b_frames", "b_ref", "lookahead", "spatial_aq", "temporal_aq", "multipass")
ALL_FEATURES = frozenset(FEATURES)

B_FRAMES = 3
GOP_FRAMES = 250  # x264's own; at most 10 s down to 25 frames a second
_TEN_BIT = frozenset({"p010le", "yuv420p10le"})


def nvenc_args(
    row: EncoderRow,
    *,
    cq: float,
    preset: str,
    tune: str = "hq",
    features: frozenset[str] = ALL_FEATURES,
    b_frames: int = B_FRAMES,
    pix_fmt: str = "yuv420p",
    gop_frames: int = GOP_FRAMES,
) -> tuple[str, ...]:
    """Return the encoder's own options for one encode on a GPU, stream specifier ``v:0`` throughout.

    ``preset`` is one of ``p1`` to ``p7``, ``tune`` one of NVENC's; ``plan.encoders.LEGACY_GPU_PRESETS`` gives both
    for an older name. ``features`` are names of :data:`FEATURES`; what is not among them is turned off where NVENC
    would choose it by itself. ``b_frames`` is how many between two others, where the feature is there. ``pix_fmt`` is
    what the encoder is fed, in software's terms. ``gop_frames`` is how many frames a keyframe begins at most.
    """
    args = [
        "-c:v:0", row.name, "-preset:v:0", preset, "-tune:v:0", tune, "-rc:v:0", "vbr", "-cq:v:0", f"{cq:g}",
        "-g:v:0", str(gop_frames),
    ]  # fmt: skip
    if profile := _profile(row, pix_fmt):
        args += ["-profile:v:0", profile]
    with_b = "b_frames" in features and b_frames > 0
    # the presets bring B-frames, and 9.0 lets the driver choose their use as references, so both are always said
    args += ["-bf:v:0", str(b_frames if with_b else 0)]
    args += ["-b_ref_mode:v:0", "middle" if with_b and "b_ref" in features else "disabled"]
    if "lookahead" in features:
        args += ["-rc-lookahead:v:0", "20"]
    if "spatial_aq" in features:
        args += ["-spatial-aq:v:0", "1"]
    if "temporal_aq" in features:
        args += ["-temporal-aq:v:0", "1"]
    if "multipass" in features:
        args += ["-multipass:v:0", "qres"]
    return (*args, "-tag:v:0", "hvc1") if row.codec == "hevc" else tuple(args)


def _profile(row: EncoderRow, pix_fmt: str) -> str | None:
    if row.codec == "h264":
        return "high"  # 5.1 would take main, which lacks the 8x8 transform
    if row.codec == "hevc":
        return "main10" if pix_fmt in _TEN_BIT else "main"
    return None  # av1_nvenc has no such option: Main holds 8 and 10 bits


class CqChoice(Value, frozen=True, kw_only=True):
    """The CQ that stands for a CRF, and how far to trust it."""

    cq: float
    provenance: str
    calibrated: bool


class CqRow(Value, frozen=True, kw_only=True):
    """CQ is the CPU encoder's CRF plus ``offset``, from this compute capability up to the next row's."""

    encoder: str
    since: tuple[int, int]
    offset: float
    provenance: str
    calibrated: bool = False


# There is no constant that turns a CRF into a CQ: it differs by encoder, preset, GPU generation and picture. These are
# where a search starts, not promises of equal quality; a row becomes calibrated by measuring on that generation.
_PASCAL = (
    "one clip (HoneyBee 1080p, 2018): x264 CRF 23 at VMAF 93.23 lies between h264_nvenc CQ 27 (93.36) and 28 (92.89) "
    "on Pascal, at twice the bits"
)
_LATER = "Pascal's figure, rounded down because later encoders were not measured and quality is the safer side"
CQ_TABLE: tuple[CqRow, ...] = (
    CqRow(encoder="h264_nvenc", since=(0, 0), offset=4.5, provenance=_PASCAL),  # Pascal and older
    CqRow(encoder="h264_nvenc", since=(7, 0), offset=4.0, provenance=_LATER),  # Volta; Turing: 7.5
    CqRow(encoder="h264_nvenc", since=(8, 0), offset=4.0, provenance=_LATER),  # Ampere; Ada: 8.9
    CqRow(encoder="h264_nvenc", since=(10, 0), offset=4.0, provenance=_LATER),  # Blackwell
    CqRow(encoder="hevc_nvenc", since=(0, 0), offset=2.0, provenance="a guess: half of H.264's, nothing measured"),
    CqRow(encoder="av1_nvenc", since=(0, 0), offset=0.0, provenance="a guess: both scales end at 63, nothing measured"),
)
_UNKNOWN_GENERATION = (7, 0)  # a driver that does not tell is treated as the oldest that current drivers serve


def cq_for(row: EncoderRow, compute_capability: str | None, crf: float) -> CqChoice:
    """Return the CQ of a GPU encoder that stands for a CRF of the CPU encoder of the same codec.

    ``compute_capability`` is the GPU's, as ``8.9``. The CQ lies from 1 (0 would mean automatic) to the encoder's end.
    """
    known = _generation(compute_capability)
    rows = [r for r in CQ_TABLE if r.encoder == row.name and r.since <= known]
    best = max(rows, key=lambda r: r.since)
    cq = min(max(crf + best.offset, row.crf_min), row.crf_max)
    return CqChoice(cq=cq, provenance=best.provenance, calibrated=best.calibrated)


def _generation(compute_capability: str | None) -> tuple[int, int]:
    major, _, minor = (compute_capability or "").partition(".")
    if not major.isdecimal() or not minor.isdecimal():
        return _UNKNOWN_GENERATION
    return int(major), int(minor)
