"""Clips out of one long video: time, memory and bytes read, beside the ways clips were cut before.

    python benchmarks/clips.py --media DIR --out results.json

A film of a minute, repeated without encoding it again, is the long source. ``reelpress clips`` runs as a user runs it,
with nothing remembered from an earlier run: it looks for faces and cuts, renders, measures loudness, checks. Beside it,
in turn and in the same round, from the same places of the same file and by the same FFmpeg:

- *old*: the plan's way, one FFmpeg after another, each ``crop`` then ``scale``, ``superfast``, ``-crf 24``;
- *twice*: each clip cut out first (encoded), then cropped (encoded again), as tools do that put two steps together;
- *one by one*: ``reelpress clips --jobs 1``.

The least of the rounds counts: whatever else runs on a machine only ever adds. Memory is the resident memory of the
whole process tree, summed ten times a second, so pages that processes share count more than once.

*Bytes read*: the same command on an address, small clips of it since how they are encoded changes nothing of what is
read; a server in this process counts what it sends. One clip, and several of 10 to 45 seconds, out of MP4, Matroska and
MPEG-TS. The clips' share is what the packets of their stretches weigh in this container, from the keyframe before each;
the index is everything before the first and after the last packet, of MPEG-TS what it takes to open it.

*Slots*: a fake NVIDIA driver (tests/fake_nvidia) whose every picture takes its time, so that slots and not cores are
what there is too little of. Its speed says nothing of a GPU; how the time falls with slots says something of us.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av

from bars import Row

from clip_share import cost_of
from counting_server import CountingServer
from x264_search import MeasurementError, find_ffmpeg, machine, rounded

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_SOURCE = "vladyslavuhr_video_stream/bbb_1080p_62s_51.ts"
COUNTS = (1, 3, 6)
SLOTS = (1, 2, 3)
FIRST_S = 7.3  # no keyframe begins there
NETWORK_BAR = 1.15
CONTAINERS = ("mp4", "mkv", "ts")
LENGTHS_S = (10.0, 45.0, 25.0, 30.0, 15.0, 40.0)  # of several clips by HTTP; a single one is as long as asked


@dataclass(frozen=True)
class Ran:
    """One or several processes, one after another, and all their children."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Span:
    """One clip: where it begins and how long it is."""

    start_s: float
    seconds: float

    @property
    def argument(self) -> str:
        """Return it as ``--clip`` wants it."""
        return f"{self.start_s:g}+{self.seconds:g}"


@dataclass(frozen=True)
class Film:
    """The long source, and how long the clips out of it are to be."""

    path: Path
    seconds: float
    clip_s: float

    def spans(self, count: int, clip_s: Sequence[float] = ()) -> list[Span]:
        """Return clips spread over the whole source, all of one length or of these in turn."""
        step, lengths = (self.seconds - FIRST_S) / count, clip_s or (self.clip_s,)
        if step < max(lengths):
            raise MeasurementError(f"{count} clips of {max(lengths):g} s do not fit into {self.seconds:g} s")
        return [Span(round(FIRST_S + n * step, 2), lengths[n % len(lengths)]) for n in range(count)]


# Processes


def tree_mb(root: int) -> float:
    """Return the resident memory of a process and all that descend from it."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended
                continue
            parents[int(entry.name)], resident[int(entry.name)] = int(fields[1]), int(fields[21])

    def is_ours(pid: int) -> bool:
        while pid > 1 and pid != root:
            pid = parents.get(pid, 0)
        return pid == root

    return sum(pages for pid, pages in resident.items() if is_ours(pid)) * os.sysconf("SC_PAGE_SIZE") / 2**20


def timed(
    commands: Sequence[Sequence[str]], env: Mapping[str, str] | None = None, good: frozenset[int] = frozenset({0})
) -> Ran:
    """Run commands one after another; exit codes other than the ``good`` ones are an error."""
    began, cpu_s, peak = time.monotonic(), 0.0, [0.0]
    for command in commands:
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=env
            )
            ended = threading.Event()

            def watch(pid: int = process.pid, ended: threading.Event = ended) -> None:
                while not ended.wait(0.1):
                    peak[0] = max(peak[0], tree_mb(pid))

            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            ended.set()
            watcher.join()
            cpu_s += usage.ru_utime + usage.ru_stime
            if process.returncode not in good:
                said.seek(0)
                error = said.read()[-600:].decode(errors="replace")
                raise MeasurementError(f"{command[0]} ended with {process.returncode}: {error}")
    return Ran(time.monotonic() - began, cpu_s, peak[0])


def clips_command(source: str, cut: Sequence[Span], folder: Path, *more: str) -> list[str]:
    """Return the command under test."""
    ranges = [token for span in cut for token in ("--clip", span.argument)]
    return [sys.executable, "-m", "reelpress", "clips", source, *ranges, "-o", str(folder), "--json", *more]


def ours(source: str, cut: Sequence[Span], *more: str, cache: Path | None = None, **env: str) -> Ran:
    """Run ``reelpress clips`` into an empty folder; without ``cache`` nothing is remembered from before."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        environment = os.environ | {"REELPRESS_CACHE_DIR": str(cache or Path(folder, "cache"))} | env
        # 1: delivered, with a remark about the source or its sound
        ran = timed([clips_command(source, cut, out, *more)], environment, good=frozenset({0, 1}))
        made = sorted(out.glob("*.mp4"))
        if len(made) != len(cut):
            raise MeasurementError(f"{len(made)} of {len(cut)} clips were made")
        return ran


# The other ways


def crop_args(target: Path) -> list[str]:
    """Return the plan's settings for one vertical clip."""
    return [
        "-vf", "crop=trunc(ih*9/16/2)*2:ih,scale=1080:1920,setsar=1", "-c:v", "libx264", "-preset", "superfast",
        "-crf", "24", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-movflags", "+faststart",
        f"file:{target}",
    ]  # fmt: skip


def old_way(ffmpeg: str, source: Path, cut: Sequence[Span], folder: Path) -> list[list[str]]:
    """Return one command per clip: seek, crop, scale, encode."""
    return [
        [*quiet(ffmpeg), *place(span), "-i", f"file:{source}", *crop_args(folder / f"old-{n}.mp4")]
        for n, span in enumerate(cut)
    ]


def twice(ffmpeg: str, source: Path, cut: Sequence[Span], folder: Path) -> list[list[str]]:
    """Return two commands per clip: cut it out, then crop what was cut out."""
    commands = []
    encode = ["-c:v", "libx264", "-preset", "superfast", "-crf", "18", "-c:a", "aac", "-b:a", "192k"]
    for n, span in enumerate(cut):
        part = folder / f"part-{n}.mp4"
        commands.append([*quiet(ffmpeg), *place(span), "-i", f"file:{source}", *encode, f"file:{part}"])
        commands.append([*quiet(ffmpeg), "-i", f"file:{part}", *crop_args(folder / f"twice-{n}.mp4")])
    return commands


def quiet(ffmpeg: str) -> list[str]:
    """Return how every FFmpeg here begins."""
    return [ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-y"]


def place(span: Span) -> list[str]:
    """Return the options of an input that choose a stretch."""
    return ["-ss", f"{span.start_s:g}", "-t", f"{span.seconds:g}"]


def compare(ffmpeg: str, film: Film, count: int, rounds: int) -> Iterator[Row]:
    """Cut the same clips in every way, in turn."""
    cut, source = film.spans(count), film.path
    found: dict[str, list[Ran]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(rounds):
            found.setdefault("at once", []).append(ours(str(source), cut, "--hardware", "off"))
            if count > 1:
                one_by_one = ours(str(source), cut, "--hardware", "off", "--jobs", "1")
                found.setdefault("one by one", []).append(one_by_one)
            found.setdefault("old", []).append(timed(old_way(ffmpeg, source, cut, folder)))
            found.setdefault("twice", []).append(timed(twice(ffmpeg, source, cut, folder)))
    least = {way: min(ran.wall_s for ran in runs) for way, runs in found.items()}
    for way, runs in found.items():
        yield Row(f"{count} clips, {way}: wall", least[way], "s")
        yield Row(f"{count} clips, {way}: CPU", min(ran.cpu_s for ran in runs), "s")
        yield Row(f"{count} clips, {way}: memory of the tree", max(ran.peak_mb for ran in runs), "MB")
    at_once = least.pop("at once")
    for way, wall_s in least.items():
        bar = 1.0 if way == "one by one" else None
        yield Row(f"{count} clips: at once / {way}, wall", at_once / wall_s, "", bar)


# Bytes


def network(film: Film, count: int, clip_s: Sequence[float]) -> Iterator[Row]:
    """Cut clips out of an address and compare what was sent with what they are made of, and with their container."""
    cut, source = film.spans(count, clip_s), film.path
    cost = cost_of(source, [(span.start_s, span.start_s + span.seconds) for span in cut])
    with CountingServer(source).running() as server:
        ours(server.url, cut, "--hardware", "off", "--allow-private", "--size", "180x320")
        sent, requests = server.sent_bytes, server.requests
    name = f"{count} clips by HTTP, {source.suffix[1:]}"
    yield Row(f"{name}: read", sent / 2**20, "MiB")
    yield Row(f"{name}: requests", requests, "")
    yield Row(f"{name}: share of the source", cost.share_bytes / 2**20, "MiB")
    yield Row(f"{name}: index", cost.index_bytes / 2**20, "MiB")
    yield Row(f"{name}: (read - index) / share", (sent - cost.index_bytes) / cost.share_bytes, "", NETWORK_BAR)
    yield Row(f"{name}: read / whole source", sent / source.stat().st_size, "")


# Slots


def slots(film: Film, count: int) -> Iterator[Row]:
    """Cut clips on a fake GPU with more and more encoder sessions, each picture of which takes its time."""
    sys.path[:0] = [str(ROOT / "tests" / "fake_nvidia")]
    driver: Any = importlib.import_module("driver")
    source, cut = str(film.path), [Span(span.start_s, 2.0) for span in film.spans(count)]
    small = ("--size", "180x320", "--hardware", "require", "--jobs", str(count), "--layout", "still")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "built").mkdir()
        (folder / "machines").mkdir()
        nvidia = driver.FakeNvidia(driver.build(folder / "built"), folder / "machines")
        took: dict[int, float] = {}
        numbers = [number for number in SLOTS if number <= count]
        for number in numbers:
            fake = nvidia.machine(sessions=number)
            cache = folder / f"cache-{number}"
            # what works on the GPU is found out while it is quick, and remembered
            ours(source, cut[:1], *small, cache=cache, **fake.env)
            with fake.faults("encode=120ms"):
                # all clips ask for a slot at once, so that the last waits for all others
                took[number] = ours(source, cut, *small, cache=cache, REELPRESS_GPU_PATIENCE="600", **fake.env).wall_s
            yield Row(f"{count} clips, {number} slots: wall", took[number], "s")
        for number in numbers[1:]:
            # 1.0 is perfect: n slots, an nth of the time
            value = took[number] * number / took[1]
            yield Row(f"{count} clips: time on {number} slots x {number} / time on 1", value, "", 1.4)


# The source


def long_source(ffmpeg: str, film: Path, repeats: int, folder: Path, container: str = "mp4") -> Path:
    """Repeat a film without encoding it again."""
    out = folder / f"long.{container}"
    command = [
        *quiet(ffmpeg), "-stream_loop", str(repeats - 1), "-i", f"file:{film}", "-map", "0:v:0", "-map", "0:a:0?",
        "-c", "copy", *(("-movflags", "+faststart") if container == "mp4" else ()), f"file:{out}",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return out


def seconds_of(path: Path) -> float:
    """Return how long a file says it is."""
    with av.open(str(path)) as container:
        return (container.duration or 0) / av.time_base


def main() -> int:
    """Measure, print, write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media" / "files")
    parser.add_argument("--source", default=DEFAULT_SOURCE, help="a film below --media, H.264 or HEVC")
    parser.add_argument("--repeats", type=int, default=10, help="how often the film is repeated")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each clip is")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each comparison; the least time counts")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="how many clips")
    parser.add_argument("--only", choices=("ways", "network", "slots"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ffmpeg = find_ffmpeg(None)
    about = machine(ffmpeg)
    print(json.dumps(about), flush=True)
    rows: list[Row] = []

    def note(more: Iterator[Row]) -> None:
        for row in more:
            rows.append(row)
            bar = "" if row.bar is None else f"  (bar {row.bar:g}: {row.verdict})"
            print(f"{row.name:58} {row.value:10.3f} {row.unit}{bar}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        source = long_source(ffmpeg, options.media / options.source, options.repeats, Path(folder))
        film = Film(source, seconds_of(source), options.seconds)
        note(iter([Row("source", film.seconds, "s"), Row("source", source.stat().st_size / 2**20, "MiB")]))
        for count in options.counts if options.only in (None, "ways") else ():
            note(compare(ffmpeg, film, count, options.rounds))
        for container in CONTAINERS if options.only in (None, "network") else ():
            remote = long_source(ffmpeg, options.media / options.source, options.repeats, Path(folder), container)
            packed = Film(remote, film.seconds, options.seconds)
            for count in options.counts:
                note(network(packed, count, LENGTHS_S if count > 1 else (options.seconds,)))
        if options.only in (None, "slots"):
            note(slots(film, max(options.counts)))
    if options.out:
        result = {"machine": about, "rows": [asdict(row) | {"verdict": row.verdict} for row in rows]}
        options.out.write_text(json.dumps(rounded(result), indent=1) + "\n")
    return 0 if all(row.verdict != "MISSED" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
