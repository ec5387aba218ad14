"""The parity gate: one file encoded by the product on the CPU and on a GPU, each measured, and one held to the other.

The GPU goes first and is required: without one nothing is encoded, and nothing passes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from reelpress.engine import compress_file
from reelpress.errors import Cancelled, ExitCode, InputError, ReelpressError
from reelpress.events import Event, OnEvent, Planned
from reelpress.facts.formats import QUIET, container_args, protocol_whitelist
from reelpress.facts.gate import GateWish
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.parity import Parity, ParitySide, judge, verdict_of
from reelpress.facts.quality import Comparison, Measuring, Window, spread_windows
from reelpress.facts.values import Value
from reelpress.plan.gate import setting_of
from reelpress.plan.model import Encode, Expectation
from reelpress.policy import RunPolicy
from reelpress.probe.media import probe
from reelpress.quality.measure import measure
from reelpress.receipt import Receipt
from reelpress.request import Hardware, Request
from reelpress.run.process import CancelToken, Limits, run
from reelpress.run.temporary import temporary_folder

# How many stretches of a longer file, and how long each is; it begins with the keyframe before.
STRETCHES, STRETCH_S = 3, 4.0
WHOLE_BELOW_S = 30.0


class _Made(Value, frozen=True, kw_only=True):
    """One piece, encoded on one device and scored."""

    path: Path
    facts: MediaFacts
    receipt: Receipt
    scored: Comparison


def check_parity(
    source: Path,
    *,
    host: HostFacts,
    request: Request,
    policy: RunPolicy = RunPolicy(),  # noqa: B008 - a frozen value
    whole: bool = False,
    on_event: OnEvent | None = None,
    cancel: CancelToken | None = None,
) -> Parity:
    """Encode a file on both devices with the product's own plans and return how they compare; this does not raise.

    Unless ``whole``, a longer file is encoded in three stretches of its video, cut out without encoding. Whatever is
    written lies in a temporary folder and is gone afterwards.
    """
    stop = cancel or CancelToken()
    try:
        return _Check(source, host, request, policy, on_event or (lambda _event: None), stop).run(whole=whole)
    except ReelpressError as error:
        return Parity(
            input=os.fspath(source), verdict="unmeasured", exit_code=int(error.exit_code), error=error.what,
            error_code=error.code, evidence=error.evidence, hint=error.hint,
        )  # fmt: skip


class _Check:
    """One file under way."""

    def __init__(
        self, source: Path, host: HostFacts, request: Request, policy: RunPolicy, emit: OnEvent, cancel: CancelToken
    ) -> None:
        self._source, self._host, self._policy, self._emit, self._cancel = source, host, policy, emit, cancel
        # nothing but the devices may differ, and neither may be passed over
        self._request = msgspec.structs.replace(request, always_encode=True, gate=GateWish())

    def run(self, *, whole: bool) -> Parity:
        self._stop_if_cancelled()
        facts = probe(self._source, cancel=self._cancel)
        if facts.main_video is None:
            raise InputError("There is no video to encode.", hint="Name a file that a player shows pictures of.")
        length_s = facts.duration_s or 0.0
        with temporary_folder("parity-") as folder:
            stretches = () if whole or length_s <= WHOLE_BELOW_S else spread_windows(length_s, STRETCHES, STRETCH_S)
            pieces = self._cut(facts, stretches, folder) if stretches else [self._source]
            gpu = [self._encode(piece, folder / f"gpu-{n}.mp4", "require") for n, piece in enumerate(pieces)]
            cpu = [self._encode(piece, folder / f"cpu-{n}.mp4", "off") for n, piece in enumerate(pieces)]
            between = [self._measured(c.path, c.facts, g.path, g.facts, None) for c, g in zip(cpu, gpu, strict=True)]
        sides = _side(cpu), _side(gpu)
        gates = judge(*sides)
        verdict = verdict_of(gates)
        bad = verdict in ("failed", "unmeasured")
        return Parity(
            input=os.fspath(self._source), verdict=verdict,
            exit_code=int(ExitCode.CHECK_NOT_MET if bad else ExitCode.DONE), gates=gates, cpu=sides[0], gpu=sides[1],
            between_vmaf=_mean(between), stretches=stretches,
        )  # fmt: skip

    def _cut(self, facts: MediaFacts, stretches: Sequence[Window], folder: Path) -> list[Path]:
        """Copy stretches of the video into files of their own, as they are."""
        track = facts.main_video
        assert track is not None  # noqa: S101 - asked before
        pieces = []
        for number, stretch in enumerate(stretches):
            path = folder / f"piece-{number}.mkv"
            at_s = (track.start_s or 0.0) + stretch.start_s
            command = (
                self._host.ffmpegs[0].path, *QUIET, "-y",
                "-protocol_whitelist", protocol_whitelist(), *container_args(facts.container),
                "-seek_timestamp", "1", "-ss", f"{at_s:.3f}", "-i", f"file:{self._source}",
                "-map", f"0:{track.index}", "-t", f"{stretch.duration_s:.3f}", "-c", "copy",
                "-avoid_negative_ts", "make_zero", "-map_chapters", "-1", "-f", "matroska", f"file:{path}",
            )  # fmt: skip
            done = run(command, limits=Limits(wall_s=600, stall_s=None), cancel=self._cancel)
            self._stop_if_cancelled()
            if done.returncode != 0:
                raise InputError(
                    "A stretch of the video could not be copied out of the file.", evidence=done.last_words(),
                    hint="Use --whole.",
                )  # fmt: skip
            pieces.append(path)
        return pieces

    def _encode(self, source: Path, target: Path, hardware: Hardware) -> _Made:
        expected: list[Expectation] = []

        def listen(event: Event) -> None:
            if isinstance(event, Planned) and isinstance(event.plan, Encode):
                expected.append(event.plan.expect)
            self._emit(event)

        request = msgspec.structs.replace(self._request, hardware=hardware)
        receipt = compress_file(
            source, target, host=self._host, request=request, policy=self._policy, on_event=listen, cancel=self._cancel
        )
        self._stop_if_cancelled()
        wanted = "nvidia" if hardware == "require" else "cpu"
        if receipt.status != "encoded" or not expected or receipt.device != wanted:
            raise _error_of(receipt, hardware)
        made = probe(target, cancel=self._cancel)
        facts = probe(source, cancel=self._cancel)
        scored = self._measured(source, facts, target, made, expected[-1].picture_filters)
        return _Made(path=target, facts=made, receipt=receipt, scored=scored)

    def _measured(
        self, reference: Path, facts: MediaFacts, output: Path, made: MediaFacts, prepare: str | None
    ) -> Comparison:
        how = Measuring(size="encoded", prepare=prepare, whole=True)
        return measure(reference, facts, output, made, how=how, host=self._host, cancel=self._cancel)

    def _stop_if_cancelled(self) -> None:
        if self._cancel.is_cancelled:
            raise Cancelled


def _error_of(receipt: Receipt, hardware: Hardware) -> ReelpressError:
    """Return why there is nothing to compare, with the exit code that a job would have had."""
    what = receipt.error or next((reason.text for reason in receipt.reasons), "The file was not encoded.")
    error = ReelpressError(what, evidence=receipt.evidence, hint=receipt.hint)
    error.code = receipt.error_code or "not_encoded"
    if error.code == "hardware_absent":
        error.hint = "See `reelpress doctor --hardware require`. The CPU cannot stand in here."
    code = ExitCode(receipt.exit_code)
    error.exit_code = code if code is not ExitCode.DONE else ExitCode.CHECK_NOT_MET
    if hardware == "require" and receipt.status == "encoded":
        error.what, error.code = "No GPU encoded it.", "hardware_absent"
        error.exit_code = ExitCode.HARDWARE_ABSENT
    return error


def _side(made: Sequence[_Made]) -> ParitySide:
    """Return what a device made of all pieces together."""
    last = made[-1].receipt
    attempt = last.attempts[-1]
    worst = [m.scored.vmaf.worst_second.score for m in made if m.scored.vmaf and m.scored.vmaf.worst_second]
    comparisons = [m.scored for m in made]
    return ParitySide(
        encoder=attempt.encoder, device=attempt.device, gpu=last.gpu, rung=attempt.rung,
        setting=setting_of(attempt.argv), size_bytes=sum(m.facts.size_bytes for m in made),
        wall_s=round(sum(m.receipt.attempts[-1].wall_s for m in made), 3),
        cpu_s=round(sum(m.receipt.attempts[-1].cpu_s for m in made), 3),
        vmaf=_mean(comparisons), worst_vmaf=min(worst, default=None), frames=sum(c.frames for c in comparisons),
        cause=next((c.cause for c in comparisons if c.cause is not None), None),
    )  # fmt: skip


def _mean(comparisons: Sequence[Comparison]) -> float | None:
    """Return the mean VMAF of all frames; ``None`` where some are not known."""
    scored = [(c.vmaf.mean, c.frames) for c in comparisons if c.vmaf is not None]
    frames = sum(count for _, count in scored)
    if len(scored) < len(comparisons) or not frames:
        return None
    return round(sum(score * count for score, count in scored) / frames, 4)
