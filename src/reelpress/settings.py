"""Reads the settings: flags win over the environment, the environment over ``.env``, ``.env`` over defaults.

A library that validates settings (pydantic-settings) took a quarter of a second of every run to say who wins.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from reelpress.errors import UsageError
from reelpress.facts.gate import GateWish
from reelpress.facts.values import Value
from reelpress.plan.encoders import cpu_row
from reelpress.request import Request
from reelpress.service_table import SERVICE_NAMES
from reelpress.settings_table import BY_NAME, RESERVED, SETTINGS, Setting


class Settings(Value, frozen=True, kw_only=True):
    """The settings in force; one field for each row of :data:`SETTINGS`, units in the names."""

    use_gpu: bool
    gpu_preset: str
    codec: str
    preset: str | None
    crf: float | None
    target_vmaf: float | None
    max_width: int
    max_height: int
    max_fps: Fraction
    resolution: str
    audio_bitrate_bps: int
    audio_channels: str
    hdr: str
    max_input_bytes: int
    min_saving: float
    min_vmaf: float | None
    min_vmaf_worst: float | None
    max_size_ratio: float | None
    vmaf_windows: str
    vmaf_retries: int
    on_miss: str
    timeout_s: float | None
    decode_check: str
    stall_timeout_s: float
    memory_limit_bytes: int
    max_pixels: int
    jobs: int | None
    threads: int
    ffmpeg: str | None
    cache_dir: str | None
    calibration: str
    gpu_patience_s: float
    gpu_sessions: int | None
    usd_per_cpu_hour: float
    usd_per_gpu_hour: float | None
    prices: str
    prices_file: str | None
    face_model: str

    @property
    def cache_path(self) -> Path | None:
        """Where facts about FFmpeg and GPUs are remembered, if a folder was chosen for that."""
        return Path(self.cache_dir) if self.cache_dir else None


def parse(name: str, text: str, *, shown_as: str | None = None) -> Any:  # noqa: ANN401 - each row has its own type
    """Return the value that ``text`` gives the setting ``name``.

    Raises :class:`UsageError` naming the accepted values.
    """
    return parse_row(BY_NAME[name], text, shown_as=shown_as)


def parse_row(row: Setting, text: str, *, shown_as: str | None = None) -> Any:  # noqa: ANN401 - each row has its own type
    """Return the value that ``text`` gives a row. Raises :class:`UsageError` naming the accepted values."""
    try:
        return row.parse(text.strip())
    except (ValueError, KeyError, ZeroDivisionError, OverflowError):
        label = shown_as or row.flag or row.env[0]
        raise UsageError(f"{label} cannot be {text!r}.", hint=f"accepted: {row.accepts}") from None


def load(
    flags: Mapping[str, str | None] | None = None,
    *,
    base: Settings | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: Path | str | None = ".env",
    codec: str | None = None,
) -> Settings:
    """Read all settings: ``flags`` (by setting name, text as typed), then the environment, then ``env_file``.

    ``environ`` replaces the process's environment; ``base`` replaces environment and file. ``codec`` is for work that
    knows but one: of preset and CRF, what no flag says and was said with another codec in mind is left out. Raises
    :class:`UsageError` for values outside what is accepted, for two names of one setting that disagree, and for
    names that are almost, but not quite, one of ours.
    """
    typed = {name: text for name, text in (flags or {}).items() if text is not None}
    parsed = {name: parse(name, text) for name, text in typed.items()}
    # a flag for the one wish for quality is not held against the other in the environment: flags win
    over: dict[str, Any] = {}
    if (parsed.get("crf") is None) != (parsed.get("target_vmaf") is None):
        over = {"crf": None, "target_vmaf": None} | {n: v for n, v in parsed.items() if n in ("crf", "target_vmaf")}
    if base is not None:
        settings = msgspec.structs.replace(base, **{**parsed, **over})
    else:
        settings = Settings(**{**in_force(SETTINGS, parsed, environ=environ, env_file=env_file), **over})
    if codec is not None and settings.codec != codec:
        said = {name: parsed.get(name) for name in ("preset", "crf")}
        settings = msgspec.structs.replace(settings, codec=codec, **said)
    _check_preset(settings)
    _check_quality(settings)
    return settings


def in_force(
    rows: Sequence[Setting],
    typed: Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    env_file: Path | str | None = ".env",
) -> dict[str, Any]:
    """Return the value of each row: as ``typed`` (parsed already), from the environment, the file, or the default.

    Raises :class:`UsageError` as :func:`load` does.
    """
    process = os.environ if environ is None else environ
    in_file = _read_file(env_file)
    _refuse_near_misses(process, in_file)
    given = {**in_file, **{name: text for name, text in process.items() if text}}
    _refuse_contradictions(rows, given, set(typed))
    return {row.name: _chosen(row, typed, given) for row in rows}


def _read_file(env_file: Path | str | None) -> dict[str, str]:
    if env_file is None or not Path(env_file).is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(env_file).items() if value}
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(
            f"{env_file} cannot be read as settings.", evidence=str(error), hint="Make it UTF-8 text."
        ) from error


def _chosen(row: Setting, typed: Mapping[str, Any], given: Mapping[str, str]) -> Any:  # noqa: ANN401 - as in parse
    """Return what is in force: the flag's value, the first of the row's names that is set, or the default."""
    if row.name in typed:
        return typed[row.name]
    name = next((name for name in row.env if given.get(name)), None)
    return parse_row(row, row.default if name is None else given[name], shown_as=name)


def _refuse_near_misses(process: Mapping[str, str], in_file: Mapping[str, str]) -> None:
    known = {name for row in SETTINGS for name in row.env} | SERVICE_NAMES - {"PORT"}
    for name in (*in_file, *process):
        if name in known:
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.88)
        ours = name.startswith("REELPRESS_") or (name.startswith("COMPRESSION_") and name in in_file)
        if (close or ours) and name not in RESERVED:
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
            raise UsageError(f"{name} is not a setting.", hint=hint)


def _refuse_contradictions(rows: Sequence[Setting], given: Mapping[str, str], typed: set[str]) -> None:
    for row in rows:
        named = {name: given[name] for name in row.env if given.get(name)}
        if row.name not in typed and len({parse_row(row, text, shown_as=name) for name, text in named.items()}) > 1:
            text = " and ".join(f"{name}={value}" for name, value in named.items())
            raise UsageError(f"{text} contradict each other.", hint="They are one switch: set one, or both alike.")


def split_size(text: str | tuple[int, int]) -> tuple[int, int]:
    """Return the two sides of ``"1280x720"``. Raises :class:`UsageError` for anything else."""
    if isinstance(text, tuple):
        return _side("max_width", text[0]), _side("max_height", text[1])
    match = re.fullmatch(r"\s*([0-9]{1,5})\s*[xX:]\s*([0-9]{1,5})\s*", text)
    if match is None:
        raise UsageError(f"--max-size cannot be {text!r}.", hint="accepted: WIDTHxHEIGHT, as 1280x720")
    return _side("max_width", match[1]), _side("max_height", match[2])


def _side(name: str, side: str | int) -> int:
    return int(parse(name, str(side), shown_as="A side of --max-size"))


def _check_preset(settings: Settings) -> None:
    """Refuse presets and qualities that the chosen codec does not have, before any work."""
    row = cpu_row(settings.codec)  # type: ignore[arg-type]
    if settings.preset is not None and settings.preset not in row.presets:
        hint = f"accepted for {row.codec}: {', '.join(row.presets)}"
        raise UsageError(f"--preset cannot be {settings.preset!r} for {row.codec}.", hint=hint)
    is_outside = settings.crf is not None and not row.crf_min <= settings.crf <= row.crf_max
    if settings.crf is not None and (is_outside or (row.crf_integer and settings.crf % 1)):
        whole = "whole numbers " if row.crf_integer else ""
        hint = f"accepted for {row.codec}: {whole}{row.crf_min:g} to {row.crf_max:g}"
        raise UsageError(f"--crf cannot be {settings.crf:g} for {row.codec}.", hint=hint)


def _check_quality(settings: Settings) -> None:
    """Refuse two wishes for one quality."""
    if settings.crf is not None and settings.target_vmaf is not None:
        text = f"--crf {settings.crf:g} and --target-vmaf {settings.target_vmaf:g} exclude each other."
        raise UsageError(text, hint="With a target the CRF is searched; leave one of them out.")


def gate_from(settings: Settings) -> GateWish:
    """Return what these settings ask of the quality and size of outputs."""
    return GateWish(
        min_vmaf=settings.min_vmaf,
        min_vmaf_worst=settings.min_vmaf_worst,
        max_size_ratio=settings.max_size_ratio,
        windows=settings.vmaf_windows,  # type: ignore[arg-type]
        retries=settings.vmaf_retries,
        on_miss=settings.on_miss,  # type: ignore[arg-type]
        measures=settings.target_vmaf is not None,
    )


def check_hardware(hardware: str | None) -> None:
    """Raise :class:`UsageError` for a hardware policy that is none."""
    if hardware not in (None, "auto", "require", "off"):
        raise UsageError(f"--hardware cannot be {hardware!r}.", hint="accepted: auto, require, off")


def request_from(settings: Settings, *, hardware: str | None = None, always_encode: bool = False) -> Request:
    """Return the request these settings describe; ``hardware`` ``None`` follows the GPU switch."""
    check_hardware(hardware)
    return Request(
        codec=settings.codec,  # type: ignore[arg-type]
        crf=settings.crf,
        target_vmaf=settings.target_vmaf,
        preset=settings.preset,
        gpu_preset=settings.gpu_preset,
        max_width=settings.max_width,
        max_height=settings.max_height,
        max_fps=settings.max_fps,
        audio_bitrate_bps=settings.audio_bitrate_bps,
        audio_channels=settings.audio_channels,  # type: ignore[arg-type]
        hdr=settings.hdr,  # type: ignore[arg-type]
        hardware=hardware or ("auto" if settings.use_gpu else "off"),  # type: ignore[arg-type]
        max_input_bytes=settings.max_input_bytes,
        min_saving=settings.min_saving,
        always_encode=always_encode,
        max_pixels=settings.max_pixels,
        threads=settings.threads,
        gate=gate_from(settings),
        resolution=settings.resolution,  # type: ignore[arg-type]
        calibration=settings.calibration,  # type: ignore[arg-type]
    )
