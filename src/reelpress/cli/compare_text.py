"""How a comparison looks on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reelpress.cli.render import human_bytes, human_time
from reelpress.facts.quality import ComparedFile, Comparison, Pooled

_SCREENS = {"phone": "on a phone", "1080p": "on a screen of 1080 lines", "4k": "on a screen of 2160 lines"}

Rows = list[tuple[str, str]]


def verdict(found: Comparison, missed: Sequence[str]) -> tuple[str, str]:
    """Return the line that says how it ended, and its colour."""
    name = Path(found.encoded.path).name
    if found.vmaf is None:
        return f"unmeasured: {name}", "yellow"
    score = f"VMAF {found.vmaf.mean:.2f}"
    worst = found.vmaf.worst_second
    if worst is not None:
        score += f", worst second {worst.score:.2f} at {human_time(worst.at_s)}"
    if found.damage:
        kinds = dict.fromkeys(f.code for f in found.damage)
        return f"damaged: {name}, {score} ({', '.join(kinds)})", "red"
    if missed:
        return f"missed: {name}, {score}", "red"
    return f"measured: {name}, {score}", "green"


def comparison_rows(found: Comparison, missed: Sequence[str]) -> Rows:
    """Return everything below the verdict."""
    rows: Rows = [("", text) for text in missed]
    if found.cause is not None:
        rows.append(("cause", found.cause))
    for label, severity in (("damage", "damage"), ("note", "note")):
        told = [
            f"{f.text} ({f.code}{': ' + f.evidence if f.evidence else ''})"
            for f in found.findings
            if f.severity == severity
        ]
        rows += [(label if n == 0 else "", text) for n, text in enumerate(told)]
    rows += [("reference", _file(found.reference)), ("encode", _file(found.encoded) + _share(found))]
    rows += _score_rows(found)
    rows += _how_rows(found)
    return rows


def _score_rows(found: Comparison) -> Rows:
    if found.vmaf is None or found.psnr_y_db is None:
        return []
    rows = [("", f"{'mean':>8}{'harmonic':>10}{'5 %':>8}{'1 %':>8}{'worst':>8}")]
    named = (
        ("VMAF", found.vmaf), ("PSNR luma", found.psnr_y_db), ("PSNR Cb", found.psnr_cb_db),
        ("PSNR Cr", found.psnr_cr_db), ("SSIM x100", found.ssim), ("XPSNR", found.xpsnr_db),
    )  # fmt: skip
    return [*rows, *((label, _pooled(value)) for label, value in named if value is not None)]


def _pooled(value: Pooled) -> str:
    return f"{value.mean:>8.2f}{value.harmonic_mean:>10.2f}{value.p5:>8.2f}{value.p1:>8.2f}{value.min:>8.2f}"


def _how_rows(found: Comparison) -> Rows:
    rows: Rows = []
    if found.model is not None and found.viewing is not None:
        text = f"{found.model}, as seen {_SCREENS[found.viewing]}, at {found.width}x{found.height} {found.pix_fmt}"
        rows.append(("model", text))
    if found.vmaf is not None:
        every = f", every {found.how.every}th" if found.how.every > 1 else ""
        seconds = f"{found.scored_s:.1f} of {found.programme_s or found.scored_s:.1f} s"
        places = "" if len(found.windows) == 1 else f" at {len(found.windows)} places (--whole scores all)"
        rows.append(("scored", f"{found.frames} frames{every}, {seconds}{places}"))
        rows.append(("looked at", f"{found.looked_frames} frames of the encode, in search of damage"))
        rows.append(("on time", _on_time(found)))
    rows += [("mapped" if n == 0 else "", text) for n, text in enumerate(found.mapped)]
    test = found.self_test
    if test is not None and test.passed:
        score = f", as identical pictures score {test.vmaf:.2f}" if test.vmaf is not None else ""
        rows.append(("self-test", f"passed with {test.frames} frames of the reference{score}"))
    elif test is not None:
        rows.append(("self-test", f"failed: {test.why_not}"))
    rows.append(("cost", f"{found.cpu_s:.1f} s of CPU in {human_time(found.wall_s)}, FFmpeg {found.ffmpeg or 'none'}"))
    return rows


def _on_time(found: Comparison) -> str:
    pictures = "pictures on time" if not found.lag_s else f"pictures {_ms(found.lag_s)}"
    if found.sound_lag_s is None:
        return f"{pictures}; of sound nothing can be told"
    return f"{pictures}, sound {'on time' if abs(found.sound_lag_s) < 0.001 else _ms(found.sound_lag_s)}"


def _ms(early_s: float) -> str:
    return f"{abs(early_s) * 1000:.0f} ms {'early' if early_s > 0 else 'late'}"


def _file(file: ComparedFile) -> str:
    fps = f", {file.fps:.5g} fps" if file.fps else ""
    length = f", {human_time(file.duration_s)}" if file.duration_s is not None else ""
    return f"{file.codec} {file.width}x{file.height}{fps}{length}, {human_bytes(file.size_bytes)}"


def _share(found: Comparison) -> str:
    if not found.reference.size_bytes:
        return ""
    return f" ({100 * found.encoded.size_bytes / found.reference.size_bytes:.3g} % of the reference)"
