"""What is asked of a clip beyond its structure: pictures that are those of the source, and sound as loud as wished."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from reelpress.check.loudness import measure_loudness
from reelpress.check.pictures import SMALL, best_psnr, pictures_gate
from reelpress.facts.formats import OUR_MP4
from reelpress.facts.loudness import Loudness
from reelpress.plan.model import ClipExpectation, PicturePlace, with_files
from reelpress.receipt import Gate
from reelpress.run.process import CancelToken

LOUDNESS_TOLERANCE_LU = 1.0
# A limit for peaks before the encoder is met with this much to spare: AAC adds to them.
PEAK_TOLERANCE_DB = 1.0


def compare_clip(
    ffmpeg: str,
    source_url: str,
    output: Path,
    places: tuple[PicturePlace, ...],
    *,
    fps: float,
    files: Mapping[str, str],
    least_db: float,
    cancel: CancelToken | None,
    spend: Callable[[float], None],
) -> Gate:
    """Return the gate ``pictures``: frames of a clip against those that software makes of the source.

    ``files`` are what stands for the paths in graphs.
    """
    matches = ((place.frame / fps, *_match(ffmpeg, source_url, output, place, fps, files, cancel)) for place in places)
    return pictures_gate(matches, places=len(places), least_db=least_db, spend=spend)


def _match(
    ffmpeg: str, source_url: str, output: Path, place: PicturePlace, fps: float, files: Mapping[str, str],
    cancel: CancelToken | None,
) -> tuple[float | None, float]:  # fmt: skip
    """Return the best PSNR in dB of the wanted frames with those delivered in their place, and the CPU seconds."""
    # half a frame early, so that rounding cannot leave out the frame that is meant
    at_s = max(0.0, (place.frame - 0.5) / fps)
    inputs = (*place.input_args, source_url, *OUR_MP4, "-ss", f"{at_s:.6f}", "-i", f"file:{output}")
    graph = f"{with_files(place.graph, files)};[v]{SMALL}[wanted];[1:v:0]{SMALL}[made]"
    return best_psnr(ffmpeg, inputs, graph, wall_s=300, cancel=cancel)


def check_loudness(
    ffmpeg: str,
    output: Path,
    clip: ClipExpectation,
    duration_s: float,
    *,
    cancel: CancelToken | None,
    spend: Callable[[float], None],
) -> tuple[Loudness | None, tuple[Gate, ...]]:
    """Measure an output's loudness; return it and the gates ``loudness`` and ``true_peak``."""
    measured = measure_loudness(
        ffmpeg, (*OUR_MP4, "-i", f"file:{output}"), stream="0:a:0", wall_s=60 + duration_s, cancel=cancel, spend=spend
    )
    return measured, loudness_gates(clip, measured)


def loudness_gates(clip: ClipExpectation, measured: Loudness | None) -> tuple[Gate, ...]:
    """Compare what was measured on an output with what was asked for; no gates where the sound was left as it was.

    Where it was not, the source was heard: an output without a sound in it has lost it.
    """
    if clip.loudness_lufs is None:
        return ()
    most = clip.true_peak_dbtp + PEAK_TOLERANCE_DB
    wanted = (f"{clip.loudness_lufs:.1f} ± {LOUDNESS_TOLERANCE_LU:g} LUFS", f"at most {most:g} dBTP")
    if measured is not None and measured.integrated_lufs is None:
        text = "The source can be heard, and the output cannot."
        return tuple(
            Gate(name=name, verdict="failed", expected=expected, measured="silence", text=text)
            for name, expected in (("audio_heard", "a sound"), ("loudness", wanted[0]))
        )
    if measured is None or measured.integrated_lufs is None or measured.true_peak_dbtp is None:
        text = "The output's loudness could not be measured."
        return tuple(
            Gate(name=name, verdict="unmeasured", expected=expected, measured="unknown", text=text)
            for name, expected in zip(("loudness", "true_peak"), wanted, strict=True)
        )
    near = abs(measured.integrated_lufs - clip.loudness_lufs) <= LOUDNESS_TOLERANCE_LU
    below = measured.true_peak_dbtp <= most
    text = "Measured on the output."
    return (
        Gate(name="loudness", verdict="passed" if near else "failed", expected=wanted[0],
             measured=f"{measured.integrated_lufs:.1f} LUFS", text=text),
        Gate(name="true_peak", verdict="passed" if below else "failed", expected=wanted[1],
             measured=f"{measured.true_peak_dbtp:.1f} dBTP", text=text),
    )  # fmt: skip
