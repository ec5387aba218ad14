"""Cases that a whole run leaves to a thorough one (``make test-thorough``; the leaving out is in conftest.py)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def every(nth: int, cases: Iterable[Any]) -> list[Any]:
    """Return cases for ``parametrize``, of which a whole run takes the first and every ``nth`` after it."""
    return [pytest.param(case, marks=pytest.mark.thorough) if n % nth else case for n, case in enumerate(cases)]


def every_second(cases: Iterable[Any]) -> list[Any]:
    """Return cases for ``parametrize``, of which a whole run takes the first, the third and so on."""
    return every(2, cases)
