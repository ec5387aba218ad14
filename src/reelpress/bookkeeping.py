"""What a job notes down as it goes, and the receipt that comes of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from reelpress.errors import ExitCode, ReelpressError
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.prediction import Predicted
from reelpress.observe.prices import Tariff, no_price
from reelpress.plan.forecast import Forecast
from reelpress.plan.model import Attempt, Copy, Encode, Reason, StreamDecision
from reelpress.receipt import (
    AttemptRecord,
    ClipRecord,
    CostParts,
    FileRecord,
    Gate,
    LadderRecord,
    Quality,
    Receipt,
    Stage,
    Status,
)
from reelpress.run.process import CancelToken
from reelpress.version import VERSION

_CHUNK_BYTES = 2**20
_REJECT_CODES = {
    "input_unusable": ExitCode.INPUT_UNUSABLE,
    "hardware_absent": ExitCode.HARDWARE_ABSENT,
    "usage": ExitCode.USAGE,
}
StageName = Literal["probe", "gpu", "sample", "analyse", "encode", "copy", "check", "score", "publish"]


class Hashing:
    """SHA-256 of the source, computed beside the encode: it reads what the page cache holds anyway."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: threading.Thread | None = None
        self._digest: str | None = None

    def start(self, cancel: CancelToken) -> None:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, args=(cancel,), daemon=True, name="reelpress-sha256")
        self._thread.start()

    def result(self) -> str | None:
        """Wait for the digest; ``None`` when it was never started or could not be finished."""
        if self._thread is not None:
            self._thread.join()
        return self._digest

    def _run(self, cancel: CancelToken) -> None:
        with contextlib.suppress(OSError):
            self._digest = self.of(self._path, cancel)

    @staticmethod
    def of(path: Path, cancel: CancelToken | None = None) -> str | None:
        """Return a file's SHA-256 in hex, or ``None`` when cancelled midway. Raises ``OSError``."""
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                if cancel is not None and cancel.is_cancelled:
                    return None
                digest.update(chunk)
        return digest.hexdigest()


class Book:
    """The notes of one job."""

    def __init__(self, tariff: Tariff = Tariff(name="none", text="nothing is charged")) -> None:  # noqa: B008 - a frozen value
        self._started_at = datetime.now(UTC)
        self._start = time.monotonic()
        self._tariff = tariff
        self._cpu_s, self._gpu_s = [0.0], [0.0]
        self._cost = CostParts()
        self.stages: list[Stage] = []
        self.status: Status = "failed"
        self.exit_code = ExitCode.DONE
        self.error: ReelpressError | None = None
        self.reasons: tuple[Reason, ...] = ()
        self.streams: tuple[StreamDecision, ...] = ()
        self.attempts: tuple[AttemptRecord, ...] = ()
        self.gates: tuple[Gate, ...] = ()
        self.damage: tuple[str, ...] = ()
        self.not_drawn = frozenset[str]()  # letters of captions that no font has
        self.source: FileRecord | None = None
        self.source_sha256: str | None = None
        self.result: FileRecord | None = None
        self.delivered: Attempt | None = None
        self.gpu: str | None = None
        self.clip: ClipRecord | None = None
        self.quality: Quality | None = None  # where something was asked of it
        self.aimed: tuple[float, float] | None = None  # a VMAF, and what was predicted
        self.notes: tuple[str, ...] = ()  # warnings of its own
        self.predicted: Predicted | None = None
        self.sampled_bytes: int | None = None  # of the output, as samples for the plan had it
        self.ladder: LadderRecord | None = None

    def spend(self, cpu_s: float, *, gpu_s: float = 0.0) -> None:
        """Add CPU seconds of child processes, and seconds with a slot of a GPU, to the stage under way."""
        self._cpu_s[-1] += cpu_s
        self._gpu_s[-1] += gpu_s

    def foresee(self, forecast: Forecast, encoder: str) -> None:
        """Note what is likely to become of an encode, with its price, unless more is known already."""
        if self.predicted is None:
            wall, cpu_s = forecast.wall_s, forecast.cpu_s
            known = wall is not None and cpu_s is not None and wall.likely > 0
            usd = self._tariff.cost(wall_s=wall.likely, cpu_s=cpu_s).whole_usd if known and wall and cpu_s else None
            self.predicted = Predicted(
                basis=forecast.basis, outcome="encoded", encoder=encoder, size_bytes=forecast.size_bytes, wall_s=wall,
                usd=None if usd is None or wall is None else wall.times(usd / wall.likely),
            )  # fmt: skip

    @contextlib.contextmanager
    def stage(self, name: StageName) -> Iterator[None]:
        """Time a stage; stages may nest, and an outer one does not count the inner one's time again."""
        start, place = time.monotonic(), len(self.stages)
        self._cpu_s.append(0.0)
        self._gpu_s.append(0.0)
        try:
            yield
        finally:
            nested = sum(s.wall_s for s in self.stages[place:])
            cpu, gpu = self._cpu_s.pop(), self._gpu_s.pop()
            wall = time.monotonic() - start - nested
            cost = self._tariff.cost(wall_s=wall, cpu_s=cpu, gpu_s=gpu)
            self._cost += cost
            done = Stage(
                name=name, wall_s=round(wall, 3), cpu_s=round(cpu, 3), usd=round(cost.usd, 8), gpu_s=round(gpu, 3)
            )
            self.stages.insert(place, done)  # before what ran inside it: stages stand in the order they began

    def describe_source(self, path: Path, facts: MediaFacts) -> None:
        """Note what the input is."""
        self.source = describe(path, facts, None)
        self.damage = facts.damage

    def deliver(
        self,
        decided: Encode | Copy,
        attempt: Attempt,
        path: Path,
        facts: MediaFacts | None,
        sha256: str | None,
        *,
        gpu: str | None,
    ) -> None:
        """Note what was delivered."""
        self.status = "encoded" if isinstance(decided, Encode) else "copied"
        self.streams = decided.streams if not attempt.encodes_all_audio else _with_audio_encoded(decided.streams)
        self.delivered, self.gpu = attempt, gpu
        if facts is not None:
            self.result = describe(path, facts, sha256)
        if any(g.verdict in ("failed", "damaged_input") for g in self.gates):
            self.exit_code = ExitCode.CHECK_NOT_MET

    def refuse(self, gate: Gate | None) -> None:
        """Note a gate that is not met by what was decided on, if there is one."""
        if gate is not None:
            self.gates = (*self.gates, gate)
            self.exit_code = ExitCode.CHECK_NOT_MET

    def drop_output(self) -> None:
        """Forget the checks of an output that was not kept."""
        self.gates = ()

    def fail(self, status: Status, error: ReelpressError) -> None:
        """Note an error as the job's end."""
        self.status, self.error, self.exit_code = status, error, error.exit_code

    def reject(self, code: str, what: str, *, evidence: str | None, hint: str | None) -> None:
        """Note that the plan was to refuse."""
        error = ReelpressError(what, evidence=evidence, hint=hint)
        error.code, error.exit_code = code, _REJECT_CODES[code]
        self.fail("rejected", error)

    def receipt(self, job: str, named: str, host: HostFacts) -> Receipt:
        """Write the receipt."""
        error, source, result = self.error, self.source, self.result
        if source is not None and self.source_sha256 is not None:
            source = FileRecord(
                **{f: getattr(source, f) for f in source.__struct_fields__} | {"sha256": self.source_sha256}
            )
        saved = 1 - result.size_bytes / source.size_bytes if source and result and source.size_bytes else None
        cpu = sum(s.cpu_s for s in self.stages)
        warnings = [f"input damage: {text}" for text in dict.fromkeys(self.damage)]
        quality = _quality(self.status, self.quality, self.aimed)
        warnings += (*self.notes, *_below_target(quality))
        warnings += [f"{s.kind} stream {s.index} dropped: {s.reason}" for s in self.streams if s.action == "drop"]
        return Receipt(
            job=job, status=self.status, exit_code=int(self.exit_code),
            encoder=self.delivered.encoder if self.delivered else None,
            device=self.delivered.device if self.delivered else None, gpu=self.gpu,
            input=named, output=result.path if result else None,
            saved_share=None if saved is None else round(saved, 4),
            reasons=self.reasons, error=error.what if error else None, error_code=error.code if error else None,
            evidence=error.evidence if error else None, hint=error.hint if error else None,
            source=source, result=result, streams=self.streams, attempts=self.attempts, gates=self.gates,
            warnings=tuple(warnings), quality=quality,
            stages=tuple(self.stages), wall_s=round(time.monotonic() - self._start, 3), cpu_s=round(cpu, 3),
            usd=round(self._cost.usd, 8), usd_parts=self._cost.rounded(), usd_basis=self._basis(),
            started_at=self._started_at.isoformat(timespec="seconds"), reelpress_version=VERSION,
            host=f"{platform.system()} {platform.machine()}, {host.cores} cores",
            clip=self.clip, ladder=self.ladder, predicted=self.predicted,
        )  # fmt: skip

    def _basis(self) -> str:
        unpriced = self._cost.unpriced
        return f"{self._tariff.text}; {no_price(unpriced)}, which is left out" if unpriced else self._tariff.text


def _with_audio_encoded(streams: tuple[StreamDecision, ...]) -> tuple[StreamDecision, ...]:
    """Say of audio that was to be copied what was done with it instead."""
    return tuple(
        msgspec.structs.replace(s, action="encode", reason="Its packets do not decode cleanly: encoded to AAC.")
        if s.kind == "audio" and s.action == "copy" else s
        for s in streams
    )  # fmt: skip


def _quality(status: Status, seen: Quality | None, aimed: tuple[float, float] | None) -> Quality:
    if status == "copied":
        tries = seen.tries if seen is not None else ()
        return Quality(method="identical", score=None, text="The video's packets were not changed.", tries=tries)
    if seen is not None and aimed is not None and status == "encoded":
        target, predicted = aimed
        if seen.tries and not seen.tries[0].delivered:
            text = f"{seen.text} VMAF {target:g} was aimed at; a limit had it encoded again."
            return msgspec.structs.replace(seen, target=target, text=text)
        text = f"{seen.text} VMAF {target:g} was aimed at, {predicted:.2f} predicted."
        return msgspec.structs.replace(seen, target=target, predicted=predicted, text=text)
    if seen is not None:
        return seen
    return Quality(method="unmeasured", score=None, text="No visual score was asked for.")


def _below_target(quality: Quality) -> tuple[str, ...]:
    """Return a warning where a limit had the encode made again and took it below the VMAF that was aimed at."""
    if quality.target is None or quality.score is None or quality.predicted is not None:
        return ()
    # nothing that is needed without a target
    from reelpress.plan.target import TOLERANCE

    if quality.score >= quality.target - TOLERANCE:
        return ()
    return (f"VMAF {quality.target:g} was aimed at, and {quality.score:.2f} came of it: a limit had it encoded again.",)


def describe(path: Path, facts: MediaFacts, sha256: str | None) -> FileRecord:
    """Return a file's entry in the receipt."""
    track = facts.main_video
    video = None
    if track is not None:
        fps = f" {float(track.fps_avg):.5g} fps" if track.fps_avg else ""
        video = f"{track.codec} {track.display_width}x{track.display_height}{fps} {track.pix_fmt}"
    audio = tuple(
        f"{a.codec or 'unknown'} {a.channels or '?'} ch {a.sample_rate_hz or '?'} Hz"
        + (f" {a.bitrate_bps // 1000} kb/s" if a.bitrate_bps else "")
        for a in facts.audio
    )
    return FileRecord(
        path=os.fspath(path), size_bytes=facts.size_bytes, sha256=sha256, container=facts.container, video=video,
        audio=audio, subtitles=tuple(s.codec or "unknown" for s in facts.subtitles), duration_s=facts.duration_s,
        frames=track.frames if track else None,
    )  # fmt: skip
