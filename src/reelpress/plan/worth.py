"""Does encoding pay? Predicted from what the input spends per pixel, and from samples where that is doubtful."""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal

from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.quality import Window, spread_windows
from reelpress.facts.values import Value
from reelpress.plan.geometry import Size
from reelpress.plan.model import Reason
from reelpress.request import Request

# How many H.264 bits one bit of the source codec is worth at equal quality: rough, and only used to tell the clear
# cases from the doubtful. Rounded from the bit-rate savings each standard's own reports claim over H.264.
CODEC_WORTH = {"h264": 1.0, "hevc": 1.6, "vp9": 1.5, "av1": 2.0, "vvc": 2.5, "vp8": 0.9}
OLD_CODEC_WORTH = 0.5  # MPEG-2, MPEG-4 part 2, WMV, H.263, MJPEG, intermediate codecs

# H.264 bits per output pixel at CRF 23: below the first, content of any kind grows; above the second, any shrinks.
HOPELESS_BPP = 0.006
CERTAIN_BPP = 0.12

# H.264 bits per source pixel up to which a source is taken to repeat from frame to frame. Of 11 real clips the three
# that x264 found to skip at least half their macroblocks and spend this little are told from the two of film and the
# two of noisy cameras that spend more (`benchmarks/compress.py`).
STILL_BPP = 0.025

SAMPLE_FROM_DURATION_S = 60.0  # shorter inputs are simply encoded and compared
SAMPLE_SHARE = 0.02
SAMPLE_WINDOWS = 3

# A running encode is judged by its beginning from this share of its length on, and stopped where it would be too large
# even if its rest spent only so much of what its beginning did, for each of the source's bytes or seconds. Titles and
# sport before an interview are dense first, and most of what grows by half or more is stopped early all the same.
PROJECT_FROM = 0.3
REST_AT_LEAST = 0.25


class SampleFacts(Value, frozen=True, kw_only=True):
    """What short test encodes came to.

    ``encoded_bytes_per_s`` is per second of programme, ``None`` when the samples were made at another size and say
    nothing of bytes. ``p_skip`` is the share of macroblocks in P-frames, 0 to 1, that x264 found unchanged;
    ``p_skip_of_small`` says that it was found at another size though the bytes were not.
    """

    windows: int
    seconds: float
    encoded_bytes_per_s: float | None
    p_skip: float | None = None
    p_skip_of_small: bool = False


class Outlook(Value, frozen=True, kw_only=True):
    """The prediction: ``yes`` and ``no`` are clear, ``doubtful`` asks for samples; with the number it rests on."""

    verdict: Literal["yes", "no", "doubtful", "unknown"]
    text: str
    predicted_bytes: int | None = None


def outlook(track: VideoTrack, size: Size, fps: float | None) -> Outlook:
    """Predict from the source's bits per output pixel whether an encode will be smaller."""
    bits = _bits_per_s(track)
    if not bits or not fps or not track.duration_s:
        return Outlook(verdict="unknown", text="The input's bit rate is unknown: the encode itself will tell.")
    per_pixel = bits / (size.width * size.height * fps)
    equivalent = per_pixel * CODEC_WORTH.get(track.codec, OLD_CODEC_WORTH)
    spends = f"{per_pixel:.4f} bits per output pixel in {track.codec}"
    if equivalent >= CERTAIN_BPP:
        return Outlook(verdict="yes", text=f"The input spends {spends}: an encode should be smaller.")
    if per_pixel <= HOPELESS_BPP:
        return Outlook(verdict="no", text=f"The input spends only {spends}: an encode could hardly be smaller.")
    return Outlook(verdict="doubtful", text=f"The input spends {spends}: the size of the encode decides.")


def _bits_per_s(track: VideoTrack) -> float | None:
    """Return the bit rate while pictures come at ``fps_avg``: that of a variable rate counts a still end in itself."""
    bits, duration_s, until_s = track.bitrate_bps, track.duration_s, track.changes_until_s
    if track.is_vfr or not bits or not duration_s or not until_s:
        return bits
    return bits * duration_s / until_s


def is_still(track: VideoTrack) -> bool:
    """Tell from how few bits a source spends that most of its picture repeats; costs nothing, unlike a sample."""
    fps = track.fps_avg
    bits = _bits_per_s(track)
    if not bits or not fps:
        return False
    per_pixel = bits / (track.width * track.height * float(fps))
    return per_pixel * CODEC_WORTH.get(track.codec, OLD_CODEC_WORTH) <= STILL_BPP


def sample_windows(track: VideoTrack) -> tuple[Window, ...]:
    """Return the stretches to sample, spread over the programme; none where encoding all of it is as cheap."""
    duration = track.changes_until_s
    if duration is None or duration < SAMPLE_FROM_DURATION_S:
        return ()
    each = min(4.0, max(1.0, duration * SAMPLE_SHARE / SAMPLE_WINDOWS))
    return spread_windows(duration, SAMPLE_WINDOWS, each)


def predicted_bytes(media: MediaFacts, samples: SampleFacts, request: Request) -> int | None:
    """Return how large an output is by samples, where they were made as the encode would be; ``None`` elsewhere."""
    track, rate = media.main_video, samples.encoded_bytes_per_s
    if track is None or rate is None:
        return None
    return sampled_outlook(media, track, rate, samples, request.min_saving).predicted_bytes


def sampled_outlook(
    media: MediaFacts, track: VideoTrack, bytes_per_s: float, samples: SampleFacts, min_saving: float
) -> Outlook:
    """Predict from sample encodes; audio and container are taken to stay as they are."""
    duration = track.changes_until_s or media.duration_s or 0.0
    predicted = round(bytes_per_s * duration) + media.size_bytes - (track.size_bytes or 0)
    share = predicted / media.size_bytes
    many = samples.windows != 1
    what = f"{samples.windows} samples" if many else "1 sample"
    predict = "in all predict" if many else "predicts"
    text = f"{what} of {samples.seconds:.1f} s {predict} {share:.0%} of the input's size."
    verdict: Literal["yes", "no"] = "yes" if share <= 1 - min_saving else "no"
    return Outlook(verdict=verdict, text=text, predicted_bytes=predicted)


def outlook_of(reasons: tuple[Reason, ...]) -> str | None:
    """Return the verdict a plan's reasons carry: ``yes``, ``no``, ``doubtful``, ``unknown``, or ``None``."""
    return next((r.code.removeprefix("worth_") for r in reasons if r.code.startswith("worth_")), None)


def spent_by(track: VideoTrack, at_s: float) -> float | None:
    """Return the share of a source's bytes, 0 to 1, that came before ``at_s``, in seconds from its first picture on.

    ``None`` where that was not read.
    """
    curve = track.bytes_by_s
    if not curve or not curve[-1][1]:
        return None
    after = bisect_left(curve, at_s, key=lambda point: point[0])
    if after in {0, len(curve)}:
        return float(after > 0)
    (t0, b0), (t1, b1) = curve[after - 1 : after + 1]
    return (b0 + (b1 - b0) * (at_s - t0) / (t1 - t0)) / curve[-1][1]


def outgrown(written_bytes: int, done: float | None, limit_bytes: int, spent: float | None = None) -> str | None:
    """Return why a running encode should stop, or ``None``.

    ``done`` is the share of the programme encoded, ``spent`` the one of the source's bytes that stood for it.
    """
    if written_bytes > limit_bytes:
        return f"{written_bytes} bytes written, {limit_bytes} allowed"
    if done is not None and PROJECT_FROM <= done <= 1:
        projected = round(written_bytes / max(done, min(1.0, spent or 0.0)))
        if written_bytes + REST_AT_LEAST * (projected - written_bytes) > limit_bytes:
            return f"on course for {projected} bytes at {done:.0%}, {limit_bytes} allowed"
    return None
