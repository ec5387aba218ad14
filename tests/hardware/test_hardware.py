"""What the product says of this machine's GPUs, against FFmpeg run by hand; jobs on them, and what these gain.

Nothing here may pass on the CPU: a job that falls back fails its test. What a GPU does not have, such as the encoder of
an H200, must be said to be missing, and is a row of the page like any other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from reelpress.engine import compress_file
from reelpress.errors import ExitCode
from reelpress.facts.host import FfmpegFacts, GpuFacts, HostFacts
from reelpress.gpus import GpuPolicy
from reelpress.parity import check_parity
from reelpress.plan import gpu_ladder
from reelpress.policy import RunPolicy
from reelpress.probe.gpu_finding import find_gpu
from reelpress.probe.gpu_wishes import ENCODES
from reelpress.receipt import Receipt
from reelpress.request import Request

import clips
import witness
from conftest import Scale
from record import Record, short

# Chips that NVIDIA's support matrix lists without NVENC: A100 and A30, H100 and H200, B200.
NO_NVENC = frozenset({"8.0", "9.0", "10.0"})
ENCODED_DB, SCALED_DB = 28.0, 25.0
_CODEC = {"h264_nvenc": "h264", "hevc_nvenc": "hevc", "av1_nvenc": "av1"}


def each(record: Record) -> list[tuple[GpuFacts, FfmpegFacts]]:
    return [(gpu, ffmpeg) for gpu in record.gpus for ffmpeg in record.host.ffmpegs]


def compare_answer(
    record: Record, gpu: GpuFacts, ffmpeg: FfmpegFacts, kind: str, name: str, pix_fmt: str, seen: witness.Seen,
    min_db: float,
) -> list[str]:  # fmt: skip
    """Note what was seen by hand, and return how the product's answer differs from it."""
    path, really = gpu.path(ffmpeg.path, kind, name, pix_fmt), seen.is_right(min_db)
    record.add(gpu, ffmpeg, kind, f"{name} {pix_fmt}", works=really, detail=seen.tell())
    said = None if path is None else path.state
    if said == ("works" if really else "fails"):
        return []
    why = path.why_not if path is not None else "never tried"
    return [f"GPU {gpu.index}, {short(ffmpeg)}, {kind} {name} {pix_fmt}: said {said} ({why}), seen: {seen.tell()}"]


def test_encoders_are_said_to_work_just_where_they_do(record: Record, scale: Scale, tmp_path: Path) -> None:
    wrong = []
    for gpu, ffmpeg in each(record):
        for name, pix_fmt in ENCODES:
            seen = witness.encode(gpu, ffmpeg, name, pix_fmt, scale.size, tmp_path)
            wrong += compare_answer(record, gpu, ffmpeg, "encode", name, pix_fmt, seen, ENCODED_DB)
            if gpu.compute_capability in NO_NVENC and seen.pictures:
                wrong.append(f"GPU {gpu.index} has no encoder, and {name} wrote {seen.tell()}")
    assert not wrong, "\n".join(wrong)


def test_decoders_are_said_to_work_just_where_they_do(record: Record, scale: Scale, tmp_path: Path) -> None:
    wrong = []
    for gpu, ffmpeg in each(record):
        for codec, pix_fmt in witness.SOURCES:
            source = witness.clip(codec, pix_fmt, scale.size, tmp_path)
            seen = witness.decode(gpu, ffmpeg, source, pix_fmt, tmp_path)
            min_db = 40.0 if codec == "mpeg2video" else float("inf")  # MPEG-2 leaves its transform to the decoder
            wrong += compare_answer(record, gpu, ffmpeg, "decode", codec, pix_fmt, seen, min_db)
    assert not wrong, "\n".join(wrong)


def test_the_scaler_is_said_to_work_just_where_it_does(record: Record, scale: Scale, tmp_path: Path) -> None:
    wrong = []
    for gpu, ffmpeg in each(record):
        seen = witness.scale(gpu, ffmpeg, scale.size, scale.half, tmp_path)
        wrong += compare_answer(record, gpu, ffmpeg, "filter", "scale_cuda", "yuv420p", seen, SCALED_DB)
    assert not wrong, "\n".join(wrong)


@dataclass(frozen=True)
class Bench:
    """Jobs on one source, by the whole machine or by its CPU alone."""

    host: HostFacts
    source: Path
    folder: Path

    def job(self, **wanted: str) -> tuple[Receipt, float]:
        """Do one job; also return its wall seconds, the survey's left out, which is remembered."""
        policy = RunPolicy(gpu=GpuPolicy(cache_dir=str(self.folder / "cache")))
        request = Request(always_encode=True, max_width=1280, max_height=720, **wanted)  # type: ignore[arg-type]
        out = self.folder / f"{'-'.join(wanted.values())}.mp4"
        began = time.perf_counter()
        receipt = compress_file(self.source, out, host=self.host, request=request, policy=policy, overwrite=True)
        return receipt, time.perf_counter() - began


def moving(out: Path, size: str, seconds: int) -> Path:
    """Moving pictures with the noise of a camera, as hard to encode as real ones."""
    noisy = (
        "-vf",
        "noise=alls=8:allf=t",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "20",
        "-pix_fmt",
        "yuv420p",
    )
    return clips.make(out, *clips.picture(size, "30", seconds), *clips.tone(seconds=seconds), *noisy, "-c:a", "aac")


def test_jobs_on_the_gpu_are_done_there_or_refused(record: Record, scale: Scale, tmp_path: Path) -> None:
    bench = Bench(record.host, moving(tmp_path / "source.mp4", scale.size, scale.seconds), tmp_path)
    for name, codec in _CODEC.items():
        works = any(
            path.state == "works" for gpu in record.gpus for path in gpu.paths
            if (path.kind, path.name, path.pix_fmt) == ("encode", name, "yuv420p")
        )  # fmt: skip
        receipt, wall_s = bench.job(codec=codec, hardware="require")
        if not works:
            assert receipt.exit_code == ExitCode.HARDWARE_ABSENT, receipt
            assert receipt.error
            assert not (tmp_path / f"{codec}-require.mp4").exists()
            continue
        assert (receipt.status, receipt.device, receipt.encoder) == ("encoded", "nvidia", name), receipt
        assert len(receipt.attempts) == 1, receipt.attempts
        on_cpu, cpu_wall_s = bench.job(codec=codec, hardware="off")
        assert on_cpu.device == "cpu"
        outputs = [Path(each.output or "") for each in (receipt, on_cpu)]
        frames, alike_db = witness.worst_db(clips.ffmpeg(), outputs[0], ("-i", str(outputs[1])), "null")
        assert frames == scale.seconds * 30
        assert alike_db > ENCODED_DB
        note_speed(record, f"{codec}, {scale.size}", receipt, wall_s, scale)
        note_speed(record, f"{codec}, {scale.size}", on_cpu, cpu_wall_s, scale)
    found = find_gpu(record.host, cache_dir=tmp_path / "cache")
    assert found.available == any(p.state == "works" and p.name == "h264_nvenc" for g in record.gpus for p in g.paths)


@pytest.mark.parametrize("size", ["size", "large"])
def test_decoding_on_the_gpu_for_the_cpus_encoder(
    record: Record, scale: Scale, tmp_path: Path, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Does a GPU without an encoder help? Pictures must be the CPU's; how much it helps goes on the page."""
    if any(p.kind == "encode" and p.state == "works" for gpu in record.gpus for p in gpu.paths):
        pytest.skip("a GPU here encodes, so no job decodes on it for the CPU")
    monkeypatch.setattr(gpu_ladder, "HYBRID_FROM_PIXEL_RATIO", 1.0)  # whether it pays is the question
    pixels = getattr(scale, size)
    bench = Bench(record.host, moving(tmp_path / "source.mp4", pixels, scale.seconds), tmp_path)
    bench.job(hardware="auto")  # what the GPU does is found out, and remembered
    best: dict[str, tuple[Receipt, float]] = {}
    for _ in range(scale.rounds):
        for hardware in ("auto", "off"):
            receipt, wall_s = bench.job(hardware=hardware)
            if hardware not in best or wall_s < best[hardware][1]:
                best[hardware] = receipt, wall_s
    hybrid, cpu = best["auto"][0], best["off"][0]
    assert [a.rung for a in hybrid.attempts] == ["gpu_decode"], hybrid.reasons
    assert [a.rung for a in cpu.attempts] == ["cpu"]
    outputs = [Path(each.output or "") for each in (hybrid, cpu)]
    _, alike_db = witness.worst_db(clips.ffmpeg(), outputs[0], ("-i", str(outputs[1])), "null")
    assert alike_db > ENCODED_DB
    for receipt, wall_s in best.values():
        note_speed(record, f"h264, {pixels}", receipt, wall_s, scale)


def test_what_the_gpu_makes_is_held_to_what_the_cpu_makes(record: Record, scale: Scale, tmp_path: Path) -> None:
    """Whether it passes is for the page: an encoder that nobody calibrated may spend more, or less."""
    source = moving(tmp_path / "source.mp4", scale.size, scale.seconds)
    policy = RunPolicy(gpu=GpuPolicy(cache_dir=str(tmp_path / "cache")))
    for name, codec in _CODEC.items():
        works = any(
            path.state == "works" for gpu in record.gpus for path in gpu.paths
            if (path.kind, path.name, path.pix_fmt) == ("encode", name, "yuv420p")
        )  # fmt: skip
        request = Request(codec=codec, max_width=1280, max_height=720)  # type: ignore[arg-type]
        one = check_parity(source, host=record.host, request=request, policy=policy, whole=True)
        if not works:
            assert one.exit_code == ExitCode.HARDWARE_ABSENT, one
            continue
        assert one.error is None, one
        assert one.gpu is not None
        assert one.cpu is not None
        assert (one.gpu.device, one.gpu.encoder) == ("nvidia", name)
        assert one.gpu.vmaf is not None, one.gpu.cause
        assert one.cpu.vmaf is not None, one.cpu.cause
        size = next(gate.measured for gate in one.gates if gate.name == "size")
        row = (codec, one.verdict, f"{one.gpu.setting:g}", f"{one.gpu.vmaf:.2f}", f"{one.cpu.vmaf:.2f}", size)
        record.parity.append(row)


def note_speed(record: Record, job: str, receipt: Receipt, wall_s: float, scale: Scale) -> None:
    attempt = receipt.attempts[-1]
    how = "NVDEC, scale_cuda, libx264" if attempt.rung == "gpu_decode" else f"{attempt.encoder}, rung {attempt.rung}"
    row = (job, how, f"{wall_s:.2f}", f"{receipt.cpu_s:.2f}", f"{scale.seconds / wall_s:.1f}")
    record.speeds.append(row)
