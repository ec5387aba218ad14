"""What platforms take as a short vertical video, and what to say of a clip that is something else. Pure.

Limits move, and platforms do not publish all of them in one place; so they are warned about, and never refused for.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from reelpress.facts.values import Value

PlatformName = Literal["shorts", "tiktok", "reels"]

_VERTICAL = Fraction(9, 16)
_ASPECT_SLACK = 0.01  # 9:16 in even pixels is seldom 9:16 to the last digit
_FPS_SLACK = 0.01
_LENGTH_SLACK_S = 0.001  # files count in milliseconds, and the difference of two times has a rest


class Platform(Value, frozen=True, kw_only=True):
    """One platform's limits; ``None`` is one that was not found stated.

    ``max_width_over_height`` is the widest shape that counts as a short. ``best_aspect`` is what the platform asks for
    without insisting. ``max_bitrate_bps`` is of the whole file.
    """

    label: str
    max_duration_s: float
    min_duration_s: float | None = None
    max_bytes: int | None = None
    max_bitrate_bps: int | None = None
    min_side_px: int | None = None
    max_side_px: int | None = None
    max_width_px: int | None = None
    max_width_over_height: Fraction | None = None
    best_aspect: Fraction | None = None
    min_fps: float | None = None
    max_fps: float | None = None


# As stated in November 2026.
PLATFORMS: dict[PlatformName, Platform] = {
    # YouTube Help 15424877: square or taller and at most three minutes, of what was uploaded since 15 October 2024.
    "shorts": Platform(label="YouTube Shorts", max_duration_s=180, max_width_over_height=Fraction(1)),
    # TikTok for Developers, media transfer guide: 23 to 60 fps, 360 to 4096 px, 4 GB. Its API takes ten minutes, but
    # not every account may post more than three.
    "tiktok": Platform(
        label="TikTok", max_duration_s=180, max_bytes=4 * 10**9, min_side_px=360, max_side_px=4096, min_fps=23,
        max_fps=60,
    ),
    # Instagram's publishing API: from 3 s, at most 1920 px wide, 23 to 60 fps, 25 Mbit/s, 9:16 advised, 300 MB where
    # all sources agree. The app takes three minutes since January 2025; the API fifteen.
    "reels": Platform(
        label="Instagram Reels", max_duration_s=180, min_duration_s=3, max_bytes=300 * 10**6,
        max_bitrate_bps=25_000_000, max_width_px=1920, best_aspect=_VERTICAL, min_fps=23, max_fps=60,
    ),
}  # fmt: skip


def platform_warnings(
    name: PlatformName, *, duration_s: float, width: int, height: int, fps: float | None, size_bytes: int | None
) -> tuple[str, ...]:
    """Return what a platform may not take of a clip, a sentence each; nothing where all is well.

    ``fps`` and ``size_bytes`` ``None`` are not known, or not yet.
    """
    limits = PLATFORMS[name]
    told = [
        *_about_length(limits, duration_s),
        *_about_picture(limits, width, height, fps),
        *_about_size(limits, duration_s, size_bytes),
    ]
    return tuple(f"{limits.label}: {text}" for text in told)


def _about_length(limits: Platform, duration_s: float) -> list[str]:
    if duration_s > limits.max_duration_s + _LENGTH_SLACK_S:
        return [f"{duration_s:.6g} s are longer than the {limits.max_duration_s:g} s it takes."]
    if limits.min_duration_s is not None and duration_s < limits.min_duration_s - _LENGTH_SLACK_S:
        return [f"{duration_s:.6g} s are shorter than the {limits.min_duration_s:g} s it asks for."]
    return []


def _about_picture(limits: Platform, width: int, height: int, fps: float | None) -> list[str]:
    size, told = f"{width}x{height}", []
    if limits.max_width_over_height is not None and Fraction(width, height) > limits.max_width_over_height:
        told.append(f"{size} is wider than the shapes it shows as shorts.")
    if limits.best_aspect is not None and abs(width / height / float(limits.best_aspect) - 1) > _ASPECT_SLACK:
        told.append(
            f"{size} is not {limits.best_aspect.numerator}:{limits.best_aspect.denominator}, which it asks for."
        )
    if limits.min_side_px is not None and min(width, height) < limits.min_side_px:
        told.append(f"{size} has a side below {limits.min_side_px} pixels.")
    if limits.max_side_px is not None and max(width, height) > limits.max_side_px:
        told.append(f"{size} has a side above {limits.max_side_px} pixels.")
    if limits.max_width_px is not None and width > limits.max_width_px:
        told.append(f"{size} is wider than {limits.max_width_px} pixels.")
    if fps is not None and limits.min_fps is not None and fps < limits.min_fps - _FPS_SLACK:
        told.append(f"{fps:.5g} frames per second are fewer than {limits.min_fps:g}.")
    if fps is not None and limits.max_fps is not None and fps > limits.max_fps + _FPS_SLACK:
        told.append(f"{fps:.5g} frames per second are more than {limits.max_fps:g}.")
    return told


def _about_size(limits: Platform, duration_s: float, size_bytes: int | None) -> list[str]:
    if size_bytes is None:
        return []
    told = []
    if limits.max_bytes is not None and size_bytes > limits.max_bytes:
        told.append(f"{size_bytes / 1e6:.0f} MB are more than the {limits.max_bytes / 1e6:.0f} MB it takes.")
    rate_bps = 8 * size_bytes / duration_s if duration_s > 0 else 0.0
    if limits.max_bitrate_bps is not None and rate_bps > limits.max_bitrate_bps:
        told.append(f"{rate_bps / 1e6:.1f} Mbit/s are more than {limits.max_bitrate_bps / 1e6:.0f}.")
    return told
