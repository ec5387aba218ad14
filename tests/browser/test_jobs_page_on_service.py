"""The page of jobs in a real browser on the real service, without a key and with one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from reelpress.jobs.changing import cancel
from reelpress.jobs.house import House
from reelpress.jobs.model import JobInput, JobSpec
from reelpress.jobs.submission import submit
from reelpress.service.app import create_app
from reelpress.service.keys import create_key
from reelpress.service_settings import load_service

from wizard_pages import needs_chromium

Serve = Callable[..., tuple[House, str]]

pytestmark = needs_chromium


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts the service without a worker, and returns what it has open and where it is."""
    ends: list[Callable[[], None]] = []

    def started(**settings: str) -> tuple[House, str]:
        house = House.open(load_service({"data_dir": str(tmp_path), **settings}, environ={}, env_file=None))
        config = uvicorn.Config(create_app(house), port=0, log_level="error", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)

        def end() -> None:
            server.should_exit = True
            thread.join()
            house.close()

        ends.append(end)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        return house, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield started
    for end in ends:
        end()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    opened.set_default_timeout(10_000)
    yield opened
    opened.close()


def a_submission(house: House, user_id: str, name: str) -> str:
    spec = JobSpec(input=JobInput(kind="object", value=f"users/{user_id}/{name}"))
    return submit(house.database, spec, user_id=user_id, now=time.time()).job.id


def test_jobs_of_this_machine_are_shown_followed_and_changed(serve: Serve, page: Page) -> None:
    house, url = serve()
    first = a_submission(house, "local", "first.mov")
    page.goto(f"{url}/jobs")
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(page.locator("#rows tr")).to_have_count(1)
    a_submission(house, "local", "second.mov")
    expect(page.locator("#rows tr").first).to_contain_text("second.mov")
    cancel(house.database, first, now=time.time())
    expect(page.locator("#rows tr").last).to_contain_text("cancelled")
    page.get_by_role("button", name="first.mov").click()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status")).to_have_text("first.mov waits to be done again.")
    page.locator("#panel").get_by_role("button", name="Cancel").click()
    expect(page.locator("#panel .status")).to_have_text("cancelled")


def test_with_a_key_a_user_sees_their_own_jobs_alone(serve: Serve, page: Page) -> None:
    house, url = serve(host="0.0.0.0")
    a_submission(house, "ann", "hers.mov")
    a_submission(house, "bob", "his.mov")
    _, key = create_key(house.database, "ann", now=time.time(), scopes=("read", "write"))
    page.goto(f"{url}/jobs")
    page.get_by_label("API key", exact=True).fill(key)
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows tr")).to_contain_text("hers.mov")
    page.get_by_role("button", name="hers.mov").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#panel .status")).to_have_text("cancelled")
