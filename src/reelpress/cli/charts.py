"""Charts in the terminal, for what a table does not show."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

_WIDTH, _HEIGHT = 78, 11
_MOST_TICKS = 8


def bars(title: str, labels: Sequence[str], values: Sequence[float]) -> str | None:
    """Return a bar for each label; ``None`` where charts cannot be drawn, or there is nothing to compare."""
    figure = _figure(title)
    if figure is None or len(values) < 2 or not any(values):
        return None
    places = list(range(1, len(labels) + 1))
    figure.draw(figure.bar(places, list(values), marker="full", width=0.6))
    _tick(figure, places, labels)
    return str(figure.build().string(colorless=True)).rstrip()


def curves(title: str, labels: Sequence[str], series: Sequence[Sequence[float]], marker: str = "braille") -> str | None:
    """Return curves over the same labels, each drawn alike; ``None`` as for :func:`bars`."""
    figure = _figure(title)
    if figure is None or len(labels) < 2:
        return None
    places = list(range(1, len(labels) + 1))
    for values in series:
        figure.draw(figure.signal(places, list(values), marker=marker).lines())
    _tick(figure, places, labels)
    return str(figure.build().string(colorless=True)).rstrip()


def _tick(figure: Any, places: list[int], labels: Sequence[str]) -> None:  # noqa: ANN401 - plotext has no types
    step = math.ceil(len(labels) / _MOST_TICKS)
    figure.ruler("x").ticks(places[::step], list(labels)[::step])


def _figure(title: str) -> Any:  # noqa: ANN401 - plotext has no types
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return None
    try:
        import plotext
    except ModuleNotFoundError:
        return None
    figure = plotext.figure
    figure.clear()
    figure.plot_size(_WIDTH, _HEIGHT)
    figure.title(title)
    return figure
