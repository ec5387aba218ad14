"""What a job delivered: a signed address where the store has such a thing, else the bytes, with ranges."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.house import House
from reelpress.jobs.model import JobResult
from reelpress.jobs.reading import find_job
from reelpress.service.access import Caller, HouseOf, Reader
from reelpress.service.answers import answer, documented
from reelpress.service.jobs_routes import JobId
from reelpress.service.objects import OBJECT_ANSWERS, AsAddress, OutputAddress, address_of, stream_object
from reelpress.service.problems import RequestRefused, not_found
from reelpress.storage.store import Store

router = APIRouter(prefix="/v1/jobs", tags=["outputs"])
_ANSWERS = documented({}, problems={409: "The job has not got as far as that."}) | {
    **OBJECT_ANSWERS,
    307: {"description": "Its address in the store, which is a secret and good for an hour."},
}


@router.get("/{job_id}/output", response_class=Response, responses=_ANSWERS)
async def read_output(
    job_id: JobId, caller: Reader, house: HouseOf, request: Request, as_address: AsAddress = False
) -> Response:
    """Get the video."""
    result = await _result(house, caller, job_id)
    if result.output is None:
        not_found("The job has no output: the input is as small as it gets.")
    return await _deliver(house.store, result.output, request, as_address=as_address)


@router.get("/{job_id}/transcript/{form}", response_class=Response, responses=_ANSWERS)
async def read_transcript(
    job_id: JobId,
    form: Literal["vtt", "srt", "json"],
    caller: Reader,
    house: HouseOf,
    request: Request,
    as_address: AsAddress = False,
) -> Response:
    """Get what was said in it."""
    found = (await _result(house, caller, job_id)).transcript.get(form)
    if found is None:
        not_found("The job has no such transcript.")
    return await _deliver(house.store, found, request, as_address=as_address)


async def _result(house: House, caller: Caller, job_id: str) -> JobResult:
    def find() -> JobResult:
        with house.database.reading() as connection:
            job = caller.own(find_job(connection, job_id))
        if job.result is None:
            raise RequestRefused(409, "no_result", "The job has delivered nothing.", evidence=f"it is {job.status}")
        return job.result

    return await run_in_threadpool(find)


async def _deliver(store: Store, wanted: StoredObject, request: Request, *, as_address: bool) -> Response:
    url = await address_of(store, wanted)
    if as_address:
        return answer(OutputAddress(url=url))
    if url is not None:
        return RedirectResponse(url, 307)
    return await stream_object(store, wanted, request, save_as=PurePosixPath(wanted.key).name)
