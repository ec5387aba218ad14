"""``reelpress compare``: files to comparisons, comparisons to text, NDJSON, a report and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from reelpress.cli.compare_text import comparison_rows, verdict
from reelpress.cli.render import JsonLines, plain_text, print_rows
from reelpress.cli.written import refuse_written
from reelpress.errors import ExitCode
from reelpress.events import Compared
from reelpress.facts.quality import Comparison, Measuring
from reelpress.facts.values import Value
from reelpress.probe.host import probe_host
from reelpress.probe.media import named, probe
from reelpress.quality.measure import measure
from reelpress.quality.report_html import ReportEntry, write_report
from reelpress.quality.vmaf import NO_SCORER
from reelpress.settings import load


class Asked(Value, frozen=True, kw_only=True):
    """What scores have to be at least; ``None`` asks for nothing."""

    min_vmaf: float | None = None
    min_vmaf_worst: float | None = None

    @property
    def anything(self) -> bool:
        """True where a score was asked for."""
        return self.min_vmaf is not None or self.min_vmaf_worst is not None

    def missed(self, found: Comparison) -> tuple[str, ...]:
        """Return in sentences what a comparison falls short of."""
        if found.vmaf is None:
            return ()
        told = []
        if self.min_vmaf is not None and found.vmaf.mean < self.min_vmaf:
            told.append(f"The mean VMAF is {found.vmaf.mean:.2f}, {self.min_vmaf:g} was asked for.")
        worst = found.vmaf.worst_second
        # of less than a second the worst frame is asked instead
        score = worst.score if worst is not None else found.vmaf.min
        if self.min_vmaf_worst is not None and score < self.min_vmaf_worst:
            what = "worst second" if worst is not None else "worst frame"
            told.append(f"The {what} has a VMAF of {score:.2f}, {self.min_vmaf_worst:g} was asked for.")
        return tuple(told)


def run_compare(
    reference: Path,
    encoded: Sequence[Path],
    how: Measuring,
    asked: Asked,
    *,
    html: Path | None,
    as_json: bool,
    frames: bool,
) -> int:
    """Compare every file with the reference, print what was found, and return the exit code.

    1 where something is missed, damaged or unmeasured. Raises :class:`InputError` for a file that is none, and
    :class:`UsageError` where the report would take the place of one.
    """
    if html is not None:
        refuse_written("--html", html, [reference, *encoded])
    settings = load({})
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    with named(reference):
        facts = probe(reference)
    entries: list[ReportEntry] = []
    lines = JsonLines(sys.stdout)
    for path in encoded:
        with named(path):
            made = probe(path)
        found = measure(reference, facts, path, made, how=how, host=host)
        missed = asked.missed(found)
        if as_json:
            shown = found if frames else msgspec.structs.replace(found, by_frame=None)
            files = {"reference": str(reference), "encoded": str(path)}
            lines.on_event(Compared(**files, comparison=shown, missed=missed, exit_code=exit_code(found, missed)))
        else:
            if entries:
                click.echo("")
            text, colour = verdict(found, missed)
            print_rows([("result", text), *comparison_rows(found, missed)], sys.stdout, {"result": colour})
        entries.append(
            ReportEntry(comparison=found, reference=facts, encoded=made, asked=asked.anything, missed=missed)
        )
    scorer = host.scorer
    if html is not None and scorer is None:
        click.echo(plain_text(f"reelpress: {html} is not written: {NO_SCORER}."), err=True)
    elif html is not None and scorer is not None:
        write_report(html, entries, ffmpeg=scorer.path, min_vmaf=asked.min_vmaf)
        if not as_json:
            print_rows([("report", str(html))], sys.stdout)
    return max(exit_code(entry.comparison, entry.missed) for entry in entries)


def exit_code(found: Comparison, missed: Sequence[str]) -> int:
    """Return 0 for an encode that was measured, is not damaged and reaches what was asked for, else 1."""
    fine = found.verdict == "measured" and not found.damage and not missed
    return int(ExitCode.DONE if fine else ExitCode.CHECK_NOT_MET)
