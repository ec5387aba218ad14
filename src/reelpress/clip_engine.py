"""One clip from a source to its receipt: windows, loudness, one encode, checks. Wiring, no decisions."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import msgspec

from reelpress.bookkeeping import Book
from reelpress.check.clip_output import check_loudness, compare_clip
from reelpress.check.loudness import measure_loudness
from reelpress.check.pictures import min_db
from reelpress.clip_request import ClipRequest
from reelpress.delivery import Delivery
from reelpress.errors import OutputError
from reelpress.events import Analysed, OnEvent, Planned, Progressed, Started
from reelpress.facts.framing import Framing
from reelpress.facts.gate import Scored
from reelpress.facts.host import HostFacts
from reelpress.facts.loudness import Loudness
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Window
from reelpress.gating import Gatekeeper
from reelpress.gpus import gpus_of
from reelpress.judge import TOLERABLE
from reelpress.plan.clip import clip_stretches, plan_clip
from reelpress.plan.clip_clock import Clock, clip_clock
from reelpress.plan.clip_ladder import clip_crf, input_args
from reelpress.plan.clip_refusals import refuse, within
from reelpress.plan.clip_sound import AS_IT_IS, Level, level_for, level_heard, measuring_filters
from reelpress.plan.encoders import cpu_row
from reelpress.plan.model import CAPTIONS, FONTS, Attempt, ClipStretch, Encode, Reject
from reelpress.policy import RunPolicy
from reelpress.quality.clip_scoring import score_clip, viewing_of
from reelpress.receipt import ClipRecord, Gate, Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken
from reelpress.run.temporary import temporary_folder
from reelpress.run.watch import Job
from reelpress.settling import refuse_target, settling, stop_if_cancelled
from reelpress.source.opening import OpenSource

# What analysis is of the work, where it has two parts: looking for windows, then listening.
_FRAMING_SHARE = 0.8
_TOLD = ("scaled_up", "no_sound", "loudness_kept", "loudness_unreached", "ends_with_programme", "interlaced_kept")


def cut_clip(
    source: OpenSource,
    facts: MediaFacts,
    target: Path,
    *,
    host: HostFacts,
    request: ClipRequest,
    policy: RunPolicy = RunPolicy(),  # noqa: B008 - a frozen value
    face_model: Path | None = None,
    cache_dir: Path | None = None,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
    cancel: CancelToken | None = None,
    job_id: str | None = None,
) -> Receipt:
    """Make one clip of an open source and return its receipt; whatever becomes of it, this does not raise.

    ``facts`` are the source's, of the whole or of stretches that hold the clip's. ``target`` is the MP4 to write. Where
    the request has no framing the clip is analysed, with the faces that ``face_model`` finds; what is found is kept in
    ``cache_dir``. ``Receipt.status`` is ``encoded``, ``rejected``, ``failed`` or ``cancelled``. Sound that is not as
    loud as asked, or has higher peaks, is delivered all the same, with exit code 1.
    """
    work = _ClipWork(
        source, facts, Path(os.path.abspath(target)), host=host, request=request, policy=policy,  # noqa: PTH100
        face_model=face_model, cache_dir=cache_dir, overwrite=overwrite, emit=on_event or (lambda _event: None),
        cancel=cancel or CancelToken(), job_id=job_id or secrets.token_hex(6),
    )  # fmt: skip
    return work.finish()


class _ClipWork:
    """One clip under way."""

    def __init__(
        self, source: OpenSource, facts: MediaFacts, target: Path, *, host: HostFacts, request: ClipRequest,
        policy: RunPolicy, face_model: Path | None, cache_dir: Path | None, overwrite: bool, emit: OnEvent,
        cancel: CancelToken, job_id: str,
    ) -> None:  # fmt: skip
        self.source, self.facts, self.target = source, facts, target
        self.host, self.request, self.policy = host, request, policy
        self.face_model, self.cache_dir, self.overwrite = face_model, cache_dir, overwrite
        self.emit, self.cancel = emit, cancel
        self.job = Job(id=job_id, input=source.input_name, key=source.fingerprint)
        self.book = Book(policy.tariff(host))
        self.percent = 0.0
        self.loudness: Loudness | None = None
        self.framing = Framing(shots=())

    def finish(self) -> Receipt:
        """Do the work and write its receipt, also when it fails."""
        self.emit(Started(job=self.job.id, input=self.job.input))
        with settling(self.book):
            self._deliver()
        receipt = self.book.receipt(self.job.id, self.job.input, self.host)
        self.emit(receipt)
        return receipt

    def _deliver(self) -> None:
        book = self.book
        stop_if_cancelled(self.cancel)
        refuse_target(self.target, self.source.path, overwrite=self.overwrite)
        book.describe_source(Path(self.job.input), self.facts)
        if self._rejected(refuse(self.facts, self.host, self.request)):
            return
        request = self.request = within(self.facts, self.request)
        self.source.check_unchanged()
        track = self.facts.main_video
        assert track is not None  # noqa: S101 - else it was refused
        clock, _ = clip_clock(self.facts, track, request)
        with book.stage("analyse"):
            framing = self.framing = request.framing or self._framing(request)
            self.emit(Analysed(job=self.job.id, input=self.job.input, framing=framing))
            level = self._level(request, clock)
        if request.hardware != "off" and self.host.gpu_note is None:
            with book.stage("gpu"):
                wish = Request(codec="h264", hdr="tonemap", hardware=request.hardware)
                self.host = gpus_of(self.host, self.policy.gpu).host_for(self.facts, wish, self.cancel, book.spend)
        decided = plan_clip(
            self.facts, self.host, request, framing, level=level, protocols=self.source.protocols,
            input_options=self.source.input_options,
        )  # fmt: skip
        stop_if_cancelled(self.cancel)
        self.emit(Planned(job=self.job.id, input=self.job.input, plan=decided))
        book.reasons = decided.reasons
        if isinstance(decided, Reject):
            self._rejected(decided)
            return
        with temporary_folder("clip-") as folder:
            self._make(decided, clock, self._files(folder, clock))
        self._record(decided, clock, framing)

    def _rejected(self, refused: Reject | None) -> bool:
        if refused is not None:
            first = refused.reasons[0]
            self.book.reasons = refused.reasons
            self.book.reject(refused.code, first.text, evidence=first.fact, hint=refused.hint)
        return refused is not None

    def _framing(self, request: ClipRequest) -> Framing:
        from reelpress.reframe.analysis import frame_clip

        return frame_clip(
            self.source, self.facts, ffmpeg=self.host.ffmpegs[0].path, start_s=request.start_s, end_s=request.end_s,
            layout=request.layout, aspect=Fraction(request.width, request.height), face_model=self.face_model,
            cache_dir=self.cache_dir, cancel=self.cancel, spend=self.book.spend,
            on_share=lambda share: self._analysed(share * _FRAMING_SHARE),
        )  # fmt: skip

    def _analysed(self, share: float) -> None:
        self.percent = max(self.percent, min(99.0, 100 * share))
        self.emit(
            Progressed(
                job=self.job.id, input=self.job.input, percent=round(self.percent, 1), frames=None, fps=None,
                speed=None, eta_s=None, size_bytes=None, predicted_bytes=None, stage="analyse",
            )
        )  # fmt: skip

    def _level(self, request: ClipRequest, clock: Clock) -> Level:
        """Listen to the clip, and again through the limiter where one is needed."""
        audio = self.facts.main_audio
        if audio is None or request.loudness_lufs is None:
            return level_for(msgspec.structs.replace(request, loudness_lufs=None), None)
        self._analysed(_FRAMING_SHARE)
        measured = self._listen(clock, audio.index, AS_IT_IS)
        return level_heard(request, measured, lambda level: self._listen(clock, audio.index, level))

    def _listen(self, clock: Clock, stream: int, level: Level) -> Loudness | None:
        reads = input_args(self.facts, self.request, clock, self.source.protocols, self.source.input_options)
        return measure_loudness(
            self.host.ffmpegs[0].path, (*reads, self.source.url), stream=f"0:{stream}",
            filters=measuring_filters(clock, level), wall_s=120 + 30 * clock.duration_s, cancel=self.cancel,
            spend=self.book.spend,
        )  # fmt: skip

    def _make(self, decided: Encode, clock: Clock, files: Mapping[str, str]) -> None:
        """Carry the plan out and publish what it makes."""
        expect, clip = decided.expect, decided.expect.clip
        assert clip is not None  # noqa: S101 - the plan of a clip says what is expected of one

        def further(attempt: Attempt, output: Path, made: MediaFacts) -> tuple[Gate, ...]:
            gates: tuple[Gate, ...] = ()
            if attempt.gpus:
                least_db = min_db(clip_crf(self.request) / cpu_row("h264").crf_max)
                seen = compare_clip(
                    attempt.ffmpeg, self.source.url, output, clip.places, fps=float(clip.fps), files=files,
                    least_db=least_db, cancel=self.cancel, spend=self.book.spend,
                )  # fmt: skip
                gates = (seen,)
            if expect.audio:
                self.loudness, heard = check_loudness(
                    attempt.ffmpeg, output, clip, clock.duration_s, cancel=self.cancel, spend=self.book.spend
                )
                gates = (*gates, *heard)
            return gates if gate is None else (*gates, *gate.gates(attempt, output, made))

        gate = self._gatekeeper(decided, clock, files)
        delivery = Delivery(
            job=self.job, source_url=self.source.url, source_facts=self.facts, check_source=self._check_source,
            target=self.target, overwrite=self.overwrite, host=self.host, hardware=self.request.hardware,
            policy=self.policy, duration_s=clock.duration_s, book=self.book, emit=self.emit, cancel=self.cancel,
        )  # fmt: skip
        too_large = delivery.run(
            decided, further=further, may_take_bytes=clip.most_bytes, space_bytes=clip.most_bytes, files=files,
            gate=gate,
        )  # fmt: skip
        if too_large is not None:
            raise OutputError("The clip grew beyond what its bit rate allows.", evidence=too_large)

    def _gatekeeper(self, decided: Encode, clock: Clock, files: Mapping[str, str]) -> Gatekeeper | None:
        """Return what holds encodes against what was asked, if anything was."""
        wish, whole_s = self.request.gate, self.facts.duration_s
        if not wish.is_set:
            return None

        def stretches(windows: Sequence[Window]) -> tuple[ClipStretch, ...]:
            return clip_stretches(
                self.facts, self.request, self.framing, windows, protocols=self.source.protocols,
                input_options=self.source.input_options,
            )  # fmt: skip

        def score(output: Path, _made: MediaFacts, windows: tuple[Window, ...]) -> Scored:
            return score_clip(
                self.host, self.source.url, output, clock.duration_s, stretches, wish=wish, windows=windows,
                viewing=viewing_of(self.request.width, self.request.height), files=files, cancel=self.cancel,
                spend=self.book.spend,
            )  # fmt: skip

        # a clip's input is the stretch that it shows, which has its share of the source's bytes
        share = min(1.0, clock.duration_s / whole_s) if whole_s else 0.0
        source_bytes = int(self.facts.size_bytes * share)
        return Gatekeeper(wish, decided, source_bytes=source_bytes, score=score, book=self.book)

    def _check_source(self) -> None:
        """Raise what kept the source from being read to its end, if anything did."""
        self.source.check_unchanged()
        failure = self.source.failure
        if failure is not None:
            raise failure

    def _files(self, folder: Path, clock: Clock) -> dict[str, str]:
        """Write what filters read, and return the paths that stand for it in graphs."""
        captions = self.request.captions
        if captions is None or not captions.cues:
            return {}
        from reelpress.captions.ass import ass_document
        from reelpress.captions.fonts import fonts_dir

        document = ass_document(
            captions, start_s=clock.start_s, end_s=clock.start_s + clock.duration_s, width=self.request.width,
            height=self.request.height,
        )  # fmt: skip
        path = folder / "captions.ass"
        path.write_text(document, encoding="utf-8")
        return {CAPTIONS: str(path), FONTS: str(fonts_dir())}

    def _record(self, decided: Encode, clock: Clock, framing: Framing) -> None:
        book, request, captions = self.book, self.request, self.request.captions
        shown = (clock.start_s, clock.start_s + clock.duration_s)
        given = captions.cues if captions is not None else ()
        cues = [cue for cue in given if cue.end_s > shown[0] and cue.start_s < shown[1]]
        told = [reason.text for reason in decided.reasons if reason.code in _TOLD]
        if given and not cues:
            told.append("None of the captions is on between its start and its end.")
        if cues:
            from reelpress.captions.fonts import not_seen

            told += not_seen("".join(cue.text for cue in cues), book.not_drawn)
        told += [
            f"The {gate.name.replace('_', ' ')} is {gate.measured}; {gate.expected} was wanted."
            for gate in book.gates if gate.name in TOLERABLE and gate.verdict == "failed"
        ]  # fmt: skip
        loudness = self.loudness or Loudness(integrated_lufs=None, true_peak_dbtp=None)
        book.clip = ClipRecord(
            name=request.name, start_s=clock.start_s, end_s=shown[1], width=request.width, height=request.height,
            fps=clock.fps, frames=clock.frames, framing=framing, caption_cues=len(cues),
            loudness_lufs=loudness.integrated_lufs, true_peak_dbtp=loudness.true_peak_dbtp,
            warnings=(*framing.warnings, *told),
        )  # fmt: skip
