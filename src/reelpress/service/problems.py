"""Every answer that is no success: RFC 9457 problems, made from the one error tree."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelpress.errors import (
    AddressError,
    Cancelled,
    HardwareError,
    InputError,
    NetError,
    ReelpressError,
    StorageError,
    UsageError,
)
from reelpress.facts.values import Value, to_json
from reelpress.jobs.submission import JobRefused

_LOG = logging.getLogger("reelpress.service")
MEDIA_TYPE = "application/problem+json"
_RETRY_S = 5
_OF_REFUSED = {"not_found": 404, "queue_full": 429, "key_reused": 422, "too_many_clips": 422, "invalid": 422}
_OF_STORAGE = {
    "missing": 404, "too_large": 413, "exists": 409, "changed": 409, "corrupt": 409, "full": 507, "unsupported": 501,
    "denied": 502, "refused": 502, "throttled": 503, "unreachable": 503, "timed_out": 503,
}  # fmt: skip
_OF_KIND: dict[type[ReelpressError], int] = {
    UsageError: 422,
    InputError: 422,
    AddressError: 422,
    NetError: 503,  # a server that this one asks did not answer
    HardwareError: 503,
    Cancelled: 409,
}
# as RFC 9110 has them, which HTTPStatus does since Python 3.13
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
_CODE_OF_STATUS = {
    400: "bad_request", 404: "not_found", 405: "method_not_allowed", 408: "too_slow", 413: "too_large",
    415: "unsupported_type", 422: "invalid",
}  # fmt: skip


class Problem(Value, frozen=True, kw_only=True):
    """What went wrong, for people and programs. ``code`` is one stable word; ``evidence`` quotes what was seen.

    ``errors`` lists what of a request is not accepted, each as ``place: reason``.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    evidence: str | None = None
    hint: str | None = None
    errors: tuple[str, ...] = ()


class RequestRefused(ReelpressError):  # noqa: N818 - the error tree's names say what happened
    """The service does not do what a request asks for; ``status`` is HTTP's, ``code`` one stable word."""

    def __init__(
        self,
        status: int,
        code: str,
        what: str,
        *,
        evidence: str | None = None,
        hint: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(what, evidence=evidence, hint=hint)
        self.status, self.code, self.headers = status, code, headers or {}


def not_found(what: str = "There is no such job.") -> NoReturn:
    """Say that something is not there, or is somebody else's, which is the same to the caller."""
    raise RequestRefused(404, "not_found", what)


def problem_answer(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    evidence: str | None = None,
    hint: str | None = None,
    errors: tuple[str, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a problem as an answer."""
    problem = Problem(
        type=f"urn:reelpress:problem:{code}", title=_TITLES.get(status, HTTPStatus(status).phrase), status=status,
        detail=detail, instance=request.url.path, code=code, evidence=evidence, hint=hint, errors=errors,
    )  # fmt: skip
    return Response(to_json(problem), status, headers, MEDIA_TYPE)


def status_of(error: ReelpressError) -> int:
    """Return the HTTP status that says what an error says."""
    if isinstance(error, RequestRefused):
        return error.status
    if isinstance(error, JobRefused):
        return _OF_REFUSED.get(error.code, 409)
    if isinstance(error, StorageError):
        return _OF_STORAGE[error.reason]
    return next((status for kind, status in _OF_KIND.items() if isinstance(error, kind)), 500)


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(ReelpressError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(OperationalError, _of_database)
    app.add_exception_handler(DBAPIError, _of_database)
    app.add_exception_handler(PoolTimeout, _of_database)
    app.add_exception_handler(Exception, _of_bug)


class AnsweredBugs:
    """Answers what nobody expected, from within all other middleware: the answer is counted and guarded as others are.

    The handler of ``install`` for the same stands outside of them. It is for bugs of theirs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. What is raised once an answer has begun goes on, so that the connection breaks."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if has_begun:
                raise
            answer = await _of_bug(Request(scope), error)
            await answer(scope, receive, send)


async def _of_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, ReelpressError)  # noqa: S101 - by registration
    status = status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return await _of_bug(request, error)
    headers = dict(error.headers) if isinstance(error, RequestRefused) else {}
    if status in (429, 503):
        headers.setdefault("Retry-After", str(_RETRY_S))
    return problem_answer(
        request, status, error.code, error.what, evidence=error.evidence, hint=error.hint, headers=headers
    )


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    # never the input itself: it may hold a secret, and is the caller's own anyway
    errors = tuple(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:20])
    return problem_answer(
        request, 422, "invalid", "The request is not accepted.", evidence=errors[0] if errors else None,
        hint="The shape of requests is in /openapi.json.", errors=errors,
    )  # fmt: skip


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = _CODE_OF_STATUS.get(error.status_code, HTTPStatus(error.status_code).phrase.lower().replace(" ", "_"))
    return problem_answer(request, error.status_code, code, f"{error.detail}.", headers=dict(error.headers or {}))


async def _of_database(request: Request, error: Exception) -> Response:
    gone = isinstance(error, OperationalError | PoolTimeout) or getattr(error, "connection_invalidated", False)
    if not gone:
        return await _of_bug(request, error)
    _LOG.error("the database does not answer: %s", type(error).__name__)
    headers = {"Retry-After": str(_RETRY_S)}
    return problem_answer(
        request, 503, "database_away", "The database does not answer.", hint="Ask again.", headers=headers
    )


async def _of_bug(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_answer(request, 500, "bug", "This is a bug in Reelpress.", hint="The log of the server says more.")
