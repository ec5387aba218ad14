"""What downloads and uploads have in common: sizes of parts, and how far they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from reelpress.errors import UsageError
from reelpress.facts.values import Value

# Bytes done, and bytes in all.
OnProgress: TypeAlias = Callable[[int, int], None]

S3_LEAST_PART_BYTES = 5 * 2**20


class Transfer(Value, frozen=True, kw_only=True):
    """How a file travels: in parts of ``part_bytes``, ``parallel`` of them at a time, each held in memory."""

    part_bytes: int = 8 * 2**20
    parallel: int = 4

    def __post_init__(self) -> None:
        if self.part_bytes < 1 or self.parallel < 1:
            raise UsageError("A transfer needs parts of at least one byte, and at least one at a time.")
