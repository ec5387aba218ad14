"""Compresses every file of the media folder on a fake GPU and on the CPU, and writes docs/gpu-corpus.md."""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("", "corpus", "fake_nvidia")]

import pytest  # noqa: E402

import driver  # type: ignore[import-not-found]  # noqa: E402
from both_ways import (  # type: ignore[import-not-found]  # noqa: E402
    BEGINNING_S,
    BOX,
    LONG_FPS,
    LONG_S,
    PROFILE,
    TOO_LONG_S,
    Corpus,
    disagreements,
    rows,
    rung_of,
    why_not_all_on_the_gpu,
)

WORDS = {
    "gpu": "all on the GPU: NVDEC, `scale_cuda`, NVENC",
    "gpu_encode": "decoded and prepared in software, encoded on the GPU",
    "gpu_reduced": "the same without NVENC's optional features",
    "cpu": "on the CPU",
    "copy": "remuxed",
    "skipped": "kept as it is",
    "rejected": "refused",
}


def main() -> None:
    """Run the corpus both ways; print a line a file, write the page with --write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--write", action="store_true", help="write docs/gpu-corpus.md")
    options = parser.parse_args()
    files = [row for row in rows() if options.only in row["name"]]
    rungs: collections.Counter[str] = collections.Counter()
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="reelpress-gpu-corpus-") as made, pytest.MonkeyPatch.context() as patch:
        folders = [Path(made) / name for name in ("built", "machines", "files")]
        for folder in folders:
            folder.mkdir()
        corpus = Corpus(driver.FakeNvidia(driver.build(folders[0]), folders[1]), folders[2], files, patch)
        for row in files:
            both = corpus.result(row["name"])
            rung = rung_of(both.gpu)
            rungs[rung] += 1
            why = why_not_all_on_the_gpu(both.gpu)
            for text in why:
                reasons[text].append(Path(row["name"]).name)
            wrong += (found := [f"{row['name']}: {text}" for text in disagreements(both)])
            seen = next((gate.measured for gate in both.gpu.gates if gate.name == "pictures"), "")
            print(f"{rung:11} {row['name'][:60]:60} {seen:20} {'; '.join(why)[:160]}", *found, sep="\n  ! ", flush=True)
        corpus.close()
    print(dict(rungs), f"{len(wrong)} disagreements")
    if options.write:
        page = _page(len(files), rungs, reasons, wrong)
        (ROOT / "docs" / "gpu-corpus.md").write_text(page)
    sys.exit(bool(wrong))


def _page(total: int, rungs: collections.Counter[str], reasons: dict[str, list[str]], wrong: list[str]) -> str:
    on_gpu = sum(count for rung, count in rungs.items() if rung.startswith("gpu"))
    encoded, today = on_gpu + rungs["cpu"], datetime.now(UTC).date()
    lines = [
        "# Real files on a fake GPU",
        "",
        f"`python scripts/gpu_corpus_table.py --write` over {total} files nobody here made, {today}.",
        f"The machine is the fake driver's `{PROFILE}` (`tests/fake_nvidia/README.md`): FFmpeg's own code for NVENC,",
        "NVDEC and CUDA runs, no GPU does. It shows which rung is taken and that outputs are whole, and nothing",
        "of quality, size or speed. NVDEC is played for 8-bit 4:2:0 H.264 alone: a real GPU decodes more of these.",
        "",
        f"Box {BOX[0]}x{BOX[1]}; {LONG_FPS} frames a second of what the fake decodes, beyond {LONG_S:g} s; of files",
        f"beyond {TOO_LONG_S:g} s the first {BEGINNING_S:g} s. Each file is compressed on the CPU too and compared:",
        "status, gates, streams, codecs, size, shape, rotation, colour tags, number and start of pictures, chapters.",
        f"Disagreements: {len(wrong)}. {on_gpu} of {encoded} encodes were made on the GPU.",
        "",
        "| what became of it | files |",
        "|---|---|",
        *(f"| {words} | {rungs[rung]} |" for rung, words in WORDS.items() if rungs[rung]),
        "",
        "## Why not all on the GPU",
        "",
        "| reason | files | such as |",
        "|---|---|---|",
    ]
    for text, names in sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append(f"| {text} | {len(names)} | {', '.join(f'`{name}`' for name in names[:2])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
