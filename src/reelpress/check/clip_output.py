"""What is asked of a clip beyond its structure: pictures that are those of the source, and sound as loud as wished."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from reelpress.check.loudness import measure_loudness
from reelpress.check.pictures import SMALL
from reelpress.facts.loudness import Loudness
from reelpress.plan.model import ClipExpectation, PicturePlace, with_files
from reelpress.receipt import Gate, Verdict
from reelpress.run.process import CancelToken, Limits, run

LOUDNESS_TOLERANCE_LU = 1.0
# A limit for peaks before the encoder is met with this much to spare: AAC adds to them.
PEAK_TOLERANCE_DB = 1.0
_OURS = ("-protocol_whitelist", "file", "-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2")
_LIMITS = Limits(wall_s=300)
_PLANES = re.compile(r"psnr_y:([0-9.]+|inf) psnr_u:([0-9.]+|inf) psnr_v:([0-9.]+|inf)")


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

    ``files`` are what stands for the paths in graphs. The PSNR of two frames is that of their worst plane.
    """
    wanted = f"at least {least_db:.1f} dB at {len(places)} places"
    worst: tuple[float, float] | None = None
    for place in places:
        at_s = place.frame / fps
        best, cpu_s = _match(ffmpeg, source_url, output, place, fps, files, cancel)
        spend(cpu_s)
        if best is None:
            text = f"Frames at {at_s:.1f} s could not be compared."
            return Gate(name="pictures", verdict="unmeasured", expected=wanted, measured="unknown", text=text)
        worst = min(worst, (best, at_s)) if worst is not None else (best, at_s)
    if worst is None:
        return Gate(name="pictures", verdict="unmeasured", expected=wanted, measured="unknown", text="No places known.")
    verdict: Verdict = "passed" if worst[0] >= least_db else "failed"
    measured = f"{worst[0]:.1f} dB at {worst[1]:.1f} s"
    return Gate(name="pictures", verdict=verdict, expected=wanted, measured=measured, text="Compared in software.")


def _match(
    ffmpeg: str, source_url: str, output: Path, place: PicturePlace, fps: float, files: Mapping[str, str],
    cancel: CancelToken | None,
) -> tuple[float | None, float]:  # fmt: skip
    """Return the best PSNR in dB of the wanted frames with those delivered in their place, and the CPU seconds."""
    # half a frame early, so that rounding cannot leave out the frame that is meant
    at_s = max(0.0, (place.frame - 0.5) / fps)
    made = f"[v]{SMALL}[wanted];[1:v:0]{SMALL}[made];[wanted][made]psnr=shortest=1:stats_file=-[same]"
    graph = f"{with_files(place.graph, files)};{made}"
    done = run(
        (
            ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+error",
            *place.input_args, source_url, *_OURS, "-ss", f"{at_s:.6f}", "-i", f"file:{output}",
            "-filter_complex", graph, "-map", "[same]", "-f", "null", "-",
        ),
        limits=_LIMITS, cancel=cancel,
    )  # fmt: skip
    found = [min(map(float, planes)) for planes in _PLANES.findall(done.stdout.decode(errors="replace"))]
    return (max(found) if done.returncode == 0 and found else None), done.cpu_s


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
        ffmpeg, (*_OURS, "-i", f"file:{output}"), stream="0:a:0", wall_s=60 + duration_s, cancel=cancel, spend=spend
    )
    return measured, loudness_gates(clip, measured)


def loudness_gates(clip: ClipExpectation, measured: Loudness | None) -> tuple[Gate, ...]:
    """Compare what was measured on an output with what was asked for; no gates where the sound was left as it was."""
    if clip.loudness_lufs is None:
        return ()
    most = clip.true_peak_dbtp + PEAK_TOLERANCE_DB
    wanted = (f"{clip.loudness_lufs:.1f} ± {LOUDNESS_TOLERANCE_LU:g} LUFS", f"at most {most:g} dBTP")
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
