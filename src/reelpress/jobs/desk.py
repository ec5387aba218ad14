"""What the stages of all kinds of jobs share: the job's folder on this machine, and its place in the store."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from reelpress.errors import HardwareError, InputError, StorageError
from reelpress.events import Event, OnEvent
from reelpress.facts.values import Value
from reelpress.jobs.claiming import Claim, FencedOff
from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.database import persist
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.house import House
from reelpress.jobs.model import Stage
from reelpress.jobs.owners import user_prefix
from reelpress.jobs.work import check_in_force, note_details
from reelpress.look import Look, look_at
from reelpress.observe.entry import BUDGET_SPENT
from reelpress.observe.tracing import AttemptSpans
from reelpress.plan.model import Reason
from reelpress.receipt import Receipt
from reelpress.request import Hardware
from reelpress.run.process import CancelToken
from reelpress.storage.download import download
from reelpress.storage.scratch import Need
from reelpress.storage.upload import upload

MP4 = "video/mp4"
JSON = "application/json"

# Told of a stage, the share of it that is done, seconds left of it, and the speed of an encode.
OnShare = Callable[[Stage, float, float | None, float | None], None]


class BudgetSpentError(HardwareError):
    """A GPU is required, and the budget allows none for now."""

    code = "budget_spent"
    retryable = True


class Desk:
    """One claim's place of work: files lie in ``folder``, and objects go under ``key_folder``."""

    def __init__(
        self,
        house: House,
        encoding: Encoding,
        claim: Claim,
        cancel: CancelToken,
        on_share: OnShare,
        *,
        place: str | None = None,
    ) -> None:
        self.house, self.encoding, self.claim, self.cancel, self.on_share = house, encoding, claim, cancel, on_share
        self.job, self.spec = claim.job, claim.job.spec
        self.folder = house.settings.scratch / "jobs" / self.job.id
        self._lost: Exception | None = None
        self.key_folder = f"{user_prefix(self.job.user_id)}/{place or f'outputs/{self.job.id}'}"

    def hardware(self, asked: Hardware) -> Hardware:
        """Return what hardware may be used, of what is asked for. Raises :class:`BudgetSpentError`."""
        if self.claim.cpu_only is None:
            return asked
        if asked == "require":
            raise BudgetSpentError(
                "The budget is spent, and the job requires a GPU.", evidence=self.claim.cpu_only,
                hint="Submit it without requiring hardware, or retry it when there is a budget again.",
            )  # fmt: skip
        return "off"

    def explained(self, receipt: Receipt) -> Receipt:
        """Return a receipt that says so if no GPU was allowed on a machine that has one."""
        if self.claim.cpu_only is None or self.encoding.host.gpu_note is not None:
            return receipt
        reason = Reason(code=BUDGET_SPENT, text=f"No GPU is used. {self.claim.cpu_only}", fact=None)
        return msgspec.structs.replace(receipt, reasons=(reason, *receipt.reasons))

    def tell(self, stage: Stage, share: float) -> None:
        """Say how much of a stage is done, from 0 to 1."""
        self.on_share(stage, share, None, None)

    def make_folder(self) -> None:
        """Make the job's folder if it is not there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def clear(self) -> None:
        """Delete the job's files here; its input, where that was a path, is no file of ours."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def look(self, source: Path) -> Look:
        """Look at an input. Raises :class:`InputError` for what is no video, or longer than is allowed."""
        look = look_at(source, self.cancel)
        duration, most = look.facts.duration_s, self.house.settings.max_duration_s
        if duration is not None and duration > most:
            evidence = f"{duration:.1f} s, {most:g} s allowed"
            raise InputError("The video is too long.", evidence=evidence, reason="too_long")
        return look

    def put(
        self,
        path: Path,
        key: str,
        content_type: str,
        *,
        sha256: str | None = None,
        stage: Stage | None = None,
        replace: bool = True,
    ) -> StoredObject:
        """Put a file into the store, proved by reading back.

        With ``replace`` what an earlier attempt at this very job left there gives way. Raises :class:`StorageError`.
        """

        def on_progress(done: int, of: int) -> None:
            if stage is not None:
                self.on_share(stage, done / of if of else 1.0, None, None)

        def put(*, overwrite: bool) -> StoredObject:
            # nobody whose claim has ended may touch what its successor delivers
            self.check_claim()
            put = upload(
                self.house.store, path, key, job=self.job.id, content_type=content_type, sha256=sha256,
                overwrite=overwrite, on_progress=on_progress, cancel=self.cancel,
            )  # fmt: skip
            return StoredObject(key=put.key, size_bytes=put.size_bytes, sha256=put.sha256, content_type=content_type)

        try:
            return put(overwrite=False)
        except StorageError as error:
            # what is too large for a copy within the store is written in its place
            if error.reason not in {"exists", "too_large"} or not replace:
                raise
            return put(overwrite=True)

    def find_stored(self, key: str, size_bytes: int | None, sha256: str | None) -> StoredObject | None:
        """Return the video of a key if it is what was made: its maker died after putting it there."""
        found = self.house.store.find(key, cancel=self.cancel)
        if found is None or found.size_bytes != size_bytes:
            return None
        folder = self.folder / f"stored.{self.claim.fence}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.house.scratch.reserve(Need(input_bytes=found.size_bytes, output_bytes=0), job_folder=folder):
            got = download(self.house.store, key, folder / "output", cancel=self.cancel)
            shutil.rmtree(folder, ignore_errors=True)
        if got.sha256 != sha256:
            return None
        return StoredObject(key=key, size_bytes=got.size_bytes, sha256=got.sha256, content_type=MP4)

    def listening(self, take: OnEvent) -> OnEvent:
        """Return what an engine may call with its events.

        A claim that ends meanwhile, or a database that is gone, stops the engine, which would take it for a failure of
        its own; :meth:`raise_if_lost` says it afterwards.
        """
        spans = AttemptSpans(self.house.telemetry.tracer)

        def listen(event: Event) -> None:
            spans.note(event)
            try:
                take(event)
            except (FencedOff, SQLAlchemyError) as error:
                self._lost = self._lost or error
                self.cancel.cancel()

        return listen

    def raise_if_lost(self) -> None:
        """Raise what ended the claim while an engine was at work, if something did."""
        if self._lost is not None:
            raise self._lost

    def check_claim(self) -> None:
        """Raise :class:`FencedOff` unless this claim is in force now."""
        persist(lambda: check_in_force(self.house.database, self.claim), give_up=self.is_cancelled)

    def note(self, details: Value, kind: str, data: dict[str, Any]) -> None:
        """Write what was found out so far, with an event. Raises :class:`FencedOff`."""
        persist(
            lambda: note_details(self.house.database, self.claim, details, kind, data, now=time.time()),
            give_up=self.is_cancelled,
        )

    def is_cancelled(self) -> bool:
        """Tell whether the work is to stop."""
        return self.cancel.is_cancelled
