"""What Prometheus is told: queue, jobs, stages, streams, requests, this process. Totals only, nobody's names."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelpress.facts.values import from_json
from reelpress.jobs.database import Database
from reelpress.jobs.house import House
from reelpress.jobs.liveness import workers_alive
from reelpress.jobs.model import FINISHED, KINDS, UNFINISHED, StageTime
from reelpress.jobs.reading import count_jobs
from reelpress.jobs.tables import JOBS, WEBHOOKS
from reelpress.service.feed import Feed

if TYPE_CHECKING:
    from reelpress.jobs.worker import Worker

_LOG = logging.getLogger("reelpress.access")
_QUIET = frozenset({"/health", "/ready", "/metrics"})
_STAGE_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400)
_ANSWER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)
_NOTED_OF_ONE_SCRAPE = 5000


class Metrics:
    """The registry of one application."""

    def __init__(self, house: House, feed: Feed, worker: Worker | None) -> None:
        self._database, self._worker = house.database, worker
        self._seen_until = time.time()
        self.registry = CollectorRegistry()
        self.registry.register(_Jobs(house.database, feed, house.settings.dead_after_s))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "reelpress_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.waits = Histogram(
            "reelpress_http_first_byte_seconds", "Time until an answer began.", ["route"], buckets=_ANSWER_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self._stages = Histogram(
            "reelpress_stage_seconds", "Wall time of stages of jobs that this process finished.", ["stage"],
            buckets=_STAGE_BUCKETS, registry=self.registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        self._note_stages()
        return generate_latest(self.registry)

    def _note_stages(self) -> None:
        """Count the stages of jobs that this process's worker finished since the last time."""
        if self._worker is None:
            return
        mine = sa.and_(
            JOBS.c.worker == self._worker.id, JOBS.c.status.in_(FINISHED), JOBS.c.finished_at > self._seen_until
        )
        query = sa.select(JOBS.c.finished_at, JOBS.c.stages).where(mine).order_by(JOBS.c.finished_at)
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(_NOTED_OF_ONE_SCRAPE)).all()
        for row in rows:
            self._seen_until = row.finished_at
            for stage in from_json(row.stages, tuple[StageTime, ...]):
                if stage.wall_s is not None:
                    self._stages.labels(stage.stage).observe(stage.wall_s)


class _Jobs(Collector):
    """Reads the database when it is asked."""

    def __init__(self, database: Database, feed: Feed, dead_after_s: float) -> None:
        self._database, self._feed, self._dead_after_s = database, feed, dead_after_s

    def describe(self) -> list[Metric]:
        """Return nothing: at registration the database is not to be asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what the database says now."""
        backlog = sa.select(sa.func.count()).select_from(WEBHOOKS).where(WEBHOOKS.c.state == "pending")
        oldest = sa.select(sa.func.min(JOBS.c.updated_at)).where(JOBS.c.status == "queued")
        with self._database.reading() as connection:
            counts = {kind: count_jobs(connection, kind=kind) for kind in KINDS}
            pending = connection.execute(backlog).scalar_one()
            workers = workers_alive(connection, dead_after_s=self._dead_after_s)
            since = connection.execute(oldest).scalar()
        jobs = GaugeMetricFamily("reelpress_jobs", "Jobs in the database.", labels=["kind", "status"])
        for kind in KINDS:
            for status in (*UNFINISHED, *FINISHED):
                jobs.add_metric([kind, status], counts[kind].get(status, 0))
        yield jobs
        yield GaugeMetricFamily("reelpress_webhooks_pending", "Events that are not delivered yet.", value=pending)
        working = GaugeMetricFamily("reelpress_workers", "Workers that live.", labels=["kind"])
        for role in ("worker", "push"):
            working.add_metric([role], sum(worker.kind == role for worker in workers))
        yield working
        age_s = max(time.time() - since, 0.0) if since is not None else 0.0
        yield GaugeMetricFamily("reelpress_queue_age_seconds", "How long the oldest queued job waits.", value=age_s)
        yield GaugeMetricFamily("reelpress_event_watchers", "Open streams of events.", value=self._feed.watchers)


class CountedRequests:
    """Counts and logs what is answered; counts by the route's form: an id in a label would be a series for each job."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                waited_s = time.perf_counter() - began
                self._metrics.requests.labels(scope["method"], route, message["status"]).inc()
                self._metrics.waits.labels(route).observe(waited_s)
                level = logging.DEBUG if route in _QUIET else logging.INFO
                said = {"user": scope.get("state", {}).get("user_id"), "ms": round(waited_s * 1000, 1)}
                # the path without its query, which may be a signature
                _LOG.log(level, "%s %s %d", scope["method"], scope["path"], message["status"], extra=said)
            await send(message)

        await self._app(scope, receive, counting)
