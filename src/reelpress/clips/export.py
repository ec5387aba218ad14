"""Cuts many clips at once: all of them are queued from the start, a bounded number runs, and none touches another."""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path, PurePosixPath

import msgspec

from reelpress.bookkeeping import Book
from reelpress.clip_engine import cut_clip
from reelpress.clip_request import ClipRequest
from reelpress.clips.control import ExportControl
from reelpress.clips.manifest import Folder, hash_of
from reelpress.clips.meter import DELIVERED
from reelpress.clips.naming import output_names
from reelpress.clips.summary import KEPT
from reelpress.errors import Cancelled, InputError, OutputError, ReelpressError, UsageError
from reelpress.events import Event, OnEvent, Queued, Started
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.plan.model import Reason
from reelpress.plan.platforms import PlatformName, platform_warnings
from reelpress.policy import RunPolicy, clips_at_once
from reelpress.receipt import Receipt, Status
from reelpress.run.process import CancelToken
from reelpress.source.opening import OpenSource
from reelpress.source.probing import probe_stretches

_TICK_S = 0.1


def export_clips(
    source: OpenSource,
    clips: Sequence[ClipRequest],
    folder: Path,
    *,
    host: HostFacts,
    policy: RunPolicy = RunPolicy(),  # noqa: B008 - a frozen value
    jobs: int | None = None,
    platforms: Sequence[PlatformName] = (),
    face_model: Path | None = None,
    cache_dir: Path | None = None,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
    control: ExportControl | None = None,
    stop_if: Callable[[], bool] = lambda: False,
) -> tuple[Receipt, ...]:
    """Cut all clips into a folder, made if need be, and return their receipts in order; one failure touches one clip.

    Files are called as :func:`output_names` says. A clip that an earlier run delivered, and that is still there just as
    it was, is kept, with a reason that says so (``kept_finished``). A file that is no clip of the same wishes is left
    alone, and the clip fails, unless ``overwrite`` is set.

    ``jobs`` are at work at once, :func:`clips_at_once` if ``None``. ``platforms`` adds warnings to receipts of what
    these platforms may not take. ``on_event`` is called from several threads, never two at once. Once ``stop_if`` is
    true, asked ten times a second, everything is cancelled; so it is by ``KeyboardInterrupt``.

    What becomes of a clip is told by its receipt, also where the source cannot be used. Raises :class:`UsageError`
    without clips, and :class:`OutputError` when the folder cannot be written or another export works in it.
    """
    if not clips:
        raise UsageError("There are no clips to cut.", hint="Name at least one.")
    with Folder(folder) as book:
        uses_gpu = any(clip.hardware != "off" for clip in clips)
        width = min(jobs or clips_at_once(host, policy, uses_gpu=uses_gpu), len(clips))
        export = _Export(
            source, clips, book, host, msgspec.structs.replace(policy, at_once=width), platforms=platforms,
            face_model=face_model, cache_dir=cache_dir, overwrite=overwrite, on_event=on_event or (lambda _event: None),
        )  # fmt: skip
        return export.run(width, control or ExportControl(), stop_if)


class _Export:
    """One export under way. Futures and tokens are touched by the thread that called :meth:`run` alone."""

    def __init__(
        self,
        source: OpenSource,
        clips: Sequence[ClipRequest],
        folder: Folder,
        host: HostFacts,
        policy: RunPolicy,
        *,
        platforms: Sequence[PlatformName],
        face_model: Path | None,
        cache_dir: Path | None,
        overwrite: bool,
        on_event: OnEvent,
    ) -> None:
        self._source, self._clips, self._folder, self._host, self._policy = source, clips, folder, host, policy
        self._platforms, self._face_model, self._cache_dir = platforms, face_model, cache_dir
        self._overwrite, self._on_event = overwrite, on_event
        self._names = output_names([clip.name for clip in clips], PurePosixPath(source.name).stem)
        self._emitting, self._probing = threading.Lock(), threading.Lock()
        self._facts: MediaFacts | None = None
        self._probes_apart = len(clips) == 1
        self._jobs: dict[int, str] = {}
        self._again: set[int] = set()  # to be tried again, if they have not been delivered when they end
        self._tokens = [CancelToken() for _ in clips]
        self._ended: dict[int, Receipt] = {}
        self._pending: dict[Future[Receipt], int] = {}

    def run(self, width: int, control: ExportControl, stop_if: Callable[[], bool]) -> tuple[Receipt, ...]:
        with ThreadPoolExecutor(max_workers=width, thread_name_prefix="reelpress-clip") as pool:
            try:
                for index in range(len(self._clips)):
                    self._submit(pool, index)
                self._settle(pool, control, stop_if)
            except BaseException:  # a listener that raises must not leave clips running that nobody waits for
                self._cancel(None)
                raise
        return tuple(self._ended[index] for index in range(len(self._clips)))

    def _settle(self, pool: ThreadPoolExecutor, control: ExportControl, stop_if: Callable[[], bool]) -> None:
        while True:
            try:
                self._heed(pool, control)
                if not self._pending:
                    return
                if stop_if():
                    self._cancel(None)
                # short waits keep the main thread able to receive signals
                done, _ = wait(self._pending, timeout=_TICK_S, return_when=FIRST_COMPLETED)
                for future in done:
                    self._ended[self._pending[future]] = future.result()
                    del self._pending[future]
            except KeyboardInterrupt:
                self._cancel(None)

    def _heed(self, pool: ThreadPoolExecutor, control: ExportControl) -> None:
        for wish, index in control.wishes():
            if wish == "cancel":
                self._cancel(index)
            elif index is not None:
                self._again.add(index)
        for index in sorted(self._again - set(self._pending.values())):
            self._again.discard(index)
            ended = self._ended.get(index)
            if ended is not None and ended.status not in DELIVERED:
                self._tokens[index] = CancelToken()
                self._submit(pool, index)

    def _submit(self, pool: ThreadPoolExecutor, index: int) -> None:
        clip = self._clips[index]
        job = self._jobs[index] = secrets.token_hex(6)
        self._emit(
            Queued(job=job, input=self._source.input_name, index=index, name=clip.name, start_s=clip.start_s,
                   end_s=clip.end_s, output=str(self._folder.path / self._names[index]))
        )  # fmt: skip
        self._pending[pool.submit(self._one, index, self._tokens[index])] = index

    def _cancel(self, index: int | None) -> None:
        for number in range(len(self._tokens)) if index is None else (index,):
            if not 0 <= number < len(self._tokens):
                continue
            self._again.discard(number)
            self._tokens[number].cancel()
            waiting = next((f for f, place in self._pending.items() if place == number), None)
            if waiting is not None and waiting.cancel():  # it need not wait for a place to hear of it
                del self._pending[waiting]
                self._ended[number] = self._end_early(Cancelled(), self._jobs[number])

    def _one(self, index: int, cancel: CancelToken) -> Receipt:
        clip, name, job = self._clips[index], self._names[index], self._jobs[index]
        asked = hash_of(clip, fingerprint=self._source.fingerprint, face_model=self._face_model)
        try:
            kept = self._folder.kept(name, asked, cancel)
            if kept is not None:
                return self._keep(kept, name, job)
            facts = self._facts_for(clip, cancel)
            is_ours = self._folder.begin(name, asked)
        except ReelpressError as error:
            return self._end_early(error, job)

        def hear(event: Event) -> None:
            if isinstance(event, Receipt):
                with contextlib.suppress(OutputError):  # the clip is there; a later run will not know it
                    self._folder.end(name, asked, event if event.status in DELIVERED else None)
                event = self._with_warnings(event)
            self._emit(event)

        return self._with_warnings(
            cut_clip(
                self._source, facts, self._folder.path / name, host=self._host, request=clip, policy=self._policy,
                face_model=self._face_model, cache_dir=self._cache_dir, overwrite=self._overwrite or is_ours,
                on_event=hear, cancel=cancel, job_id=job,
            )
        )  # fmt: skip

    def _facts_for(self, clip: ClipRequest, cancel: CancelToken) -> MediaFacts:
        """Return the source's facts; raises :class:`InputError`, :class:`NetError`, :class:`Cancelled`.

        They are found out once for all clips, unless something is wrong with them: then each clip looks at its own
        stretch alone, since it may be another one that is damaged.
        """
        while not self._probing.acquire(timeout=_TICK_S):
            if cancel.is_cancelled:
                raise Cancelled
        try:
            if self._facts is None and not self._probes_apart:
                with contextlib.suppress(InputError):
                    self._facts = probe_stretches(self._source, [_stretch(c) for c in self._clips], cancel=cancel)
                if self._facts is None or self._facts.damage:
                    self._facts, self._probes_apart = None, True
        finally:
            self._probing.release()
        return self._facts or probe_stretches(self._source, [_stretch(clip)], cancel=cancel)

    def _keep(self, receipt: Receipt, name: str, job: str) -> Receipt:
        """Return the receipt of an earlier run as this run's."""
        text = "Kept: an earlier run delivered this clip, and the file is as it was."
        reasons = (*(r for r in receipt.reasons if r.code != KEPT), Reason(code=KEPT, text=text))
        output = str(self._folder.path / name)
        kept = msgspec.structs.replace(receipt, job=job, output=output, reasons=reasons)
        return self._tell_end(self._with_warnings(kept))

    def _end_early(self, error: ReelpressError, job: str) -> Receipt:
        """Return the receipt of a clip that came to an end before anything was done for it."""
        book = Book(self._policy.tariff(self._host))
        ends: dict[type[ReelpressError], Status] = {InputError: "rejected", Cancelled: "cancelled"}
        book.fail(next((status for kind, status in ends.items() if isinstance(error, kind)), "failed"), error)
        return self._tell_end(book.receipt(job, self._source.input_name, self._host))

    def _tell_end(self, receipt: Receipt) -> Receipt:
        self._emit(Started(job=receipt.job, input=receipt.input))
        self._emit(receipt)
        return receipt

    def _with_warnings(self, receipt: Receipt) -> Receipt:
        """Add what platforms may not take of the clip."""
        clip, result = receipt.clip, receipt.result
        if clip is None or result is None:
            return receipt
        told = [
            warning
            for name in self._platforms
            for warning in platform_warnings(
                name, duration_s=clip.end_s - clip.start_s, width=clip.width, height=clip.height, fps=float(clip.fps),
                size_bytes=result.size_bytes,
            )
        ]  # fmt: skip
        clip = msgspec.structs.replace(clip, warnings=tuple(dict.fromkeys((*clip.warnings, *told))))
        return msgspec.structs.replace(receipt, clip=clip)

    def _emit(self, event: Event) -> None:
        with self._emitting:
            self._on_event(event)


def _stretch(clip: ClipRequest) -> tuple[float, float]:
    """Return where a clip lies; of one that lies nowhere, which is refused once the facts are there, the beginning."""
    return (clip.start_s, clip.end_s) if math.isfinite(clip.end_s - clip.start_s) else (0.0, 0.0)
