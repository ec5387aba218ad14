"""Webhooks as callers see them: the secret that signs them, a test call, and what became of each."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from reelpress.facts.values import Value
from reelpress.jobs.ending import add_test_event, rotate_secret, secret_of
from reelpress.jobs.reading import find_job
from reelpress.jobs.tables import WEBHOOKS
from reelpress.net.addresses import check_url
from reelpress.service.access import HouseOf, Reader, Writer
from reelpress.service.answers import answer, documented
from reelpress.service.jobs_routes import JobId
from reelpress.service.problems import RequestRefused
from reelpress.webhooks.outbox import Event, deliveries_of

router = APIRouter(prefix="/v1", tags=["webhooks"])


class Secret(Value, frozen=True, kw_only=True):
    """What your webhooks are signed with, after Standard Webhooks: ``whsec_`` and base64."""

    secret: str


class Sent(Value, frozen=True, kw_only=True):
    """The id of an event that is on its way; receivers see it as ``webhook-id``."""

    id: str


class Deliveries(Value, frozen=True, kw_only=True):
    """The latest hundred events, the oldest first, each with its tries."""

    deliveries: tuple[Event, ...]


class TestShape(BaseModel):
    """Where to send a test; the service's own webhook if left out."""

    __test__ = False  # for pytest, which collects by name
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"url": "https://example.com/hook"}]})
    url: Annotated[str, Field(max_length=2048)] | None = None


@router.get("/webhooks/secret", response_class=Response, responses=documented({200: ("Your secret.", Secret)}))
def read_secret(caller: Writer, house: HouseOf) -> Response:
    """Get the secret; who has it can sign as this service, so it takes the scope write."""
    return answer(Secret(secret=secret_of(house.database, caller.user_id)))


@router.post("/webhooks/secret/rotate", response_class=Response, responses=documented({200: ("The new one.", Secret)}))
def new_secret(caller: Writer, house: HouseOf) -> Response:
    """Get a new secret; whatever is sent from now on is signed with it."""
    return answer(Secret(secret=rotate_secret(house.database, caller.user_id)))


@router.post(
    "/webhooks/test", response_class=Response, status_code=202, responses=documented({202: ("It is sent.", Sent)})
)
def send_test(shape: TestShape, caller: Writer, house: HouseOf) -> Response:
    """Send a test event; its deliveries tell what came of it."""
    url = shape.url or house.settings.webhook_url
    if url is None:
        raise RequestRefused(422, "no_url", "No address is named, and the service has none of its own.")
    check_url(url, allow_private=house.settings.allow_private_urls)
    with house.database.writing() as connection:
        event_id = add_test_event(connection, caller.user_id, url, now=time.time())
    return answer(Sent(id=event_id), status=202)


@router.get("/webhooks/deliveries", response_class=Response, responses=documented({200: ("Yours.", Deliveries)}))
def read_deliveries(caller: Reader, house: HouseOf) -> Response:
    """See what became of your latest events, tests among them."""
    with house.database.reading() as connection:
        return answer(Deliveries(deliveries=tuple(deliveries_of(connection, WEBHOOKS, user_id=caller.user_id))))


@router.get("/jobs/{job_id}/deliveries", response_class=Response, responses=documented({200: ("Its.", Deliveries)}))
def read_deliveries_of_job(job_id: JobId, caller: Reader, house: HouseOf) -> Response:
    """See what became of a job's events."""
    with house.database.reading() as connection:
        job = caller.own(find_job(connection, job_id))
        found = deliveries_of(connection, WEBHOOKS, user_id=job.user_id, job_id=job_id)
    return answer(Deliveries(deliveries=tuple(found)))
