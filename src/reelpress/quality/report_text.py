"""Numbers and other people's words as the HTML report of a comparison writes them. Pure."""

from __future__ import annotations

import html
import json


def words(text: str) -> str:
    """Return text as HTML: nothing in it is markup, turns the line round or cannot be shown."""
    shown = "".join(
        c if c.isprintable() else "�" for c in text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )
    return html.escape(shown, quote=True)


def script_json(value: object) -> str:
    """Return a value as JSON that ends no ``<script>`` and begins no comment."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def clock(seconds: float) -> str:
    """Return a time of a programme: ``0:04.32``, ``1:02:03.50``."""
    hundredths = round(max(0.0, seconds) * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def size(size_bytes: int) -> str:
    """Return bytes to three digits, in powers of 1000."""
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{size_bytes} B" if unit == "B" else f"{value:.3g} {unit}"


def rate(bits_per_s: float) -> str:
    """Return bits per second to three digits."""
    return f"{bits_per_s / 1e6:.3g} Mbit/s" if bits_per_s >= 999_500 else f"{bits_per_s / 1e3:.3g} kbit/s"


def score(value: float | None) -> str:
    """Return a score of VMAF's kind, or a dash where there is none."""
    return "-" if value is None else f"{value:.2f}"


def name_of(path: str) -> str:
    """Return the last part of a path."""
    return path.rstrip("/").rsplit("/", 1)[-1] or path
