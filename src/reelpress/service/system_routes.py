"""``/health``, ``/ready``, ``/metrics``: for load balancers, orchestrators and Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials

from reelpress.errors import NetError
from reelpress.facts.values import Value
from reelpress.service.access import Admin, HouseOf, identify
from reelpress.service.answers import answer, documented
from reelpress.service.problems import RequestRefused, not_found
from reelpress.service.readiness import Readiness, ReadinessCheck
from reelpress.version import VERSION

router = APIRouter(tags=["system"])
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Health(Value, frozen=True, kw_only=True):
    """That the process lives."""

    status: str
    version: str


@router.get("/health", response_class=Response, responses=documented({200: ("It lives.", Health)}))
async def read_health() -> Response:
    """Ask whether the process lives; nothing else is looked at."""
    return answer(Health(status="ok", version=VERSION))


@router.get(
    "/ready",
    response_class=Response,
    responses=documented({200: ("Jobs are taken and done.", Readiness), 503: ("Not now.", Readiness)}),
)
def read_readiness(request: Request) -> Response:
    """Ask whether jobs can be done; without a key, on an address others can reach, only yes or no."""
    check: ReadinessCheck = request.app.state.readiness
    found = check.look()
    if not _may_see(request):
        found = Readiness(ready=found.ready)
    return answer(found, status=200 if found.ready else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses=documented({}) | {200: {"description": "Prometheus's text format.", "content": {_METRICS: {}}}},
)
def read_metrics(_caller: Admin, house: HouseOf) -> Response:
    """Read the metrics."""
    if not house.telemetry.has_text:
        not_found("This process tells no metrics here.")
    return Response(house.telemetry.text(), 200, None, _METRICS)


def _may_see(request: Request) -> bool:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials) if credentials else None
    try:
        return identify(request, bearer, request.headers.get("x-api-key")).may("read")
    except (RequestRefused, NetError):
        return False
