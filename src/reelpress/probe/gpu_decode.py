"""Does a GPU decode a codec, does it filter? Small clips, made on the spot, against the same thing done in software."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import GpuPath
from reelpress.probe.gpu_bench import (
    FRAMES,
    Bench,
    Verdict,
    compare,
    failure_of,
    judge,
    picture,
    try_path,
    without_speaker,
)
from reelpress.run.gpu_failures import decoded_in_software

K = FailureKind

# Larger than NVDEC's smallest picture of every codec (144 lines for HEVC), small enough to cost nothing.
_WIDTH, _HEIGHT = 320, 180
_ON_GPU = {"yuv420p": "nv12", "yuv420p10le": "p010le"}
# With -hwaccel FFmpeg 9 takes its own AV1 decoder, which decodes nothing by itself: no fall back to software there.
_NO_AV1 = "Your platform doesn't support hardware accelerated AV1 decoding"
_making = threading.Lock()


class _Clip(NamedTuple):
    encoder: str
    options: tuple[str, ...]
    min_db: float  # inf: the standard defines every bit of the picture


SOFTWARE_ALONE = "FFmpeg decodes this in software alone"

_EXACT = float("inf")
_CLIPS = {
    ("h264", "yuv420p"): _Clip("libx264", ("-preset", "veryfast", "-crf", "20"), _EXACT),
    ("h264", "yuv420p10le"): _Clip("libx264", ("-preset", "veryfast", "-crf", "20"), _EXACT),
    ("hevc", "yuv420p"): _Clip("libx265", ("-preset", "ultrafast", "-x265-params", "log-level=error"), _EXACT),
    ("hevc", "yuv420p10le"): _Clip("libx265", ("-preset", "ultrafast", "-x265-params", "log-level=error"), _EXACT),
    ("vp9", "yuv420p"): _Clip("libvpx-vp9", ("-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"), _EXACT),
    ("av1", "yuv420p"): _Clip("libsvtav1", ("-preset", "12", "-crf", "35"), _EXACT),
    ("mpeg2video", "yuv420p"): _Clip("mpeg2video", ("-q:v", "3"), 40.0),
}
DECODES = tuple(_CLIPS)


class _Filter(NamedTuple):
    on_gpu: str  # {fmt} is the GPU's name of the pixel format
    in_software: str
    min_db: float


# Scalers differ in phase and rounding; a picture turned by 90 degrees has no room for opinion.
_FILTERS = {
    "scale_cuda": _Filter("scale_cuda=160:90:format={fmt}", "scale=160:90:flags=bicubic", 25.0),
    "transpose_cuda": _Filter("transpose_cuda=dir=clock", "transpose=dir=clock", 40.0),
}
FILTERS = (("scale_cuda", "yuv420p"), ("scale_cuda", "yuv420p10le"), ("transpose_cuda", "yuv420p"))


def try_decode(bench: Bench, codec: str, pix_fmt: str, *, first: bool) -> GpuPath:
    """Decode a clip on the GPU and in software, and compare; equality is asked of all codecs that define it."""
    wall_s = bench.limits.first_s if first else bench.limits.later_s
    return try_path(bench, "decode", codec, pix_fmt, lambda: _decode(bench, codec, pix_fmt, wall_s))


def _decode(bench: Bench, codec: str, pix_fmt: str, wall_s: float) -> Verdict:
    clip = _CLIPS[codec, pix_fmt]
    source = _make(bench, codec, pix_fmt, clip)
    if source is None:
        return Verdict(failure=K.ENCODER_MISSING, words=f"no clip to decode: {clip.encoder} is not in this build")
    out = bench.folder / f"decoded-{codec}-{pix_fmt}.nut"
    done = bench.run(
        "-xerror", "-hwaccel", "cuda", "-hwaccel_output_format", "cuda",
        "-protocol_whitelist", "file", "-i", f"file:{source}",
        "-vf", f"hwdownload,format={_ON_GPU[pix_fmt]},format={pix_fmt}", "-c:v", "rawvideo", "-f", "nut", f"file:{out}",
        wall_s=wall_s,
    )  # fmt: skip
    failed = failure_of(done, codec)
    # a refusal is no failure of FFmpeg's, which then decodes in software; it is one of the path that is tried here
    refused = decoded_in_software(done.stderr_tail)
    if refused is not None and (failed is None or failed.failure in {K.GPU_DECODE_FAILED, K.FILTER_FAILED}):
        return Verdict(failure=_kind_of_refusal(refused), words=without_speaker(refused))
    if _NO_AV1 in done.stderr_tail:
        return Verdict(failure=K.GPU_UNSUPPORTED, words=f"{_NO_AV1}.")
    if failed is not None and failed.failure is K.FILTER_FAILED:
        return Verdict(failure=K.GPU_UNSUPPORTED, words=SOFTWARE_ALONE)
    if failed is not None:
        return failed
    reference = ("-protocol_whitelist", "file", "-i", f"file:{source}")
    return judge(compare(bench, out, reference, "null", pix_fmt), min_db=clip.min_db)


def _kind_of_refusal(words: str) -> FailureKind:
    if "Cannot load" in words or "Failed loading" in words:
        return K.GPU_LIBRARY_MISSING
    return K.GPU_OUT_OF_MEMORY if "OUT_OF_MEMORY" in words else K.GPU_UNSUPPORTED


def _make(bench: Bench, codec: str, pix_fmt: str, clip: _Clip) -> Path | None:
    """Return a clip of the codec, made once per survey by this FFmpeg's own software encoder."""
    if not bench.ffmpeg.lists(clip.encoder):
        return None
    made = bench.folder.parent / f"clip-{bench.ffmpeg.major}-{codec}-{pix_fmt}.mkv"
    with _making:  # several GPUs want the same clip
        if made.exists():
            return made
        part = made.with_suffix(".part")
        done = bench.run(
            *picture(_WIDTH, _HEIGHT), "-frames:v", str(FRAMES), "-pix_fmt", pix_fmt, "-c:v", clip.encoder,
            *clip.options, "-f", "matroska", f"file:{part}", wall_s=bench.limits.first_s, pinned=False,
        )  # fmt: skip
        if done.returncode != 0:
            return None
        part.replace(made)
    return made


def try_filter(bench: Bench, name: str, pix_fmt: str, *, first: bool) -> GpuPath:
    """Upload, filter on the GPU, download, and compare with software's filter.

    This also tries the copies to and from the GPU, whose failures FFmpeg does not report.
    """
    if name not in bench.ffmpeg.filters:
        missing = Verdict(failure=K.FILTER_FAILED, words="not in this build")
        return try_path(bench, "filter", name, pix_fmt, lambda: missing)
    wall_s = bench.limits.first_s if first else bench.limits.later_s
    return try_path(bench, "filter", name, pix_fmt, lambda: _filter(bench, name, pix_fmt, wall_s))


def _filter(bench: Bench, name: str, pix_fmt: str, wall_s: float) -> Verdict:
    tried, fmt = _FILTERS[name], _ON_GPU[pix_fmt]
    out = bench.folder / f"{name}-{pix_fmt}.nut"
    chain = f"format={fmt},hwupload,{tried.on_gpu.format(fmt=fmt)},hwdownload,format={fmt},format={pix_fmt}"
    done = bench.run(
        "-xerror", "-init_hw_device", "cuda=cu:0", "-filter_hw_device", "cu", *picture(_WIDTH, _HEIGHT),
        "-frames:v", str(FRAMES), "-vf", chain, "-c:v", "rawvideo", "-f", "nut", f"file:{out}", wall_s=wall_s,
    )  # fmt: skip
    if failed := failure_of(done, name):
        return failed
    seen = compare(bench, out, picture(_WIDTH, _HEIGHT), f"format={pix_fmt},{tried.in_software}", pix_fmt)
    return judge(seen, min_db=tried.min_db)
