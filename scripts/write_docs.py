"""Writes the generated documents.

docs/settings.md comes from the settings table, docs/cli.md from the commands' help, docs/api.md from docstrings,
docs/http-api.md from the OpenAPI document. The tables of docs/metrics.md and docs/fallback.md come from tables of the
code; the rest of those pages stands.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from reelpress.cli.app import app
from reelpress.observe.names import DATABASE_METRICS, HTTP_METRICS, JOB_METRICS, PROCESS_METRICS, Label, Metric
from reelpress.plan.encoders import LEGACY_GPU_PRESETS
from reelpress.service_table import SERVICE_SETTINGS
from reelpress.settings_table import SETTINGS, Setting

from reference.fallback import classes_table, numbers_table
from reference.http_api import http_api_page
from reference.python_api import api_page

ROOT = Path(__file__).resolve().parent.parent


def settings_page() -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Flags win over the environment, the environment over `.env` in the current folder, `.env` over defaults.",
        "Anything outside the accepted values is refused before work begins, with the accepted ones named; so is a",
        "name that is almost one of these. Written by `make docs` from `src/reelpress/settings_table.py` and",
        "`src/reelpress/service_table.py`.",
        "",
        *_table(SETTINGS),
        "",
        "## The service",
        "",
        "`reelpress serve` and `reelpress worker` read these too.",
        "",
        *_table(SERVICE_SETTINGS),
        "",
        "## NVENC preset names",
        "",
        "FFmpeg 9 dropped most of the older names, so each stands for a preset and a tune that both FFmpegs know:",
        "",
        "| name | preset | tune |",
        "|---|---|---|",
        *(f"| `{name}` | `{preset}` | `{tune}` |" for name, (preset, tune) in LEGACY_GPU_PRESETS.items()),
    ]
    return "\n".join(lines) + "\n"


def _table(rows: tuple[Setting, ...]) -> list[str]:
    lines = ["| environment | flag | default | accepted | meaning |", "|---|---|---|---|---|"]
    for row in rows:
        names = "<br>".join(f"`{name}`" for name in row.env)
        flag = f"`{row.flag}`" if row.flag else "`--max-size`" if row.name in ("max_width", "max_height") else ""
        lines.append(f"| {names} | {flag} | `{row.default}` | {row.accepts} | {row.help} |")
    return lines


def cli_page() -> str:
    """Return docs/cli.md."""
    lines = [
        "# Command line",
        "",
        "Standard output is the result, standard error is talk; progress bars and colours appear on a terminal only,",
        "and no colours where `NO_COLOR` is set or `TERM` is `dumb`. With",
        "`--json` standard output is NDJSON, described in [json.md](json.md). Talk that cannot be written changes",
        "neither the work nor the exit code, a result that cannot be is code 5; what is said into a closed",
        "stream is said to nobody. Exit codes are in",
        "[errors.md](errors.md). Written by `make docs` from the program's own help.",
    ]
    for command in _commands(app):
        name = f"reelpress {command}".strip()
        lines += ["", f"## `{name}`", "", "```text", _help(command).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _commands(command: click.Command, name: str = "") -> Iterator[str]:
    yield name
    for word, one in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _commands(one, f"{name} {word}".strip())


def _help(command: str) -> str:
    env = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERMINAL_WIDTH": "100"}
    argv = [sys.executable, "-m", "reelpress", *command.split(), "--help"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout
    return "\n".join(line.rstrip() for line in text.splitlines())


METRIC_TABLES = {
    "database": DATABASE_METRICS, "process": PROCESS_METRICS, "jobs": JOB_METRICS, "http": HTTP_METRICS,
}  # fmt: skip


def metrics_page() -> str:
    """Return docs/metrics.md with its tables anew."""
    tables = {name: _metrics_table(metrics) for name, metrics in METRIC_TABLES.items()} | {"labels": _labels_table()}
    return _filled("metrics", tables)


def fallback_page() -> str:
    """Return docs/fallback.md with its tables anew."""
    return _filled("fallback", {"classes": classes_table(), "numbers": numbers_table()})


def _filled(name: str, tables: dict[str, list[str]]) -> str:
    """Return a page with tables put in: each stands between two comments, the first of which names it."""
    page = (ROOT / "docs" / f"{name}.md").read_text()
    for table, lines in tables.items():
        before, begin, rest = page.partition(f"<!-- {name}: {table} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not begin or not end:
            raise SystemExit(f"docs/{name}.md has no place for the table {table}")
        page = "".join((before, begin, *(f"{line}\n" for line in lines), end, after))
    return page


def _metrics_table(metrics: tuple[Metric, ...]) -> list[str]:
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in metrics:
        labels = ", ".join(f"`{label.name}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return lines


def _labels_table() -> list[str]:
    lines = ["| label | of | values |", "|---|---|---|"]
    of: dict[Label, list[str]] = {}
    for metric in (metric for metrics in METRIC_TABLES.values() for metric in metrics):
        for label in metric.labels:
            of.setdefault(label, []).append(metric.name)
    for label, names in of.items():
        where = (
            f"`{names[0]}`"
            if len(names) == 1
            else "several"
            if len(names) > 2
            else " and ".join(f"`{n}`" for n in names)
        )
        values = ", ".join(f"`{value}`" for value in label.values) if 0 < len(label.values) <= 10 else ""
        lines.append(f"| `{label.name}` | {where} | {'; '.join(filter(None, (values, label.about)))} |")
    return lines


PAGES = {
    "settings.md": settings_page, "cli.md": cli_page, "metrics.md": metrics_page, "fallback.md": fallback_page,
    "api.md": api_page, "http-api.md": http_api_page,
}  # fmt: skip


def main() -> None:
    """Write all of them."""
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page())
        print(f"docs/{name} written")


if __name__ == "__main__":
    main()
