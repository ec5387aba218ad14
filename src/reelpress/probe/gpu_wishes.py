"""What to know about a GPU, and the trials that tell, with one FFmpeg; what one trial shows is not found out again."""

from __future__ import annotations

from typing import Literal

import msgspec

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import GpuPath
from reelpress.facts.values import Value
from reelpress.probe.gpu_bench import Bench
from reelpress.probe.gpu_decode import DECODES, FILTERS, try_decode, try_filter
from reelpress.probe.gpu_trial import try_encode

K = FailureKind

# What one encoder fails for, every encoder of this FFmpeg on this GPU fails for.
_ALL_ENCODERS = frozenset({K.DRIVER_TOO_OLD, K.NO_GPU_ENCODER, K.GPU_LIBRARY_MISSING})
# What one path fails for, all do: they would only cost as much time again.
ALL_PATHS = frozenset({K.GPU_DRIVER_BROKEN, K.TIMED_OUT})


class Wish(Value, frozen=True, kw_only=True):
    """One path to know about, in the terms of :class:`~reelpress.facts.host.GpuPath`."""

    kind: Literal["encode", "decode", "filter"]
    name: str
    pix_fmt: str = "yuv420p"


ENCODES = (
    ("h264_nvenc", "yuv420p"), ("hevc_nvenc", "yuv420p"), ("hevc_nvenc", "yuv420p10le"),
    ("av1_nvenc", "yuv420p"), ("av1_nvenc", "yuv420p10le"),
)  # fmt: skip
EVERYTHING = (
    *(Wish(kind="encode", name=name, pix_fmt=pix_fmt) for name, pix_fmt in ENCODES),
    *(Wish(kind="decode", name=name, pix_fmt=pix_fmt) for name, pix_fmt in DECODES),
    *(Wish(kind="filter", name=name, pix_fmt=pix_fmt) for name, pix_fmt in FILTERS),
)


def job_wishes(encoder: str, pix_fmt: str, source_codec: str, source_pix_fmt: str) -> tuple[Wish, ...]:
    """Return what one compression on a GPU needs to know: its encoder, its scaler, and NVDEC where that may help."""
    wishes = [Wish(kind="encode", name=encoder, pix_fmt=pix_fmt)]
    # full-range 4:2:0 is decoded like any other
    decoded = source_pix_fmt.replace("yuvj", "yuv")
    if (source_codec, decoded) in DECODES:
        wishes.append(Wish(kind="decode", name=source_codec, pix_fmt=decoded))
    return (*wishes, Wish(kind="filter", name="scale_cuda", pix_fmt=pix_fmt))


class Trials:
    """The trials of one FFmpeg on one GPU."""

    def __init__(self, bench: Bench, known: list[GpuPath]) -> None:
        self._bench, self._known = bench, known
        self._seen: list[GpuPath] = []
        self.tried: list[GpuPath] = []

    def run(self, wishes: tuple[Wish, ...]) -> list[GpuPath]:
        """Return what is known of the wishes, tried where that is nothing."""
        found = []
        for wish in wishes:
            if self._bench.is_cancelled():
                break
            key = (wish.kind, wish.name, wish.pix_fmt)
            path = next((p for p in self._known if (p.kind, p.name, p.pix_fmt) == key), None)
            path = path or self._spared(wish)
            if path is None:
                path = self._try(wish)
                self.tried.append(path)
            self._seen.append(path)
            found.append(path)
        return found

    def _spared(self, wish: Wish) -> GpuPath | None:
        """Return the failure that this path is known to share with one that was tried."""
        listed = wish.kind != "encode" or self._bench.ffmpeg.lists(wish.name)
        for seen in self._seen:
            for_all = seen.failure in ALL_PATHS
            if listed and (for_all or (wish.kind == seen.kind == "encode" and seen.failure in _ALL_ENCODERS)):
                words = f"not tried, after {seen.name}: {seen.why_not}" if for_all else seen.why_not
                return msgspec.structs.replace(
                    seen, kind=wish.kind, name=wish.name, pix_fmt=wish.pix_fmt, why_not=words, wall_s=0.0
                )
        return None

    def _try(self, wish: Wish) -> GpuPath:
        first = not any(p.kind == "filter" if wish.kind == "filter" else True for p in self.tried)
        bench = self._bench
        if any(path.state == "busy" for path in self.tried):  # it was given time already
            bench = msgspec.structs.replace(bench, limits=msgspec.structs.replace(bench.limits, busy_s=()))
        if wish.kind == "encode":
            return try_encode(bench, wish.name, wish.pix_fmt, first=first)
        if wish.kind == "decode":
            return try_decode(bench, wish.name, wish.pix_fmt, first=first)
        return try_filter(bench, wish.name, wish.pix_fmt, first=first)
