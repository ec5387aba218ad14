"""The application: routes, guards and the OpenAPI document, over what the server has open."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from reelpress.jobs.house import House
from reelpress.service import (
    analyses_routes,
    clips_routes,
    costs_routes,
    events_routes,
    exports_routes,
    jobs_routes,
    output_routes,
    pages,
    problems,
    push,
    quotes_routes,
    storage_events_routes,
    system_routes,
    uploads_routes,
    videos_routes,
    webhooks_routes,
)
from reelpress.service.answers import value_schemas
from reelpress.service.feed import Feed
from reelpress.service.firebase import firebase_of
from reelpress.service.gauges import show_gauges
from reelpress.service.guards import BoundedBodies, StrictHeaders
from reelpress.service.metrics import CountedRequests
from reelpress.service.rates import Rates
from reelpress.service.readiness import ReadinessCheck
from reelpress.settings import load
from reelpress.storage.signing import signed_place
from reelpress.version import VERSION

if TYPE_CHECKING:
    from reelpress.jobs.worker import Worker

_ABOUT = """Compresses videos, checks what came out, and proves it with a receipt.

Errors are problems after RFC 9457: `code` is for programs, `detail`, `evidence` and `hint` for people."""


def create_app(house: House, worker: Worker | None = None) -> FastAPI:
    """Return the application; ``worker`` is the one of this process, which is told of new jobs at once."""
    modules = (
        system_routes, events_routes, jobs_routes, output_routes, uploads_routes, videos_routes, analyses_routes,
        exports_routes, clips_routes, quotes_routes, costs_routes, webhooks_routes, push, storage_events_routes, pages,
    )  # fmt: skip
    return _app(house, worker, modules)


def create_health_app(house: House, worker: Worker) -> FastAPI:
    """Return an application that says how a worker is, and takes no jobs."""
    return _app(house, worker, (system_routes,))


def _app(house: House, worker: Worker | None, modules: Iterable[ModuleType]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.feed.stop()

    app = FastAPI(
        title="Reelpress", version=VERSION, description=_ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.state.house, app.state.worker = house, worker
    app.state.rates = Rates(house.settings.rate_per_minute)
    app.state.feed = Feed(house.database)
    app.state.encoding = worker.encoding.settings if worker is not None else load()
    app.state.readiness = ReadinessCheck(house, worker, app.state.encoding)
    app.state.verifier = push.verifier_of(house)
    show_gauges(house, worker, app.state.feed)
    app.state.store_place = functools.cache(functools.partial(signed_place, house.store))
    app.state.events_verifier = storage_events_routes.events_verifier_of(house)
    app.state.firebase = firebase_of(house)
    problems.install(app)
    app.add_middleware(problems.AnsweredBugs)
    app.add_middleware(BoundedBodies)
    app.add_middleware(StrictHeaders)
    app.add_middleware(CountedRequests, telemetry=house.telemetry)
    for module in modules:
        app.include_router(module.router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema["components"].setdefault("schemas", {}).update(value_schemas())
        app.openapi_schema = schema
    return app.openapi_schema
