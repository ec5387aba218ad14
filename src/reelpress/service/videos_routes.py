"""``/v1/videos``: long sources made ready for cutting, their previews, and questions about stretches of them."""

from __future__ import annotations

import logging
import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from reelpress.errors import ReelpressError
from reelpress.facts.values import Value
from reelpress.jobs.changing import cancel
from reelpress.jobs.clip_model import StoredObject, StoredPreview, VideoDetails
from reelpress.jobs.ending import on_end
from reelpress.jobs.house import House
from reelpress.jobs.model import Job
from reelpress.jobs.reading import details_of, find_job, list_jobs
from reelpress.jobs.submission import JobRefused
from reelpress.jobs.videos import forget_video, remove_video_files, submit_video, unfinished_of
from reelpress.service.access import Caller, HouseOf, Reader, Writer
from reelpress.service.answers import answer, documented
from reelpress.service.clip_shapes import VideoShape
from reelpress.service.clip_views import Video, videos_of
from reelpress.service.jobs_routes import IdempotencyKey
from reelpress.service.objects import OBJECT_ANSWERS, AsAddress, OutputAddress, address_of, stream_object
from reelpress.service.paging import before_cursor, cursor_of, wake
from reelpress.service.problems import RequestRefused, not_found
from reelpress.service.requests import input_of

router = APIRouter(prefix="/v1/videos", tags=["videos"])
VideoId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["vid_019a9f6c1e2a5d0b3c4f8e7a"])]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=200, description="next_cursor of the page before.")]
_LOG = logging.getLogger("reelpress.service")
# What cancelled analyses may need to end before their video is deleted.
_STOPPING_S = 5.0
_STREAMED = documented({}, problems={409: "The video is not ready."}) | OBJECT_ANSWERS


class VideoPage(Value, frozen=True, kw_only=True):
    """Videos, the newest first. ``next_cursor`` leads to older ones."""

    videos: tuple[Video, ...]
    next_cursor: str | None


@router.post(
    "",
    response_class=Response,
    status_code=201,
    responses=documented(
        {201: ("It is being made ready.", Video), 200: ("The key stands for this video, taken earlier.", Video)},
        problems={409: "The upload is not complete."},
    ),
)
def add_video(
    shape: VideoShape, caller: Writer, house: HouseOf, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Have a long video made ready for cutting."""
    place = input_of(shape.input, caller, house)
    name = "".join(filter(str.isprintable, shape.name or "")).strip()
    done = submit_video(
        house.database, place, user_id=caller.user_id, now=time.time(), name=name or None,
        idempotency_key=idempotency_key, max_queued=house.settings.max_queued,
    )  # fmt: skip
    wake(request)
    with house.database.reading() as connection:
        [video] = videos_of(connection, [done.job])
    return answer(video, status=201 if done.is_new else 200, headers={"Location": f"/v1/videos/{video.id}"})


@router.get("", response_class=Response, responses=documented({200: ("Videos.", VideoPage)}))
def read_videos(caller: Reader, house: HouseOf, limit: Limit = 20, cursor: Cursor = None) -> Response:
    """List videos."""
    before = None if cursor is None else before_cursor(cursor)
    with house.database.reading() as connection:
        jobs = list_jobs(connection, user_id=caller.sees, kind="video", before=before, limit=limit + 1)
        videos = videos_of(connection, jobs[:limit])
    more = cursor_of(jobs[limit - 1]) if len(jobs) > limit else None
    return answer(VideoPage(videos=tuple(videos), next_cursor=more))


@router.get("/{video_id}", response_class=Response, responses=documented({200: ("The video.", Video)}))
def read_video(video_id: VideoId, caller: Reader, house: HouseOf) -> Response:
    """Look at one video."""
    with house.database.reading() as connection:
        [video] = videos_of(connection, [own_video(caller, find_job(connection, video_id))])
    return answer(video)


@router.delete(
    "/{video_id}",
    status_code=204,
    response_class=Response,
    responses=documented({204: ("Gone.", None)}, problems={409: "An export of it is unfinished."}),
)
def delete_video(video_id: VideoId, caller: Writer, house: HouseOf) -> Response:
    """Delete a video with its preview, its analyses and drafts of it; finished clips stay."""
    with house.database.reading() as connection:
        own_video(caller, find_job(connection, video_id))
    deadline = time.monotonic() + _STOPPING_S
    while True:
        try:
            video = forget_video(house.database, video_id, user_id=caller.sees)
            break
        except JobRefused as refused:
            if refused.code != "not_finished" or time.monotonic() > deadline:
                raise
            for job_id in unfinished_of(house.database, video_id):
                cancel(house.database, job_id, now=time.time(), on_end=on_end(house))
            time.sleep(0.1)
    try:
        remove_video_files(house.store, video)
    except ReelpressError as error:  # nobody can reach them any more
        _LOG.warning("files of %s are left in the store: %s", video_id, error.what)
    return Response(status_code=204)


@router.get("/{video_id}/preview", response_class=Response, responses=_STREAMED)
async def read_preview(
    video_id: VideoId, caller: Reader, house: HouseOf, request: Request, as_address: AsAddress = False
) -> Response:
    """Watch a small copy of the video; never by redirect, for a page may take media from this service alone."""
    preview = await run_in_threadpool(_preview, house, caller, video_id)
    if as_address:
        return answer(OutputAddress(url=await address_of(house.store, preview.proxy)))
    return await stream_object(house.store, preview.proxy, request)


@router.get("/{video_id}/sprites/{sheet}", response_class=Response, responses=_STREAMED)
async def read_sprites(
    video_id: VideoId,
    sheet: Annotated[int, Path(ge=0, le=100_000)],
    caller: Reader,
    house: HouseOf,
    request: Request,
) -> Response:
    """Get a sheet of thumbnails."""
    preview = await run_in_threadpool(_preview, house, caller, video_id)
    if sheet >= len(preview.sheets):
        not_found("There is no such sheet.")
    return await stream_object(house.store, preview.sheets[sheet], request)


@router.get("/{video_id}/peaks", response_class=Response, responses=_STREAMED)
async def read_peaks(video_id: VideoId, caller: Reader, house: HouseOf, request: Request) -> Response:
    """Get the peaks of its sound: `{"per_s": 100.0, "peaks": [0, 12, 127]}`."""
    peaks: StoredObject | None = (await run_in_threadpool(_preview, house, caller, video_id)).peaks
    if peaks is None:
        not_found("The video has no sound.")
    return await stream_object(house.store, peaks, request)


def own_video(caller: Caller, job: Job | None) -> Job:
    """Return a job that is a video the caller may see. Raises ``not_found``."""
    if job is None or job.kind != "video" or caller.sees not in (None, job.user_id):
        not_found("There is no such video.")
    return job


def _preview(house: House, caller: Caller, video_id: str) -> StoredPreview:
    with house.database.reading() as connection:
        job = own_video(caller, find_job(connection, video_id))
        details = details_of(connection, [video_id], VideoDetails).get(video_id)
    if details is None or details.preview is None:
        raise RequestRefused(409, "video_not_ready", "The video is not ready.", evidence=f"it is {job.status}")
    return details.preview
