"""How FFmpeg comes by a stretch of a source, wherever its container seeks to and whatever its clock. Pure."""

from __future__ import annotations

from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.seeking import READ_ANYWAY_S, can_seek, entry_before, pauses_of, run_up_s, seek_args

_OWN_CLOCK: tuple[str, ...] = ("-copyts",)


class StretchPlace(Value, frozen=True, kw_only=True):
    """Options that stand before ``-i``, and the filters of which the first frame of the stretch comes out, at time 0.

    Frames keep their distances; the first is at 0 or, where none is shown at the very start, a little later.
    ``clock`` is the filters that only put frames at their times: those before the stretch, of which the last may still
    be shown when it begins, lie under 0. Where that is the last of all, and stays, it is at 0.
    """

    seek_args: tuple[str, ...]
    filters: tuple[str, ...]
    clock: tuple[str, ...]


def stretch_place(media: MediaFacts, track: VideoTrack, start_s: float, duration_s: float) -> StretchPlace:
    """Return how to read a stretch that begins ``start_s`` seconds after the track's first picture.

    A file that is read from its beginning is at 0 with that picture. Where it is sought, the container's own clock is
    kept: FFmpeg's, with 0 where it was sought, is wrong for MPEG-TS and MPEG-PS, by seconds or by all of its start.
    """
    enter_s = _enter_s(media, track, start_s)
    early_s = 0.0 if track.still_from_s is None else max(0.0, start_s - track.still_from_s)
    if enter_s is None:
        return _place((), "", start_s, duration_s, early_s=early_s, from_zero=("setpts=PTS-STARTPTS",))
    origin_s = track.start_s or 0.0
    return _place(seek_args(origin_s + enter_s), "", origin_s + start_s, duration_s, early_s=early_s)


def sound_place(media: MediaFacts, track: VideoTrack, start_s: float, duration_s: float) -> StretchPlace:
    """Return how to read the sound of a stretch that begins ``start_s`` seconds after the track's first picture.

    A file whose times lead nowhere is read from its beginning by FFmpeg's clock, which runs on where the container's
    jumps, and is at 0 with what begins first of the streams that are used: the track has to be one of them.
    """
    origin_s, args = track.start_s or 0.0, _OWN_CLOCK
    if not can_seek(media, track):
        origin_s, args = max(0.0, origin_s - (media.start_s or 0.0)), ()
    elif (enter_s := _enter_s(media, track, start_s)) is not None:
        args = seek_args(origin_s + enter_s)
    return _place(args, "a", origin_s + start_s, duration_s)


def _place(
    args: tuple[str, ...], kind: str, begin_s: float, duration_s: float, *, early_s: float = 0.0,
    from_zero: tuple[str, ...] = (),
) -> StretchPlace:  # fmt: skip
    """Return the place of what begins at ``begin_s``, for pictures or, of the kind ``a``, for sound.

    ``early_s`` is how much earlier the picture came that is shown then.
    """
    window = f"{kind}trim=start={begin_s:.6f}:duration={duration_s:.6f}"
    filters = (*from_zero, window, f"{kind}setpts=PTS-{begin_s:.6f}/TB")
    clock = (*from_zero, f"{kind}setpts=PTS-{begin_s - early_s:.6f}/TB")
    return StretchPlace(seek_args=args, filters=filters, clock=clock)


def _enter_s(media: MediaFacts, track: VideoTrack, start_s: float) -> float | None:
    """Return where to seek to, in seconds from the first picture; ``None`` for the file's beginning."""
    if not can_seek(media, track):
        return None
    entry_s = entry_before(media, track, start_s)
    enter_s = min(start_s - run_up_s(media, track), pauses_of(track).decoded_from_s(start_s))
    enter_s = enter_s if entry_s is None else max(enter_s, entry_s)
    return enter_s if enter_s >= READ_ANYWAY_S else None
