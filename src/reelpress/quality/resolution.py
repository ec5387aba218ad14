"""``--resolution auto``: samples a source, tries sizes on the samples, and returns the request they settle."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import ContentFacts
from reelpress.facts.values import Value
from reelpress.plan import resolution as rules
from reelpress.plan.compress import plan
from reelpress.plan.content import keeps_size
from reelpress.plan.geometry import Size
from reelpress.plan.hull import Ask, Point, step
from reelpress.plan.model import Encode, Reason
from reelpress.quality.content import NEEDED_FILTERS, look_at_content
from reelpress.quality.sample_encode import TrialError
from reelpress.quality.samples import Sample, SampleError, cut_samples, refuse_small
from reelpress.quality.trial import encoder_options, software_filters, take_trial
from reelpress.quality.vmaf import NO_SCORER
from reelpress.request import Request
from reelpress.run.process import CancelToken
from reelpress.run.temporary import temporary_folder

MOST_BYTES = 2 * 10**9  # of all samples, which lie on the disk of temporary files
EVERY = 2  # every second frame is scored: the mean of some ninety frames moves by less than 0.1


class Settled(Value, frozen=True, kw_only=True):
    """The request to go on with, why, and all trials that were made for it."""

    request: Request
    reasons: tuple[Reason, ...]
    points: tuple[Point, ...] = ()
    content: ContentFacts | None = None


def settle_resolution(
    source: Path,
    facts: MediaFacts,
    host: HostFacts,
    request: Request,
    *,
    target: float | None = None,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> Settled:
    """Choose size and frame rate for one video by trials on the CPU, and return the request with them.

    ``target`` is a VMAF, ``None`` takes what the request's own CRF gives at the full size. Where nothing can be
    measured the request stays as it is, with the cause as its reason.
    """
    fixed = msgspec.structs.replace(request, resolution="fixed")
    build, track = host.scorer, facts.main_video
    decided = on_cpu(facts, host, fixed)
    if track is None or decided is None:
        return Settled(request=fixed, reasons=(_unmeasured("no encoder on the CPU to try sizes with"),))
    if build is None or not build.filters >= NEEDED_FILTERS:
        return Settled(request=fixed, reasons=(_unmeasured(f"{NO_SCORER} and the filters beside it"),))
    trials = Trials(source, facts, host, fixed, scorer=build.path, cancel=cancel, spend=spend)
    try:
        with temporary_folder("reelpress-sizes-", Path(tempfile.gettempdir())) as folder:
            samples = trials.cut(decided, folder)
            content = look_at_content(samples, ffmpeg=build.path, cancel=cancel, spend=spend)
            guard = keeps_size(content)
            if guard is not None:
                after = rules.with_rate(content, track, fixed)
                told = (guard, *rules.rate_reasons(content, fixed, after))
                return Settled(request=after, reasons=told, content=content)
            order, names = rules.order(track, fixed, target), rules.sizes(track, fixed)
            points: list[Point] = []
            while isinstance(found := step(points, order), Ask):
                points.append(trials.take(samples, found.lines, found.crf, names, folder))
    except (SampleError, TrialError) as error:
        return Settled(request=fixed, reasons=(_unmeasured(error.in_a_line),))
    after = rules.settled(found, content, track, fixed)
    told = rules.reasons(found, content, fixed, after, names)
    return Settled(request=after, reasons=told, points=tuple(points), content=content)


class Trials:
    """Trials of one source at several sizes, all scored at the full one; ``options`` are for every encode."""

    def __init__(
        self,
        source: Path,
        facts: MediaFacts,
        host: HostFacts,
        request: Request,
        *,
        scorer: str,
        options: tuple[str, ...] = (),
        cancel: CancelToken | None,
        spend: Callable[[float], None],
    ) -> None:
        self._options = options
        self._source, self._facts, self._host, self._request = source, facts, host, request
        self._scorer, self._cancel, self._spend = scorer, cancel, spend

    def cut(self, decided: Encode, folder: Path) -> tuple[Sample, ...]:
        """Keep stretches of the source, as an encoder of this plan would be given them. Raises :class:`SampleError`."""
        track, filters = self._facts.main_video, software_filters(decided)
        if track is None or filters is None:
            raise SampleError("There is no video to take samples of.")
        refuse_small(decided.expect)
        return cut_samples(
            decided.attempts[0].ffmpeg, self._source, self._facts, rules.windows(track.changes_until_s), folder,
            filters=filters, pix_fmt=decided.expect.pix_fmt or "yuv420p", max_pixels=self._request.max_pixels,
            most_bytes=MOST_BYTES, cancel=self._cancel, spend=self._spend,
        )  # fmt: skip

    def take(self, samples: Sequence[Sample], lines: int, crf: float, names: dict[int, Size], folder: Path) -> Point:
        """Make one trial. Raises :class:`TrialError`."""
        decided = on_cpu(self._facts, self._host, msgspec.structs.replace(self._request, crf=crf))
        if decided is None:
            raise TrialError("There is no encoder on the CPU.")
        attempt, size = decided.attempts[0], names[lines]
        scale = None if lines == next(iter(names)) else f"scale=w={size.width}:h={size.height}"
        trial = take_trial(
            samples, (*encoder_options(attempt), *self._options), folder, encoder_ffmpeg=attempt.ffmpeg,
            scorer_ffmpeg=self._scorer, scale=scale, every=EVERY, threads=self._host.cores, cancel=self._cancel,
            spend=self._spend,
        )  # fmt: skip
        worst = trial.vmaf.worst_second
        return Point(
            lines=lines, crf=crf, bytes_per_s=trial.bytes_per_s, vmaf=trial.vmaf.mean,
            worst=None if worst is None else worst.score,
        )  # fmt: skip


def on_cpu(facts: MediaFacts, host: HostFacts, request: Request) -> Encode | None:
    """Return the plan of an encode on the CPU that is made in any case, or ``None`` where there can be none."""
    decided = plan(facts, host, msgspec.structs.replace(request, hardware="off", always_encode=True))
    return decided if isinstance(decided, Encode) else None


def _unmeasured(cause: str) -> Reason:
    text = "Sizes could not be compared, so the video gets the size of its box."
    return Reason(code="resolution_unmeasured", text=text, fact=cause)


def survey(
    source: Path,
    facts: MediaFacts,
    host: HostFacts,
    request: Request,
    wanted: Sequence[tuple[int, float]],
    names: dict[int, Size],
    *,
    options: tuple[str, ...] = (),
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> tuple[Point, ...]:
    """Make all of these trials, each a shorter side and a CRF; ``options`` are for every encode.

    Raises :class:`SampleError` and :class:`TrialError`.
    """
    fixed = msgspec.structs.replace(request, resolution="fixed")
    build, decided = host.scorer, on_cpu(facts, host, fixed)
    if build is None or decided is None:
        raise TrialError("No FFmpeg here encodes and scores.", hint="Reinstall imageio-ffmpeg, whose FFmpeg does both.")
    trials = Trials(source, facts, host, fixed, scorer=build.path, options=options, cancel=cancel, spend=spend)
    with temporary_folder("reelpress-sizes-", Path(tempfile.gettempdir())) as folder:
        samples = trials.cut(decided, folder)
        return tuple(trials.take(samples, lines, crf, names, folder) for lines, crf in wanted)
