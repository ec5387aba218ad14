"""Compresses every file of a media folder and writes what became of each category to docs/corpus.md."""

from __future__ import annotations

import argparse
import collections
import csv
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "corpus"))

import reelpress  # noqa: E402

from independent import FFPROBE, complaints, ffprobe  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    """Run the corpus; print a line a file, write the table with --write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media")
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--keep", type=Path, help="keep outputs and receipts in this folder")
    parser.add_argument("--write", action="store_true", help="write docs/corpus.md")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="reelpress-corpus-"))
    folder.mkdir(exist_ok=True)
    rows: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    sizes: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    wrong = 0
    files = [
        r
        for r in csv.DictReader((options.media / "manifest.csv").read_text().splitlines())
        if options.only in r["name"]
    ]
    for number, row in enumerate(files):
        source, target = options.media / "files" / row["name"], folder / f"{number:03}.mp4"
        receipt = reelpress.compress(source, target, overwrite=True)
        (folder / f"{number:03}.json").write_text(repr(receipt))
        found: list[str] = []
        if receipt.status == "encoded" and FFPROBE:
            found = complaints(ffprobe(source), target)
            sizes[row["category"]][0] += receipt.source.size_bytes if receipt.source else 0
            sizes[row["category"]][1] += receipt.result.size_bytes if receipt.result else 0
        if receipt.status in ("failed", "cancelled") or (target.exists() != (receipt.output is not None)):
            found.append(f"{receipt.status}: {receipt.error} {receipt.evidence}")
        why = receipt.error or (receipt.reasons[-1].text if receipt.reasons else "no reason")
        wrong += bool(found)
        rows[row["category"]][receipt.status] += 1
        rows[row["category"]]["exit 1"] += receipt.exit_code == 1
        ending = f"{receipt.status:9} {receipt.exit_code}"
        print(f"{number:03} {row['category']:20} {ending} {row['name'][:50]:50} {why[:90]}")
        for text in (*found, *(w for w in receipt.warnings if "damage" in w)):
            print(f"      ! {text[:160]}")
    print(f"{len(files)} files, {wrong} with complaints")
    if options.write:
        _write(rows, sizes, wrong, len(files))
    if options.keep is None:
        shutil.rmtree(folder)
    sys.exit(bool(wrong))


def _write(rows: dict[str, collections.Counter[str]], sizes: dict[str, list[int]], wrong: int, total: int) -> None:
    today = datetime.now(UTC).date()
    lines = [
        "# What becomes of real files",
        "",
        f"`python scripts/corpus_table.py --write` over {total} files nobody here made, {today}, default settings.",
        "Every encoded output is judged by Debian's ffprobe as well: streams, size and shape, rotation, colour tags,",
        f"field order, audio, faststart. Files with a complaint: {wrong}.",
        "",
        "| category | files | encoded | copied | skipped | rejected | encoded: before → after |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, counts in sorted(rows.items()):
        count = sum(counts[s] for s in ("encoded", "copied", "skipped", "rejected", "failed", "cancelled"))
        before, after = sizes[name]
        change = f"{before / 1e6:.2f} → {after / 1e6:.2f} MB" if before else ""
        cells = (counts[s] or "" for s in ("encoded", "copied", "skipped", "rejected"))
        lines.append(f"| {name} | {count} | {' | '.join(str(c) for c in cells)} | {change} |")
    damaged = sum(counts["exit 1"] for counts in rows.values())
    lines += ["", f"{damaged} of these are broken files of which what can be decoded was delivered (exit code 1)."]
    (ROOT / "docs" / "corpus.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
