"""Measures an encode against its reference: looks at both, puts them on one clock, proves itself, and scores.

What is in doubt about the measuring makes the answer ``unmeasured``; what is wrong with the encode is measured, and
told as findings.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from reelpress.errors import UsageError
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.quality import ComparedFile, Comparison, Finding, Measuring, Viewing
from reelpress.quality.comparing import compare_pictures
from reelpress.quality.graph import Side
from reelpress.quality.looking import MeasuringError, Runner
from reelpress.quality.views import Refused, decide_view
from reelpress.quality.vmaf import MODELS, NO_SCORER_TOLD
from reelpress.quality.work import Work
from reelpress.run.process import CancelToken
from reelpress.run.temporary import temporary_folder

DEFAULT = Measuring()


def measure(
    reference: Path,
    reference_facts: MediaFacts,
    encoded: Path,
    encoded_facts: MediaFacts,
    *,
    how: Measuring = DEFAULT,
    host: HostFacts,
    scratch: Path | None = None,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None] = lambda _cpu_s: None,
) -> Comparison:
    """Compare an encode with what it was made of.

    Only FFmpeg builds with libvmaf can; without one the answer is ``unmeasured``, as it is where the measuring does
    not stand its own test. ``scratch`` is where small pictures go for a while, by default
    with all temporary files: 3.5 kB a frame of either file. ``spend`` is
    told CPU seconds. Raises :class:`Cancelled`, and :class:`UsageError` where NumPy is not installed.
    """
    started = time.monotonic()
    tracks = reference_facts.main_video, encoded_facts.main_video
    about = _About(reference, reference_facts, encoded, encoded_facts, how)
    if tracks[0] is None or tracks[1] is None:
        who = "reference" if tracks[0] is None else "encode"
        missing = Finding(code="no_video", text="There is no video in it that can be decoded.")
        findings = (missing,) if tracks[0] is not None else ()
        return about.unmeasured("no_video", f"The {who} has no video that can be decoded.", findings)
    scorer = host.scorer
    if scorer is None:
        return about.unmeasured("no_libvmaf", NO_SCORER_TOLD)
    view = decide_view(tracks[0], tracks[1], how, has_zscale="zscale" in scorer.filters)
    if isinstance(view, Refused):
        wrong = (Finding(code="dynamic_range", text=view.text),) if view.code == "sdr_to_hdr" else ()
        return about.unmeasured(view.code, view.text, wrong)
    _need_numpy()
    runner = Runner(cancel, spend)
    base = Comparison(
        verdict="unmeasured", reference=about.files[0], encoded=about.files[1], how=how, ffmpeg=scorer.version,
        viewing=view.viewing, model=model_name(view.viewing), width=view.width, height=view.height,
        pix_fmt=view.pix_fmt, mapped=view.mapped,
    )  # fmt: skip
    with temporary_folder("reelpress-measure-", scratch or Path(tempfile.gettempdir())) as folder:
        work = Work(
            ffmpeg=scorer.path, runner=runner, folder=folder, how=how, view=view, threads=how.threads or host.cores,
            encoded=Side(path=str(encoded), facts=encoded_facts, track=tracks[1], filters=""),
            reference=Side(path=str(reference), facts=reference_facts, track=tracks[0], filters=""),
        )  # fmt: skip
        try:
            answer = compare_pictures(work, base)
        except MeasuringError as error:
            text = error.what if error.evidence is None else f"{error.what} ({error.evidence})"
            answer = msgspec.structs.replace(
                base, cause_code=error.reason, cause=text, findings=tuple(work.findings), self_test=work.self_test
            )
    return msgspec.structs.replace(answer, cpu_s=round(runner.cpu_s, 2), wall_s=round(time.monotonic() - started, 2))


def model_name(viewing: Viewing) -> str:
    """Return libvmaf's name of the model for a viewing, with what is done to its scores."""
    model = MODELS[viewing].split(":")[0].removeprefix("version=")
    return f"{model} (phone)" if viewing == "phone" else model


def compared_file(path: Path, facts: MediaFacts, track: VideoTrack | None) -> ComparedFile:
    """Return what a report says of a file."""
    return ComparedFile(
        path=str(path), size_bytes=facts.size_bytes, codec=track.codec if track else "",
        pix_fmt=track.pix_fmt if track else None,
        width=track.display_width if track else 0, height=track.display_height if track else 0,
        fps=float(track.fps_avg) if track and track.fps_avg else None, frames=track.frames if track else None,
        duration_s=facts.duration_s, bitrate_bps=track.bitrate_bps if track else None,
    )  # fmt: skip


class _About:
    def __init__(
        self, reference: Path, reference_facts: MediaFacts, encoded: Path, encoded_facts: MediaFacts, how: Measuring
    ) -> None:
        self.files = (
            compared_file(reference, reference_facts, reference_facts.main_video),
            compared_file(encoded, encoded_facts, encoded_facts.main_video),
        )
        self.how = how

    def unmeasured(self, code: str, cause: str, findings: tuple[Finding, ...] = ()) -> Comparison:
        return Comparison(
            verdict="unmeasured", reference=self.files[0], encoded=self.files[1], how=self.how, cause=cause,
            cause_code=code, findings=findings,
        )  # fmt: skip


def _need_numpy() -> None:
    try:
        import numpy as np  # noqa: F401 - whether it is there
    except ImportError as error:
        raise UsageError(
            "Comparing needs NumPy, which is not installed.", evidence=str(error),
            hint="pip install 'reelpress[quality]'",
        ) from error  # fmt: skip
