"""Reelpress as delivered against the plan's FFmpeg command: CPU seconds and size at equal VMAF, overhead, memory.

    python benchmarks/compress.py --media DIR --out results.json

The plan's command is ``ffmpeg -preset faster -crf 23`` with its scaling to 1280x720, AAC at 128 kb/s and faststart,
encoded by the same FFmpeg. Reelpress runs as a user runs it at three CRFs around 23; its CPU seconds and video size
are read off where its VMAF equals the command's. Two CPU numbers are kept: ``encode``, FFmpeg's for the samples and the
encode as the receipt has them, and ``whole``, user + system of the process and all its children, with probes, checks,
hashes and Python, which weighs on short files. Sources play at 30 frames a second or less, so that both keep every
frame and frames can be paired; the self-tests of ``x264_search.py`` apply.

Overhead is measured apart: the very argv from a receipt, run by hand, against the whole of ``reelpress compress``, in
turn. Two numbers are told: the least of the rounds on either side, since what else runs on a machine only ever adds,
and the median of what each round differs by, which a machine that is slow for a while does not move. It is seconds and
not a ratio, so that a machine that takes twice as long by hand has about twice of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from x264_search import (
    FIT,
    SELF_SCORE_MIN,
    Bench,
    MeasurementError,
    Source,
    check_same_frames,
    compare,
    find_ffmpeg,
    geometric_mean,
    machine,
    parse_source,
    rounded,
)
from x264_search import Point as Curve

ROOT = Path(__file__).resolve().parent.parent
CRFS = (22.0, 23.0, 24.0)
PLAN_CRF = 23.0
# kinds: animation, animated film, two people at a table (noisy), people crossing a room (surveillance), film with
# fades, dog, juggler and children (live action), talking head; whole files, long ones first
DEFAULT_SOURCES = (
    "vladyslavuhr_video_stream/bbb_1080p_62s_51.ts",
    "vidstack_files/agent327_720p_70s.mp4",
    "samdutton_simpl/vp9_webrtc_3.webm",
    "intel-iot-devkit_sample-videos/one-by-one-person-detection.mp4",
    "Breakthrough_PySceneDetect/testvideo.mp4",
    "facebookresearch_sam2/01_dog.mp4",
    "facebookresearch_sam2/05_default_juggle.mp4",
    "facebookresearch_sam2/bedroom.mp4",
    "OpenTalker_video-retalking/4.mp4",
)


@dataclass(frozen=True)
class Ran:
    """One whole process."""

    wall_s: float
    cpu_s: float
    own_peak_mb: float


@dataclass(frozen=True)
class Overhead:
    """A whole ``reelpress compress`` beside its own FFmpeg command run by hand: the least of several rounds.

    ``usual_beyond_s`` is the median over rounds of what :attr:`beyond_s` is by a single one. Where the command itself
    takes a second more or less each time these tell little; so ``beside_s`` is the median of what a whole run takes
    while no FFmpeg runs, and ``within_s`` the least that its FFmpeg took, to be held against ``by_hand_s``.
    """

    source: str
    by_hand_s: float
    whole_s: float
    usual_beyond_s: float
    beside_s: float
    within_s: float

    @property
    def beyond_s(self) -> float:
        """Seconds beyond 3 % of the command itself."""
        return _beyond_s(self.by_hand_s, self.whole_s)


def _beyond_s(by_hand_s: float, whole_s: float) -> float:
    return whole_s - 1.03 * by_hand_s


def timed(command: Sequence[str]) -> Ran:
    """Run a command to its end; CPU seconds include its children, memory is the process's own peak."""
    # what is installed is compiled; some shells forbid it, and every start would compile all that it imports
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    peak = [0]

    def watch() -> None:
        while process.returncode is None:
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                return
            peak[0] = max([peak[0], *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
            time.sleep(0.05)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    error = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    if process.stderr:
        process.stderr.close()
    watcher.join()
    if process.returncode != 0:
        raise MeasurementError(f"{command[0]} ended with {process.returncode}: {error[-300:].decode(errors='replace')}")
    return Ran(wall, usage.ru_utime + usage.ru_stime, peak[0] / 1024)


def reelpress(*arguments: str) -> list[str]:
    """Return the command line of the program under test."""
    return [sys.executable, "-m", "reelpress", *arguments]


def cut(bench: Bench, media: Path, source: Source) -> Path:
    """Return the source itself, or the excerpt as a file of its own, packets unchanged."""
    if source.start is None:
        return media / source.path
    out = bench.folder / "excerpt.mkv"
    span = ["-ss", f"{source.start:g}", "-t", f"{source.seconds or 10:g}"]
    command = [*span, "-i", f"file:{media / source.path}", "-map", "0:v:0", "-map", "0:a:0?", "-c", "copy"]
    bench._run([*command, f"file:{out}"])  # noqa: SLF001 - the sibling script's runner
    return out


def plan_command(ffmpeg: str, source: Path, target: Path) -> list[str]:
    """Return the plan's own command."""
    return [
        ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-y", "-i", f"file:{source}",
        "-map", "0:v:0", "-map", "0:a:0?", "-vf", FIT.format(scaler="bicubic"), "-fps_mode", "passthrough",
        "-c:v", "libx264", "-preset", "faster", "-crf", f"{PLAN_CRF:g}", "-c:a", "aac", "-b:a", "128k",
        "-movflags", "+faststart", f"file:{target}",
    ]  # fmt: skip


def measure(bench: Bench, raw: Path, command: Sequence[str], crf: float, repeats: int) -> Curve:
    """Run a command that writes ``encoded.mp4``; return what it cost and what it is worth.

    ``cpu_pipeline`` is the whole process, ``cpu_encode`` FFmpeg's share where a receipt tells it.
    """
    receipt = bench.folder / "receipt.json"
    whole, encode = [], []
    for _ in range(repeats):
        receipt.unlink(missing_ok=True)
        whole.append(timed(command).cpu_s)
        stages = json.loads(receipt.read_text())["stages"] if receipt.exists() else []
        told = sum(stage["cpu_s"] for stage in stages if stage["name"] in ("sample", "encode"))
        encode.append(told or whole[-1])
    encoded = bench.folder / "encoded.mp4"
    packets = bench.packets(encoded)
    check_same_frames(bench.packets(raw), packets)
    mean, harmonic = bench.vmaf(encoded, raw)
    return Curve(crf, packets.video_bytes, mean, harmonic, min(whole), min(encode), None)


def run_source(bench: Bench, media: Path, source: Source, repeats: int) -> dict[str, float | str]:
    """Compare both on one source."""
    file = cut(bench, media, source)
    raw = bench.intermediate(file.parent, Source(file.name))
    score, _ = bench.vmaf(raw, raw)
    if score < SELF_SCORE_MIN:
        raise MeasurementError(f"the intermediate scores {score:.1f} against itself")
    out, receipt = bench.folder / "encoded.mp4", bench.folder / "receipt.json"
    theirs = measure(bench, raw, plan_command(bench.ffmpeg, file, out), PLAN_CRF, repeats)
    ours = []
    for crf in CRFS:
        options = ("-o", str(out), "--overwrite", "--always-encode", "--crf", f"{crf:g}", "--receipt", str(receipt))
        ours.append(measure(bench, raw, reelpress("compress", str(file), *options), crf, repeats))
    found = compare(source.path, "reelpress", theirs, ours)
    if not CRFS[0] - 1 <= found.crf <= CRFS[-1] + 1:
        raise MeasurementError(f"equal VMAF lies at CRF {found.crf:.1f}, too far from what was measured")
    return {
        "source": Path(source.path).name, "vmaf": theirs.vmaf, "crf_for_equal_vmaf": found.crf,
        "size_ratio": found.size, "encode_cpu_ratio": found.cpu_encode, "whole_cpu_ratio": found.cpu_pipeline,
        "plan_cpu_s": theirs.cpu_pipeline, "at_default_size_ratio": ours[1].video_bytes / theirs.video_bytes,
        "at_default_encode_cpu_ratio": ours[1].cpu_encode / theirs.cpu_pipeline,
        "at_default_vmaf_difference": ours[1].vmaf - theirs.vmaf,
    }  # fmt: skip


def overhead(folder: Path, source: Path, rounds: int) -> tuple[Overhead, float]:
    """Time the whole program against its own FFmpeg command, in turn; also return its own peak memory in MB."""
    out, receipt = folder / "o.mp4", folder / "receipt.json"
    command = reelpress(
        "compress", str(source), "-o", str(out), "--overwrite", "--always-encode", "--receipt", str(receipt)
    )
    timed(command)
    argv = json.loads(receipt.read_text())["attempts"][-1]["argv"]
    argv[-1] = f"file:{folder / 'by-hand.mp4'}"
    pairs: list[tuple[Ran, Ran]] = []
    within: list[float] = []
    for _ in range(rounds):
        pairs.append((timed(argv), timed(command)))
        within.append(sum(attempt["wall_s"] for attempt in json.loads(receipt.read_text())["attempts"]))
    by_hand, whole = (min(side.wall_s for side in sides) for sides in zip(*pairs, strict=True))
    found = Overhead(
        source.name, by_hand, whole, median(_beyond_s(one.wall_s, all_.wall_s) for one, all_ in pairs),
        median(all_.wall_s - inner for (_, all_), inner in zip(pairs, within, strict=True)), min(within),
    )  # fmt: skip
    return found, max(all_.own_peak_mb for _, all_ in pairs)


def main() -> int:
    """Measure, print the tables, write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media" / "files")
    parser.add_argument("--source", action="append", type=parse_source, help="PATH[#START+SECONDS]")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each command; the least CPU seconds count")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the overhead measurement")
    parser.add_argument("--subsample", type=int, choices=(1, 5, 7), default=7, help="score every n-th frame")
    parser.add_argument("--only", choices=("quality", "overhead"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ffmpeg = find_ffmpeg(None)
    about = machine(ffmpeg)
    print(json.dumps(about))
    rows: list[dict[str, float | str]] = []
    sources = options.source or [parse_source(text) for text in DEFAULT_SOURCES]
    for source in sources if options.only != "overhead" else ():
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows.append(
                    run_source(Bench(ffmpeg, Path(folder), options.subsample), options.media, source, options.repeats)
                )
            except MeasurementError as error:
                print(f"refused {source.path}: {error}", flush=True)
                continue
        row = rows[-1]
        print(
            f"{row['source']!s:32} VMAF {row['vmaf']:6.2f}  plan {row['plan_cpu_s']:6.1f} CPU s  at equal VMAF (CRF "
            f"{row['crf_for_equal_vmaf']:.2f}): size {row['size_ratio']:.3f}, CPU {row['encode_cpu_ratio']:.3f} "
            f"(whole {row['whole_cpu_ratio']:.3f})  at CRF 23: size {row['at_default_size_ratio']:.3f}, CPU "
            f"{row['at_default_encode_cpu_ratio']:.3f}, VMAF {row['at_default_vmaf_difference']:+.2f}",
            flush=True,
        )
    means = {
        key: geometric_mean(float(row[key]) for row in rows)
        for key in ("size_ratio", "encode_cpu_ratio", "whole_cpu_ratio", "at_default_size_ratio")
        if rows
    }
    if rows:
        print(f"{len(rows)} sources, geometric means: {json.dumps(rounded(means))}")
    found: list[tuple[Overhead, float]] = []
    for source in sources if options.only != "quality" else ():
        with tempfile.TemporaryDirectory() as folder:
            file = cut(Bench(ffmpeg, Path(folder), 5), options.media, source)
            found.append(overhead(Path(folder), file, options.rounds))
        one, peak = found[-1]
        print(
            f"{one.source:36} by hand {one.by_hand_s:6.2f} s  whole {one.whole_s:6.2f} s  beyond 3 %: "
            f"{one.beyond_s:+.2f} s (median {one.usual_beyond_s:+.2f})  beside FFmpeg {one.beside_s:.2f} s, which took "
            f"{one.within_s:.2f} s  own peak {peak:.0f} MB",
            flush=True,
        )
    if options.out:
        result = {
            "machine": about, "means": means, "sources": rows,
            "overhead": [asdict(o) | {"beyond_3_percent_s": o.beyond_s, "own_peak_mb": p} for o, p in found],
        }  # fmt: skip
        options.out.write_text(json.dumps(rounded(result), indent=1) + "\n")
    return 0 if rows or found else 1


if __name__ == "__main__":
    sys.exit(main())
