"""Fails where a commit is slower than another: both compress the same videos in turns, on this machine, now.

See docs/performance.md. Exit codes: 0 not slower, 1 slower, 2 it could not be found out.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESAMPLES = 10_000
CONFIDENCE = 0.95
# What encoders meet: much that changes, and much that repeats. FFmpeg makes them, so that nothing is downloaded.
VIDEOS = {
    "film": "testsrc2=s=1280x720:r=30,noise=alls=12:allf=t",
    "screen": "smptehdbars=s=1920x1080:r=30",
}


@dataclass(frozen=True)
class Ratio:
    """How long one takes against the other; ``low`` and ``high`` hold 95 % of what resampled rounds gave."""

    value: float
    low: float
    high: float

    def is_slower(self, limit: float) -> bool:
        """Tell whether it takes more than ``limit`` times as long, and noise does not explain that."""
        return self.value > limit and self.low > 1


def ratio_of(base: Sequence[float], head: Sequence[float], *, seed: int = 1) -> Ratio:
    """Return the ratio of the medians of ``head`` and ``base``, measured in the same rounds, with its interval."""
    rng = random.Random(seed)
    found = []
    for _ in range(RESAMPLES):
        rounds = [rng.randrange(len(base)) for _ in base]
        found.append(statistics.median(head[r] for r in rounds) / statistics.median(base[r] for r in rounds))
    found.sort()
    tail = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Ratio(statistics.median(head) / statistics.median(base), found[tail], found[-tail - 1])


@contextmanager
def work_tree(repository: Path, revision: str, folder: Path) -> Iterator[Path]:
    """Have a commit's files in a folder for a while."""
    git = ["git", "-C", str(repository), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def make_videos(folder: Path, duration_s: float) -> dict[str, Path]:
    """Generate the inputs and return them by name."""
    import imageio_ffmpeg

    made = {}
    for name, source in VIDEOS.items():
        path = made[f"{name}, {duration_s:g} s"] = folder / f"{name}.mp4"
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", f"{source}", "-t", str(duration_s),
            "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p", str(path),
        ]  # fmt: skip
        subprocess.run(command, check=True)
    return made


def seconds_of(tree: Path, video: Path, folder: Path, measure: str) -> float:
    """Return the seconds a commit takes for a video: CPU seconds of all its processes, or those of the clock."""
    # compiled modules are kept, as where it is installed: to compile them every time would be most of a short run
    ours = ("REELPRESS_", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {
        "PYTHONPATH": str(tree / "src"), "REELPRESS_CACHE_DIR": str(folder / f"cache-{tree.name}"),
        "ENABLE_GPU_ACCELERATION": "false",
    }  # fmt: skip
    command = [sys.executable, "-m", "reelpress", "compress", str(video), "-o", str(folder / "out.mp4"), "--overwrite"]
    log = folder / "log"
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=out, stderr=out)
        # wait4 and no more: it tells of this child and of all whom it waited for itself
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - began
    if process.returncode != 0:
        raise RuntimeError(f"{tree.name} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return wall_s if measure == "wall" else used.ru_utime + used.ru_stime


def compare(
    trees: tuple[Path, Path], videos: dict[str, Path], folder: Path, *, rounds: int, measure: str
) -> dict[str, Ratio]:
    """Measure both in turns and return the ratio of each video."""
    out = {}
    for name, video in videos.items():
        seconds: dict[Path, list[float]] = {tree: [] for tree in trees}
        for tree in trees:
            seconds_of(tree, video, folder, measure)  # what is found out once, and read from disk once
        for number in range(rounds):
            for tree in trees if number % 2 == 0 else reversed(trees):
                seconds[tree].append(seconds_of(tree, video, folder, measure))
        out[name] = ratio_of(seconds[trees[0]], seconds[trees[1]])
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, and say so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="main", help="the commit that was fast enough [main]")
    parser.add_argument("--head", default="HEAD", help="the commit in question [HEAD]")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each [7]")
    parser.add_argument("--limit", type=float, default=1.25, help="the ratio above which it fails [1.25]")
    parser.add_argument("--measure", choices=("cpu", "wall"), default="cpu", help="[cpu]")
    parser.add_argument("--duration", type=float, default=8.0, help="seconds of each video [8]")
    parser.add_argument("--repository", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.rounds < 3:
        parser.error("fewer than 3 rounds tell nothing")
    with tempfile.TemporaryDirectory(prefix="reelpress-speed-") as name:
        folder = Path(name)
        with (
            work_tree(options.repository, options.base, folder / "base") as base,
            work_tree(options.repository, options.head, folder / "head") as head,
        ):
            try:
                videos = make_videos(folder, options.duration)
                ratios = compare((base, head), videos, folder, rounds=options.rounds, measure=options.measure)
            except (RuntimeError, subprocess.SubprocessError) as error:
                print(error, file=sys.stderr)
                return 2
    for video, ratio in ratios.items():
        interval = f"95 % between {ratio.low:.2f}x and {ratio.high:.2f}x"
        print(f"{video}: {ratio.value:.2f}x the time of {options.base} ({interval})")
    slower = [video for video, ratio in ratios.items() if ratio.is_slower(options.limit)]
    verdict = f"slower than {options.limit:g}x" if slower else f"not slower than {options.limit:g}x"
    print(f"{verdict} {options.base}{': ' + '; '.join(slower) if slower else ''}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
