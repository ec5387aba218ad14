"""One real file through the ladder on a fake GPU, and on the CPU alone: what can be said of both outputs."""

from __future__ import annotations

import csv
import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reelpress.engine import compress_file
from reelpress.gpus import GpuPolicy
from reelpress.policy import RunPolicy
from reelpress.probe.host import probe_host
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run import circuit, execute

import clips
import driver
from independent import ffprobe

ROOT = Path(__file__).resolve().parents[2]
MEDIA = Path(os.environ.get("REELPRESS_MEDIA") or ROOT.parent / "shared" / "media")
MANIFEST = MEDIA / "manifest.csv"
PROFILE = "rtx-pro-6000"
# The fake interprets CUDA's kernels, pixel by pixel: small pictures, though no smaller than NVENC takes; five a second
# of what it decodes, and of what goes on for long only the beginning.
BOX = (384, 162)
LONG_S, LONG_FPS = 1.5, Fraction(5)
TOO_LONG_S, BEGINNING_S = 20.0, 4.0
ABSURD_S = 10_000.0  # what a header claims that lies

_TAGS = ("color_range", "color_space", "color_transfer", "color_primaries")
_SAME = {
    "video": ("codec_name", "pix_fmt", "width", "height", "sample_aspect_ratio", "field_order", *_TAGS),
    "audio": ("codec_name", "sample_rate", "channels", "nb_frames", "duration"),
    "subtitle": ("codec_name", "duration"),
}


class Both(NamedTuple):
    """The receipts, and what ffprobe sees in the outputs; ``None`` where nothing was delivered."""

    gpu: Receipt
    cpu: Receipt
    gpu_output: dict[str, Any] | None
    cpu_output: dict[str, Any] | None


def rows() -> list[dict[str, str]]:
    """The manifest, line by line; nothing where it is absent."""
    return list(csv.DictReader(MANIFEST.read_text().splitlines())) if MANIFEST.is_file() else []


class Corpus:
    """Compresses files both ways, two at a time, in the background; :meth:`result` waits for one of them."""

    def __init__(
        self, fake: driver.FakeNvidia, folder: Path, files: list[dict[str, str]], patch: pytest.MonkeyPatch
    ) -> None:
        for name, value in fake.machine(PROFILE).env.items():
            patch.setenv(name, value)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        patch.setattr(execute, "_GPU_STALL_S", 600.0)  # what a GPU does in milliseconds takes an interpreter seconds
        patch.setattr(circuit, "SUSPECTS", len(files) + 1)  # what one file does is not to keep others off the GPU
        (folder / "run").mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        self._folder = folder
        self._policy = RunPolicy(
            stall_timeout_s=600.0, gpu=GpuPolicy(cache_dir=str(folder / "cache"), patience_s=300.0)
        )
        self._host = probe_host(cache_dir=folder / "cache")
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._found: dict[str, Future[Both]] = {row["name"]: self._pool.submit(self._both, row) for row in files}

    def result(self, name: str) -> Both:
        return self._found[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _both(self, row: dict[str, str]) -> Both:
        name, told_s = row["name"], float(row["duration_s"] or 0)
        folder = self._folder / name
        folder.mkdir(parents=True)
        source = MEDIA / "files" / name
        if TOO_LONG_S < told_s < ABSURD_S and row["category"] != "corrupt":
            source = clips.make(
                folder / source.name, "-i", f"file:{source}", "-t", str(BEGINNING_S), "-map", "0", "-c", "copy"
            )
        is_decoded_on_gpu = row["vcodec"].startswith("h264") and row["pix_fmt"] == "yuv420p"
        fps = LONG_FPS if is_decoded_on_gpu and told_s > LONG_S else Request().max_fps
        gpu, gpu_output = self._compress(source, folder, "auto", fps)
        cpu, cpu_output = self._compress(source, folder, "off", fps)
        return Both(gpu, cpu, gpu_output, cpu_output)

    def _compress(
        self, source: Path, folder: Path, hardware: Any, fps: Fraction
    ) -> tuple[Receipt, dict[str, Any] | None]:
        target = folder / f"{hardware}.mp4"
        wish = Request(
            hardware=hardware, max_width=BOX[0], max_height=BOX[1], max_fps=fps, preset="ultrafast", always_encode=True
        )
        receipt = compress_file(source, target, host=self._host, request=wish, policy=self._policy)
        if not target.exists():
            return receipt, None
        seen = ffprobe(target)
        target.unlink()
        return receipt, seen


def structure(seen: dict[str, Any] | None) -> Any:
    """What must be alike in two outputs, whatever encoded their pictures."""
    if seen is None:
        return None
    streams = [
        {
            "type": s["codec_type"],
            **{key: s.get(key) for key in _SAME.get(s["codec_type"], ("codec_name",))},
            "turned": [d["rotation"] for d in s.get("side_data_list", []) if "rotation" in d],
            "said": {k: v for k, v in s.get("tags", {}).items() if k in ("language", "title")},
            "default": s["disposition"]["default"],
        }
        for s in seen["streams"]
    ]
    said = {k: v for k, v in seen["format"].get("tags", {}).items() if k != "encoder"}
    return json.loads(json.dumps([streams, seen["chapters"], said]))


def pictures(seen: dict[str, Any] | None) -> tuple[int, float] | None:
    """How many pictures the video has, and when it starts."""
    video = next((s for s in (seen or {"streams": []})["streams"] if s["codec_type"] == "video"), None)
    return None if video is None else (int(video["nb_frames"]), float(video["start_time"]))


def disagreements(both: Both) -> list[str]:
    """What differs between the two results though it must not; gates hold durations against the source."""
    gpu, cpu = both.gpu, both.cpu
    verdicts = [{g.name: g.verdict for g in receipt.gates if g.name != "pictures"} for receipt in (gpu, cpu)]
    pairs = [
        ("status", gpu.status, cpu.status),
        ("exit code", gpu.exit_code, cpu.exit_code),
        ("error", gpu.error, cpu.error),
        ("gates", *verdicts),
        ("structure", structure(both.gpu_output), structure(both.cpu_output)),
    ]
    found = [f"{what}: {a} on the GPU, {b} on the CPU" for what, a, b in pairs if a != b]
    theirs, ours = pictures(both.cpu_output), pictures(both.gpu_output)
    if theirs is not None and ours is not None and (ours[0] != theirs[0] or abs(ours[1] - theirs[1]) > 0.001):
        found.append(f"pictures and start: {ours} on the GPU, {theirs} on the CPU")
    return found


def rung_of(receipt: Receipt) -> str:
    """The rung that delivered, or what became of the file instead."""
    return receipt.attempts[-1].rung if receipt.status in ("encoded", "copied") else receipt.status


def why_not_all_on_the_gpu(receipt: Receipt) -> tuple[str, ...]:
    """The reasons for every rung passed by."""
    codes = ("gpu_encode_only", "cpu_only", "fell_back", "decoded_in_software")
    return tuple(reason.text for reason in receipt.reasons if reason.code in codes)
