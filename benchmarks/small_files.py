"""What many short files cost: a process of Reelpress for each, one for all, and bare FFmpeg as the floor of both.

``python benchmarks/small_files.py [--files N] [--rounds N] [--media FOLDER] [--save FILE]``. Clips of 1 to 3 seconds at
180, 360 and 720 lines are cut out of real files (by default ``../shared/media/files``). Every way is gone once in each
round, so that a machine that others use slows all alike; told are medians, and each way against the floor of its round.
"Before" is one process as it was: half the cores, and a start of Python for every look at a file.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg

from reelpress.plan.compress import plan
from reelpress.plan.model import Encode, argv
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.request import Request

SOURCES = (
    "facebookresearch_sam2/01_dog.mp4", "facebookresearch_sam2/05_default_juggle.mp4",
    "vidstack_files/agent327_720p_70s.mp4", "Breakthrough_PySceneDetect/testvideo.mp4",
    "intel-iot-devkit_sample-videos/one-by-one-person-detection.mp4", "open-mmlab_mmaction2/demo_skeleton.mp4",
    "OpenTalker_video-retalking/1.mp4", "WyattBlue_auto-editor/man-on-green-screen.mp4",
)  # fmt: skip
LINES, SECONDS = (180, 360, 720), (1, 2, 3)
FLOOR = "bare FFmpeg, one after another"
BEFORE = """
import contextlib, sys
from reelpress import batch
batch.for_many_files = contextlib.nullcontext
from reelpress.cli.app import main
main()
"""
CORES = len(os.sched_getaffinity(0))


def make_clips(folder: Path, media: Path, files: int) -> list[Path]:
    """Cut the clips out of real files, as phones and screens would have recorded them."""
    made = []
    for number in range(files):
        source = media / SOURCES[number % len(SOURCES)]
        lines, seconds = LINES[number % len(LINES)], SECONDS[number // 2 % len(SECONDS)]
        out = folder / f"clip-{number:03}.mp4"
        begin = number // len(SOURCES) % 4 * 0.5
        subprocess.run(
            [
                imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-ss", f"{begin}", "-t", f"{seconds}",
                "-i", f"file:{source}", "-map", "0:v:0", "-map", "0:a:0?", "-vf", f"scale=-2:{lines}",
                "-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p", "-c:a", "aac",
                f"file:{out}",
            ],
            check=True,
        )  # fmt: skip
        made.append(out)
    return made


def commands_for(clips: list[Path], out: Path) -> list[str]:
    """Return the bare FFmpeg commands that the plans of these clips consist of, for a shell."""
    host, found = probe_host(), []
    for clip in clips:
        decided = plan(probe(clip), host, Request(hardware="off"))
        if isinstance(decided, Encode):
            target = out / clip.name
            line = argv(decided.attempts[0], source=f"file:{clip}", target=str(target))
            found.append(f"{shlex.join(line)} >/dev/null 2>&1")
    return found


def spent(work: Callable[[], None]) -> tuple[float, float]:
    """Return wall and CPU seconds of programs that this starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    work()
    wall_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ways(clips: list[Path], out: Path) -> dict[str, Callable[[], None]]:
    """Return what is compared, by name."""
    program = shlex.join([sys.executable, "-m", "reelpress"])
    bare = commands_for(clips, out / "bare")
    singles = [f"{program} compress {shlex.quote(str(c))} -o {shlex.quote(str(out / 'each' / c.name))}" for c in clips]
    folder = str(clips[0].parent)

    def shell(lines: list[str], where: str, at_once: int) -> Callable[[], None]:
        def work() -> None:
            (out / where).mkdir(exist_ok=True)
            text = "\0".join(lines).encode()
            subprocess.run(["xargs", "-0", "-P", str(at_once), "-I{}", "sh", "-c", "{}"], input=text, check=True)

        return work

    def one(*start: str, jobs: int | None = None) -> Callable[[], None]:
        def work() -> None:
            more = () if jobs is None else ("--jobs", str(jobs))
            command = [sys.executable, *start, "compress", folder, "-o", f"{out}/all/", "--overwrite", *more]
            subprocess.run([*command, "--receipt", str(out / "receipts.json")], stdout=subprocess.DEVNULL, check=True)

        return work

    quiet = [f"{line} --overwrite >/dev/null 2>&1" for line in singles]
    return {
        FLOOR: shell(bare, "bare", 1),
        f"bare FFmpeg, {CORES} at once": shell(bare, "bare", CORES),
        "a process for each, one after another": shell(quiet, "each", 1),
        f"a process for each, {CORES} at once": shell(quiet, "each", CORES),
        "one process, before": one("-c", BEFORE, jobs=max(1, CORES // 2)),
        "one process, before, a core for each": one("-c", BEFORE, jobs=CORES),
        "one process": one("-m", "reelpress"),
    }


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every output in a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.mp4"))}


def main() -> None:
    """Measure, print a table, and save the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[2] / "shared" / "media" / "files")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        clips_folder, out = Path(made) / "in", Path(made) / "out"
        clips_folder.mkdir()
        out.mkdir()
        clips = make_clips(clips_folder, asked.media, asked.files)
        compared = ways(clips, out)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in compared}
        for number in range(asked.rounds):
            for name, work in compared.items():
                taken[name].append(spent(work))
                print(f"round {number + 1}: {name}: {taken[name][-1][0]:.1f} s", file=sys.stderr, flush=True)
        same = digests(out / "each") == digests(out / "all")
        receipts = [json.loads(line) for line in (out / "receipts.json").read_bytes().splitlines()]
        seconds = sum(receipt["source"]["duration_s"] for receipt in receipts)
    print(f"{len(clips)} clips, {seconds:.0f} s of video, {asked.rounds} rounds; outputs of both ways are "
          f"{'the same, byte by byte' if same else 'NOT THE SAME'}")  # fmt: skip
    print(f"{'':<40} {'wall s':>7} {'CPU s':>7} {'ms a file':>9} {'times the floor':>16}")
    rows = []
    for name, runs in taken.items():
        wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
        ratio = statistics.median(run[0] / floor[0] for run, floor in zip(runs, taken[FLOOR], strict=True))
        print(f"{name:<40} {wall:7.1f} {cpu:7.1f} {1000 * wall / len(clips):9.0f} {ratio:15.2f}x")
        rows.append({"name": name, "wall_s": wall, "cpu_s": cpu, "times_the_floor": ratio, "runs": runs})
    if asked.save:
        build = next(f for f in probe_host().ffmpegs)
        told_by = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
        names = [line.partition(":")[2].strip() for line in told_by if line.startswith("model name")]
        machine = {
            "cpu": names[0] if names else platform.machine(), "cores": CORES, "ffmpeg": build.version,
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
        }  # fmt: skip
        told = {"machine": machine, "files": len(clips), "video_s": seconds, "outputs_are_the_same": same, "rows": rows}
        asked.save.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
