"""The sound of a stretch of a video as a file of its own, on the programme's clock."""

from __future__ import annotations

from pathlib import Path

from reelpress.errors import Cancelled, InputError
from reelpress.facts.formats import container_args
from reelpress.facts.media import MediaFacts
from reelpress.plan.stretch_place import sound_place
from reelpress.run.process import CancelToken, Limits, run
from reelpress.source.opening import OpenSource

_RATE_HZ = 16_000
_MEMORY_BYTES = 8_000_000_000
_STALL_S = 120.0


def extract_sound(
    source: OpenSource,
    facts: MediaFacts,
    target: Path,
    *,
    ffmpeg: str,
    start_s: float,
    end_s: float,
    cancel: CancelToken,
) -> Path | None:
    """Write mono sound of 16 kHz that begins exactly at ``start_s``, with silence where there is none; return the file.

    ``None`` for one without sound or pictures. Raises :class:`InputError` when it cannot be decoded, and
    :class:`Cancelled`.
    """
    audio, video = facts.main_audio, facts.main_video
    if audio is None or video is None:
        return None
    duration_s = end_s - start_s
    place = sound_place(facts, video, start_s, duration_s)
    filters = ",".join((*place.filters, "aresample=async=1:first_pts=0"))
    # The pictures are not needed. But FFmpeg's clock begins with the streams that are used, not with the file.
    pictures = ("-map", f"0:{video.index}", "-c", "copy", "-t", f"{end_s:.6f}", "-f", "null", "-")
    argv = (
        ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "repeat+level+warning", "-progress", "pipe:1", "-y",
        "-protocol_whitelist", source.protocols, *container_args(facts.container), *source.input_options,
        *place.seek_args, "-i", source.url,
        "-map", f"0:{audio.index}", "-af", filters,
        "-ac", "1", "-ar", str(_RATE_HZ), "-c:a", "pcm_s16le", "-map_metadata", "-1", "-f", "wav", f"file:{target}",
        *(() if place.seek_args else pictures),
    )  # fmt: skip
    size_bytes = round((duration_s + 10) * _RATE_HZ * 2) + 2**20
    limits = Limits(stall_s=_STALL_S, memory_bytes=_MEMORY_BYTES, file_size_bytes=size_bytes)
    finished = run(argv, limits=limits, cancel=cancel)
    if finished.stopped == "cancelled":
        raise Cancelled("Stopped while the sound was extracted.")
    source.check_unchanged()
    if finished.returncode != 0 or not target.is_file():
        raise InputError("The sound cannot be decoded.", evidence=finished.last_words(), reason="undecodable")
    return target
