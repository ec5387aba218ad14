"""A first look at an input. Imports little, so that a command can begin it before it imports the rest of the engine."""

from __future__ import annotations

import os
from pathlib import Path

from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value
from reelpress.probe.media import probe
from reelpress.run.process import CancelToken
from reelpress.source.snapshot import Snapshot

__all__ = ["Look", "Snapshot", "look_at"]


class Look(Value, frozen=True, kw_only=True):
    """Which file an input was, what is in it, and the CPU seconds that looking took."""

    snapshot: Snapshot
    facts: MediaFacts
    cpu_s: float


def look_at(source: str | os.PathLike[str], cancel: CancelToken) -> Look:
    """Look at an input. Raises :class:`InputError` when it cannot be used, and :class:`Cancelled`."""
    spent: list[float] = []
    snapshot = Snapshot.take(Path(source))
    facts = probe(source, cancel=cancel, spend=spent.append)
    return Look(snapshot=snapshot, facts=facts, cpu_s=sum(spent))
