"""A stand-in for the engine of clips: writes small files at once, and can be told to fail, to wait, or to be slow."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import msgspec

from reelpress.bookkeeping import Book
from reelpress.clip_request import ClipRequest
from reelpress.errors import Cancelled, InputError
from reelpress.events import Analysed, AttemptStarted, Checked, OnEvent, Progressed, Started
from reelpress.facts.framing import Framing, Shot
from reelpress.receipt import ClipRecord, FileRecord, Receipt
from reelpress.run.process import CancelToken
from reelpress.settling import settling


class Cutter:
    """Does as :func:`reelpress.clip_engine.cut_clip` does; ``fails`` says which clips cannot be cut."""

    def __init__(self, *, fails: Callable[[ClipRequest], bool] = lambda _request: False, wait_s: float = 0.0) -> None:
        self._fails, self._wait_s = fails, wait_s
        self.cuts: list[str | None] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.began = threading.Event()

    def __call__(
        self, source: Any, facts: Any, target: Path, *, host: Any, request: ClipRequest, **more: Any
    ) -> Receipt:
        job, emit = more["job_id"], more["on_event"]
        self.cuts.append(job)
        book = Book()
        made: list[ClipRecord] = []
        with settling(book):  # as the engine does: nothing that is raised in here gets out
            made.append(self._cut(target, request, job, emit, more["cancel"]))
        receipt = book.receipt(job, "in", host)
        if made and book.error is None:
            content = target.read_bytes()
            file = FileRecord(
                path=str(target), size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest(),
                container="mp4", video="h264", audio=(), subtitles=(), duration_s=request.duration_s, frames=50,
            )  # fmt: skip
            receipt = msgspec.structs.replace(
                receipt, status="encoded", exit_code=0, encoder="libx264", device="cpu", result=file, clip=made[0]
            )  # fmt: skip
        emit(receipt)
        return receipt

    def _cut(self, target: Path, request: ClipRequest, job: str, emit: OnEvent, cancel: CancelToken) -> ClipRecord:
        def progress(stage: Literal["analyse", "encode"], percent: float) -> None:
            emit(
                Progressed(
                    job=job, input="in", percent=percent, frames=None, fps=None, speed=2.0, eta_s=1.0, size_bytes=None,
                    predicted_bytes=None, stage=stage,
                )
            )  # fmt: skip

        framing = Framing(
            shots=(Shot(start_s=request.start_s, end_s=request.end_s, layout="fit", windows=(), rule="centre"),)
        )  # fmt: skip
        emit(Started(job=job, input="in"))
        progress("analyse", 50.0)
        emit(Analysed(job=job, input="in", framing=framing))
        emit(
            AttemptStarted(
                job=job, input="in", number=1, of=1, encoder="libx264", why="it is there", argv=(), gpu=None
            )
        )  # fmt: skip
        self.began.set()
        until = time.monotonic() + self._wait_s
        while not cancel.is_cancelled and (not self.may_end.is_set() or time.monotonic() < until):
            progress("encode", 40.0)
            time.sleep(0.005)
        if cancel.is_cancelled:
            raise Cancelled
        if self._fails(request):
            raise InputError("There is no such stretch.", evidence="made to fail")
        progress("encode", 99.0)
        emit(Checked(job=job, input="in", gates=()))
        target.write_bytes(f"{request.name} {request.start_s} {request.end_s} {job}".encode())
        return ClipRecord(
            name=request.name, start_s=request.start_s, end_s=request.end_s, width=request.width,
            height=request.height, fps=Fraction(25), frames=50, framing=framing, caption_cues=0, loudness_lufs=-14.0,
            true_peak_dbtp=-2.0, warnings=("a warning",),
        )  # fmt: skip
