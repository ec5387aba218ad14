"""Pages for people: static files of ours, read once, under a policy that lets nothing else in."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

from reelpress.errors import StorageError
from reelpress.facts.values import Value

_LOG = logging.getLogger("reelpress.service")
_FOLDER = Path(__file__).parent.parent / "web"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # asked about at every load, so that a page never runs with the scripts of another version
    "Cache-Control": "no-cache",
}


def policy(place: str | None, *, connect: str = "") -> str:
    """Return the policy of the pages, which hold an API key: no other page can frame them, and they name no host.

    But for ``place``, where signed addresses of the store begin: the page sends files there and plays them from there.
    ``connect`` is what a place of its own lets the page talk to, with a space before each. Blobs are videos that were
    fetched with the key, which the browser does not send with what it plays.
    """
    store = f" {place}" if place else ""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:{store}; "
        f"connect-src 'self'{store}{connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


router = APIRouter(include_in_schema=False)


class Page(Value, frozen=True, kw_only=True):
    """One static file, ready to be sent."""

    content: bytes
    media_type: str
    etag: str


def _read(path: Path) -> Page:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Page(content=content, media_type=f"{_TYPES[path.suffix]}; charset=utf-8", etag=etag)


_PAGES = {path.name: _read(path) for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}


@router.api_route("/", methods=["GET", "HEAD"])
def clips_page(request: Request) -> Response:
    """Answer with the page that cuts vertical shorts."""
    return _answer(_PAGES["wizard.html"], request)


@router.api_route("/jobs", methods=["GET", "HEAD"])
def jobs_page(request: Request) -> Response:
    """Answer with the dashboard of jobs."""
    return _answer(_PAGES["jobs.html"], request)


@router.api_route("/web/{name}", methods=["GET", "HEAD"])
def page_file(name: str, request: Request) -> Response:
    """Answer with a style, script or picture of the pages."""
    page = _PAGES.get(name)
    if page is None or name.endswith(".html"):
        raise HTTPException(404, "There is no such file")
    return _answer(page, request)


def _place(request: Request) -> str | None:
    try:
        place: str | None = request.app.state.store_place()
    except StorageError as error:
        _LOG.warning("pages cannot send files to the store: %s", error.what)
        return None
    return place


def _answer(page: Page, request: Request) -> Response:
    headers = {**HEADERS, "Content-Security-Policy": policy(_place(request)), "ETag": page.etag}
    if page.etag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(page.content, media_type=page.media_type, headers=headers)
