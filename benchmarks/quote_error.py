"""What quotes say of real files against what jobs then come to: the share within 10 % of bytes and 20 % of seconds.

    python benchmarks/quote_error.py --media DIR --out results.json [--every 5] [--limit 20] [--fit]

Each file is quoted as ``reelpress quote --hardware off`` does and then compressed; the receipt tells what came. Files
that cannot be used are left out; those that are not encoded count only where the quote said something else (`as said`).
Seconds are those of one job after another on a machine that does nothing else: start nothing beside it. Intervals are
to hold four of five; that they do is told, too.

``--quick`` holds quotes from facts alone to the same files. ``--fit`` prints the figures of ``plan/forecast.py`` as
these files have them, for H.264 at its defaults.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

from reelpress.api import policy_from
from reelpress.batch import VIDEO_SUFFIXES
from reelpress.engine import compress_file
from reelpress.errors import InputError
from reelpress.facts.numbers import quantile
from reelpress.facts.prediction import Interval
from reelpress.facts.values import Value
from reelpress.plan.worth import CODEC_WORTH, OLD_CODEC_WORTH
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quoting.quote import QuoteOptions, quote_file
from reelpress.receipt import Receipt
from reelpress.request import CODECS, Request
from reelpress.settings import load

from x264_search import find_ffmpeg, machine, rounded

ROOT = Path(__file__).resolve().parent.parent
SIZE_WITHIN, WALL_WITHIN = 0.10, 0.20
_BASES = ("rehearsed", "sampled", "facts")
# Facts that lie in no video at all are no file of the corpus.
SUFFIXES = VIDEO_SUFFIXES | {".h264", ".hevc", ".h265", ".265", ".264", ".mjpeg", ".y4m"}


class Row(Value, frozen=True, kw_only=True):
    """One file: what was said and what came. ``size_off`` and ``wall_off`` are relative, above 0 where more came."""

    file: str
    basis: str
    said: str
    came: str
    duration_s: float | None
    quote_s: float
    job_s: float
    size_off: float | None = None
    size_inside: bool | None = None
    wall_off: float | None = None
    wall_inside: bool | None = None


def one(file: Path, named: str, folder: Path, options: QuoteOptions) -> tuple[Row, Receipt] | None:
    """Quote a file, do the job, and compare; ``None`` for a file that cannot be used."""
    settings = load(environ={}, env_file=None)
    host, policy = probe_host(cache_dir=settings.cache_path), policy_from(settings)
    request = Request(codec=options.codecs[0], hardware="off")
    try:
        quote = quote_file(file, folder, host=host, request=request, options=options, policy=policy)
    except InputError:
        return None
    predicted = quote.of_job(request.codec, may_use_gpu=False)
    done = compress_file(file, folder / "out.mp4", host=host, request=request, policy=policy, predicted=predicted)
    if predicted is None or done.status not in ("encoded", "copied", "skipped"):
        return None
    alike = done.encoder == predicted.encoder
    size_off, size_inside = _off(predicted.size_bytes, done.result.size_bytes if done.result else None)
    wall_off, wall_inside = _off(predicted.wall_s, done.wall_s)
    return Row(
        file=named, basis=predicted.basis, said=predicted.outcome, came=done.status, duration_s=quote.duration_s,
        quote_s=quote.took_s, job_s=done.wall_s, size_off=size_off if alike else None,
        size_inside=size_inside if alike else None, wall_off=wall_off if alike else None,
        wall_inside=wall_inside if alike else None,
    ), done  # fmt: skip


def _off(said: Interval | None, came: float | None) -> tuple[float | None, bool | None]:
    if said is None or came is None or not said.likely:
        return None, None
    return came / said.likely - 1, said.holds(came)


def summary(rows: Sequence[Row], label: str) -> dict[str, Any]:
    """Return the shares of one class of files."""
    size = [r.size_off for r in rows if r.size_off is not None]
    wall = [r.wall_off for r in rows if r.wall_off is not None]
    return {
        "class": label, "files": len(rows), "as_said": _share([r.said == r.came for r in rows]),
        "sizes": len(size), "size_within": _share([abs(off) <= SIZE_WITHIN for off in size]),
        "size_median": median(map(abs, size)) if size else None, "size_p80": _p80(size),
        "size_inside": _share([r.size_inside for r in rows if r.size_inside is not None]),
        "wall_within": _share([abs(off) <= WALL_WITHIN for off in wall]),
        "wall_median": median(map(abs, wall)) if wall else None, "wall_bias": median(wall) if wall else None,
        "wall_p80": _p80(wall),
        "wall_inside": _share([r.wall_inside for r in rows if r.wall_inside is not None]),
    }  # fmt: skip


def _p80(off: Sequence[float]) -> float | None:
    return quantile(sorted(map(abs, off)), 0.8) if off else None


def _share(hits: Sequence[bool | None]) -> float | None:
    return sum(map(bool, hits)) / len(hits) if hits else None


def show(found: dict[str, Any]) -> None:
    """Print one class."""

    def percent(name: str) -> str:
        return "-" if found[name] is None else f"{found[name]:.0%}"

    size = f"size within 10 % {percent('size_within'):>4} (inside {percent('size_inside'):>4})"
    sure = f"inside {percent('wall_inside'):>4}, bias {percent('wall_bias')}"
    wall = f"time within 20 % {percent('wall_within'):>4} ({sure})"
    print(f"{found['class']:<22} {found['files']:>4} files  as said {percent('as_said'):>4}  {size}  {wall}")


def sources(media: Path, every: int, limit: int | None) -> Iterator[Path]:
    """Yield the files of a folder, every n-th, the same ones each time."""
    found = sorted(p for p in media.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
    yield from found[::every][:limit]


def fit(media: Path, rows: Sequence[tuple[Row, Receipt]]) -> dict[str, float]:
    """Return what ``plan/forecast.py`` rests on: bits per pixel of encodes by those of their sources, and its error."""
    spent, made = [], []
    for row, receipt in rows:
        if receipt.status != "encoded" or receipt.result is None or not receipt.result.frames:
            continue
        facts = probe(media / row.file)
        track = facts.main_video
        sound = sum(a.size_bytes or 0 for a in facts.audio)
        if track is None or not track.size_bytes or receipt.result.frames < 20 or receipt.result.size_bytes <= sound:
            continue
        width, height = map(int, (receipt.result.video or "").split()[1].split("x"))
        pixels = width * height * receipt.result.frames
        spent.append(math.log(track.size_bytes * 8 / pixels * CODEC_WORTH.get(track.codec, OLD_CODEC_WORTH)))
        made.append(math.log((receipt.result.size_bytes - sound) * 8 / pixels))
    power, base = linear_regression(spent, made)
    off = sorted(abs(y - power * x - base) for x, y in zip(spent, made, strict=True))
    return {
        "scale": math.exp(base),
        "power": power,
        "error_p80": math.exp(off[int(0.8 * len(off))]) - 1,
        "files": len(off),
    }


def main() -> int:
    """Quote, compress, compare; print the shares and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media" / "files")
    parser.add_argument("--codec", choices=CODECS, default="h264")
    parser.add_argument("--every", type=int, default=1, help="take every n-th file")
    parser.add_argument("--limit", type=int, help="at most so many files")
    parser.add_argument("--quick", action="store_true", help="quotes from facts alone")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    about = machine(find_ffmpeg(None))
    print(json.dumps(about))
    began = time.monotonic()
    wanted = QuoteOptions(codecs=(options.codec,), quick=options.quick)
    rows: list[tuple[Row, Receipt]] = []
    for file in sources(options.media, options.every, options.limit):
        with tempfile.TemporaryDirectory() as folder:
            found = one(file, str(file.relative_to(options.media)), Path(folder), wanted)
        if found is None:
            continue
        rows.append(found)
        row = found[0]
        told = "  ".join(
            f"{name} {off:+.1%}" for name, off in (("size", row.size_off), ("time", row.wall_off)) if off is not None
        )
        print(
            f"{row.file:<60} {row.basis:<9} said {row.said:<8} came {row.came:<8} {row.job_s:6.1f} s  {told}",
            flush=True,
        )
    plain = [row for row, _ in rows]
    encoded = [row for row in plain if row.came == "encoded"]
    classes = [
        summary(plain, "all"), summary(encoded, "encoded"),
        *(summary([r for r in encoded if r.basis == each], f"encoded, {each}") for each in _BASES),
        summary([r for r in encoded if r.job_s >= 2], "encoded, 2 s and more"),
        summary([r for r in plain if r.came != "encoded"], "not encoded"),
    ]  # fmt: skip
    for each in classes:
        if each["files"]:
            show(each)
    quotes_s, jobs_s = sum(row.quote_s for row in plain), sum(row.job_s for row in plain)
    print(f"{time.monotonic() - began:.0f} s in all, {quotes_s:.0f} s of quotes for {jobs_s:.0f} s of jobs")
    results: dict[str, Any] = {"machine": about, "codec": options.codec, "quick": options.quick, "classes": classes}
    for each in classes[2:5]:
        if each["files"]:
            print(f"four of five {each['class']}: size within {each['size_p80']}, time within {each['wall_p80']}")
    if options.fit:
        results["fit"] = fit(options.media, rows)
        print(json.dumps(results["fit"]))
    if options.out:
        results["rows"] = [{name: getattr(row, name) for name in row.__struct_fields__} for row in plain]
        options.out.write_text(json.dumps(rounded(results), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
