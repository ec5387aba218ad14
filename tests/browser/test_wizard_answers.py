"""Answers that come late, twice or not at all, and text that is read from right to left."""

from __future__ import annotations

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from fake_clips import FakeClips
from wizard_pages import Open, add_clip, go, job, needs_chromium, open_draft, saved

pytestmark = needs_chromium
ONE = (("One", "1", "5"),)


class Late:
    """Holds the first answer of an address back; later ones come at once."""

    def __init__(self, page: Page, address: str) -> None:
        self.held: tuple[Route, APIResponse] | None = None
        self.page = page
        page.route(address, self._answer)

    def _answer(self, route: Route) -> None:
        if self.held is not None:
            route.continue_()
            return
        self.held = (route, route.fetch())

    def wait(self) -> None:
        while self.held is None:
            self.page.wait_for_timeout(20)

    def come(self) -> None:
        assert self.held is not None
        route, answer = self.held
        with self.page.expect_event("requestfinished", lambda request: request == route.request):
            route.fulfill(response=answer)
        self.page.wait_for_timeout(100)


def export(page: Page, service: FakeClips, clips: tuple[tuple[str, str, str], ...] = ONE) -> None:
    """Draft clips, and start their export."""
    open_draft(page, service, clips)
    go(page, "Export")
    page.locator("#start").click()
    for name, *_ in clips:
        expect(job(page, name)).to_contain_text("Waiting")


def test_an_older_answer_does_not_undo_what_a_newer_one_said_of_an_export(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    export(page, service)
    page.wait_for_timeout(600)  # what is read after a start
    late = Late(page, "**/v1/exports/exp_*")
    service.progress("One", 5)
    late.wait()
    service.finish("One")
    expect(job(page, "One")).to_contain_text("done")
    late.come()
    expect(job(page, "One")).to_contain_text("done")


def test_an_older_answer_does_not_undo_that_a_video_is_ready(service: FakeClips, open_page: Open) -> None:
    video = service.add_video(ready=False)
    page = open_page(f"/?video={video['id']}")
    expect(page.locator("#preparing-title")).to_contain_text("Getting talk.mp4 ready")
    expect(page.locator("#connection-text")).to_have_text("Live")
    late = Late(page, f"**/v1/videos/{video['id']}")
    service.tell(video["id"], "probed")
    late.wait()
    service.finish_video(video["id"])
    expect(page.locator("#studio")).to_be_visible()
    late.come()
    expect(page.locator("#studio")).to_be_visible()


def test_two_clicks_on_play_fetch_a_clip_once(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    service.key = "rp_secret"
    page = open_page()
    page.get_by_label("API key", exact=True).fill("rp_secret")
    page.get_by_role("button", name="Use this key").click()
    export(page, service)
    service.progress("One", 5)
    service.finish("One")
    job(page, "One").get_by_role("button", name="Play").evaluate("(button) => { button.click(); button.click(); }")
    expect(job(page, "One").locator("video")).to_have_js_property("videoWidth", 270)
    outputs = [path for _, path, _ in service.seen if path.endswith("/output")]
    assert len(outputs) == 2  # whether the store has an address for it, and then itself


def test_one_short_is_heard_at_a_time_and_none_on_another_step(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    export(page, service, (*ONE, ("Two", "6", "9")))
    for name in ("One", "Two"):
        service.finish(name)
    one, two = page.locator(".job video").first, page.locator(".job video").last
    job(page, "One").get_by_role("button", name="Play").click()
    expect(one).to_have_js_property("paused", False)
    one.evaluate("(video) => { video.loop = true; }")
    job(page, "Two").get_by_role("button", name="Play").click()
    expect(one).to_have_js_property("paused", True)
    expect(two).to_have_js_property("paused", False)
    two.evaluate("(video) => { video.loop = true; }")
    go(page, "Choose")
    expect(two).to_have_js_property("paused", True)


def test_no_time_is_named_for_an_export_of_which_a_part_names_none(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    export(page, service, (*ONE, ("Two", "6", "10")))
    service.progress("One", 50, eta_s=None)
    service.progress("Two", 50)
    expect(page.locator("#overall-words")).to_have_text("0 of 2 finished, 50 %")
    service.progress("One", 52)
    expect(page.locator("#overall-words")).to_have_text("0 of 2 finished, 51 %, about 5 s left")


def test_that_nothing_answers_is_said_until_something_does(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    export(page, service)
    page.route("**/cancel", lambda route: route.abort())
    page.get_by_role("button", name="Cancel all").click()
    expect(page.locator("#problem")).to_contain_text("The service does not answer.")
    service.break_streams()
    expect(page.locator("#problem")).to_be_hidden()


def test_what_is_written_from_right_to_left_is_shown_so(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    page.locator("#videos a").first.click()
    add_clip(page, "1", "5", "مرحبا: (2)")
    saved(page, service)
    expect(page.get_by_role("textbox", name="Name")).to_have_css("direction", "rtl")
    expect(page.locator(".clip-title")).to_have_css("direction", "rtl")
    go(page, "Captions")
    page.get_by_role("button", name="Write them here").click()
    field = page.locator("#cues textarea")
    field.fill("مرحبا, بكم!")
    expect(field).to_have_css("direction", "rtl")
    go(page, "Export")
    expect(page.locator("#planned strong")).to_have_css("direction", "rtl")
    page.locator("#start").click()
    expect(page.locator(".job-title")).to_have_css("direction", "rtl")


@pytest.mark.parametrize(("words", "text"), [("Start", "0"), ("End", "2:00:00")])
def test_an_edge_that_cannot_be_so_far_away_is_told(service: FakeClips, open_page: Open, words: str, text: str) -> None:
    service.add_video()["facts"]["duration_s"] = 10_000.0
    page = open_page()
    open_draft(page, service, (("One", "1:00", "1:00:30"),))
    field = page.get_by_role("textbox", name=words, exact=True)
    field.fill(text)
    field.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("A clip lasts an hour at most.")
