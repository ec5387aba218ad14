"""Cases that a whole run leaves to a thorough one (``make test-thorough``; the leaving out is in conftest.py)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def every_second(cases: Iterable[Any]) -> list[Any]:
    """Return cases for ``parametrize``, of which a whole run takes the first, the third and so on."""
    return [pytest.param(case, marks=pytest.mark.thorough) if n % 2 else case for n, case in enumerate(cases)]
