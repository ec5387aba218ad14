"""From what was asked for in words, by flags or by arguments, to one request for each clip."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from reelpress.captions.reading import read_captions
from reelpress.clip_request import ClipRequest, LayoutChoice
from reelpress.clips.specs import ClipSpec
from reelpress.errors import UsageError
from reelpress.facts.captions import CAPTION_STYLES, Captions, CaptionStyle
from reelpress.facts.gate import GateWish
from reelpress.facts.values import Value
from reelpress.plan.clip_refusals import CLIP_PRESETS, MAX_SIDE, MIN_SIDE
from reelpress.plan.encoders import SHORTS, cpu_row
from reelpress.plan.platforms import PLATFORMS, PlatformName
from reelpress.request import Hardware
from reelpress.settings import Settings, check_hardware, gate_from

_LOUDEST_LUFS, _QUIETEST_LUFS = -5.0, -40.0
_LAYOUTS: tuple[str, ...] = get_args(LayoutChoice)


class ExportWishes(Value, frozen=True, kw_only=True):
    """What all clips of an export share, unless a clip says otherwise; ``crf`` ``None`` takes the preset's own."""

    width: int = 1080
    height: int = 1920
    layout: LayoutChoice = "auto"
    captions: Path | None = None
    caption_style: CaptionStyle = "bold"
    preset: str = SHORTS
    crf: float | None = None
    loudness_lufs: float | None = -14.0
    hardware: Hardware = "auto"


def require_extra() -> None:
    """Raise :class:`UsageError` unless the extra is installed; imports nothing."""
    missing = [name for name in ("numpy", "cv2", "scipy", "pysubs2") if find_spec(name) is None]
    if missing:
        evidence = f"no module {', '.join(missing)}"
        raise UsageError("Clips need more than is installed.", evidence=evidence, hint="pip install 'reelpress[clips]'")


def wishes_from(
    settings: Settings,
    *,
    size: str | tuple[int, int] | None = None,
    layout: str | None = None,
    captions: str | Path | None = None,
    caption_style: str | None = None,
    preset: str | None = None,
    crf: str | float | None = None,
    loudness: str | float | None = None,
    hardware: str | None = None,
) -> ExportWishes:
    """Read wishes as they were typed. Raises :class:`UsageError` naming what is accepted."""
    check_hardware(hardware)
    width, height = _size(size)
    row = cpu_row("h264")
    _one_of("--layout", layout, _LAYOUTS)
    _one_of("--caption-style", caption_style, CAPTION_STYLES)
    _one_of("--preset", preset, CLIP_PRESETS)
    plain = ExportWishes()
    return ExportWishes(
        width=width, height=height, layout=layout or plain.layout,  # type: ignore[arg-type]
        captions=None if captions is None else Path(captions),
        caption_style=caption_style or plain.caption_style,  # type: ignore[arg-type]
        preset=preset or plain.preset, crf=_number("--crf", crf, row.crf_min, row.crf_max),
        loudness_lufs=_loudness(loudness, plain.loudness_lufs),
        hardware=hardware or ("auto" if settings.use_gpu else "off"),  # type: ignore[arg-type]
    )  # fmt: skip


def requests_of(
    specs: Iterable[ClipSpec], wishes: ExportWishes, settings: Settings, gate: GateWish | None = None
) -> tuple[ClipRequest, ...]:
    """Return what each clip is to be; without a ``gate`` it is that of the settings.

    Raises :class:`InputError` when a file of captions cannot be used.
    """
    read: dict[tuple[Path, CaptionStyle], Captions] = {}
    asked = gate or gate_from(settings)

    def captions_of(spec: ClipSpec) -> Captions | None:
        path, style = spec.captions or wishes.captions, spec.caption_style or wishes.caption_style
        if path is None:
            return None
        if (path, style) not in read:
            read[path, style] = read_captions(path, style=style)
        return read[path, style]

    return tuple(
        ClipRequest(
            start_s=spec.start_s, end_s=spec.end_s, name=spec.name, width=wishes.width, height=wishes.height,
            layout=spec.layout or wishes.layout, framing=spec.framing, captions=captions_of(spec),
            preset=wishes.preset, crf=wishes.crf, loudness_lufs=wishes.loudness_lufs, hardware=wishes.hardware,
            max_pixels=settings.max_pixels, threads=settings.threads, gate=asked,
            calibration=settings.calibration,  # type: ignore[arg-type]
        )
        for spec in specs
    )  # fmt: skip


def platforms_from(names: Iterable[str]) -> tuple[PlatformName, ...]:
    """Return platforms by their names, each once. Raises :class:`UsageError`."""
    for name in names:
        _one_of("--platform", name, tuple(PLATFORMS))
    return tuple(dict.fromkeys(names))  # type: ignore[arg-type]


def _size(size: str | tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        return ExportWishes().width, ExportWishes().height
    text = size if isinstance(size, str) else f"{size[0]}x{size[1]}"
    match = re.fullmatch(r"\s*([0-9]{1,5})\s*[xX:]\s*([0-9]{1,5})\s*", text)
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if any(not MIN_SIDE <= side <= MAX_SIDE or side % 2 for side in sides):
        hint = f"accepted: WIDTHxHEIGHT in even pixels, {MIN_SIDE} to {MAX_SIDE}, as 1080x1920"
        raise UsageError(f"--size cannot be {text!r}.", hint=hint)
    return sides


def _one_of(flag: str, text: str | None, accepted: tuple[str, ...]) -> None:
    if text is not None and text not in accepted:
        raise UsageError(f"{flag} cannot be {text!r}.", hint=f"accepted: {', '.join(accepted)}")


def _loudness(value: str | float | None, usual: float | None) -> float | None:
    if value is None:
        return usual
    return None if value == "off" else _number("--loudness", value, _QUIETEST_LUFS, _LOUDEST_LUFS, more=", off")


def _number(flag: str, value: Any, low: float, high: float, *, more: str = "") -> float | None:  # noqa: ANN401 - typed text, or a number
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high:
        raise UsageError(f"{flag} cannot be {value!r}.", hint=f"accepted: {low:g} to {high:g}{more}")
    return number
