"""By how much the sound of two files lies apart, found by sliding one over the other. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reelpress.facts.media import AudioTrack
from reelpress.facts.quality import Finding
from reelpress.facts.values import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]

_PART_S, _PARTS = 6.0, 8  # stretches that are slid, spread evenly
_PART_SHARE = 0.4
REACH_S = 2.6  # how far
_SILENT = 12.0  # root mean square in steps of 16 bits: nothing can be heard in less
_HEARD_SHARE = 0.6  # of a part, in which something is to be heard
_LEAST_ALIKE = 0.35  # correlation of what is one sound, encoded twice at 24 kbit/s and resampled: 0.6 and more
_CLEARLY = 0.06  # by how much the best place is better than any that is further away than this
_NEAR_S = 0.004
_ON_TIME_SHARE = 0.98  # of the best: what is as good on time is on time (steady tones fit anywhere)
# Copies and encodes that are right keep to 1 ms, and 20 ms is what has to be found.
OFF_S = 0.012
_APART_S = 0.010  # parts of one file that differ by more: it drifts
# What decoders put before the sound, in samples: containers that do not say so leave it in.
_PRIMING = {"aac": (1024, 2048, 2112), "mp3": (1105, 576, 529, 1152), "mp2": (481, 1152), "opus": (312,), "ac3": (256,)}
_SAY_NOTHING = frozenset({"avi", "flv", "mpegts", "mpeg", "asf", "mxf", "nut", "wtv"})
_PRIMING_SLACK_S = 0.0025
_COPIED_SHARE = 0.05  # packets of a short piece; encoded again at the same rate, sizes are the same only by chance
_MISREAD_SLACK_S = 0.002  # right copies keep to 1 ms, and Matroska's clock is rounded to another


class SoundLag(Value, frozen=True, kw_only=True):
    """Sound of the encode is the reference's of ``lag_s`` later, by each part (when, lag); ``None``: cannot be told.

    ``heard`` is the number of parts in which there was something to slide.
    """

    lag_s: float | None
    parts: tuple[tuple[float, float], ...] = ()
    heard: int = 0

    @property
    def is_clear(self) -> bool:
        """Tell whether most of what can be heard was found at one place."""
        return 2 * len(self.parts) > self.heard


def find_lag(made: Samples, wanted: Samples, rate_hz: int) -> SoundLag:
    """Slide parts of the encode's sound over the reference's; both begin with the first picture."""
    import numpy as np

    length = min(len(made), len(wanted))
    # of short sound a part only, so that there is something to slide it over
    part = min(round(_PART_S * rate_hz), length if length < rate_hz else round(_PART_SHARE * length))
    if part < rate_hz // 4:
        return SoundLag(lag_s=None)
    count = max(1, min(_PARTS, round(1.5 * length / part)))
    starts = np.linspace(0, length - part, count).astype(np.int64)
    found = []
    heard = 0
    for start in starts:
        if not _is_heard(made[start : start + part].astype(np.float64)):
            continue
        heard += 1
        lag = _slide(made, wanted, int(start), part, rate_hz)
        if lag is not None:
            found.append((round(float(start) / rate_hz, 3), lag))
    lags = [lag for _, lag in found]
    return SoundLag(lag_s=float(np.median(lags)) if lags else None, parts=tuple(found), heard=heard)


def _is_heard(part: NDArray[np.float64]) -> bool:
    import numpy as np

    blocks = (part - part.mean())[: len(part) // 20 * 20].reshape(20, -1)
    return bool((np.sqrt((blocks**2).mean(axis=1)) >= _SILENT).mean() >= _HEARD_SHARE)


def _slide(made: Samples, wanted: Samples, start: int, part: int, rate_hz: int) -> float | None:
    import numpy as np

    reach = round(REACH_S * rate_hz)
    x = made[start : start + part].astype(np.float64)
    low, high = max(0, start - reach), min(len(wanted), start + part + reach)
    y = np.pad(wanted[low:high].astype(np.float64), (low - (start - reach), start + part + reach - high))
    low = start - reach
    x, y = x - x.mean(), y - y.mean()
    if np.sqrt((y**2).mean()) < _SILENT:
        return None
    size = 1 << int(np.ceil(np.log2(len(x) + len(y))))
    product = np.fft.irfft(np.fft.rfft(y, size) * np.conj(np.fft.rfft(x, size)), size)[: len(y) - part + 1]
    sums = np.concatenate(([0.0], np.cumsum(y**2)))
    energy = np.sqrt(np.maximum(sums[part:] - sums[:-part], 1e-9))[: len(product)]
    floor = 0.05 * float(energy.max()) + 1e-9  # what is nearly silent is like nothing
    alike = product / (np.maximum(energy, floor) * np.sqrt((x**2).sum()))
    lags = (np.arange(len(alike)) + low - start) / rate_hz
    best = int(alike.argmax())
    on_time = np.abs(lags) <= 0.001
    if on_time.any() and alike[on_time].max() >= _ON_TIME_SHARE * alike[best] and alike[best] >= _LEAST_ALIKE:
        return float(lags[on_time][alike[on_time].argmax()])
    far = np.abs(lags - lags[best]) > _NEAR_S
    second = float(alike[far].max()) if far.any() else 0.0
    if alike[best] < _LEAST_ALIKE or alike[best] - second < _CLEARLY:
        return None
    return float(lags[best])


def judge_sound(
    found: SoundLag, video_lag_s: float, tracks: tuple[AudioTrack, AudioTrack], containers: tuple[str, str],
    frame_s: float, misread_s: tuple[float, float] = (0.0, 0.0),
) -> tuple[float | None, list[Finding]]:  # fmt: skip
    """Return by how much sound comes early against the pictures (late below 0), and what is wrong with that.

    ``tracks`` and ``containers`` are the encode's and the reference's; ``misread_s`` is by how much FFmpeg puts the
    pictures of either too early for what its edit list says.
    """
    if found.lag_s is None:
        return None, []
    off_s = found.lag_s - video_lag_s
    lags = [lag for _, lag in found.parts]
    worst = max((lag - video_lag_s for lag in lags), key=abs)
    if max(lags) - min(lags) > _APART_S and abs(worst) > OFF_S:
        first, last = found.parts[0], found.parts[-1]
        text = f"Sound drifts against the pictures: {_ms(first[1] - video_lag_s)} at {first[0]:.0f} s, "
        text += f"{_ms(last[1] - video_lag_s)} at {last[0]:.0f} s."
        evidence = ", ".join(f"{_ms(lag - video_lag_s)} at {at:.1f} s" for at, lag in found.parts)
        return off_s, [Finding(code="sound_drifts", text=text, evidence=evidence)]
    if abs(off_s) <= OFF_S:
        return off_s, []
    evidence = f"{len(lags)} stretches agree within {1000 * (max(lags) - min(lags)):.1f} ms"
    # An encode of a reference that cannot say so was made of what is decoded here, too. Only of the very same packets
    # another container may know better.
    doubtful = (containers[0] in _SAY_NOTHING, containers[1] in _SAY_NOTHING and _is_copied(*tracks))
    for track, container, late_s, is_doubtful in zip(tracks, containers, (off_s, -off_s), doubtful, strict=True):
        if is_doubtful and _is_priming(late_s, track, frame_s if container == "avi" else 0.0):
            text = f"Sound comes {_ms(off_s)}: {container} cannot say what {track.codec} and its encoder put before it."
            return off_s, [Finding(code="sound_priming", text=text, severity="note", evidence=evidence)]
    for misread in (-misread_s[0], misread_s[1], misread_s[1] - misread_s[0]):
        if misread and abs(off_s - misread) <= _MISREAD_SLACK_S:
            text = f"Sound comes {_ms(off_s)} as FFmpeg reads an edit list, and on time as it is written."
            return off_s, [Finding(code="edit_list", text=text, severity="note", evidence=evidence)]
    text = f"Sound comes {_ms(off_s)} against the pictures."
    return off_s, [Finding(code="sound_shifted", text=text, evidence=evidence)]


def _is_copied(made: AudioTrack, wanted: AudioTrack) -> bool:
    """Tell whether sound was taken over as it was encoded, but for a few packets at its ends."""
    sizes = made.size_bytes, wanted.size_bytes
    if made.codec != wanted.codec or sizes[0] is None or not sizes[1]:
        return False
    return abs(sizes[0] / sizes[1] - 1) <= _COPIED_SHARE


def _is_priming(off_s: float, track: AudioTrack, frame_s: float) -> bool:
    """Tell whether sound is off by what decoders put before it.

    AVI has no times of its own: a picture that B-frames delay comes late there by one or two frames as well.
    """
    rate = track.sample_rate_hz or 48_000
    known = [samples / rate for samples in _PRIMING.get(track.codec or "", ())]
    delays = [frame_s * frames for frames in (0, 1, 2)] if frame_s else [0.0]
    return any(abs(off_s + priming - delay) <= _PRIMING_SLACK_S for priming in (*known, 0.0) for delay in delays)


def _ms(off_s: float) -> str:
    return "on time" if abs(off_s) < 0.0005 else f"{abs(off_s) * 1000:.0f} ms {'early' if off_s > 0 else 'late'}"
