"""From a stretch of a source to its framing: one decode, five pictures a second looked at, a choice for each shot."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from reelpress.clip_request import LayoutChoice
from reelpress.errors import Cancelled, InputError, UsageError
from reelpress.facts.framing import Framing
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.probe.shots import find_cuts
from reelpress.reframe.cache import evidence_cache
from reelpress.reframe.evidence import SHOWN_FROM_S, Evidence, Sample
from reelpress.reframe.layouts import choose_framing
from reelpress.reframe.proxy import read_pictures, take_proxy
from reelpress.run.process import CancelToken
from reelpress.run.temporary import temporary_folder
from reelpress.source.opening import OpenSource

_DECODE_SHARE = 0.4  # of the time an analysis takes; the rest goes into looking


def frame_clip(
    source: OpenSource, facts: MediaFacts, *, ffmpeg: str, start_s: float, end_s: float, layout: LayoutChoice,
    aspect: Fraction, face_model: Path | None, cache_dir: Path | None, cancel: CancelToken,
    spend: Callable[[float], None], on_share: Callable[[float], None] | None = None,
) -> Framing:  # fmt: skip
    """Return where the window of shape ``aspect`` (width over height) lies from ``start_s`` to ``end_s``.

    Times are programme seconds. ``face_model`` is YuNet's file, ``None`` has Haar cascades look for faces. What was
    seen is kept in ``cache_dir`` (``None``: the user's cache folder) under the source's fingerprint, so that another
    layout or shape costs no second look. ``spend`` is told CPU seconds of other programs, ``on_share`` how much is
    done, from 0 to 1.

    Raises :class:`InputError` for a source without pictures or a stretch of which nothing can be decoded,
    :class:`UsageError` for a stretch or a model that cannot be meant, :class:`OutputError` and :class:`EncodeError`
    where looking was broken off, and :class:`Cancelled`.
    """
    track = facts.main_video
    if track is None:
        raise InputError("There are no pictures to frame.", evidence="no video stream that can be decoded")
    if not 0 <= start_s < end_s:
        raise UsageError("The stretch to frame has no length.", evidence=f"from {start_s:g} s to {end_s:g} s")
    on_share = on_share or (lambda _share: None)
    cache = evidence_cache(cache_dir)
    size = track.display_width, track.display_height
    key = cache.key(source.fingerprint, track.index, size, f"{start_s:.6f}", f"{end_s:.6f}", _model_id(face_model))
    evidence = cache.find(key)
    if evidence is None:
        evidence = _gather(source, facts, track, ffmpeg, (start_s, end_s), face_model, cancel, spend, on_share)
        cache.keep(key, evidence)
    on_share(1.0)
    return choose_framing(
        evidence, display_aspect=size[0] / size[1], aspect=float(aspect), layout=layout, start_s=start_s
    )


def _gather(
    source: OpenSource, facts: MediaFacts, track: VideoTrack, ffmpeg: str, stretch: tuple[float, float],
    face_model: Path | None, cancel: CancelToken, spend: Callable[[float], None], on_share: Callable[[float], None],
) -> Evidence:  # fmt: skip
    from reelpress.reframe.faces import open_detector
    from reelpress.reframe.movement import Movement, texture

    start_s, end_s = stretch
    duration_s = end_s - start_s
    detector, movement = open_detector(face_model), Movement()
    with temporary_folder("reelpress-framing-", Path(tempfile.gettempdir())) as folder:
        pictures = folder / "pictures.mkv"
        looks = take_proxy(
            source, facts, track, ffmpeg=ffmpeg, start_s=start_s, end_s=end_s, target=pictures, cancel=cancel,
            spend=spend, on_share=lambda share: on_share(_DECODE_SHARE * share),
        )  # fmt: skip
        cuts_s = find_cuts(looks, duration_s)
        samples, ahead = [], list(cuts_s)
        began = time.thread_time()
        for t_s, picture in read_pictures(pictures):
            if cancel.is_cancelled:
                raise Cancelled
            if ahead and ahead[0] <= t_s + SHOWN_FROM_S:
                ahead = [cut for cut in ahead if cut > t_s + SHOWN_FROM_S]
                movement.forget()
                if detector is not None:
                    detector.forget()
            columns, rows = movement.look(picture)
            flat, sharp = texture(picture)
            faces = detector.look(picture) if detector is not None else ()
            samples.append(Sample(t_s=round(t_s, 4), faces=faces, columns=columns, rows=rows, flat=flat, sharp=sharp))
            on_share(_DECODE_SHARE + (1 - _DECODE_SHARE) * min(1.0, t_s / duration_s))
        spend(time.thread_time() - began)
    name = detector.name if detector is not None else None
    return Evidence(duration_s=duration_s, cuts_s=tuple(cuts_s), samples=tuple(samples), detector=name)


def _model_id(face_model: Path | None) -> str:
    """Return what stands for the detector: the content of its file, or that there is none."""
    if face_model is None:
        return "no model"
    try:
        return hashlib.sha256(face_model.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            "The model for faces cannot be read.", evidence=f"{face_model}: {error.strerror}",
            hint="REELPRESS_FACE_MODEL names it; `reelpress models get yunet` fetches it",
        ) from error  # fmt: skip
