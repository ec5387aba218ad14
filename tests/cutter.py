"""A cutter that stands in for the engine: a test says what becomes of each clip, and its files are a few bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.clip_request import ClipRequest
from reelpress.clips import export
from reelpress.events import Started
from reelpress.receipt import Receipt
from reelpress.run.process import CancelToken

import factories
from receipts import clip_record, file_record, receipt

Behaviour = Callable[[ClipRequest, CancelToken], str]


def delivers(_request: ClipRequest, _cancel: CancelToken) -> str:
    return "encoded"


class Cutter:
    """Stands in for the engine: ``behave`` says what becomes of a clip; what is delivered is a file of its name."""

    def __init__(self) -> None:
        self.behave: Behaviour = delivers
        self.requests: list[ClipRequest] = []
        self.asked: list[tuple[str | None, bool]] = []
        self.damage: dict[str | None, tuple[str, ...]] = {}
        self.at_once, self.most_at_once = 0, 0
        self.probed: list[list[tuple[float, float]]] = []
        self._guard = threading.Lock()

    def cut_clip(
        self, source: Any, facts: Any, target: Path, *, request: ClipRequest, overwrite: bool, on_event: Any,
        cancel: CancelToken, job_id: str, **_rest: Any,
    ) -> Receipt:  # fmt: skip
        with self._guard:
            self.requests.append(request)
            self.asked.append((request.name, overwrite))
            self.damage[request.name] = facts.damage
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        on_event(Started(job=job_id, input=source.name))
        status = "failed" if target.exists() and not overwrite else self.behave(request, cancel)
        made = receipt(job=job_id, input=source.name, status=status, output=None, result=None, clip=None)
        if status == "encoded":
            content = f"{request.name} from {request.start_s} to {request.end_s}".encode()
            target.write_bytes(content)
            made = msgspec.structs.replace(
                made, output=str(target), clip=clip_record(start_s=request.start_s, end_s=request.end_s),
                result=file_record(
                    path=str(target), size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
                ),
            )  # fmt: skip
        with self._guard:
            self.at_once -= 1
        on_event(made)
        return made

    def probe_stretches(self, _source: Any, stretches: Any, *, cancel: CancelToken, **_rest: Any) -> Any:
        self.probed.append(list(stretches))
        return factories.media()

    def names(self) -> list[str | None]:
        return sorted((name for name, _ in self.asked), key=str)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the engine's place."""
        monkeypatch.setattr(export, "cut_clip", self.cut_clip)
        monkeypatch.setattr(export, "probe_stretches", self.probe_stretches)
