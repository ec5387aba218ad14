"""One offer of a quote: a plan, rehearsed as far as is worth it, and what follows from that."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from statistics import median

import msgspec

from reelpress.engine import compress_file
from reelpress.errors import Cancelled
from reelpress.facts.formats import container_args, protocol_whitelist
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.prediction import OUTCOMES, Interval, Predicted, around
from reelpress.look import Look
from reelpress.plan.forecast import forecast
from reelpress.plan.model import Attempt, Copy, Encode, Plan, Reason, Reject, Skip
from reelpress.policy import RunPolicy
from reelpress.quality.framecrc import Packet, packets_of
from reelpress.quoting.model import Offer
from reelpress.quoting.prediction import Errors, ErrorTable, size_of, speed_of, wall_of
from reelpress.quoting.rehearsal import RehearsalError, Rehearsed, rehearse
from reelpress.quoting.scoring import Scorer
from reelpress.quoting.stretches import Order, order_of
from reelpress.quoting.weighing import priced, weighed, with_saving
from reelpress.quoting.wording import failed, saving_text, settings_of, that_ran, why_not
from reelpress.request import Codec, Request
from reelpress.run.process import CancelToken

# Reading every packet of a larger file takes longer than what it tells is worth.
_READ_UP_TO_BYTES = 4_000_000_000
# Disks and hashes: an output is written, read and hashed, a source read and hashed beside its encode.
_PUBLISHED_BYTES_PER_S = 300e6
# A job of less than a second takes a tenth more or less each time: the median of so many is told.
_SHORT_S, _TIMES = 1.0, 3
_MOVED_UP_TO_BYTES = 50_000_000  # an input of so many bytes is remuxed to see what that takes
# What a remux takes beside its bytes, and for each of its pictures: 6 files of 250 to 10,900 frames, two cores.
_REMUX_S, _REMUX_S_PER_FRAME = 0.18, 3e-5


def unavailable(codec: Codec, why: str) -> Offer:
    """Return the offer of a GPU that there is not."""
    return Offer(codec=codec, device="nvidia", outcome="unavailable", worth="no", why=f"No GPU: {why}.")


class Offering:
    """Makes the offers of one codec for one input; what they share is done once.

    ``probe_s`` is what looking at the input takes of a job: nothing where it is handed a ``look``.
    """

    def __init__(
        self,
        source: Path,
        facts: MediaFacts,
        folder: Path,
        policy: RunPolicy,
        *,
        quick: bool,
        budget_s: float,
        errors: ErrorTable,
        probe_s: float,
        look: Future[Look] | None,
        scorer: Scorer,
        cancel: CancelToken,
        spend: Callable[[float], None],
    ) -> None:
        self._source, self._facts, self._folder, self._policy = source, facts, folder, policy
        self._quick, self._budget_s, self._errors, self._probe_s = quick, budget_s, errors, probe_s
        self._look, self._scorer, self._cancel, self._spend = look, scorer, cancel, spend
        self._packets: list[Packet] | None = None

    def make(self, decided: Plan, host: HostFacts, request: Request, *, planned_s: float) -> Offer:
        """Return what a job by this plan comes to; ``planned_s`` is what its samples took."""
        if not isinstance(decided, Encode):
            return self._not_encoded(decided, host, request, planned_s)
        first = decided.attempts[0]
        offer = Offer(
            codec=request.codec, device=first.device, outcome="encoded", worth="yes", why="", encoder=first.encoder,
            settings=settings_of(decided, first), reasons=decided.reasons,
        )  # fmt: skip
        track = self._facts.main_video
        assert track is not None  # noqa: S101 - what is to be encoded has one
        order = order_of(decided, track)
        if self._quick or track.duration_s is None or not (order.whole or track.fps_avg):
            return self._by_facts(offer, decided, host, planned_s)
        if order.whole:
            return self._whole(offer, decided, host, request)
        try:
            return self._by_stretches(offer, decided, order, host, planned_s)
        except RehearsalError as error:
            if decided.attempts[0].gpus:
                return failed(offer, error.what, error.evidence)
            # the job goes on where a stretch cannot: over holes, and over ends that come before the header's
            rough = self._by_facts(offer, decided, host, planned_s)
            unsampled = Reason(
                code="not_sampled", text=f"No stretch of it tells more: {error.what}", fact=error.evidence
            )
            return msgspec.structs.replace(rough, reasons=(*rough.reasons, unsampled))

    def _not_encoded(self, decided: Copy | Skip | Reject, host: HostFacts, request: Request, planned_s: float) -> Offer:
        reasons = decided.reasons
        text = reasons[0].text if reasons else ""
        offer = Offer(codec=request.codec, device="cpu", outcome="rejected", worth="no", why=text, reasons=reasons)
        if isinstance(decided, Reject):
            return msgspec.structs.replace(offer, device="cpu" if request.hardware == "off" else "nvidia")
        size = self._facts.size_bytes
        wall = self._probe_s + planned_s
        if isinstance(decided, Skip):
            predicted = Predicted(
                basis="facts", outcome="skipped", encoder=None, wall_s=around(wall, self._errors.facts.wall)
            )
            return msgspec.structs.replace(offer, outcome="skipped", predicted=predicted)
        if not self._quick and size <= _MOVED_UP_TO_BYTES:
            return self._whole(offer, decided, host, request)
        track = self._facts.main_video
        frames = (track.frames if track is not None else None) or 0
        wall += _REMUX_S + _REMUX_S_PER_FRAME * frames + 2 * size / _PUBLISHED_BYTES_PER_S
        predicted = Predicted(
            basis="facts", outcome="copied", encoder="copy", wall_s=around(wall, self._errors.facts.wall),
            size_bytes=around(size, 0.02), vmaf=Interval(low=100, likely=100, high=100),
        )  # fmt: skip
        offer = with_saving(msgspec.structs.replace(offer, outcome="copied", encoder="copy", predicted=predicted), size)
        return priced(offer, self._policy.tariff(host), wall_s=wall, cpu_s=wall, gpu_s=0.0)

    def _by_facts(self, offer: Offer, decided: Encode, host: HostFacts, planned_s: float) -> Offer:
        said = forecast(self._facts, decided, host.cores)
        predicted = Predicted(
            basis="facts", outcome="encoded", encoder=offer.encoder, size_bytes=said.size_bytes, wall_s=said.wall_s
        )
        offer = self._weighed(msgspec.structs.replace(offer, predicted=predicted), decided, planned_s)
        if said.wall_s is None or said.cpu_s is None:
            return offer
        return priced(offer, self._policy.tariff(host), wall_s=said.wall_s.likely, cpu_s=said.cpu_s, gpu_s=0.0)

    def _whole(self, offer: Offer, decided: Encode | Copy, host: HostFacts, request: Request) -> Offer:
        """Do the job once, on scratch, and tell what it came to."""
        target = self._folder / "rehearsed.mp4"
        wanted = request if request.hardware == "off" else msgspec.structs.replace(request, hardware="require")
        walls: list[float] = []
        while True:
            receipt = compress_file(
                self._source, target, host=host, request=wanted, policy=self._policy, overwrite=True,
                cancel=self._cancel, look=self._look,
            )  # fmt: skip
            target.unlink(missing_ok=True)
            self._spend(receipt.cpu_s)
            walls.append(receipt.wall_s)
            if receipt.status not in OUTCOMES or walls[0] >= _SHORT_S or len(walls) == _TIMES:
                break
        if receipt.status == "cancelled":
            raise Cancelled("Stopped while the job was rehearsed.")
        if receipt.status not in ("encoded", "copied", "skipped"):
            return failed(offer, receipt.error or "The rehearsal came to nothing.", receipt.evidence)
        errors = self._errors.rehearsed
        usd = receipt.usd_parts.whole_usd
        predicted = Predicted(
            basis="rehearsed", outcome=receipt.status, encoder=receipt.encoder,
            size_bytes=around(receipt.result.size_bytes, errors.size) if receipt.result is not None else None,
            wall_s=around(median(walls), errors.wall), usd=None if usd is None else around(usd, errors.wall),
            vmaf=Interval(low=100, likely=100, high=100) if receipt.status == "copied" else None,
        )  # fmt: skip
        offer = msgspec.structs.replace(
            offer, outcome=receipt.status, encoder=receipt.encoder, predicted=predicted, reasons=receipt.reasons
        )
        offer = with_saving(offer, self._facts.size_bytes)
        if receipt.status == "encoded" and isinstance(decided, Encode):
            return self._scored(offer, decided, that_ran(decided, receipt), errors)
        return msgspec.structs.replace(offer, worth="no", why=why_not(receipt))

    def _by_stretches(self, offer: Offer, decided: Encode, order: Order, host: HostFacts, planned_s: float) -> Offer:
        attempts = [a for a in decided.attempts if bool(a.gpus) == bool(decided.attempts[0].gpus)]
        done = rehearse(
            decided, attempts, order, self._source, self._facts, self._folder, host=host, policy=self._policy,
            until=time.monotonic() + self._budget_s, cancel=self._cancel, spend=self._spend,
        )  # fmt: skip
        errors = self._errors.sampled
        size, wall, cpu_s, gpu_s = self._whole_of(done, decided, order, errors, planned_s)
        predicted = Predicted(
            basis="sampled", outcome="encoded", encoder=done.attempt.encoder, size_bytes=size, wall_s=wall
        )
        offer = msgspec.structs.replace(offer, predicted=predicted, encoder=done.attempt.encoder)
        offer = self._weighed(offer, decided, planned_s)
        offer = priced(offer, self._policy.tariff(host), wall_s=wall.likely, cpu_s=cpu_s, gpu_s=gpu_s)
        return self._scored(offer, decided, done.attempt, errors, head_only=order.head_only)

    def _whole_of(
        self, done: Rehearsed, decided: Encode, order: Order, errors: Errors, planned_s: float
    ) -> tuple[Interval, Interval, float, float]:
        """Return bytes and seconds of the whole from its stretches, and seconds of the CPU and the GPU."""
        track, expect = self._facts.main_video, decided.expect
        assert track is not None  # noqa: S101
        duration = track.duration_s or 0.0
        fps = float(track.fps_avg or 30)
        if expect.frames is None or expect.frames_every != 1:  # frames are dropped: as fast as in the stretches
            fps = min(fps, sum(len(s.video) for s in done.stretches) / sum(s.duration_s for s in done.stretches))
        frames = expect.frames
        if frames is None:
            frames = round(duration * fps)
            frames = frames if expect.frames_at_most is None else min(frames, expect.frames_at_most)
        copied = {s.index for s in decided.streams if s.kind == "audio" and s.action == "copy"}
        kept = {s.index for s in decided.streams if s.kind == "audio" and s.action != "drop"}
        is_copied = copied == kept and not done.attempt.encodes_all_audio
        known = [a.size_bytes for a in self._facts.audio if a.index in copied]
        copied_bytes = sum(size or 0 for size in known) if is_copied and None not in known else 0
        stretches = done.stretches
        if copied_bytes:  # every packet of it is known: stretches would only guess
            stretches = tuple(msgspec.structs.replace(s, audio_bytes=0) for s in stretches)
        size = size_of(
            stretches, encoder=done.attempt.encoder, fps=fps, duration_s=duration, frames=frames,
            source=self._source_packets(done.attempt), copied_audio_bytes=copied_bytes, errors=errors,
            head_only=order.head_only,
        )  # fmt: skip
        speed = speed_of(stretches, done.start_s)
        around_s = self._probe_s + planned_s + done.check_s + size.likely / _PUBLISHED_BYTES_PER_S
        wall = wall_of(speed, frames, around_s=around_s, errors=errors)
        gpu_s = speed.start_s + speed.per_frame_s * frames if done.gpu else 0.0
        return size, wall, around_s + speed.cpu_per_frame_s * frames, gpu_s

    def _source_packets(self, attempt: Attempt) -> list[Packet]:
        """Return the packets of the source's video with times of the programme, read once."""
        facts, track = self._facts, self._facts.main_video
        if self._packets is None and track is not None and facts.size_bytes <= _READ_UP_TO_BYTES:
            allowed = ("-protocol_whitelist", protocol_whitelist(), *container_args(facts.container))
            found = packets_of(
                attempt.ffmpeg, self._source, allowed, (f"0:{track.index}",), cancel=self._cancel, spend=self._spend
            )
            late_s = (track.start_s or 0.0) - (facts.start_s or 0.0)
            self._packets = [msgspec.structs.replace(p, at_s=p.at_s - late_s) for p in found.get(0, [])]
        return self._packets or []

    def _weighed(self, offer: Offer, decided: Encode, planned_s: float) -> Offer:
        return weighed(offer, decided, self._facts.size_bytes, beside_s=self._probe_s + planned_s)

    def _scored(
        self, offer: Offer, decided: Encode, attempt: Attempt, errors: Errors, *, head_only: bool = False
    ) -> Offer:
        if offer.predicted is None or offer.predicted.outcome != "encoded":
            return offer
        vmaf, unsaid = self._scorer.score(decided, attempt, errors, head_only=head_only)
        scored = msgspec.structs.replace(offer.predicted, vmaf=vmaf)
        if unsaid is not None:
            unmeasured = Reason(code="vmaf_unmeasured", text=f"No VMAF is predicted: {unsaid}.", fact=None)
            offer = msgspec.structs.replace(offer, reasons=(*offer.reasons, unmeasured))
        return msgspec.structs.replace(offer, why=offer.why or saving_text(offer), predicted=scored)
