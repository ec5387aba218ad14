"""Pages for people: static files of ours, read once, under a policy that lets nothing else in."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

from reelpress.facts.values import Value

_FOLDER = Path(__file__).parent.parent / "web"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The page can name no host but this one, and no other page can frame it: it holds an API key. Blobs are videos that
# were fetched with that key, which the browser does not send with what it plays.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # asked about at every load, so that a page never runs with the scripts of another version
    "Cache-Control": "no-cache",
}

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


def _answer(page: Page, request: Request) -> Response:
    headers = {**HEADERS, "ETag": page.etag}
    if page.etag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(page.content, media_type=page.media_type, headers=headers)
