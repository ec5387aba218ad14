"""The captions of a clip as files, with times of the clip."""

from __future__ import annotations

from reelpress.captions.editing import cut
from reelpress.captions.writing import srt, vtt
from reelpress.jobs.clip_model import ClipDraft

TYPES = {"srt": "application/x-subrip", "vtt": "text/vtt"}


def subtitle_files(draft: ClipDraft) -> dict[str, tuple[str, str]]:
    """Return text and content type by ending; nothing for a clip without captions."""
    if draft.captions is None:
        return {}
    cues = cut(draft.captions, draft.start_s, draft.end_s).cues
    return {"srt": (srt(cues), TYPES["srt"]), "vtt": (vtt(cues), TYPES["vtt"])}
