"""Every setting, once: its names, default, accepted values and meaning.

Flags win over the environment, the environment over ``.env``, ``.env`` over defaults. The command line's help, the
table in docs/settings.md and the errors all read from :data:`SETTINGS`. Importing this module is cheap; reading the
settings loads pydantic-settings.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.plan.encoders import GPU_PRESETS, X264_PRESETS
from reelpress.request import CODECS, Request


class Setting(Value, frozen=True, kw_only=True):
    """One row: ``env`` are its names in the environment, the first preferred; ``parse`` turns text into its value."""

    name: str
    env: tuple[str, ...]
    default: str
    accepts: str
    help: str
    parse: Callable[[str], Any]
    flag: str | None = None


def _number(low: float, high: float, kind: type[int] | type[float]) -> Callable[[str], Any]:
    def parse(text: str) -> int | float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError("out of range")
        return value

    return parse


def _choice(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError("not one of them")
        return text.lower()

    return parse


def _switch(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    return words[text.lower()]


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def _quantity(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?i?)(?:b|bps|bit/s)?", text.strip().lower())
        if match is None or match[2] not in _UNITS:
            raise ValueError("not a quantity")
        value = round(float(match[1]) * _UNITS[match[2]])
        if not low <= value <= high:
            raise ValueError("out of range")
        return value

    return parse


def _rate(text: str) -> Fraction:
    value = Fraction(text.replace(":", "/"))
    if not 1 <= value <= 1000:
        raise ValueError("out of range")
    return value


def _optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text.strip().lower() in ("", "default", "auto") else parse(text)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="use_gpu", env=("ENABLE_GPU_ACCELERATION", "GPU_ENABLED"), default="true", accepts="true or false",
        parse=_switch, help="Use a GPU when one is proven to work; both names are the same switch.",
    ),
    Setting(
        name="gpu_preset", env=("GPU_PRESET",), default="fast", accepts=", ".join(GPU_PRESETS),
        parse=_choice(*GPU_PRESETS), help="NVENC preset; legacy names are mapped to p1...p7 and a tune.",
    ),
    Setting(
        name="codec", env=("COMPRESSION_CODEC",), default="h264", accepts=", ".join(CODECS), flag="--codec",
        parse=_choice(*CODECS), help="Codec of the output.",
    ),
    Setting(
        name="preset", env=("COMPRESSION_PRESET",), default="default", flag="--preset",
        accepts=f"{', '.join(X264_PRESETS)} (h264, hevc without lean); 0 to 13 (av1); default",
        parse=_optional(str.lower), help="CPU preset; default is lean for h264, fast for hevc, 8 for av1.",
    ),
    Setting(
        name="crf", env=("COMPRESSION_CRF",), default="default", accepts="0 to 51 (h264, hevc), 0 to 63 (av1), default",
        flag="--crf", parse=_optional(_number(0, 63, float)),
        help="Quality, lower is better; default is 23 for h264, 26 for hevc, 34 for av1.",
    ),
    Setting(
        name="max_width", env=("COMPRESSION_MAX_WIDTH",), default="1280", accepts="16 to 16384 pixels",
        parse=_number(16, 16384, int), help="Longer side of the box the picture must fit; never enlarged.",
    ),
    Setting(
        name="max_height", env=("COMPRESSION_MAX_HEIGHT",), default="720", accepts="16 to 16384 pixels",
        parse=_number(16, 16384, int), help="Shorter side of the box the picture must fit.",
    ),
    Setting(
        name="max_fps", env=("COMPRESSION_MAX_FPS",), default="30", accepts="1 to 1000, fractions as 30000/1001",
        flag="--max-fps", parse=_rate, help="Cap on frames per second: frames are dropped, never repeated.",
    ),
    Setting(
        name="audio_bitrate_bps", env=("COMPRESSION_AUDIO_BITRATE",), default="128k", accepts="16k to 1M",
        flag="--audio-bitrate", parse=_quantity(16_000, 1_000_000),
        help="AAC bit rate for stereo; scales with pairs of channels.",
    ),
    Setting(
        name="audio_channels", env=("COMPRESSION_AUDIO_CHANNELS",), default="keep", accepts="keep, stereo",
        flag="--audio-channels", parse=_choice("keep", "stereo"), help="What becomes of more than two channels.",
    ),
    Setting(
        name="hdr", env=("COMPRESSION_HDR",), default="tonemap", accepts="tonemap, keep", flag="--hdr",
        parse=_choice("tonemap", "keep"), help="HDR becomes SDR, or stays as 10-bit hevc or av1.",
    ),
    Setting(
        name="max_input_bytes", env=("COMPRESSION_MAX_FILE_SIZE",), default="1GB", accepts="1k to 100T",
        flag="--max-file-size", parse=_quantity(1_000, 10**14),
        help="Larger inputs are skipped, with that as the reason.",
    ),
    Setting(
        name="min_saving", env=("COMPRESSION_MIN_SAVING",), default="0.05", accepts="0 to 0.95", flag="--min-saving",
        parse=_number(0, 0.95, float), help="Share of the input an encode must save to be delivered.",
    ),
    Setting(
        name="timeout_s", env=("COMPRESSION_TIMEOUT",), default="auto", accepts="1 to 604800 seconds, auto",
        flag="--timeout", parse=_optional(_number(1, 604_800, float)),
        help="Wall-clock limit of one attempt; auto is 30 minutes plus ten times the video's duration.",
    ),
    Setting(
        name="stall_timeout_s", env=("COMPRESSION_STALL_TIMEOUT",), default="120", accepts="1 to 86400 seconds",
        parse=_number(1, 86_400, float), help="An encode without a new frame or byte for this long is stopped.",
    ),
    Setting(
        name="memory_limit_bytes", env=("REELPRESS_MEMORY_LIMIT",), default="16G", accepts="256M to 4T",
        parse=_quantity(256_000_000, 4 * 10**12), help="Address space one FFmpeg may use.",
    ),
    Setting(
        name="max_pixels", env=("REELPRESS_MAX_PIXELS",), default="67108864", accepts="10000 to 268435456",
        parse=_number(10_000, 268_435_456, int), help="Frames with more pixels than this are refused (8192x8192).",
    ),
    Setting(
        name="jobs", env=("REELPRESS_JOBS",), default="auto", accepts="1 to 256, auto", flag="--jobs",
        parse=_optional(_number(1, 256, int)), help="Inputs worked on at the same time; auto is half the cores.",
    ),
    Setting(
        name="threads", env=("REELPRESS_THREADS",), default="0", accepts="0 to 256, 0 lets the encoder choose",
        parse=_number(0, 256, int), help="Encoder threads.",
    ),
    Setting(
        name="ffmpeg", env=("REELPRESS_FFMPEG",), default="auto", accepts="a path, auto",
        parse=_optional(str), help="An FFmpeg to consider first, beside the bundled one and PATH.",
    ),
    Setting(
        name="cache_dir", env=("REELPRESS_CACHE_DIR",), default="auto", accepts="a folder, auto",
        parse=_optional(str), help="Where facts about FFmpeg builds are remembered; auto follows XDG_CACHE_HOME.",
    ),
    Setting(
        name="usd_per_cpu_hour", env=("REELPRESS_USD_PER_CPU_HOUR",), default="0.0864", accepts="0 to 1000",
        parse=_number(0, 1000, float),
        help="Price of a core for an hour, for the receipt's estimate; the default is Cloud Run's list price.",
    ),
)  # fmt: skip

# Names of ours in the environment that are not settings of the product: they steer its tests.
RESERVED = frozenset({"REELPRESS_MEDIA", "REELPRESS_MUTATIONS", "REELPRESS_TRACEBACK"})

BY_NAME = {row.name: row for row in SETTINGS}


class Settings(Value, frozen=True, kw_only=True):
    """The settings in force; one field for each row of :data:`SETTINGS`, units in the names."""

    use_gpu: bool
    gpu_preset: str
    codec: str
    preset: str | None
    crf: float | None
    max_width: int
    max_height: int
    max_fps: Fraction
    audio_bitrate_bps: int
    audio_channels: str
    hdr: str
    max_input_bytes: int
    min_saving: float
    timeout_s: float | None
    stall_timeout_s: float
    memory_limit_bytes: int
    max_pixels: int
    jobs: int | None
    threads: int
    ffmpeg: str | None
    cache_dir: str | None
    usd_per_cpu_hour: float


def parse(name: str, text: str, *, shown_as: str | None = None) -> Any:  # noqa: ANN401 - each row has its own type
    """Return the value that ``text`` gives the setting ``name``.

    Raises :class:`UsageError` naming the accepted values.
    """
    row = BY_NAME[name]
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
) -> Settings:
    """Read all settings: ``flags`` (by setting name, text as typed), then the environment, then ``env_file``.

    ``environ`` replaces the process's environment; ``base`` replaces environment and file. Raises :class:`UsageError` for values outside what is accepted,
    for two names of one setting that disagree, and for names that are almost, but not quite, one of ours.
    """
    typed = {name: text for name, text in (flags or {}).items() if text is not None}
    parsed = {name: parse(name, text) for name, text in typed.items()}
    if base is not None:
        settings = msgspec.structs.replace(base, **parsed)
        _check_preset(settings)
        return settings
    process = os.environ if environ is None else environ
    in_file = _read_file(env_file)
    _refuse_near_misses(process, in_file)
    _refuse_contradictions({**in_file, **process}, set(typed))
    settings = Settings(**_validated(typed, environ, env_file))
    _check_preset(settings)
    return settings


def _read_file(env_file: Path | str | None) -> dict[str, str]:
    from dotenv import dotenv_values

    if env_file is None or not Path(env_file).is_file():
        return {}
    return {name: value for name, value in dotenv_values(env_file).items() if value}


def _validated(
    typed: Mapping[str, str], environ: Mapping[str, str] | None, env_file: Path | str | None
) -> dict[str, Any]:
    """Let pydantic-settings choose between flags, environment, file and defaults, and validate what it chose."""
    from typing import Annotated

    from pydantic import AliasChoices, BeforeValidator, Field, ValidationError, create_model
    from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

    class Base(BaseSettings):
        model_config = SettingsConfigDict(
            env_file=env_file, env_file_encoding="utf-8", env_ignore_empty=True, case_sensitive=True, extra="ignore",
            validate_default=True, populate_by_name=True, arbitrary_types_allowed=True,
        )  # fmt: skip

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del file_secret_settings
            if environ is not None and isinstance(env_settings, EnvSettingsSource):
                env_settings.env_vars = dict(environ)
            return init_settings, env_settings, dotenv_settings

    fields: dict[str, Any] = {
        row.name: (
            Annotated[Any, BeforeValidator(row.parse)],
            Field(default=row.default, validation_alias=AliasChoices(*row.env), description=row.help),
        )
        for row in SETTINGS
    }
    model = create_model("Model", __base__=Base, **fields)
    try:
        read = model(**typed)
    except ValidationError as error:
        first = error.errors()[0]
        place = str(first["loc"][0])
        row = next(r for r in SETTINGS if place == r.name or place in r.env)
        given = {**_read_file(env_file), **(os.environ if environ is None else environ)}
        label = next((name for name in row.env if name in given), row.env[0])
        raise UsageError(f"{label} cannot be {given.get(label)!r}.", hint=f"accepted: {row.accepts}") from None
    return {row.name: getattr(read, row.name) for row in SETTINGS}


def _refuse_near_misses(process: Mapping[str, str], in_file: Mapping[str, str]) -> None:
    known = {name for row in SETTINGS for name in row.env}
    for name in (*in_file, *process):
        if name in known:
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.88)
        ours = name.startswith("REELPRESS_") or (name.startswith("COMPRESSION_") and name in in_file)
        if (close or ours) and name not in RESERVED:
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
            raise UsageError(f"{name} is not a setting.", hint=hint)


def _refuse_contradictions(given: Mapping[str, str], typed: set[str]) -> None:
    for row in SETTINGS:
        named = {name: given[name] for name in row.env if given.get(name)}
        if row.name not in typed and len({parse(row.name, text, shown_as=name) for name, text in named.items()}) > 1:
            text = " and ".join(f"{name}={value}" for name, value in named.items())
            raise UsageError(f"{text} contradict each other.", hint="They are one switch: set one, or both alike.")


def split_size(text: str | tuple[int, int]) -> tuple[int, int]:
    """Return the two sides of ``"1280x720"``. Raises :class:`UsageError` for anything else."""
    if isinstance(text, tuple):
        return text
    match = re.fullmatch(r"\s*([0-9]{1,5})\s*[xX×:]\s*([0-9]{1,5})\s*", text)
    if match is None:
        raise UsageError(f"--max-size cannot be {text!r}.", hint="accepted: WIDTHxHEIGHT, as 1280x720")
    return int(match[1]), int(match[2])


def _check_preset(settings: Settings) -> None:
    """Refuse presets and qualities that the chosen codec does not have, before any work."""
    from reelpress.plan.encoders import cpu_row

    row = cpu_row(settings.codec)  # type: ignore[arg-type]
    if settings.preset is not None and settings.preset not in row.presets:
        hint = f"accepted for {row.codec}: {', '.join(row.presets)}"
        raise UsageError(f"--preset cannot be {settings.preset!r} for {row.codec}.", hint=hint)
    if settings.crf is not None and (settings.crf > row.crf_max or (row.crf_integer and settings.crf % 1)):
        whole = "whole numbers " if row.crf_integer else ""
        hint = f"accepted for {row.codec}: {whole}0 to {row.crf_max:g}"
        raise UsageError(f"--crf cannot be {settings.crf:g} for {row.codec}.", hint=hint)


def request_from(settings: Settings, *, hardware: str | None = None, always_encode: bool = False) -> Request:
    """Return the request these settings describe; ``hardware`` ``None`` follows the GPU switch."""
    return Request(
        codec=settings.codec,  # type: ignore[arg-type]
        crf=settings.crf,
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
    )
