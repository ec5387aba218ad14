"""FFmpeg's expressions, evaluated here: which frames a plan's filters let through."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any


def _calls(expression: str) -> str:
    return re.sub(r"\bnot\(", "not_(", expression)


FUNCTIONS: dict[str, Any] = {
    "__builtins__": {}, "isnan": lambda x: float(math.isnan(x)), "gt": lambda a, b: float(a > b),
    "mod": lambda a, b: float(a % b), "not_": lambda a: float(a == 0),
    "between": lambda x, low, high: float(low <= x <= high),
    # FFmpeg's floor of not-a-number is not a number; Python's raises
    "floor": lambda x: x if math.isnan(x) else float(math.floor(x)),
    "round": lambda x: math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1),
}  # fmt: skip


def kept_by(filters: Sequence[str], times: Sequence[float]) -> list[float]:
    """The times of the frames that FFmpeg's ``select`` lets through."""
    selects = [f for f in filters if f.startswith("select=")]
    if not selects:
        return list(times)
    assert len(selects) == 1
    expression = _calls(selects[0].removeprefix("select='").removesuffix("'"))
    kept: list[float] = []
    for n, t in enumerate(times):
        names = {"n": n, "t": t, "start_t": times[0], "prev_selected_t": kept[-1] if kept else math.nan}
        if eval(expression, FUNCTIONS, names):
            kept.append(t)
    return kept
