"""Aims at a VMAF: makes the trials that :mod:`reelpress.plan.target` asks for, and remembers what they said."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from reelpress.facts.failure import Failure
from reelpress.facts.host import FfmpegFacts, HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Window
from reelpress.facts.values import Value
from reelpress.plan.crf_curve import Point, Scale, scale_of
from reelpress.plan.encoders import ENCODERS
from reelpress.plan.model import Attempt, Encode
from reelpress.plan.target import Found, Search, Step, Try, Unreachable, next_step
from reelpress.quality.choosing import choose_windows
from reelpress.quality.known import Known, known_points
from reelpress.quality.overview import take_overview
from reelpress.quality.sample_encode import TrialError, encode_sample
from reelpress.quality.samples import Sample, SampleError, cut_samples, refuse_small, usual_tail_s
from reelpress.quality.trial import encoder_options, score_trial, software_filters
from reelpress.quality.vmaf import NO_SCORER
from reelpress.run.gpu_access import GpuAccess
from reelpress.run.partial import free_bytes
from reelpress.run.process import CancelToken
from reelpress.run.temporary import temporary_folder
from reelpress.source.fingerprint import of_file

_FOLDER = "samples-"
# What samples may take of a disk that others write to, and of memory, where the folder for temporary files is kept
# there.
_SHARE = 4
_LEAST_SAMPLE_S = 1.0
_MB = 2**20


class Aim(Value, frozen=True, kw_only=True):
    """What a search for a VMAF came to.

    ``step`` is ``None`` where nothing could be measured, and ``why_not`` says why. ``encoder`` and ``device`` are what
    was tried. ``trials`` were made now, ``known`` points were remembered; ``seconds`` is the wall time, ``gpu_s``
    that with a slot of a GPU; samples cover ``sampled_s`` of the programme.
    """

    target: float
    encoder: str
    device: str
    step: Found | Unreachable | None
    trials: int = 0
    known: int = 0
    seconds: float = 0.0
    gpu_s: float = 0.0
    windows: tuple[Window, ...] = ()
    why_not: str | None = None

    @property
    def point(self) -> Point | None:
        """The setting to take and what it is predicted to come to."""
        if self.step is None:
            return None
        return self.step.point if isinstance(self.step, Found) else self.step.best

    @property
    def sampled_s(self) -> float:
        """Seconds of programme in the samples."""
        return sum(window.duration_s for window in self.windows)


# Returns the plan with this number on the scale of its first encoder, all else alike.
Replan = Callable[[float], Encode | None]
# Hears of each trial: its number from 1, the encoder, and what it came to.
OnTrial = Callable[[int, str, Point], None]


class Work(NamedTuple):
    """What a search works on and with; ``gpus`` ``None`` keeps it off them, ``on_trial`` hears of every trial."""

    source: Path
    facts: MediaFacts
    host: HostFacts
    target: float
    cache_dir: Path | None
    gpus: GpuAccess | None
    max_pixels: int
    cancel: CancelToken
    spend: Callable[[float], None]
    on_trial: OnTrial = lambda _number, _encoder, _point: None


def aim(work: Work, decided: Encode, attempt: Attempt, replan: Replan) -> Aim:
    """Search for the setting of one attempt of a plan. What cannot be measured is said in the answer.

    Raises :class:`Cancelled`, and :class:`OutputError` where there is no place for samples.
    """
    began = time.monotonic()
    nothing = Aim(target=work.target, encoder=attempt.encoder, device=attempt.device, step=None)
    build, filters = work.host.scorer, software_filters(decided)
    if build is None:
        return msgspec.structs.replace(nothing, why_not=NO_SCORER)
    if filters is None:
        return msgspec.structs.replace(nothing, why_not="no attempt prepares its pictures in software")
    try:
        search = _Trials(work, decided, attempt, replan, build, filters)
        with temporary_folder(_FOLDER) as folder:
            step = search.to_the_end(folder)
    except (SampleError, TrialError) as error:
        said = f"{error.what.rstrip('.')} ({error.evidence})" if error.evidence else error.what.rstrip(".")
        return msgspec.structs.replace(nothing, why_not=said, seconds=round(time.monotonic() - began, 3))
    return msgspec.structs.replace(
        nothing, step=step, trials=search.made, known=search.remembered, windows=search.windows,
        seconds=round(time.monotonic() - began, 3), gpu_s=round(search.gpu_s, 3),
    )  # fmt: skip


class _Trials:
    """The trials of one search."""

    def __init__(
        self, work: Work, decided: Encode, attempt: Attempt, replan: Replan, build: FfmpegFacts, filters: str
    ) -> None:
        self._work, self._decided, self._attempt, self._replan = work, decided, attempt, replan
        self._scorer, self._filters = build, filters
        self._scale: Scale = scale_of(next(row for row in ENCODERS if row.name == attempt.encoder))
        self._cache = known_points(work.cache_dir)
        self._key = self._name()
        self._samples: tuple[Sample, ...] = ()
        known = self._cache.find(self._key)
        self.windows = known.windows if known else ()
        self._points = list(known.points) if known and known.windows else []
        self.remembered, self.made, self.gpu_s = len(self._points), 0, 0.0

    def to_the_end(self, folder: Path) -> Found | Unreachable:
        while isinstance(step := self._next(), Try):
            point = self._try(step.crf, folder)
            self.made += 1
            self._points.append(point)
            self._cache.keep(self._key, Known(windows=self.windows, points=tuple(self._points)))
            self._work.on_trial(self.made, self._attempt.encoder, point)
        return step

    def _next(self) -> Step:
        limit = Search(target=self._work.target, scale=self._scale).most_trials
        search = Search(
            target=self._work.target, scale=self._scale, points=tuple(self._points),
            most_trials=limit + self.remembered,
        )  # fmt: skip
        return next_step(search)

    def _name(self) -> str:
        """Return the name of what these trials depend on: content, pictures, encoder with all but its quality."""
        work, attempt = self._work, self._attempt
        versions = {build.path: build.version for build in work.host.ffmpegs}
        gpus = sorted(f"{g.name} {g.driver_version}" for g in work.host.gpus if g.uuid in attempt.gpus)
        try:
            content = of_file(work.source, work.facts.size_bytes, work.cancel)
        except OSError as error:
            raise SampleError("The input could not be read.", evidence=str(error)) from error
        return self._cache.key(
            content, attempt.encoder, versions.get(attempt.ffmpeg), self._scorer.version,
            self._options(self._scale.worst), self._filters, gpus,
        )  # fmt: skip

    def _options(self, crf: float) -> tuple[str, ...]:
        decided = self._replan(crf)
        like = (self._attempt.encoder, self._attempt.rung, self._attempt.ffmpeg, self._attempt.encodes_all_audio)
        for each in decided.attempts if decided is not None else ():
            if (each.encoder, each.rung, each.ffmpeg, each.encodes_all_audio) == like:
                return encoder_options(each)
        raise TrialError(f"There is no such plan at {crf:g}.")

    def _try(self, crf: float, folder: Path) -> Point:
        work = self._work
        if not self._samples:
            self._samples = self._cut(folder)
        options = self._options(crf)
        with self._gpu() as env:
            encoded = [
                encode_sample(
                    sample, options, folder, ffmpeg=self._attempt.ffmpeg, env=env, cancel=work.cancel,
                    spend=work.spend,
                )
                for sample in self._samples
            ]  # fmt: skip
        if env is not None:
            self.gpu_s += sum(one.wall_s for one in encoded)
        trial = score_trial(
            encoded, scorer_ffmpeg=self._scorer.path, threads=work.host.cores, cancel=work.cancel, spend=work.spend
        )  # fmt: skip
        return Point(crf=crf, vmaf=trial.vmaf.mean, bytes_per_s=round(trial.bytes_per_s, 1))

    def _cut(self, folder: Path) -> tuple[Sample, ...]:
        work, track = self._work, self._work.facts.main_video
        duration_s = track.changes_until_s if track is not None else None
        if track is None or not track.duration_s or duration_s is None:
            raise SampleError("Nobody knows how long the programme is.")
        refuse_small(self._decided.expect)
        room = _room_bytes(folder, work.host)
        if not self.windows:
            expect, fps = self._decided.expect, float(track.fps_avg or 30)
            # no picture without loss is larger than its raw samples: 8 or 10 bits, colours halved both ways
            raw_bytes_per_s = expect.width * expect.height * (3.0 if "10" in (expect.pix_fmt or "") else 1.5) * fps
            most_s = room / raw_bytes_per_s / (1 + usual_tail_s(track) / 2)
            if most_s < _LEAST_SAMPLE_S:
                raise SampleError("There is no room for samples.", evidence=f"{room // _MB} MiB may be taken")
            overview = take_overview(
                self._attempt.ffmpeg, work.source, work.facts, max_pixels=work.max_pixels, cancel=work.cancel,
                spend=work.spend,
            )  # fmt: skip
            self.windows = choose_windows(overview, duration_s, most_s=most_s)
        return cut_samples(
            self._attempt.ffmpeg, work.source, work.facts, self.windows, folder, filters=self._filters,
            pix_fmt=self._decided.expect.pix_fmt or "yuv420p", max_pixels=work.max_pixels, most_bytes=room,
            cancel=work.cancel, spend=work.spend,
        )  # fmt: skip

    @contextlib.contextmanager
    def _gpu(self) -> Iterator[Mapping[str, str] | None]:
        """Hold a slot of a GPU while samples are encoded there; say which in the environment."""
        work = self._work
        if not self._attempt.gpus:
            yield None
            return
        if work.gpus is None:
            raise TrialError("No GPU may be used for trials.")
        entered = work.gpus.enter(self._attempt, (), waited_s=0.0, cancel=work.cancel)
        if isinstance(entered, Failure):
            raise TrialError("No GPU was free for trials.", evidence=entered.evidence)
        try:
            yield {"CUDA_VISIBLE_DEVICES": entered.gpu}
        finally:
            entered.release()


def _room_bytes(folder: Path, host: HostFacts) -> int:
    room = free_bytes(folder) // _SHARE
    return room if host.memory_mb is None else min(room, host.memory_mb * _MB // _SHARE)
