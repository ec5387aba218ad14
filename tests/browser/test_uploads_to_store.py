"""The page sends files to a store of another origin, by signed addresses: whole, again, and never with a key."""

from __future__ import annotations

import http.server
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from fake_clips import FakeClips
from fake_media import Media
from wizard_pages import Open, needs_chromium

pytestmark = needs_chromium
CONTENT = bytes(range(256)) * 4000


class OtherOrigin(http.server.ThreadingHTTPServer):
    """A store that takes segments from pages of one origin; ``fault(number, tries)`` is a status that one meets."""

    daemon_threads = True

    def __init__(self, service: FakeClips) -> None:
        self.service = service
        self.allowed = True
        self.fault: Callable[[int, int], int] = lambda _number, _tries: 0
        self.tries: Counter[int] = Counter()
        self.headers: list[dict[str, str]] = []
        self.played: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_OPTIONS(self) -> None:
                self._say(200)

            def do_GET(self) -> None:
                outer.played.append(self.headers.get("Range", ""))
                content = outer.service.media.proxy.read_bytes()
                first = int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
                about = {
                    "Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}",
                    "Content-Type": "video/mp4",
                }
                self._say(206, content[first:], about)

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                *_, upload_id, _segments, last = self.path.partition("?")[0].split("/")
                number = int(last)
                outer.tries[number] += 1
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                if status := outer.fault(number, outer.tries[number]):
                    self._say(status)
                    return
                outer.service.uploads[upload_id]["segments"][number] = body
                self._say(200)

            def _say(self, status: int, body: bytes = b"", headers: dict[str, str] = {}) -> None:  # noqa: B006
                self.send_response(status)
                if outer.allowed:
                    self.send_header("Access-Control-Allow-Origin", outer.service.url)
                    self.send_header("Access-Control-Allow-Methods", "GET, PUT")
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()


@pytest.fixture
def service(media: Media) -> Iterator[FakeClips]:
    with FakeClips(media, key="rp_1_secret").running() as running:
        yield running


@pytest.fixture
def store(service: FakeClips) -> Iterator[OtherOrigin]:
    server = OtherOrigin(service)
    service.store_url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.thread.join()
    server.server_close()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    file = tmp_path / "film.mov"
    file.write_bytes(CONTENT)
    return file


def choose(open_page: Open, file: Path):
    page = open_page()
    page.get_by_label("API key").fill("rp_1_secret")
    page.get_by_label("API key").press("Enter")
    page.get_by_label("Choose a file").set_input_files(file)
    return page


def test_a_file_goes_to_the_store_and_is_played_from_there(
    service: FakeClips, store: OtherOrigin, open_page: Open, film: Path
) -> None:
    # an address that ended, one that is wrong for a while, and a busy store
    store.fault = lambda number, tries: {2: 403, 4: 503, 9: 400}.get(number, 0) if tries == 1 else 0
    page = choose(open_page, film)
    expect(page.locator("#studio")).to_be_visible()
    (upload,) = service.uploads.values()
    assert b"".join(upload["segments"][n] for n in sorted(upload["segments"])) == CONTENT
    assert {n: count for n, count in store.tries.items() if count > 1} == {2: 2, 4: 2, 9: 2}
    assert not [path for method, path, _ in service.seen if method == "PUT" and "segments" in path]
    # a key, or a word of where the file comes from, is the store's business no more than a stranger's
    assert not any({"authorization", "x-api-key", "cookie", "referer"} & set(headers) for headers in store.headers)
    expect(page.locator("#video")).to_have_js_property("readyState", 4)
    assert page.locator("#video").get_attribute("src").startswith(f"{service.store_url}/preview.mp4")
    assert store.played


def test_what_broke_off_goes_on_after_a_reload(
    service: FakeClips, store: OtherOrigin, open_page: Open, film: Path
) -> None:
    store.fault = lambda number, _tries: 503 if number == 7 else 0
    page = choose(open_page, film)
    (upload,) = eventually(page, lambda: list(service.uploads.values()))
    eventually(page, lambda: len(upload["segments"]) >= 9)
    page.reload()
    expect(page.locator("#resume-words")).to_contain_text("film.mov is there to")
    store.fault, before = lambda _number, _tries: 0, store.tries.total()
    page.get_by_label("Choose a file").set_input_files(film)
    expect(page.locator("#studio")).to_be_visible()
    assert store.tries.total() - before <= 3


def eventually(page: Page, find: Callable[[], Any]) -> Any:
    for _ in range(200):
        if found := find():
            return found
        page.wait_for_timeout(50)
    pytest.fail("it did not come to that")


@pytest.fixture
def stern_page(browser: Browser, service: FakeClips) -> Iterator[Page]:
    """The page, in which a browser may complain of what is tried."""
    context = browser.new_context()
    page = context.new_page()
    # pauses between tries are short; not by a route, for then Playwright itself answers what CORS asks first
    page.add_init_script("const later = setTimeout; window.setTimeout = (f, ms) => later(f, Math.min(ms ?? 0, 20))")
    page.goto(service.url)
    yield page
    context.close()


def test_a_store_without_cors_is_named(service: FakeClips, store: OtherOrigin, stern_page: Page, film: Path) -> None:
    store.allowed = False
    stern_page.get_by_label("API key").fill("rp_1_secret")
    stern_page.get_by_label("API key").press("Enter")
    stern_page.get_by_label("Choose a file").set_input_files(film)
    expect(stern_page.locator("#choose-error")).to_contain_text("CORS")
    assert service.submitted == []


def test_the_page_may_talk_to_the_store_and_nobody_else(
    service: FakeClips, store: OtherOrigin, stern_page: Page
) -> None:
    tried = """(url) => fetch(url, { mode: "no-cors" }).then(() => true, () => false)"""
    assert stern_page.evaluate(tried, f"{service.store_url}/x")
    assert not stern_page.evaluate(tried, f"http://localhost:{store.server_port}/x")
    service.store_url, named = "", service.store_url
    stern_page.reload()
    assert not stern_page.evaluate(tried, f"{named}/x")
