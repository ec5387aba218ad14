"""What is done for a job, stage by stage: each is one durable step that may begin again, anywhere, and does no harm.

Steps hand each other small values. Files stay in the scratch folder of the machine; where a later step does not find
them (another machine goes on), it makes them again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from reelpress.engine import compress_file
from reelpress.errors import Cancelled, HardwareError, InputError, NetError, OutputError, ReelpressError, StorageError
from reelpress.events import AttemptStarted, Checked, Event, Progressed
from reelpress.facts.prediction import Predicted
from reelpress.facts.values import Value, from_json, to_json
from reelpress.jobs.claiming import Claim
from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.database import persist
from reelpress.jobs.desk import JSON, MP4, OnShare
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.fetching import Fetched
from reelpress.jobs.house import House
from reelpress.jobs.input_desk import InputDesk
from reelpress.jobs.model import JobResult
from reelpress.jobs.quotes import predicted_by
from reelpress.jobs.work import note_content
from reelpress.look import Look
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken
from reelpress.storage.keys import safe_name
from reelpress.storage.scratch import Need
from reelpress.version import VERSION

_LOG = logging.getLogger("reelpress.jobs")
T = TypeVar("T")
# What a stage that met a passing fault waits before it is tried again, in seconds.
PAUSES_S = (1.0, 3.0, 10.0, 30.0, 60.0)
# And one for which other jobs have the room, for as long as they have it.
ROOM_PAUSE_S = 10.0


class Probed(Value, frozen=True, kw_only=True):
    """What was found out about the input; ``same_as`` is a job that did this work already."""

    same_as: str | None


class Compressed(Value, frozen=True, kw_only=True):
    """What the engine made: the path of the file in the job's folder, ``None`` where the input is kept."""

    file: str | None
    size_bytes: int | None
    sha256: str | None
    receipt: str


class Stored(Value, frozen=True, kw_only=True):
    """What is in the store now. ``made`` tells of the output that is there, should it have been made anew."""

    output: StoredObject | None
    receipt: StoredObject
    made: Compressed


class Stages(InputDesk):
    """The stages of a claim on a job that compresses.

    Each method is a step; errors are those of the tree, and say whether to try again.
    """

    def __init__(self, house: House, encoding: Encoding, claim: Claim, cancel: CancelToken, on_share: OnShare) -> None:
        super().__init__(house, encoding, claim, cancel, on_share)
        self._look: Future[Look] | None = None

    def probe(self, fetched: Fetched) -> Probed:
        """Look at the input, refuse what is beyond the limits, and find out whether the work was done before."""
        look = self.look(self.source(fetched))
        self._look = Future()
        self._look.set_result(look)
        key = self._cache_key(fetched)
        same = persist(lambda: note_content(self.house.database, self.claim, key), give_up=self.is_cancelled)
        may_reuse = self.spec.reuse and self.spec.output_key is None
        if may_reuse and same is not None and same.result is not None and self._is_there(same.result):
            return Probed(same_as=same.id)
        return Probed(same_as=None)

    def compress(self, fetched: Fetched) -> Compressed:
        """Have the engine do its work: plan, encode, check, all explained in its receipt."""
        source = self.source(fetched)
        folder = self.folder / f"made.{self.claim.fence}"  # without the input, which is no part of what is promised
        folder.mkdir(exist_ok=True, mode=0o700)
        target = folder / "output.mp4"
        need = Need(input_bytes=0, output_bytes=fetched.size_bytes)
        request = self.encoding.request_of(self.spec)
        request = msgspec.structs.replace(request, hardware=self.hardware(request.hardware))
        with self.house.scratch.reserve(need, job_folder=folder):
            receipt = compress_file(
                source, target, host=self.encoding.host, request=request, policy=self.encoding.policy,
                overwrite=True, on_event=self.listening(self._on_event),
                cancel=self.cancel, look=self._look, predicted=self._quoted(request, fetched),
            )  # fmt: skip
        self._look = None
        self.raise_if_lost()
        receipt = self.explained(msgspec.structs.replace(receipt, input=fetched.name, output=None))
        raise_for(receipt)
        made = receipt.result if receipt.status in ("encoded", "copied") else None
        return Compressed(
            file=f"{folder.name}/{target.name}" if made else None, size_bytes=made.size_bytes if made else None,
            sha256=made.sha256 if made else None, receipt=to_json(receipt).decode(),
        )  # fmt: skip

    def _quoted(self, request: Request, fetched: Fetched) -> Predicted | None:
        """Return what the quote said that the job names, if it is of this input and is still there."""
        quote_id = self.spec.quote
        if quote_id is None:
            return None

        def read() -> Predicted | None:
            with self.house.database.reading() as connection:
                return predicted_by(
                    connection, quote_id, request.codec, may_use_gpu=request.hardware != "off",
                    of_bytes=fetched.size_bytes,
                )  # fmt: skip

        return persist(read, give_up=self.is_cancelled)

    def store(self, fetched: Fetched, made: Compressed) -> Stored:
        """Put output and receipt into the store, proved by reading back, each under a key that is this job's alone."""
        key = self.spec.output_key or f"{self.key_folder}/{safe_name(f'{Path(fetched.name).stem}.mp4')}"
        output = None
        if made.file is not None and not (self.folder / made.file).is_file():  # it was made on another machine
            output = self.find_stored(key, made.size_bytes, made.sha256)
            if output is None:
                made = self.compress(fetched)
        if made.file is not None and output is None:
            output = self.put(
                self.folder / made.file, key, MP4, sha256=made.sha256, stage="store",
                replace=self.spec.output_key is None,
            )  # fmt: skip
        receipt = self.folder / f"receipt.{self.claim.fence}.json"
        self.make_folder()
        receipt.write_text(made.receipt)
        stored = self.put(receipt, f"{self.key_folder}/receipt.json", JSON)
        return Stored(output=output, receipt=stored, made=made)

    def store_transcript(self, files: dict[str, tuple[Path, str]]) -> dict[str, StoredObject]:
        """Put the files of a transcript beside the output."""
        return {
            kind: self.put(path, f"{self.key_folder}/transcript.{kind}", content_type)
            for kind, (path, content_type) in files.items()
        }

    def result(self, fetched: Fetched, stored: Stored) -> JobResult:
        """Return what the job delivered, but for a transcript."""
        receipt = from_json(stored.made.receipt, Receipt)
        outcome: Literal["encoded", "copied", "skipped"] = (
            receipt.status if receipt.status in ("encoded", "copied") else "skipped"
        )
        return JobResult(
            outcome=outcome, encoder=receipt.encoder, device=receipt.device, input_key=fetched.key,
            input_bytes=fetched.size_bytes, output=stored.output, receipt=stored.receipt,
            saved_share=receipt.saved_share, usd=receipt.usd, wall_s=receipt.wall_s, warnings=receipt.warnings,
        )  # fmt: skip

    def _is_there(self, result: JobResult) -> bool:
        if result.output is None:
            return True
        found = self.house.store.find(result.output.key, cancel=self.cancel)
        return found is not None and found.size_bytes == result.output.size_bytes

    def _cache_key(self, fetched: Fetched) -> str:
        settings = self.house.settings
        parts = {
            "input": fetched.sha256, "version": VERSION, "request": repr(self.encoding.request_of(self.spec)),
            "transcript": settings.transcribe_model if self.spec.transcribe else None,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progressed) and event.percent is not None:
            self.on_share("compress", event.percent / 100, event.eta_s, event.speed)
        elif isinstance(event, AttemptStarted):
            self.on_share("compress", 0.0, None, None)
        elif isinstance(event, Checked):
            self.on_share("check", 0.0, None, None)


def patiently(work: Callable[[], T], cancel: CancelToken) -> T:
    """Do a stage, again after a pause where what went wrong may pass. Raises what it raised last, or Cancelled.

    Room that other jobs of this process have is waited for until they give it back, however long they take.
    """
    pauses = iter(PAUSES_S)
    while True:
        try:
            return work()
        except (StorageError, NetError) as error:
            pause = ROOM_PAUSE_S if error.reason == "full" else next(pauses, None)
            if not error.retryable or pause is None:
                raise
            if cancel.wait(pause):
                raise Cancelled("Stopped while waiting to try again.") from None
            _LOG.warning("trying again after %s: %s (%s)", error.code, error.what, error.evidence)


def raise_for(receipt: Receipt) -> None:
    """Raise what the engine reported, unless it delivered or had a reason to keep the input."""
    if receipt.status in ("encoded", "copied", "skipped"):
        return
    text = receipt.error or "The input was refused."
    if receipt.status == "cancelled":
        raise Cancelled(text)
    kind: type[ReelpressError] = {3: InputError, 4: HardwareError, 5: OutputError}.get(
        receipt.exit_code, ReelpressError
    )
    error = kind(text, evidence=receipt.evidence, hint=receipt.hint)
    error.code = receipt.error_code or error.code
    error.receipt_json = to_json(receipt).decode()
    raise error
