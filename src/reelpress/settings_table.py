"""Every setting, once: its names, default, accepted values and meaning. The docs and the errors read from here."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from reelpress.facts.values import Value
from reelpress.plan.encoders import GPU_PRESETS, X264_PRESETS
from reelpress.request import CODECS


class Setting(Value, frozen=True, kw_only=True):
    """One row: ``env`` are its names in the environment, the first preferred; ``parse`` turns text into its value."""

    name: str
    env: tuple[str, ...]
    default: str
    accepts: str
    help: str
    parse: Callable[[str], Any]
    flag: str | None = None


def number(low: float, high: float, kind: type[int | float]) -> Callable[[str], Any]:
    """Return a parser of numbers from ``low`` to ``high``."""

    def parse(text: str) -> int | float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError("out of range")
        return value

    return parse


def choice(*names: str) -> Callable[[str], str]:
    """Return a parser of one of these names, in any case of letters."""

    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError("not one of them")
        return text.lower()

    return parse


def switch(text: str) -> bool:
    """Return the truth that a word stands for. Raises :class:`KeyError`."""
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("neither yes nor no")
    return words[text.lower()]


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def quantity(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of quantities as ``128k`` or ``1.5Gi``, from ``low`` to ``high``."""

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
    # a plain pattern first: Fraction takes exponents, and 1e999999999 keeps a machine busy for hours
    if re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,9}|[/:][0-9]{1,7})?", text) is None:
        raise ValueError("not a rate")
    value = Fraction(text.replace(":", "/"))
    if not 1 <= value <= 1000:
        raise ValueError("out of range")
    return value


def optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser that also takes the words for no choice of one's own, as ``None``."""
    return lambda text: None if text.strip().lower() in ("", "default", "auto", "none") else parse(text)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="use_gpu", env=("ENABLE_GPU_ACCELERATION", "GPU_ENABLED"), default="true", accepts="true or false",
        parse=switch, help="Use a GPU when one is proven to work; both names are the same switch.",
    ),
    Setting(
        name="gpu_preset", env=("GPU_PRESET",), default="fast", accepts=", ".join(GPU_PRESETS),
        parse=choice(*GPU_PRESETS), help="NVENC preset; legacy names are mapped to p1...p7 and a tune.",
    ),
    Setting(
        name="codec", env=("COMPRESSION_CODEC",), default="h264", accepts=", ".join(CODECS), flag="--codec",
        parse=choice(*CODECS), help="Codec of the output.",
    ),
    Setting(
        name="preset", env=("COMPRESSION_PRESET",), default="default", flag="--preset",
        accepts=f"{', '.join(X264_PRESETS)} (h264, hevc without lean); 0 to 13 (av1); default",
        parse=optional(str.lower), help="CPU preset; default is lean for h264, fast for hevc, 8 for av1.",
    ),
    Setting(
        name="crf", env=("COMPRESSION_CRF",), default="default", flag="--crf",
        accepts="1 to 51 (h264), 0 to 51 (hevc), 1 to 63 (av1), default",
        parse=optional(number(0, 63, float)),
        help="Quality, lower is better; default is 23 for h264, 26 for hevc, 34 for av1.",
    ),
    Setting(
        name="target_vmaf", env=("COMPRESSION_TARGET_VMAF",), default="none", accepts="30 to 99, none",
        flag="--target-vmaf", parse=optional(number(30, 99, float)),
        help="VMAF to aim at: CRF or CQ is searched on samples. Not with a CRF.",
    ),
    Setting(
        name="max_width", env=("COMPRESSION_MAX_WIDTH",), default="1280", accepts="16 to 16384 pixels",
        parse=number(16, 16384, int), help="Longer side of the box the picture must fit; never enlarged.",
    ),
    Setting(
        name="max_height", env=("COMPRESSION_MAX_HEIGHT",), default="720", accepts="16 to 16384 pixels",
        parse=number(16, 16384, int), help="Shorter side of the box the picture must fit.",
    ),
    Setting(
        name="max_fps", env=("COMPRESSION_MAX_FPS",), default="30", accepts="1 to 1000, fractions as 30000/1001",
        flag="--max-fps", parse=_rate, help="Cap on frames per second: frames are dropped, never repeated.",
    ),
    Setting(
        name="resolution", env=("COMPRESSION_RESOLUTION",), default="fixed", accepts="fixed, auto", flag="--resolution",
        parse=choice("fixed", "auto"),
        help="Size within the box: the box's own, or what encodes of samples look best at for their bytes.",
    ),
    Setting(
        name="audio_bitrate_bps", env=("COMPRESSION_AUDIO_BITRATE",), default="128k", accepts="16k to 1M",
        flag="--audio-bitrate", parse=quantity(16_000, 1_000_000),
        help="AAC bit rate for stereo; scales with pairs of channels.",
    ),
    Setting(
        name="audio_channels", env=("COMPRESSION_AUDIO_CHANNELS",), default="keep", accepts="keep, stereo",
        flag="--audio-channels", parse=choice("keep", "stereo"), help="What becomes of more than two channels.",
    ),
    Setting(
        name="hdr", env=("COMPRESSION_HDR",), default="tonemap", accepts="tonemap, keep", flag="--hdr",
        parse=choice("tonemap", "keep"), help="HDR becomes SDR, or stays as 10-bit hevc or av1.",
    ),
    Setting(
        name="max_input_bytes", env=("COMPRESSION_MAX_FILE_SIZE",), default="1GB", accepts="1k to 100T",
        flag="--max-file-size", parse=quantity(1_000, 10**14),
        help="Larger inputs are skipped, with that as the reason.",
    ),
    Setting(
        name="min_saving", env=("COMPRESSION_MIN_SAVING",), default="0.05", accepts="0 to 0.95", flag="--min-saving",
        parse=number(0, 0.95, float), help="Share of the input an encode must save to be delivered.",
    ),
    Setting(
        name="min_vmaf", env=("COMPRESSION_MIN_VMAF",), default="none", accepts="1 to 100, none", flag="--min-vmaf",
        parse=optional(number(1, 100, float)), help="Least mean VMAF; what misses it is encoded again at more bits.",
    ),
    Setting(
        name="min_vmaf_worst", env=("COMPRESSION_MIN_VMAF_WORST",), default="none", accepts="1 to 100, none",
        flag="--min-vmaf-worst", parse=optional(number(1, 100, float)), help="Least VMAF of the worst second.",
    ),
    Setting(
        name="max_size_ratio", env=("COMPRESSION_MAX_SIZE_RATIO",), default="none", accepts="0.001 to 100, none",
        flag="--max-size-ratio", parse=optional(number(0.001, 100, float)),
        help="Most bytes of the output for each of the input; what is larger is encoded again at less.",
    ),
    Setting(
        name="vmaf_windows", env=("COMPRESSION_VMAF_WINDOWS",), default="sampled", accepts="sampled, whole",
        flag="--vmaf-windows", parse=choice("sampled", "whole"),
        help="What is scored where a VMAF is asked for: up to 5 stretches of 2 s, or all of it.",
    ),
    Setting(
        name="vmaf_retries", env=("COMPRESSION_VMAF_RETRIES",), default="2", accepts="0 to 10", flag="--vmaf-retries",
        parse=number(0, 10, int), help="How often what misses its VMAF or size is encoded again.",
    ),
    Setting(
        name="on_miss", env=("COMPRESSION_ON_MISS",), default="keep", accepts="keep, deliver", flag="--on-miss",
        parse=choice("keep", "deliver"),
        help="What becomes of encodes of which none met VMAF and size: nothing is delivered, or the best of them.",
    ),
    Setting(
        name="timeout_s", env=("COMPRESSION_TIMEOUT",), default="auto", accepts="1 to 604800 seconds, auto",
        flag="--timeout", parse=optional(number(1, 604_800, float)),
        help="Wall-clock limit of one attempt; auto is 30 minutes plus ten times the video's duration.",
    ),
    Setting(
        name="decode_check", env=("COMPRESSION_DECODE_CHECK",), default="sampled", accepts="sampled, whole",
        flag="--decode-check", parse=choice("sampled", "whole"),
        help="Which part of an output the software decoder reads before it is delivered.",
    ),
    Setting(
        name="stall_timeout_s", env=("COMPRESSION_STALL_TIMEOUT",), default="120", accepts="1 to 86400 seconds",
        parse=number(1, 86_400, float), help="An encode without a new frame or byte for this long is stopped.",
    ),
    Setting(
        name="memory_limit_bytes", env=("REELPRESS_MEMORY_LIMIT",), default="16G", accepts="256M to 4T",
        parse=quantity(256_000_000, 4 * 10**12), help="Address space one FFmpeg may use.",
    ),
    Setting(
        name="max_pixels", env=("REELPRESS_MAX_PIXELS",), default="67108864", accepts="10000 to 268435456",
        parse=number(10_000, 268_435_456, int), help="Frames with more pixels than this are refused (8192x8192).",
    ),
    Setting(
        name="jobs", env=("REELPRESS_JOBS",), default="auto", accepts="1 to 256, auto", flag="--jobs",
        parse=optional(number(1, 256, int)),
        help="Inputs worked on at the same time; auto is half the cores, or one a core while they are small.",
    ),
    Setting(
        name="threads", env=("REELPRESS_THREADS",), default="0", accepts="0 to 256, 0 lets the encoder choose",
        parse=number(0, 256, int), help="Encoder threads.",
    ),
    Setting(
        name="ffmpeg", env=("REELPRESS_FFMPEG",), default="auto", accepts="a path, auto",
        parse=optional(str), help="An FFmpeg to consider first, beside the bundled one and PATH.",
    ),
    Setting(
        name="cache_dir", env=("REELPRESS_CACHE_DIR",), default="auto", accepts="a folder, auto",
        parse=optional(str), help="Where facts about FFmpeg builds are remembered; auto follows XDG_CACHE_HOME.",
    ),
    Setting(
        name="calibration", env=("REELPRESS_CALIBRATION",), default="cq", accepts="off, cq, defaults",
        parse=choice("off", "cq", "defaults"),
        help="What `reelpress calibrate` measured here is used for: nothing; the CQ that stands for a CRF; the default "
        "CRFs of hevc and av1, too.",
    ),
    Setting(
        name="gpu_patience_s", env=("REELPRESS_GPU_PATIENCE",), default="30", accepts="0 to 3600 seconds",
        parse=number(0, 3600, float), help="How long a job waits for a slot on a GPU before the CPU takes it.",
    ),
    Setting(
        name="gpu_sessions", env=("REELPRESS_GPU_SESSIONS",), default="auto", accepts="1 to 64, auto",
        parse=optional(number(1, 64, int)),
        help="Encodes at once on each GPU, over all processes; auto counts what opens, up to 4.",
    ),
    Setting(
        name="usd_per_cpu_hour", env=("REELPRESS_USD_PER_CPU_HOUR",), default="0.0864", accepts="0 to 1000",
        parse=number(0, 1000, float),
        help="Price of a core for an hour, for estimates by CPU seconds; the default is Cloud Run's list price.",
    ),
    Setting(
        name="usd_per_gpu_hour", env=("REELPRESS_USD_PER_GPU_HOUR",), default="auto", accepts="0 to 1000, auto",
        parse=optional(number(0, 1000, float)),
        help="Price of a GPU for an hour; auto is that of the price list, if it has one.",
    ),
    Setting(
        name="prices", env=("REELPRESS_PRICES",), default="auto",
        accepts="auto, cpu-hour, own:USD/h, the name of a price list", parse=str,
        help="By what jobs are charged: CPU seconds, a machine of one's own by the hour, or a list of docs/costs.md; "
        "auto is Cloud Run's where it runs there, else CPU seconds.",
    ),
    Setting(
        name="prices_file", env=("REELPRESS_PRICES_FILE",), default="none", accepts="a TOML file, none",
        parse=optional(str), help="Price lists of one's own, in the form of docs/costs.md; they go before ours.",
    ),
    Setting(
        name="face_model", env=("REELPRESS_FACE_MODEL",), default="auto", accepts="a file, yunet, auto, none",
        parse=str, help="What looks for faces in clips: YuNet's file, or with none OpenCV's Haar cascades; auto is "
        "YuNet if it was downloaded.",
    ),
)  # fmt: skip

# Names of ours in the environment that are not settings of the engine: they steer its tests, `reelpress jobs`, and the
# start of a container (deploy/image/start.sh).
RESERVED = frozenset({
    "REELPRESS_MEDIA", "REELPRESS_MUTATIONS", "REELPRESS_TRACEBACK", "REELPRESS_URL", "REELPRESS_API_KEY",
    "REELPRESS_THOROUGH", "REELPRESS_HARDWARE", "REELPRESS_START_CHECK",
})  # fmt: skip

BY_NAME = {row.name: row for row in SETTINGS}
