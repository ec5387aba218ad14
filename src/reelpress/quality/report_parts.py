"""The sections of the HTML report of a comparison. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from reelpress.facts.quality import ComparedFile, Comparison, Finding, Pooled
from reelpress.quality.report_frames import Pictures
from reelpress.quality.report_text import clock, name_of, rate, score, size, words

_VIEWINGS = {"phone": "a phone", "1080p": "a screen of 1080 lines", "4k": "a screen of 2160 lines"}


def verdict(comparison: Comparison, missed: Sequence[str], *, asked: bool) -> str:
    """Return what became of one encode: a badge, its score and its size, and why it was not good enough.

    ``asked`` says that there was a quality to be reached, without which nothing is said to be good enough.
    """
    damage = len(comparison.damage)
    if comparison.verdict == "unmeasured":
        status, told = "cancelled", "Not measured"
    elif damage:
        status, told = "failed", f"Damaged: {damage} finding{'s' if damage > 1 else ''}"
    elif missed:
        status, told = "failed", "Below what was asked for"
    else:
        status, told = ("done", "As good as asked for") if asked else ("running", "Measured, no damage found")
    why = [*([comparison.cause] if comparison.cause else []), *(f.text for f in comparison.damage), *missed]
    reasons = f'<ul class="why">{"".join(f"<li>{words(text)}</li>" for text in why)}</ul>' if why else ""
    return (
        f'<article class="verdict"><h3><bdi>{words(name_of(comparison.encoded.path))}</bdi></h3>'
        f'<p class="badge" data-status="{status}">{told}</p>{_figures(comparison)}{reasons}</article>'
    )


def _figures(c: Comparison) -> str:
    rows: list[tuple[str, str, str]] = []
    if c.vmaf is not None:
        rows.append(("VMAF, mean", score(c.vmaf.mean), f"harmonic {score(c.vmaf.harmonic_mean)}"))
        worst = c.vmaf.worst_second
        if worst is not None:
            rows.append(("Worst second", score(worst.score), f"at {clock(worst.at_s)}"))
        rows.append(("5th percentile", score(c.vmaf.p5), f"lowest {score(c.vmaf.min)}"))
    before, after = c.reference.size_bytes, c.encoded.size_bytes
    part = f"{100 * after / before:.1f} % of {size(before)}" if before else f"from {size(before)}"
    rows.append(("Size", size(after), part))
    rates = [_bits(file) for file in (c.encoded, c.reference)]
    if rates[0] is not None:
        rows.append(("Bit rate", rate(rates[0]), f"from {rate(rates[1])}" if rates[1] is not None else ""))
    cells = "".join(f"<div><dt>{label}</dt><dd>{value}<small>{more}</small></dd></div>" for label, value, more in rows)
    return f'<dl class="figures">{cells}</dl>'


def _bits(file: ComparedFile) -> float | None:
    return file.size_bytes * 8 / file.duration_s if file.duration_s else None


def findings(comparisons: Sequence[Comparison]) -> str:
    """Return what was found beside the scores, of all encodes."""
    several = len(comparisons) > 1
    rows = [
        _finding(finding, name_of(c.encoded.path) if several else None) for c in comparisons for finding in c.findings
    ]
    measured = any(c.verdict == "measured" for c in comparisons)
    if not rows and not measured:
        return ""
    # of sound nothing may be known; what is, stands below
    nothing = "<p>Nothing: no picture is lost, repeated or out of place, none has another shape, levels or colours.</p>"
    body = f'<ul class="findings">{"".join(rows)}</ul>' if rows else nothing
    return (
        f'<section class="panel" aria-labelledby="found-title"><h2 id="found-title">What was found</h2>{body}</section>'
    )


def _finding(finding: Finding, of: str | None) -> str:
    kind = "Damage" if finding.severity == "damage" else "Note"
    where = "" if finding.at_s is None else f" at {clock(finding.at_s)}"
    whose = "" if of is None else f" in <bdi>{words(of)}</bdi>"
    evidence = "" if finding.evidence is None else f' <span class="hint">{words(finding.evidence)}</span>'
    return (
        f'<li data-severity="{finding.severity}"><strong>{kind}</strong>{whose}{where}: {words(finding.text)}'
        f"{evidence} <code>{words(finding.code)}</code></li>"
    )


def frames(number: int, comparison: Comparison, pictures: Sequence[Pictures]) -> str:
    """Return the worst frames of one encode beside the reference's."""
    if not pictures:
        return ""
    name = words(name_of(comparison.encoded.path))
    figures = "".join(_pair(number, rank, comparison, one) for rank, one in enumerate(pictures, 1))
    return (
        f'<section class="panel pairs" aria-labelledby="frames-{number}"><h2 id="frames-{number}">Worst frames of '
        f'<bdi>{name}</bdi></h2><label class="choose"><input type="checkbox"> Side by side</label>'
        f'<div class="pair-grid">{figures}</div></section>'
    )


def _pair(number: int, rank: int, c: Comparison, one: Pictures) -> str:
    at = clock(one.frame.at_s)
    psnr = "" if one.frame.psnr_y_db is None else f", PSNR {one.frame.psnr_y_db:.1f} dB"
    views = "".join(
        f'<div class="view {where}"><img src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" '
        f'width="{c.width}" height="{c.height}" alt="{label} at {at}">'
        f'<span class="tag" aria-hidden="true">{label}</span></div>'
        for where, label, jpeg in (("before", "Reference", one.reference), ("after", "Encode", one.encoded))
    )
    return (
        f'<figure class="pair" id="frame-{number}-{rank}"><figcaption><h3>{at}: VMAF {score(one.frame.vmaf)}{psnr}</h3>'
        f'</figcaption><div class="views">{views}</div><div class="split"><span aria-hidden="true">All encode</span>'
        f'<input type="range" min="0" max="100" value="50" aria-label="Slider between reference and encode at {at}">'
        '<span aria-hidden="true">All reference</span></div></figure>'
    )


def numbers(comparisons: Sequence[Comparison]) -> str:
    """Return the table of all pooled scores."""
    tables = "".join(_table(c) for c in comparisons if c.vmaf is not None)
    if not tables:
        return ""
    return f'<section class="panel" aria-labelledby="numbers"><h2 id="numbers">Scores</h2>{tables}</section>'


def _metrics(c: Comparison) -> Iterator[tuple[str, Pooled]]:
    named = (
        ("VMAF", c.vmaf), ("PSNR Y, dB", c.psnr_y_db), ("PSNR Cb, dB", c.psnr_cb_db), ("PSNR Cr, dB", c.psnr_cr_db),
        ("SSIM, times 100", c.ssim), ("XPSNR, dB", c.xpsnr_db),
    )  # fmt: skip
    return ((name, pooled) for name, pooled in named if pooled is not None)


def _table(c: Comparison) -> str:
    name = words(name_of(c.encoded.path))
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("Metric", "Mean", "Harmonic", "5th pct.", "1st pct.", "Lowest", "Worst second")
    )
    rows = []
    for metric, pooled in _metrics(c):
        worst = pooled.worst_second
        cells = [score(v) for v in (pooled.mean, pooled.harmonic_mean, pooled.p5, pooled.p1, pooled.min)]
        cells.append("-" if worst is None else f"{score(worst.score)} at {clock(worst.at_s)}")
        rows.append(f'<tr><th scope="row">{metric}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    return (
        f'<div class="wide-table" role="region" tabindex="0" aria-label="Scores of {name}"><table class="numbers">'
        f"<caption><bdi>{name}</bdi></caption><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def settings(comparisons: Sequence[Comparison]) -> str:
    """Return what was compared, how, and what the measuring's test of itself gave."""
    tables = [_facts("Reference", _file(comparisons[0].reference))]
    tables += [_facts(f"Encode {name_of(c.encoded.path)}", [*_file(c.encoded), *_measuring(c)]) for c in comparisons]
    return (
        '<section class="panel" aria-labelledby="how"><h2 id="how">What was compared, and how</h2>'
        f"{''.join(tables)}</section>"
    )


def _facts(caption: str, rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f'<tr><th scope="row">{label}</th><td>{words(value)}</td></tr>' for label, value in rows)
    return f'<table class="facts"><caption><bdi>{words(caption)}</bdi></caption><tbody>{body}</tbody></table>'


def _file(file: ComparedFile) -> list[tuple[str, str]]:
    fps = "" if file.fps is None else f", {file.fps:.3f}".rstrip("0").rstrip(".") + " fps"
    counted = "" if file.frames is None else f", {file.frames} frames"
    long = "unknown" if file.duration_s is None else clock(file.duration_s)
    return [
        ("File", file.path),
        ("Picture", f"{file.codec or 'none'}, {file.width}x{file.height}{fps}, {file.pix_fmt or 'unknown format'}"),
        ("Length", f"{long}{counted}"),
        ("Size", size(file.size_bytes)),
    ]


def _measuring(c: Comparison) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if c.model is not None:
        seen = "" if c.viewing is None else f", for {_VIEWINGS[c.viewing]}"
        rows.append(("Model", f"{c.model}{seen}"))
    if c.width is not None:
        rows.append(("Compared at", f"{c.width}x{c.height}, {c.pix_fmt}"))
    if c.frames:
        whole = "all of it" if c.how.whole else f"{c.scored_s:.1f} s of {c.programme_s or 0:.1f} s"
        rows.append(("Scored", f"{c.frames} frames, {whole}; {c.looked_frames} looked at"))
    test = c.self_test
    if test is not None:
        said = "passed" if test.passed else f"failed: {test.why_not}"
        mean = "" if test.vmaf is None else f"; the reference against itself scores {test.vmaf:.2f}"
        rows.append(("Self-test", f"{said}, {test.frames} frames{mean}"))
    if c.lag_s:
        rows.append(("Pictures come", f"{_when(c.lag_s)} against the reference"))
    if c.sound_lag_s is not None:
        rows.append(("Sound comes", f"{_when(c.sound_lag_s)} against the pictures"))
    rows += [("Brought together", text) for text in c.mapped]
    rows.append(("Measured by", f"FFmpeg {c.ffmpeg or 'unknown'}, {c.cpu_s:.1f} CPU seconds"))
    return rows


def _when(early_s: float) -> str:
    if abs(early_s) < 0.0005:
        return "on time"
    return f"{abs(early_s) * 1000:.0f} ms {'early' if early_s > 0 else 'late'}"
