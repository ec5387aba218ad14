"""Judges what an attempt wrote, before it counts: facts, decoding, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reelpress.bookkeeping import Book
from reelpress.check.due import heard_s
from reelpress.check.structure import check_structure
from reelpress.errors import Cancelled, InputError
from reelpress.events import Checked, Event, OnEvent, Progressed
from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.gate import QUALITY_GATES
from reelpress.facts.media import MediaFacts
from reelpress.plan.model import Attempt, Copy, Encode
from reelpress.probe.media_request import Decoding
from reelpress.probe.ready import ReadyProbe
from reelpress.receipt import Gate
from reelpress.run.failures import decode_damage
from reelpress.run.process import Finished
from reelpress.run.report import read_report, read_samples
from reelpress.run.watch import Job

_READY_FROM_PERCENT = 50.0
_OF_SOUND = ("audio",)
# Not met is told, and costs exit code 1; another attempt would not meet it either.
TOLERABLE = frozenset({"loudness", "true_peak"})
# Looks at an output that is whole so far; for what only one kind of job has to ask.
Further = Callable[[Attempt, Path, MediaFacts], tuple[Gate, ...]]


class Judge:
    """Checks each attempt's output against the plan, and remembers what it saw."""

    def __init__(
        self,
        decided: Encode | Copy,
        source_facts: MediaFacts,
        path: Path,
        *,
        job: Job,
        book: Book,
        ready: ReadyProbe,
        emit: OnEvent,
        decoding: Decoding,
        further: Further,
    ) -> None:
        self._decided, self._source_facts, self._path = decided, source_facts, path
        self._job, self._book, self._ready, self._emit = job, book, ready, emit
        self._decoding, self._further = decoding, further
        self.gates: tuple[Gate, ...] = ()
        self.facts: MediaFacts | None = None
        self.attempt: Attempt | None = None  # whose output was judged last

    def on_event(self, event: Event) -> None:
        """Get ready once the end is in sight, and pass the event on."""
        if isinstance(event, Progressed) and (event.percent or 0) >= _READY_FROM_PERCENT:
            self._ready.start()
        self._emit(event)

    def accept(self, attempt: Attempt, done: Finished) -> Failure | None:
        """Return a failure when the output is not what was planned."""
        self.attempt = attempt
        with self._book.stage("check"):
            try:
                return self._look(attempt, done)
            except Cancelled:  # the attempt was made, and what it cost belongs into the receipt
                return Failure(kind=FailureKind.CANCELLED, evidence="cancelled while its output was checked")

    def _look(self, attempt: Attempt, done: Finished) -> Failure | None:
        book, expect = self._book, self._decided.expect
        try:
            facts, decoded = self._ready.look(self._path, self._decoding, book.spend)
        except InputError as error:
            return Failure(kind=FailureKind.CHECK_NOT_MET, evidence=f"the output cannot be read: {error.what}")
        self.facts = facts
        damage = (*self._source_facts.damage, *decode_damage(done.stderr_tail, is_sought="-ss" in attempt.args))
        track = self._source_facts.main_video
        report = read_report(done.stderr_tail, track.index) if track is not None else None
        heard = self._heard_s(done.stderr_tail)
        self.gates = check_structure(expect, facts, decoded, input_damage=damage, report=report, heard_s=heard)
        if not _failed(self.gates):
            self.gates = (*self.gates, *self._further(attempt, self._path, facts))
        book.damage = damage
        if expect.clip is not None:
            # nothing else draws letters
            from reelpress.run.glyphs import not_drawn

            book.not_drawn = not_drawn(done.stderr_tail)
        self._emit(Checked(job=self._job.id, input=self._job.input, gates=self.gates))
        return _verdict(_failed(self.gates))

    def _heard_s(self, stderr_tail: str) -> tuple[float | None, ...]:
        """Return how many seconds the decoder gave of each sound that is kept; of one that is copied, nobody knows."""
        samples = read_samples(stderr_tail)
        kept = {s.index for s in self._decided.streams if s.kind == "audio" and s.action != "drop"}
        return tuple(heard_s(track, samples) for track in self._source_facts.audio if track.index in kept)


def _failed(gates: tuple[Gate, ...]) -> list[Gate]:
    return [g for g in gates if g.verdict == "failed" and g.name not in TOLERABLE]


def _verdict(failed: list[Gate]) -> Failure | None:
    if not failed:
        return None
    too_large = next((g for g in failed if g.name == "smaller"), None)
    if too_large is not None:  # such an output is unwanted, whatever else is wrong with it
        evidence = f"{too_large.measured}, {too_large.expected} wanted"
        return Failure(kind=FailureKind.OUTPUT_LIMIT, evidence=evidence)
    text = "; ".join(f"{g.name}: expected {g.expected}, got {g.measured}" for g in failed)
    if all(g.name in QUALITY_GATES for g in failed):
        return Failure(kind=FailureKind.QUALITY_NOT_MET, evidence=text)
    only_sound = all(g.name.startswith(_OF_SOUND) for g in failed)
    return Failure(kind=FailureKind.AUDIO_NOT_MET if only_sound else FailureKind.CHECK_NOT_MET, evidence=text)
