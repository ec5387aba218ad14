"""What a new calibration leaves of the one before, and whether it may take its place. Pure.

Points of different clips cannot be compared, and a clip is known by its SHA-256: curves stand beside each other only
where they are of the same clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reelpress.facts.calibration import Calibration, Curve
from reelpress.facts.host import HostFacts
from reelpress.facts.values import Value
from reelpress.plan.calibration import curve_states


class Keeping(Value, frozen=True, kw_only=True):
    """What to store, and which curves of it are the earlier calibration's.

    Without ``store`` the earlier one stays as it is, and ``why_not`` is a sentence.
    """

    store: Calibration | None
    kept: tuple[Curve, ...] = ()
    why_not: str | None = None


def together(
    made: Calibration, unfinished: Sequence[Curve], earlier: Calibration | None, host: HostFacts
) -> Keeping:  # fmt: skip
    """Return what to store of a new calibration and the earlier one.

    Earlier curves that hold here and were not measured anew stay where all their clips are among the new ones. One that
    would be lost though this machine has that encoder, because it is ``unfinished`` or its encoder was not found to
    work this time, keeps the earlier calibration in its place.
    """
    if not made.curves:
        return Keeping(store=None, why_not="No curve was finished.")
    if earlier is None:
        return Keeping(store=made)
    old = [curve for curve in holding(earlier, host) if _made_on(curve) not in set(map(_made_on, made.curves))]
    theirs = {clip.name: clip for clip in earlier.clips}
    kept = [
        curve for curve in old
        if all(theirs.get(name) in made.clips for name in {point.clip for point in curve.points})
    ]  # fmt: skip
    missing = set(map(_made_on, unfinished))
    measured = {_encoder(curve) for curve in made.curves}
    lost = [
        f"{curve.encoder} {curve.preset}" for curve in old
        if curve not in kept and (_made_on(curve) in missing or _encoder(curve) not in measured)
    ]  # fmt: skip
    if lost:
        why = (
            f"The calibration of {earlier.made_at[:10]} has {', '.join(lost)} over other clips, and this one does not. "
            "--forget makes room."
        )
        return Keeping(store=None, why_not=why)
    dated = tuple(msgspec.structs.replace(curve, made_at=curve.made_at or earlier.made_at) for curve in kept)
    return Keeping(store=msgspec.structs.replace(made, curves=(*made.curves, *dated)), kept=dated)


def holding(calibration: Calibration, host: HostFacts) -> tuple[Curve, ...]:
    """Return the curves that hold on a machine as it is now."""
    states = curve_states(calibration, host)
    return tuple(
        curve for curve, state in zip(calibration.curves, states, strict=True) if state.why_not is None
    )  # fmt: skip


def _made_on(curve: Curve) -> tuple[str | None, ...]:
    return (curve.encoder, curve.preset, curve.ffmpeg_version, curve.gpu, curve.driver_version)


def _encoder(curve: Curve) -> tuple[str | None, ...]:
    return (curve.encoder, curve.gpu, curve.driver_version)
