"""Choosing: what is listed and called by its name, what was chosen last, and nothing twice."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Route, expect

from fake_clips import FakeClips
from wizard_pages import Open, go, needs_chromium, open_draft

pytestmark = needs_chromium
ONE = (("One", "1", "5"),)


def test_older_videos_and_drafts_are_there_and_called_by_their_names(service: FakeClips, open_page: Open) -> None:
    service.add_video("first.mp4")
    page = open_page()
    open_draft(page, service, ONE)
    gone = service.add_video("gone.mp4")
    (draft,) = service.exports.values()
    service.exports["exp_2"] = draft | {"id": "exp_2", "video": gone["id"], "status": "done"}
    del service.videos[gone["id"]]
    for number in range(13):
        service.add_video(f"{number}.mp4")
    go(page, "Choose")
    expect(page.locator("#exports .card-open")).to_have_text(["1 clip of a deleted video", "1 clip of first.mp4"])
    expect(page.locator("#videos .card")).to_have_count(12)
    page.get_by_role("button", name="Older videos").click()
    expect(page.locator("#videos .card")).to_have_count(14)
    expect(page.get_by_role("link", name="0.mp4", exact=True)).to_be_focused()
    page.get_by_role("link", name="first.mp4", exact=True).click()
    expect(page.locator(".clip-title")).to_have_text("One")


def test_a_video_is_deleted_only_by_who_means_it(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    answers = iter((False, True))
    page.on("dialog", lambda dialog: dialog.accept() if next(answers) else dialog.dismiss())
    delete = page.get_by_role("button", name="Delete talk.mp4")
    delete.click()
    expect(delete).to_be_visible()
    assert len(service.videos) == 1
    delete.click()
    expect(delete).to_be_hidden()
    assert service.videos == {}


def test_a_video_that_was_deleted_is_open_no_more(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    page.on("dialog", lambda dialog: dialog.accept())
    open_draft(page, service, ONE)
    go(page, "Choose")
    page.get_by_role("button", name="Delete talk.mp4").click()
    for step in ("Mark", "Frame", "Captions", "Export"):
        expect(page.locator("#steps").get_by_role("button", name=step)).to_have_attribute("aria-disabled", "true")


def test_what_was_chosen_last_is_opened(service: FakeClips, open_page: Open) -> None:
    slow = service.add_video("slow.mp4")
    service.add_video("fast.mp4")
    held: list[Route] = []
    page = open_page()

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**/v1/videos/{slow['id']}", hold)
    page.get_by_role("link", name="slow.mp4").click()
    page.get_by_role("link", name="fast.mp4").click()
    expect(page.locator("#studio-title")).to_have_text("Mark: fast.mp4")
    (request,) = held
    with page.expect_response(f"**/v1/videos/{slow['id']}"):
        request.continue_()
    page.wait_for_timeout(200)
    expect(page.locator("#studio-title")).to_have_text("Mark: fast.mp4")


def test_a_file_is_opened_once_by_two_clicks(service: FakeClips, open_page: Open) -> None:
    held: list[Route] = []
    page = open_page()

    def hold(route: Route) -> Any:
        return held.append(route) if route.request.method == "POST" else route.continue_()

    page.route("**/v1/videos", hold)
    page.get_by_label("A file on this machine").fill("/videos/long.mp4")
    page.get_by_role("button", name="Open").dblclick()
    page.wait_for_timeout(200)
    for route in held:
        route.continue_()
    expect(page.locator("#studio-title")).to_have_text("Mark: long.mp4")
    assert len(service.videos) == 1


def test_an_address_of_what_is_gone_leads_to_the_videos(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page("/?export=exp_gone#mark")
    expect(page.locator("#problem")).to_contain_text("There is no such export.")
    expect(page.get_by_role("link", name="talk.mp4")).to_be_visible()
    expect(page.locator("#upload-limit")).to_contain_text("Up to")


def test_back_and_forward_lead_from_a_copy_to_its_export_and_on(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, ONE)
    go(page, "Export")
    page.locator("#start").click()
    page.get_by_role("button", name="Edit a copy").click()
    expect(page.locator("#studio")).to_be_visible()
    copied = page.url
    page.go_back()
    expect(page.locator("#after")).to_be_visible()
    page.go_forward()
    expect(page.locator("#studio")).to_be_visible()
    assert page.url == copied
