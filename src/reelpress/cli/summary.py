"""How the receipts of many inputs look together: one table, and what to know of each besides."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reelpress.cli.render import WORDS, human_bytes, human_time, not_passed, plain_text
from reelpress.receipt import Receipt


def short_names(receipts: Sequence[Receipt]) -> list[str]:
    """Return what each input is called among the others: its last name, with its folders where another has that too."""
    names = [Path(r.input).name for r in receipts]
    counts = Counter(names)
    if len(counts) == len(names):
        return names
    paths = [Path(r.input).absolute() for r in receipts]
    above = os.path.commonpath([path.parent for path in paths])
    told = [str(path if above == path.anchor else path.relative_to(above)) for path in paths]
    return [whole if counts[name] > 1 else name for name, whole in zip(names, told, strict=True)]


def print_summary(receipts: Sequence[Receipt], names: Sequence[str], out: IO[str]) -> None:
    """Print one table for many receipts, whose inputs have these :func:`short_names`."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("input", overflow="ellipsis", no_wrap=True, max_width=30)
    table.add_column("result")
    for title in ("before", "after", "saved", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, r in zip(names, receipts, strict=True):
        table.add_row(
            Text(plain_text(name)), Text(r.status, style=WORDS.get(r.status, "")),
            *(human_bytes(f.size_bytes) if f else "" for f in (r.source, r.result)),
            f"{r.saved_share:.0%}" if r.saved_share is not None else "", human_time(r.wall_s),
        )  # fmt: skip
    before = sum(r.source.size_bytes for r in receipts if r.source and r.result)
    after = sum(r.result.size_bytes for r in receipts if r.result)
    console = Console(file=out, highlight=False)
    console.print(table)
    counts = {status: sum(r.status == status for r in receipts) for status in WORDS}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    saved = f"; {human_bytes(before)} became {human_bytes(after)}" if before else ""
    console.print(Text(f"{len(receipts)} inputs: {told}{saved}"))
    for name, r in zip(names, receipts, strict=True):
        because = next((reason.text for reason in r.reasons if reason.code == "fell_back"), None)
        if because is not None:
            console.print(Text(plain_text(f"{name}: {because}")))
        for check in not_passed(r):
            console.print(Text(plain_text(f"{name}: {check}")))
