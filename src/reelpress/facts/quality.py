"""How alike two videos look, as values: scores, over which frames they were taken, and whether they may be believed."""

from __future__ import annotations

from typing import Literal

from reelpress.facts.values import Value

# Where a video is watched, which decides the model: a phone in the hand, a television of 1080 lines at three times its
# height, one of 2160 lines at one and a half times.
Viewing = Literal["phone", "1080p", "4k"]


class Window(Value, frozen=True, kw_only=True):
    """A stretch of a video, in seconds from its first picture.

    ``at_cut`` says that a new shot begins with it, where an encoder puts a keyframe anyway.
    """

    start_s: float
    duration_s: float
    at_cut: bool = False


class WorstSecond(Value, frozen=True, kw_only=True):
    """The second with the lowest mean score, and when it begins, in seconds from the reference's first picture."""

    score: float
    at_s: float


class Pooled(Value, frozen=True, kw_only=True):
    """One metric over many frames. VMAF and SSIM (times 100) lie from 0 to 100; PSNR and XPSNR are in dB.

    ``harmonic_mean`` is that of Netflix's tools, of scores plus one, less one. ``p5`` and ``p1`` are percentiles,
    ``min`` is the worst frame. ``worst_second`` is ``None`` for less than a second.
    """

    mean: float
    harmonic_mean: float
    p5: float
    p1: float
    min: float
    worst_second: WorstSecond | None = None


class FrameScores(Value, frozen=True, kw_only=True):
    """Scores of frames in order; all tuples are of one length.

    ``at_s`` are the frames' times, in seconds from the reference's first picture. PSNR is in dB for each plane, 60 and
    more where 8-bit planes are alike.
    """

    at_s: tuple[float, ...]
    vmaf: tuple[float, ...]
    psnr_y_db: tuple[float, ...] = ()
    psnr_cb_db: tuple[float, ...] = ()
    psnr_cr_db: tuple[float, ...] = ()


class ContentFacts(Value, frozen=True, kw_only=True):
    """Measures of the luma of frames in samples, on a scale of 0 to 255, as means over the frames.

    ``busy_share`` is the share of pixels, 0 to 1, that differ from what their neighbours predict (a Laplacian that is
    not zero); ``edge_peak`` is the strongest such difference, up to 255 where it is cut off. ``noise_sigma`` is the
    standard deviation of noise if the Laplacian were noise alone (Immerkaer 1996), which texture raises. ``change`` is
    the mean difference from one frame to the next, ``change_p95`` the 95th percentile of that over frames.
    """

    frames: int
    luma: float
    busy_share: float
    edge_peak: float
    noise_sigma: float
    change: float
    change_p95: float
