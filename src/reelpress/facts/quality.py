"""How alike two videos look, as values: scores, over which frames they were taken, and whether they may be believed."""

from __future__ import annotations

from typing import Literal

from reelpress.facts.numbers import middles
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


def spread_windows(duration_s: float, count: int, window_s: float) -> tuple[Window, ...]:
    """Return so many windows in the middles of equal parts of a programme, in order, to the millisecond."""
    return tuple(
        Window(start_s=round(middle - window_s / 2, 3), duration_s=round(window_s, 3))
        for middle in middles(duration_s, count)
    )


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


# What is wrong with an output (``damage``), or worth saying of it (``note``).
Severity = Literal["damage", "note"]
# At which size pictures are compared: at the reference's, as viewers see the encode enlarged, or at the encode's, as
# its encoder was given them.
ComparedSize = Literal["reference", "encoded"]


class Finding(Value, frozen=True, kw_only=True):
    """Something that was seen beside the scores: a stable ``code`` (docs/compare.md), a sentence, what was measured.

    ``at_s`` is in seconds from the reference's first picture, ``None`` for what holds throughout.
    """

    code: str
    text: str
    severity: Severity = "damage"
    evidence: str | None = None
    at_s: float | None = None


class SelfTest(Value, frozen=True, kw_only=True):
    """The reference against itself on the same way: whether what measures can be believed.

    ``vmaf`` is what the model gives for identical pictures here, the mean of ``frames``; it is not always 100.
    """

    passed: bool
    frames: int = 0
    vmaf: float | None = None
    why_not: str | None = None


class Measuring(Value, frozen=True, kw_only=True):
    """How two videos are to be compared; the defaults are those of ``reelpress compare``.

    ``viewing`` is chosen by the compared size where it is ``None``. VMAF is taken of all frames with ``whole``, else in
    ``windows``, or in ones chosen evenly. ``look`` says what is decoded in search of damage: all of both files, or the
    windows (all the same where something in them is not as it should be). ``prepare`` are filters that the reference
    goes through in place of what its facts ask for: a plan's ``Expectation.picture_filters``, with ``size`` then being
    ``encoded``. ``hdr`` says what to do with an HDR reference: bring both to SDR as a plan does, or refuse. ``every``
    n-th frame is scored. ``threads`` of 0 are as many as there are cores.
    """

    viewing: Viewing | None = None
    whole: bool = False
    windows: tuple[Window, ...] = ()
    look: Literal["whole", "windows"] = "whole"
    size: ComparedSize = "reference"
    prepare: str | None = None
    hdr: Literal["map", "refuse"] = "map"
    ssim: bool = False
    xpsnr: bool = False
    every: int = 1
    threads: int = 0


class ComparedFile(Value, frozen=True, kw_only=True):
    """One of the two files, as far as a report needs it."""

    path: str
    size_bytes: int
    codec: str
    width: int  # as shown
    height: int
    fps: float | None
    frames: int | None
    duration_s: float | None
    pix_fmt: str | None
    bitrate_bps: int | None = None


class Comparison(Value, frozen=True, kw_only=True):
    """An encode measured against its reference.

    ``unmeasured`` says that *our* measuring is in doubt, and ``cause`` why: there are no scores then. What is wrong
    with the encode itself is measured, and told in ``findings``. Pictures of the encode are those that the reference
    has ``lag_s`` later: above 0 they come early, below 0 late; scores are of pictures put together as they belong.
    Metrics are pooled over ``by_frame``, whose times are the reference's. ``mapped`` says in sentences what was brought
    to what before comparing. XPSNR is of luma, in dB; SSIM is times 100.
    """

    verdict: Literal["measured", "unmeasured"]
    reference: ComparedFile
    encoded: ComparedFile
    how: Measuring
    cause: str | None = None
    cause_code: str | None = None  # the same as one stable word (docs/compare.md)
    model: str | None = None  # libvmaf's name of it
    viewing: Viewing | None = None
    width: int | None = None  # at which pictures were compared
    height: int | None = None
    pix_fmt: str | None = None
    windows: tuple[Window, ...] = ()  # what was scored; one of the whole programme's length for all of it
    scored_s: float = 0.0
    programme_s: float | None = None
    frames: int = 0  # scored
    looked_frames: int = 0  # of the encode, in search of damage
    vmaf: Pooled | None = None
    psnr_y_db: Pooled | None = None
    psnr_cb_db: Pooled | None = None
    psnr_cr_db: Pooled | None = None
    ssim: Pooled | None = None
    xpsnr_db: Pooled | None = None
    by_frame: FrameScores | None = None
    self_test: SelfTest | None = None
    lag_s: float = 0.0
    sound_lag_s: float | None = None  # by which sound comes early against the pictures (late below 0)
    findings: tuple[Finding, ...] = ()
    mapped: tuple[str, ...] = ()
    ffmpeg: str | None = None  # the version that measured
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def damage(self) -> tuple[Finding, ...]:
        """What is wrong with the encode."""
        return tuple(f for f in self.findings if f.severity == "damage")


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
