"""One HTML file that shows how good encodes are: verdicts, the curve, findings, the worst frames, numbers, settings.

It needs no network and asks for none: its policy allows its own style, its own script and its own pictures. Names of
files, findings and what programs said are text of strangers and stand in it escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Comparison
from reelpress.facts.values import Value
from reelpress.quality.report_chart import MOST_SERIES, Mark, Series, chart
from reelpress.quality.report_frames import PictureError, Pictures, take_pictures, worst_frames
from reelpress.quality.report_parts import findings, frames, numbers, settings, verdict
from reelpress.quality.report_text import name_of, words
from reelpress.run.partial import PartialFile, explained_target
from reelpress.run.process import CancelToken
from reelpress.run.temporary import temporary_folder
from reelpress.version import VERSION


class ReportEntry(Value, frozen=True, kw_only=True):
    """One encode of the report.

    ``asked`` says that a quality was asked for, ``missed`` in sentences what of it was not reached.
    """

    comparison: Comparison
    reference: MediaFacts
    encoded: MediaFacts
    asked: bool = False
    missed: tuple[str, ...] = ()


def write_report(
    target: Path,
    entries: Sequence[ReportEntry],
    *,
    ffmpeg: str,
    min_vmaf: float | None = None,
    scratch: Path | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Write the report on encodes of one reference; ``ffmpeg`` takes the frames out, in software.

    An existing file is replaced at once when the new one is whole. Raises :class:`OutputError`, :class:`Cancelled`.
    """
    shown: list[tuple[Pictures, ...]] = []
    with temporary_folder("report-", scratch) as folder:
        for entry in entries:
            scores = entry.comparison.by_frame
            try:
                worst = worst_frames(scores) if scores is not None else ()
                shown.append(
                    take_pictures(
                        ffmpeg, entry.comparison, entry.reference, entry.encoded, worst, folder, cancel=cancel
                    )
                )
            except PictureError:  # the numbers stand without their pictures
                shown.append(())
    text = page(entries, shown, min_vmaf=min_vmaf, now=datetime.now(UTC))
    with PartialFile.open(target, overwrite=True) as partial:
        with explained_target(target):
            partial.path.write_text(text, encoding="utf-8")
        partial.publish()


def page(
    entries: Sequence[ReportEntry],
    pictures: Sequence[Sequence[Pictures]],
    *,
    min_vmaf: float | None = None,
    now: datetime,
) -> str:
    """Return the report as HTML; ``pictures`` has what is to be shown of each entry. Pure but for its own style."""
    comparisons = [entry.comparison for entry in entries]
    reference = words(name_of(comparisons[0].reference.path))
    style, script = _style(), _read("quality", "report.js")
    sections = [
        '<section class="panel" id="verdict" aria-labelledby="verdict-title">'
        f'<h2 id="verdict-title">Against <bdi>{reference}</bdi></h2>'
        + "".join(verdict(entry.comparison, entry.missed, asked=entry.asked) for entry in entries)
        + "</section>",
        _curve(comparisons, pictures, min_vmaf),
        findings(comparisons),
        *(frames(n, c, p) for n, (c, p) in enumerate(zip(comparisons, pictures, strict=True), 1)),
        numbers(comparisons),
        settings(comparisons),
    ]
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{reference}, compared - Reelpress</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<style>{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#verdict">Skip to the verdict</a>\n'
        '<header class="top"><h1><span class="brand">Reelpress</span> Comparison</h1>'
        f"<p>{now.strftime('%Y-%m-%d %H:%M')} UTC</p></header>\n"
        f"<main>{''.join(sections)}</main>\n"
        f"<footer><p>Made by <code>reelpress compare</code>, version {words(VERSION)}. Times are those of the "
        "reference, from its first picture.</p></footer>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _curve(comparisons: Sequence[Comparison], pictures: Sequence[Sequence[Pictures]], min_vmaf: float | None) -> str:
    drawn = [
        Series(
            name=name_of(c.encoded.path), scores=c.by_frame, vmaf=c.vmaf, windows=c.windows,
            marks=tuple(
                Mark(at_s=one.frame.at_s, vmaf=one.frame.vmaf, target=f"frame-{n}-{k}")
                for k, one in enumerate(pictures[n - 1], 1)
            ),
        )
        for n, c in enumerate(comparisons, 1)
        if c.by_frame is not None and c.vmaf is not None
    ]  # fmt: skip
    if not drawn:
        return ""
    end_s = max(
        *(c.programme_s or 0.0 for c in comparisons), *(one.scores.at_s[-1] for one in drawn if one.scores.at_s), 0.0
    )
    rest = len(drawn) - MOST_SERIES
    more = f'<p class="hint">{rest} more are in the tables.</p>' if rest > 0 else ""
    return (
        '<section class="panel" aria-labelledby="curve-title"><h2 id="curve-title">VMAF over time</h2>'
        f"{chart(drawn[:MOST_SERIES], end_s, min_vmaf)}{more}</section>"
    )


def _style() -> str:
    return _read("web", "base.css") + _read("quality", "report.css")


def _read(folder: str, name: str) -> str:
    return (resources.files("reelpress") / folder / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
