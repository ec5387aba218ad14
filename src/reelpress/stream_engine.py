"""One input from facts to a ladder for streaming: probe, sample, run once for all rungs, check, publish. Wiring."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import msgspec

from reelpress.bookkeeping import Book, Hashing
from reelpress.check.due import frames_due, missing_s
from reelpress.check.fragments import FragmentError, read_representation
from reelpress.check.ladder import check_ladder, decode_ladder, is_ours
from reelpress.delivery import INPUT_FAILURES, OUTPUT_FAILURES
from reelpress.errors import EncodeError, InputError, OutputError
from reelpress.events import Checked, OnEvent, Planned, Probed, Started
from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.host import HostFacts
from reelpress.facts.media import AudioTrack, MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.ladder_receipt import ladder_reasons, ladder_records
from reelpress.look import Snapshot, look_at
from reelpress.plan import resolution as rules
from reelpress.plan.compress import plan
from reelpress.plan.dash import manifest
from reelpress.plan.geometry import timing
from reelpress.plan.hls import Representation, master_playlist, media_name, media_playlist
from reelpress.plan.model import Attempt, Encode, Reject, Skip
from reelpress.plan.rungs import LADDER_LINES, MOST_RUNGS, Rung, choose_rungs, trials
from reelpress.plan.streaming import MASTER, MPD, SEGMENT_S, Streams, ladder_attempt, streams
from reelpress.policy import RunPolicy
from reelpress.quality.resolution import survey
from reelpress.quality.sample_encode import TrialError
from reelpress.quality.samples import SampleError
from reelpress.receipt import Receipt
from reelpress.request import Request, with_codec
from reelpress.run.execute import execute
from reelpress.run.execution import Setting
from reelpress.run.failures import decode_damage
from reelpress.run.partial_folder import PartialFolder
from reelpress.run.process import CancelToken, Finished, Limits
from reelpress.run.report import read_report, read_samples
from reelpress.run.same_file import real_name
from reelpress.run.watch import Job
from reelpress.settling import refuse_small_disk, settling, stop_if_cancelled

K = FailureKind

# All rungs together take up to the largest rate each is allowed, and their tables.
_SPACE_FACTOR = 1.1


class LadderWish(Value, frozen=True, kw_only=True):
    """What a ladder should be: at most so many rungs, segments of so many seconds."""

    most_rungs: int = MOST_RUNGS
    segment_s: float = SEGMENT_S


def make_ladder(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    host: HostFacts,
    request: Request,
    wish: LadderWish = LadderWish(),  # noqa: B008 - a frozen value
    policy: RunPolicy = RunPolicy(),  # noqa: B008 - a frozen value
    overwrite: bool = False,
    on_event: OnEvent | None = None,
    cancel: CancelToken | None = None,
) -> Receipt:
    """Make a ladder of one video in the folder ``target`` and return its receipt; this does not raise.

    It is H.264 by x264 on the CPU, whatever the request says of codec and hardware; preset and CRF of another codec
    are left out. The source is only ever read.
    """
    request = with_codec(request, "h264")
    cpu = msgspec.structs.replace(request, hardware="off", always_encode=True, resolution="fixed")
    return _Work(source, target, host, cpu, wish, policy, overwrite, on_event, cancel or CancelToken()).finish()


class _Work:
    """One ladder under way."""

    def __init__(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        host: HostFacts,
        request: Request,
        wish: LadderWish,
        policy: RunPolicy,
        overwrite: bool,
        on_event: OnEvent | None,
        cancel: CancelToken,
    ) -> None:
        self.named = os.fspath(source)
        self.source = Path(os.path.abspath(self.named))  # noqa: PTH100 - a link stays the name that was given
        self.target = Path(os.path.abspath(target))  # noqa: PTH100
        self.host, self.request, self.wish, self.policy = host, request, wish, policy
        self.overwrite, self.cancel = overwrite, cancel
        self.emit: OnEvent = on_event or (lambda _event: None)
        self.job = Job(id=secrets.token_hex(6), input=self.named)
        self.book = Book(policy.tariff(host))
        self.hashing = Hashing(self.source)
        self.tracks: tuple[Representation, ...] = ()

    def finish(self) -> Receipt:
        """Do the work and write its receipt, also when it fails."""
        self.emit(Started(job=self.job.id, input=self.job.input))
        try:
            with settling(self.book):
                self._deliver()
        finally:
            self.book.source_sha256 = self.hashing.result()
        receipt = self.book.receipt(self.job.id, self.job.input, self.host)
        self.emit(receipt)
        return receipt

    def _deliver(self) -> None:
        book = self.book
        if Path(real_name(self.source)).is_relative_to(real_name(self.target)):
            raise OutputError("The input lies in the folder to make.", hint="Name another folder with -o.")
        with PartialFolder.open(self.target, overwrite=self.overwrite, may_replace=is_ours) as partial:
            with book.stage("probe"):
                seen = look_at(self.source, self.cancel)
                book.spend(seen.cpu_s)
            facts = seen.facts
            book.describe_source(self.source, facts)
            self.emit(Probed(job=self.job.id, input=self.job.input, facts=facts))
            decided = self._planned(facts)
            if decided is None:
                return
            self.hashing.start(self.cancel)
            with book.stage("sample"):
                rungs = self._rungs(facts)
            encodes = [self._encode_of(facts, rung) for rung in rungs]
            parts, left_out = streams(facts, rungs, _fps(facts, self.request), segment_s=self.wish.segment_s)
            attempt = ladder_attempt(encodes[0].attempts[0], encodes, parts)
            whole = msgspec.structs.replace(encodes[0], attempts=(attempt,))
            self.emit(Planned(job=self.job.id, input=self.job.input, plan=whole))
            book.reasons = ladder_reasons(rungs, left_out, encodes[0].reasons)
            self._run(whole, parts, facts, partial.path, seen.snapshot)
            self._check_source(seen.snapshot)
            with book.stage("publish"):
                partial.publish()
        book.ladder, book.result = ladder_records(self.target, parts, self.tracks)
        book.delivered, book.status = attempt, "encoded"

    def _planned(self, facts: MediaFacts) -> Encode | None:
        """Return the plan at the full size, ``None`` when there is nothing to make a ladder of."""
        decided = plan(facts, self.host, self.request)
        if isinstance(decided, Encode):
            return decided
        if isinstance(decided, Reject):
            first = decided.reasons[0]
            self.book.reject(decided.code, first.text, evidence=first.fact, hint=decided.hint)
        elif isinstance(decided, Skip):
            raise InputError("There is nothing to make a ladder of.", evidence=decided.reasons[0].text)
        return None

    def _rungs(self, facts: MediaFacts) -> tuple[Rung, ...]:
        track = facts.main_video
        if track is None:
            raise InputError("There is no video to make a ladder of.")
        names = rules.sizes(track, self.request, LADDER_LINES)
        fps = _fps(facts, self.request)
        # keyframes come as often as in the ladder
        every = () if fps is None else ("-g:v:0", str(max(1, round(fps * Fraction(self.wish.segment_s)))))
        try:
            points = survey(
                self.source, facts, self.host, self.request, trials(tuple(names)), names, options=every,
                cancel=self.cancel, spend=self.book.spend,
            )  # fmt: skip
        except SampleError as error:
            raise InputError(error.what, evidence=error.evidence) from error
        except TrialError as error:
            raise EncodeError(error.what, evidence=error.evidence, hint=error.hint) from error
        return choose_rungs(points, names, most=self.wish.most_rungs)

    def _encode_of(self, facts: MediaFacts, rung: Rung) -> Encode:
        """Return the plan with a rung's CRF, at the top rung's size or below."""
        request = rules.with_lines(msgspec.structs.replace(self.request, crf=rung.crf), rung.lines)
        decided = plan(facts, self.host, request)
        if not isinstance(decided, Encode):
            raise EncodeError("A rung cannot be encoded here.", evidence=decided.reasons[0].text)
        return decided

    def _check_source(self, snapshot: Snapshot) -> None:
        snapshot.refuse_change(Snapshot.take(self.source))

    def _run(self, decided: Encode, parts: Streams, facts: MediaFacts, folder: Path, snapshot: Snapshot) -> None:
        book = self.book
        seconds = facts.duration_s or 0.0
        needed = sum(r.max_rate_bps for r in parts.rungs) + sum(s.bitrate_bps for s in parts.sounds)
        refuse_small_disk(folder.parent, round(_SPACE_FACTOR * needed * seconds / 8))

        def accept(attempt: Attempt, done: Finished) -> Failure | None:
            return self._judge(decided, parts, facts, folder, attempt, done)

        wall = self.policy.timeout_s or 1800 + 10 * len(parts.rungs) * seconds
        setting = Setting(
            job=self.job, source=f"file:{self.source}", target=folder / MPD,
            limits=Limits(
                wall_s=wall, stall_s=self.policy.stall_timeout_s, memory_bytes=self.policy.memory_limit_bytes,
                cpu_s=int(wall * self.host.cores) + 1,
            ),
            versions={f.path: f.version for f in self.host.ffmpegs}, duration_s=facts.duration_s, max_bytes=None,
        )  # fmt: skip
        with book.stage("encode"):
            execution = execute(decided.attempts, setting, accept=accept, on_event=self.emit, cancel=self.cancel)
            book.attempts = execution.records
            book.spend(sum(r.cpu_s for r in execution.records))
        stop_if_cancelled(self.cancel)
        if execution.delivered is None:
            self._check_source(snapshot)  # what is made of one that still grows is not what it was planned to be
            failure = execution.failure or Failure(kind=K.UNKNOWN, evidence="no attempt was made")
            if failure.kind in INPUT_FAILURES:
                raise InputError("The input cannot be decoded.", evidence=failure.evidence, hint=failure.hint)
            if failure.kind in OUTPUT_FAILURES:
                raise OutputError("The ladder could not be written.", evidence=failure.evidence, hint=failure.hint)
            raise EncodeError("The ladder is not right, and was not delivered.", evidence=failure.evidence)

    def _judge(
        self, decided: Encode, parts: Streams, facts: MediaFacts, folder: Path, attempt: Attempt, done: Finished
    ) -> Failure | None:
        """Write the playlists of what FFmpeg made, and return a failure when it is not a ladder."""
        book = self.book
        with book.stage("check"):
            numbers = range(len(parts.rungs) + len(parts.sounds))
            try:
                tracks = tuple(read_representation(folder, number) for number in numbers)
            except (FragmentError, OSError) as error:
                return Failure(kind=K.CHECK_NOT_MET, evidence=f"segments cannot be read: {error}")
            try:
                _write_playlists(folder, parts, tracks)
            except OSError as error:
                is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                return Failure(kind=K.OUTPUT_FULL if is_full else K.OUTPUT_DENIED, evidence=str(error))
            book.damage = (*facts.damage, *decode_damage(done.stderr_tail))
            track, sound, damaged = facts.main_video, facts.main_audio, bool(book.damage)
            report = None if track is None else read_report(done.stderr_tail, track.index)
            gates = check_ladder(
                folder, parts, tracks,
                frames=frames_due(decided.expect, report, damaged=damaged),
                duration_s=None if track is None else _end_s(facts, track),
                sound_s=None if sound is None else _end_s(facts, sound),
                missing_s=missing_s(decided.expect, report, sound, read_samples(done.stderr_tail), damaged=damaged),
            )  # fmt: skip
            gates = (*gates, decode_ladder(attempt.ffmpeg, folder, tracks, cancel=self.cancel, spend=book.spend))
            book.gates, self.tracks = gates, tracks
        self.emit(Checked(job=self.job.id, input=self.job.input, gates=gates))
        failed = [g for g in gates if g.verdict == "failed"]
        text = "; ".join(f"{g.name}: expected {g.expected}, got {g.measured}" for g in failed)
        return Failure(kind=K.CHECK_NOT_MET, evidence=text) if failed else None


def _write_playlists(folder: Path, parts: Streams, tracks: Sequence[Representation]) -> None:
    (folder / MASTER).write_text(master_playlist(parts, tracks))
    for track in tracks:
        (folder / media_name(track.number)).write_text(media_playlist(track))
    (folder / MPD).write_text(manifest(parts, tracks))


def _end_s(facts: MediaFacts, track: VideoTrack | AudioTrack) -> float | None:
    """Return when a track ends, in seconds from the start of the programme, ``None`` where that is unknown."""
    if track.duration_s is None:
        return None
    return max(0.0, (track.start_s or 0.0) - (facts.start_s or 0.0)) + track.duration_s


def _fps(facts: MediaFacts, request: Request) -> Fraction | None:
    """Return the frames a second of all rungs, on average."""
    track = facts.main_video
    return None if track is None else timing(track, request)[0].fps
