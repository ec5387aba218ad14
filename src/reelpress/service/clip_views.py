"""Videos, analyses, exports and clips as the API answers with them; their JSON is in docs/clips-api.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal

import msgspec
from sqlalchemy.engine import Connection

from reelpress.facts.captions import Captions
from reelpress.facts.framing import Framing
from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value
from reelpress.jobs.clip_model import (
    AnalysisDetails,
    AnalysisWanted,
    ClipDetails,
    ClipDraft,
    ClipFile,
    ClipWanted,
    Sprites,
    VideoDetails,
)
from reelpress.jobs.clip_model import (
    Export as Document,
)
from reelpress.jobs.exports import find_exports
from reelpress.jobs.model import Job, JobError, Stage, Status
from reelpress.jobs.reading import children_of, details_of
from reelpress.jobs.videos import NAME
from reelpress.plan.clip_refusals import programme_s
from reelpress.plan.platforms import PlatformName


class VideoFacts(Value, frozen=True, kw_only=True):
    """What is in a video. ``width`` and ``height`` are what a viewer sees, upright."""

    duration_s: float | None
    width: int
    height: int
    fps: float | None
    has_audio: bool
    size_bytes: int
    codec: str


class PreviewView(Value, frozen=True, kw_only=True):
    """What there is to look at: a small copy of this size, thumbnails, peaks of the sound; and where the cuts are."""

    width: int
    height: int
    sprites: Sprites | None
    has_peaks: bool
    cuts_s: tuple[float, ...]


class Video(Value, frozen=True, kw_only=True):
    """A long video. ``facts`` and ``preview`` are there when it is ready."""

    id: str
    name: str
    status: Literal["queued", "running", "ready", "failed", "cancelled", "dead"]
    stage: Stage
    percent: float
    eta_s: float | None
    error: JobError | None
    created_at: float
    facts: VideoFacts | None
    preview: PreviewView | None


class Analysis(Value, frozen=True, kw_only=True):
    """What was found out about a stretch: ``framing`` or ``captions``, as ``kind`` says, once it is done."""

    id: str
    video: str
    kind: Literal["framing", "captions"]
    status: Status
    percent: float
    start_s: float
    end_s: float
    framing: Framing | None
    captions: Captions | None
    error: JobError | None


class Clip(Value, frozen=True, kw_only=True):
    """One clip of an export at work, or done. ``framing`` is the one that is used, once it is known."""

    id: str
    export: str
    draft: str
    index: int
    name: str
    start_s: float
    end_s: float
    status: Status
    stage: Stage
    percent: float
    eta_s: float | None
    speed: float | None
    encoder: str | None
    device: str | None
    fallback: str | None
    framing: Framing | None
    warnings: tuple[str, ...]
    run: int
    error: JobError | None
    result: ClipFile | None


class Export(Value, frozen=True, kw_only=True):
    """Clips of a video: drafts until it is started, then jobs."""

    id: str
    video: str
    status: Literal["draft", "running", "done", "failed", "cancelled"]
    version: int
    width: int
    height: int
    platform: PlatformName | None
    percent: float
    created_at: float
    started_at: float | None
    finished_at: float | None
    drafts: tuple[ClipDraft, ...]
    clips: tuple[Clip, ...]


def videos_of(connection: Connection, jobs: Sequence[Job]) -> list[Video]:
    """Return jobs of kind video as the API shows them."""
    details = details_of(connection, [job.id for job in jobs], VideoDetails)
    return [_video(job, details.get(job.id)) for job in jobs]


def analysis_of(connection: Connection, job: Job) -> Analysis:
    """Return a job of kind analysis as the API shows it."""
    details = details_of(connection, [job.id], AnalysisDetails).get(job.id, AnalysisDetails())
    wanted = job.spec.wants
    assert isinstance(wanted, AnalysisWanted)  # noqa: S101 - by the job's kind
    return Analysis(
        id=job.id, video=job.parent or "", kind=wanted.about, status=job.status, percent=job.percent,
        start_s=wanted.start_s, end_s=wanted.end_s, framing=details.framing, captions=details.captions,
        error=job.error,
    )  # fmt: skip


def clips_of(connection: Connection, jobs: Sequence[Job]) -> list[Clip]:
    """Return jobs of kind clip as the API shows them, in the order of the export."""
    details = details_of(connection, [job.id for job in jobs], ClipDetails)
    clips = [_clip(job, details.get(job.id, ClipDetails())) for job in jobs]
    return sorted(clips, key=lambda clip: clip.index)


def export_of(connection: Connection, job: Job) -> Export:
    """Return a job of kind export as the API shows it."""
    document = find_exports(connection, [job.id])[job.id]
    return _export(job, document, clips_of(connection, children_of(connection, job.id, "clip")))


def exports_of(connection: Connection, jobs: Sequence[Job]) -> list[Export]:
    """Return many exports, without the framing and the captions of their clips."""
    documents = find_exports(connection, [job.id for job in jobs])
    found = []
    for job in jobs:
        clips = [_clip(clip, ClipDetails()) for clip in children_of(connection, job.id, "clip")]
        document = documents[job.id]
        drafts = tuple(msgspec.structs.replace(one, framing=None, captions=None) for one in document.drafts)
        found.append(_export(job, msgspec.structs.replace(document, drafts=drafts), clips))
    return found


def name_of_video(job: Job, details: VideoDetails | None) -> str:
    """Return what a job of kind video is called: as whoever brought it says, or as its file."""
    place = job.spec.input
    named = job.spec.labels.get(NAME) or place.name
    return named or (details.source.name if details is not None else PurePosixPath(place.value).name)


def _video(job: Job, details: VideoDetails | None) -> Video:
    preview = details.preview if details is not None else None
    return Video(
        id=job.id, name=name_of_video(job, details), status=_ready(job.status), stage=_shown(job.stage),
        percent=job.percent, eta_s=job.eta_s, error=job.error, created_at=job.created_at,
        facts=_facts(details.facts) if details is not None else None,
        preview=None if preview is None else PreviewView(
            width=preview.width, height=preview.height, sprites=preview.sprites, has_peaks=preview.peaks is not None,
            cuts_s=preview.cuts_s,
        ),
    )  # fmt: skip


def _ready(status: Status) -> Literal["queued", "running", "ready", "failed", "cancelled", "dead"]:
    return "ready" if status == "done" else "queued" if status == "draft" else status


def _shown(stage: Stage) -> Stage:
    return "store" if stage == "notify" else stage


def _facts(media: MediaFacts) -> VideoFacts | None:
    video = media.main_video
    if video is None:
        return None
    fps = video.fps_avg or video.fps_nominal
    # what goes on behind the last picture, sound or subtitles, cannot be cut
    return VideoFacts(
        duration_s=programme_s(media), width=video.display_width, height=video.display_height,
        fps=None if fps is None else float(fps), has_audio=any(audio.decodes for audio in media.audio),
        size_bytes=media.size_bytes, codec=video.codec,
    )  # fmt: skip


def _clip(job: Job, details: ClipDetails) -> Clip:
    wanted = job.spec.wants
    assert isinstance(wanted, ClipWanted)  # noqa: S101 - by the job's kind
    draft = wanted.draft
    return Clip(
        id=job.id, export=job.parent or "", draft=draft.id, index=wanted.index, name=draft.name,
        start_s=draft.start_s, end_s=draft.end_s, status=job.status, stage=_shown(job.stage), percent=job.percent,
        eta_s=job.eta_s, speed=job.speed, encoder=details.encoder, device=details.device, fallback=details.fallback,
        framing=details.framing, warnings=details.warnings, run=job.run, error=job.error,
        result=details.file if job.status == "done" else None,
    )  # fmt: skip


def _export(job: Job, document: Document, clips: list[Clip]) -> Export:
    status = job.status
    assert status != "queued"  # noqa: S101 - an export never is, nor is it dead
    assert status != "dead"  # noqa: S101
    length = sum(clip.end_s - clip.start_s for clip in clips)
    percent = sum(clip.percent * (clip.end_s - clip.start_s) for clip in clips) / length if length else 0.0
    return Export(
        id=job.id, video=document.video, status=status, version=document.version, width=document.width,
        height=document.height, platform=document.platform, percent=100.0 if status == "done" else min(percent, 99.9),
        created_at=job.created_at, started_at=job.started_at, finished_at=job.finished_at, drafts=document.drafts,
        clips=tuple(clips),
    )  # fmt: skip
