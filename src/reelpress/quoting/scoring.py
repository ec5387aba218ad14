"""The VMAF that an encode is likely to have, from a few short stretches encoded and scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import stdev

from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.prediction import Interval
from reelpress.plan.model import Attempt, Encode
from reelpress.quality.sample_encode import TrialError
from reelpress.quality.samples import Sample, SampleError, cut_samples, refuse_small
from reelpress.quality.trial import encoder_options, software_filters, take_trial
from reelpress.quality.vmaf import NO_SCORER
from reelpress.quoting.prediction import Errors, t80
from reelpress.quoting.stretches import scored_windows
from reelpress.run.process import CancelToken

# About as many frames as are scored of an encode: scoring takes longer than encoding them.
_FRAMES = 90


class Scorer:
    """Scores encodes of one source; what it is compared with is kept in ``folder`` and made once for each filter."""

    def __init__(
        self,
        source: Path,
        facts: MediaFacts,
        folder: Path,
        host: HostFacts,
        *,
        cancel: CancelToken,
        spend: Callable[[float], None],
    ) -> None:
        self._source, self._facts, self._folder, self._host = source, facts, folder, host
        self._cancel, self._spend = cancel, spend
        self._kept: dict[tuple[str, str, bool], tuple[Sample, ...] | SampleError] = {}

    def score(
        self, decided: Encode, attempt: Attempt, errors: Errors, *, head_only: bool
    ) -> tuple[Interval | None, str | None]:
        """Return the mean VMAF that an attempt's encode is likely to have, or why that cannot be said."""
        build = self._host.scorer
        if build is None:
            return None, NO_SCORER
        filters = software_filters(decided) or decided.expect.picture_filters
        try:
            refuse_small(decided.expect)
            samples = self._samples(attempt.ffmpeg, filters or "null", decided.expect.pix_fmt or "yuv420p", head_only)
            frames = sum(s.frames for s in samples)
            made = take_trial(
                samples, encoder_options(attempt), self._folder, encoder_ffmpeg=attempt.ffmpeg,
                scorer_ffmpeg=build.path, every=max(1, frames // _FRAMES), threads=self._host.cores,
                env={"CUDA_VISIBLE_DEVICES": attempt.gpus[0]} if attempt.gpus else None,
                cancel=self._cancel, spend=self._spend,
            )  # fmt: skip
        except (SampleError, TrialError) as error:
            return None, error.in_a_line.removesuffix(".")
        means = [part.vmaf for part in made.parts]
        off = errors.vmaf
        if len(means) > 1:
            off = math.hypot(off, t80(len(means)) * stdev(means) / math.sqrt(len(means)))
        mean = made.vmaf.mean
        return Interval(low=max(0.0, mean - off), likely=mean, high=min(100.0, mean + off)), None

    def _samples(self, ffmpeg: str, filters: str, pix_fmt: str, head_only: bool) -> Sequence[Sample]:
        """Return what encodes are compared with; what cannot be cut for one offer cannot for the next."""
        key = filters, pix_fmt, head_only
        if key not in self._kept:
            self._kept[key] = self._cut(ffmpeg, filters, pix_fmt, head_only)
        kept = self._kept[key]
        if isinstance(kept, SampleError):
            raise kept
        return kept

    def _cut(self, ffmpeg: str, filters: str, pix_fmt: str, head_only: bool) -> tuple[Sample, ...] | SampleError:
        track = self._facts.main_video
        windows = scored_windows(track.changes_until_s if track is not None else None, head_only=head_only)
        folder = self._folder / f"kept-{len(self._kept)}"
        folder.mkdir()
        try:
            return cut_samples(
                ffmpeg, self._source, self._facts, windows, folder, filters=filters, pix_fmt=pix_fmt,
                cancel=self._cancel, spend=self._spend,
            )  # fmt: skip
        except SampleError as error:
            return error
