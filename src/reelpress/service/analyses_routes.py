"""``/v1/analyses`` and questions about stretches of videos: where the window goes, what is said, what a file says."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from reelpress.facts.captions import Captions
from reelpress.facts.values import Value
from reelpress.jobs.clip_model import AnalysisWanted, VideoDetails
from reelpress.jobs.house import House
from reelpress.jobs.model import Job
from reelpress.jobs.reading import details_of, find_job
from reelpress.jobs.videos import submit_analysis
from reelpress.plan.clip_refusals import programme_s
from reelpress.service.access import Caller, HouseOf, Reader, Writer
from reelpress.service.answers import answer, documented
from reelpress.service.clip_requests import check_stretch
from reelpress.service.clip_shapes import AnalysisShape, SpeechShape
from reelpress.service.clip_views import Analysis, analysis_of
from reelpress.service.jobs_routes import JobId
from reelpress.service.paging import wake
from reelpress.service.problems import RequestRefused, not_found
from reelpress.service.videos_routes import VideoId, own_video

router = APIRouter(prefix="/v1", tags=["analyses"])
_ASKED = documented(
    {201: ("It is being found out.", Analysis), 200: ("This was asked before.", Analysis)},
    problems={409: "The video is not ready, or there is nothing to find it out with."},
)


class ReadCaptions(Value, frozen=True, kw_only=True):
    """What a file of captions says."""

    captions: Captions


@router.post("/videos/{video_id}/analyses", response_class=Response, status_code=201, responses=_ASKED)
def ask_for_framing(
    video_id: VideoId, shape: AnalysisShape, caller: Writer, house: HouseOf, request: Request
) -> Response:
    """Find out where the vertical window goes in a stretch; the same question finds the same answer."""
    wanted = AnalysisWanted(
        about="framing", start_s=shape.start_s, end_s=shape.end_s, layout=shape.layout, width=shape.width,
        height=shape.height,
    )  # fmt: skip
    return _ask(house, caller, request, video_id, wanted)


@router.post("/videos/{video_id}/captions", response_class=Response, status_code=201, responses=_ASKED)
def ask_for_captions(
    video_id: VideoId, shape: SpeechShape, caller: Writer, house: HouseOf, request: Request
) -> Response:
    """Find out what is said in a stretch, word by word."""
    if house.settings.transcribe_model is None:
        with house.database.reading() as connection:
            own_video(caller, find_job(connection, video_id))
        raise RequestRefused(
            409, "no_model", "There is no model to transcribe with.", hint="Set REELPRESS_TRANSCRIBE_MODEL."
        )
    wanted = AnalysisWanted(about="captions", start_s=shape.start_s, end_s=shape.end_s, language=shape.language)
    return _ask(house, caller, request, video_id, wanted)


@router.put(
    "/videos/{video_id}/captions",
    response_class=Response,
    responses=documented({200: ("What it says.", ReadCaptions)}),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("text/vtt", "application/x-subrip", "text/plain")
            },
        }
    },
)
async def read_captions_file(video_id: VideoId, caller: Writer, house: HouseOf, request: Request) -> Response:
    """Read a file of captions (WebVTT, SubRip, ASS) of at most 2 MB; nothing is kept."""
    raw = await request.body()
    return answer(await run_in_threadpool(_parsed, house, caller, video_id, raw))


@router.get("/analyses/{job_id}", response_class=Response, responses=documented({200: ("It.", Analysis)}))
def read_analysis(job_id: JobId, caller: Reader, house: HouseOf) -> Response:
    """Look at an analysis."""
    with house.database.reading() as connection:
        job = find_job(connection, job_id)
        if job is None or job.kind != "analysis" or caller.sees not in (None, job.user_id):
            not_found("There is no such analysis.")
        return answer(analysis_of(connection, job))


def _ask(house: House, caller: Caller, request: Request, video_id: str, wanted: AnalysisWanted) -> Response:
    check_stretch(wanted.start_s, wanted.end_s)
    with house.database.reading() as connection:
        video = own_video(caller, find_job(connection, video_id))
        details = details_of(connection, [video_id], VideoDetails).get(video_id)
    _check_inside(video, details, wanted)
    done = submit_analysis(
        house.database, video, wanted, user_id=video.user_id, now=time.time(), max_queued=house.settings.max_queued
    )  # fmt: skip
    wake(request)
    with house.database.reading() as connection:
        analysis = analysis_of(connection, done.job)
    headers = {"Location": f"/v1/analyses/{analysis.id}"}
    return answer(analysis, status=201 if done.is_new else 200, headers=headers)


def _check_inside(video: Job, details: VideoDetails | None, wanted: AnalysisWanted) -> None:
    duration_s = programme_s(details.facts) if details is not None else None
    if duration_s is not None and wanted.start_s >= duration_s:
        raise RequestRefused(
            422, "invalid", "The stretch lies behind the end of the video.",
            evidence=f"it begins at {wanted.start_s:g} s; {video.id} lasts {duration_s:.3f} s",
        )  # fmt: skip


def _parsed(house: House, caller: Caller, video_id: str, raw: bytes) -> ReadCaptions:
    from reelpress.captions.reading import parse_captions

    with house.database.reading() as connection:
        own_video(caller, find_job(connection, video_id))
    return ReadCaptions(captions=parse_captions(raw))
