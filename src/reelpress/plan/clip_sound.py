"""The sound of a clip: cut to the sample, as loud as asked. Pure.

Loudness is made by one gain for the whole clip, found by measuring it first; where its peaks would then be too high, a
limiter holds them, measured in turn, so that the clip does not end up too quiet.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from reelpress.clip_request import ClipRequest
from reelpress.facts.loudness import Loudness
from reelpress.facts.values import Value
from reelpress.plan.clip_clock import Clock
from reelpress.plan.model import Reason

SAMPLE_RATE_HZ = 48_000
# FFmpeg's AAC encoder puts so many samples before the first; without an edit list players play them. They take the
# place of the clip's first 21 ms, so that all that follows is heard when it should be.
_PRIMING_SAMPLES = 1024
# BS.1770 looks at blocks of 0.4 s; of less than a second of sound the result is chance.
MIN_MEASURED_S = 1.0
SILENT_LUFS = -60.0
MAX_GAIN_DB = 30.0
# The limiter costs loudness, which is given back by so much more gain at most; beyond that it would be heard.
MAX_MAKE_UP_DB = 12.0
# Listening again pays from here on; half of what may be missing.
_WORTH_MAKING_UP_LU = 0.3
# How often the limiter is listened to: each time it costs a part of what was added.
_LIMITER_ROUNDS = 4
# AAC puts peaks so much higher than it was given: 0.6 dB in speech and film, 1.6 in bursts of noise.
_CODEC_PEAK_DB = 1.0
_ATTACK_S = 0.005
_OVERSAMPLED_HZ = 192_000  # peaks between samples are seen at four times their rate


class Level(Value, frozen=True, kw_only=True):
    """What is done to loudness: the filters, the loudness that comes of it (``None``: as it was), and why."""

    filters: tuple[str, ...]
    gain_db: float
    limits: bool
    wanted_lufs: float | None
    reasons: tuple[Reason, ...]


AS_IT_IS = Level(filters=(), gain_db=0.0, limits=False, wanted_lufs=None, reasons=())


def stretch_filters(clock: Clock) -> tuple[str, ...]:
    """Return the filters that cut the sound to the clip's beginning: stereo at 48 kHz, silence where there is none."""
    return (
        clock.sound_shift, "atrim=start=0", f"aresample={SAMPLE_RATE_HZ}:async=1:first_pts=0",
        "aformat=sample_fmts=fltp:channel_layouts=stereo",
    )  # fmt: skip


def measuring_filters(clock: Clock, level: Level) -> tuple[str, ...]:
    """Return the filters that make what is heard of a clip's sound, for measuring it."""
    return (*stretch_filters(clock), *level.filters, _heard(clock))


def sound_filters(clock: Clock, level: Level) -> tuple[str, ...]:
    """Return the filters that make exactly a clip's sound for FFmpeg's AAC encoder."""
    return (*stretch_filters(clock), *level.filters, "apad", _heard(clock))


def _heard(clock: Clock) -> str:
    return f"atrim=start={_PRIMING_SAMPLES / SAMPLE_RATE_HZ:.9f}:end={clock.duration_s:.6f}"


def level_heard(request: ClipRequest, measured: Loudness | None, listen: Callable[[Level], Loudness | None]) -> Level:
    """Return what to do to loudness, as :func:`level_for` does, but with what a limiter costs made up for.

    ``listen`` tells how loud a clip becomes. More gain need not be louder: the quiet parts that begin to count by it
    lower the mean. So of all that was heard the one that comes nearest to what is wanted is taken.
    """
    level = best = level_for(request, measured)
    make_up_db, least_lu = 0.0, math.inf
    for _ in range(_LIMITER_ROUNDS):
        heard = listen(level) if level.limits else None
        if heard is None or heard.integrated_lufs is None or level.wanted_lufs is None:
            break
        missing_lu = level.wanted_lufs - heard.integrated_lufs
        if abs(missing_lu) < least_lu:
            best, least_lu = level, abs(missing_lu)
        if missing_lu < _WORTH_MAKING_UP_LU or make_up_db >= MAX_MAKE_UP_DB:
            break
        make_up_db += missing_lu
        level = level_for(request, measured, make_up_db)
    return best


def level_for(request: ClipRequest, measured: Loudness | None, make_up_db: float = 0.0) -> Level:
    """Return what to do to loudness; ``make_up_db`` is what a limiter was seen to cost.

    ``measured`` ``None`` says that it could not be measured.
    """
    target = request.loudness_lufs
    if target is None:
        return AS_IT_IS
    kept = _why_kept(request, measured)
    if kept is not None or measured is None or measured.integrated_lufs is None or measured.true_peak_dbtp is None:
        return Level(
            filters=(), gain_db=0.0, limits=False, wanted_lufs=None,
            reasons=(Reason(code="loudness_kept", text=f"The loudness stays as it is: {kept}.", fact=None),),
        )  # fmt: skip
    gain = min(target - measured.integrated_lufs, MAX_GAIN_DB)
    wanted = measured.integrated_lufs + gain
    ceiling = request.true_peak_dbtp
    fact = f"{measured.integrated_lufs:.1f} LUFS, {measured.true_peak_dbtp:.1f} dBTP"
    text = f"The sound is made {abs(gain):.1f} dB {'louder' if gain >= 0 else 'quieter'}, {wanted:.1f} LUFS."
    unreached = _unreached(target, wanted, fact)
    if measured.true_peak_dbtp + gain <= ceiling:
        made = Reason(code="loudness", text=text, fact=fact)
        return Level(
            filters=(f"volume={gain:.2f}dB",), gain_db=gain, limits=False, wanted_lufs=wanted,
            reasons=(made, *unreached),
        )  # fmt: skip
    gain += max(0.0, min(make_up_db, MAX_MAKE_UP_DB))
    text = f"{text} A limiter keeps its peaks below {ceiling:g} dBTP."
    limit = 10 ** ((ceiling - _CODEC_PEAK_DB) / 20)
    filters = (
        f"volume={gain:.2f}dB", f"aresample={_OVERSAMPLED_HZ}",
        f"alimiter=limit={limit:.4f}:attack={_ATTACK_S * 1000:g}:release=50:level=disabled",
        f"aresample={SAMPLE_RATE_HZ}",
        f"atrim=start={_ATTACK_S:g}", f"asetpts=PTS-{_ATTACK_S:g}/TB",  # the limiter looks ahead, and is late by that
    )  # fmt: skip
    return Level(
        filters=filters, gain_db=gain, limits=True, wanted_lufs=wanted,
        reasons=(Reason(code="loudness_limited", text=text, fact=fact), *unreached),
    )  # fmt: skip


def _unreached(target: float, wanted: float, fact: str) -> tuple[Reason, ...]:
    """Return that a sound is too quiet for what was asked, if it is: what is added to it is noise for the most part."""
    if wanted > target - 0.05:
        return ()
    text = f"The sound is too quiet for {target:g} LUFS: at most {MAX_GAIN_DB:g} dB are added, for {wanted:.1f}."
    return (Reason(code="loudness_unreached", text=text, fact=fact),)


def _why_kept(request: ClipRequest, measured: Loudness | None) -> str | None:
    if request.duration_s < MIN_MEASURED_S:
        return f"of less than {MIN_MEASURED_S:g} s it cannot be told well enough"
    if measured is None:
        return "it could not be measured"
    if measured.integrated_lufs is None or measured.integrated_lufs < SILENT_LUFS:
        return "it is silent"
    return None
