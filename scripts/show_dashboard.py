"""Draws deploy/monitoring/grafana/reelpress.json over the data of a Prometheus: a page, and a picture of it.

For where there is no Grafana. `python scripts/show_dashboard.py http://127.0.0.1:9090 --hours 24 --out out/board`
writes out/board.html, and with `--picture` out/board.png by a Chromium.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from monitoring.definition import FOLDER
from monitoring.drawing import page
from monitoring.server import Prometheus, Series

_STEPS = 400


def draw(prometheus: Prometheus, out: Path, *, start: float, end: float) -> Path:
    """Write the page as ``out`` with the ending .html, and return its path."""
    board = json.loads((FOLDER / "grafana" / "reelpress.json").read_text())
    step_s = max(15.0, (end - start) / _STEPS)

    def ask(expr: str) -> list[Series]:
        return prometheus.query_range(expr, start=start, end=end, step_s=step_s)

    path = out.with_suffix(".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(board, ask, start=start, end=end))
    return path


def picture(path: Path) -> Path:
    """Take a picture of a page, beside it, and return its path."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        sheet = browser.new_page(viewport={"width": 1376, "height": 900})
        sheet.goto(path.resolve().as_uri())
        shot = path.with_suffix(".png")
        sheet.screenshot(path=shot, full_page=True)
        browser.close()
    return shot


def main() -> int:
    """Draw what a Prometheus has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the Prometheus")
    parser.add_argument("--hours", type=float, default=24.0, help="how far back [24]")
    parser.add_argument("--end", type=float, default=time.time(), help="until when, in seconds since 1970 [now]")
    parser.add_argument("--out", type=Path, default=Path("out/board"))
    parser.add_argument("--picture", action="store_true", help="take a picture of it, too")
    options = parser.parse_args()
    prometheus = Prometheus(options.url)
    path = draw(prometheus, options.out, start=options.end - options.hours * 3600, end=options.end)
    print(picture(path) if options.picture else path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
