"""What a person has made on the page is not lost: by a break, a lost answer, a key that ends, or a closed tab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from fake_clips import FakeClips
from wizard_pages import Open, add_clip, go, needs_chromium, open_draft, saved

pytestmark = needs_chromium
ONE = (("One", "1", "5"),)


def rename(page: Page, name: str) -> None:
    page.get_by_role("textbox", name="Name").fill(name)


def test_both_changes_of_a_draft_are_kept_though_the_other_cannot_be_read_at_once(
    service: FakeClips, open_page: Open
) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, ONE)

    def elsewhere(export: dict[str, Any]) -> None:
        export["drafts"] = [*export["drafts"], dict(export["drafts"][0], id="other", name="Made elsewhere")]

    def broken(route: Route) -> None:
        if route.request.method == "GET":
            route.abort()
        else:
            route.continue_()

    service.conflict = elsewhere
    page.route("**/v1/exports/exp_*", broken)
    rename(page, "Named here")
    expect(page.locator("#saved-text")).to_have_text("Not saved, trying again")
    page.unroute("**/v1/exports/exp_*")
    expect(page.get_by_role("status").first).to_contain_text("changed in another window")
    assert [clip["name"] for clip in saved(page, service)] == ["Named here", "Made elsewhere"]


def test_a_draft_whose_first_answer_is_lost_is_not_made_twice(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()

    def lost(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/exports", lost)
    page.locator("#videos a").first.click()
    add_clip(page, "1", "5", "One")
    expect(page.locator("#saved-text")).to_have_text("Not saved, trying again")
    page.unroute("**/v1/exports")
    rename(page, "Renamed meanwhile")
    assert [clip["name"] for clip in saved(page, service)] == ["Renamed meanwhile"]


def test_whoever_leaves_with_unsaved_clips_is_asked(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    open_draft(page, service, ONE)
    eventually(page, lambda: saved(page, service)[0]["framing"])  # which comes by itself, and is saved, too
    page.reload()
    expect(page.locator(".clip-title")).to_have_text("One")
    assert asked == []
    page.locator(".clip-open").click()
    page.locator(".clip-open").click()
    (export_id,) = service.exports
    service.failing[f"/v1/exports/{export_id}"] = (503, {"detail": "The database does not answer."})
    rename(page, "Renamed")
    expect(page.locator("#saved-text")).to_have_text("Not saved, trying again")
    expect(page.locator("#said")).to_contain_text("The clips are not saved: The database does not answer.")
    page.reload()
    assert asked == ["beforeunload"]


def test_what_is_changed_last_is_saved_though_the_tab_is_closed(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, ONE)
    page.evaluate(
        """() => {
          const fetched = window.fetch;
          window.lasting = [];
          window.fetch = (path, options) => {
            if (options.method === "PUT") window.lasting.push(options.keepalive);
            return fetched(path, options);
          };
        }"""
    )
    rename(page, "Renamed")
    assert [clip["name"] for clip in saved(page, service)] == ["Renamed"]
    assert set(page.evaluate("window.lasting")) == {True}


def test_a_draft_is_saved_once_a_key_that_ended_was_replaced(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    service.key = "rp_old"
    page = open_page()
    key = page.get_by_label("API key", exact=True)
    key.fill("rp_old")
    key.press("Enter")
    open_draft(page, service, ONE)
    service.key = "rp_new"
    rename(page, "Renamed")
    expect(key).to_be_focused()
    expect(page.get_by_role("alert").filter(has_text="does not accept this key")).to_be_visible()
    key.fill("rp_new")
    key.press("Enter")
    expect(page.locator("#saved-text")).to_have_text("Saved")
    assert saved(page, service)[0]["name"] == "Renamed"


def test_a_change_that_came_after_the_start_elsewhere_is_told(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, ONE)
    (export,) = service.exports.values()
    export |= {"status": "running", "clips": [service.make_clip(export, 0, dict(export["drafts"][0]))]}
    rename(page, "Too late")
    expect(page.locator(".job")).to_have_count(1)
    expect(page.locator("#problem")).to_contain_text("without your last change")


def test_a_deleted_clip_comes_back_into_the_draft_that_it_was_in(service: FakeClips, open_page: Open) -> None:
    service.add_video("second.mp4")
    service.add_video("first.mp4")
    page = open_page()
    open_draft(page, service, ONE)
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#no-clips")).to_be_visible()
    go(page, "Choose")
    page.get_by_role("link", name="second.mp4").click()
    expect(page.locator("#studio-title")).to_have_text("Mark: second.mp4")
    page.get_by_role("button", name="Undo").click()
    eventually(page, lambda: [len(export["drafts"]) for export in service.exports.values()] == [1])
    expect(page.locator("#no-clips")).to_be_visible()


def test_what_another_window_chose_for_all_clips_is_kept(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, ONE)

    def elsewhere(export: dict[str, Any]) -> None:
        export["platform"] = "tiktok"

    service.conflict = elsewhere
    rename(page, "Named here")
    expect(page.get_by_role("status").first).to_contain_text("changed in another window")
    assert saved(page, service)[0]["name"] == "Named here"
    (export,) = service.exports.values()
    assert export["platform"] == "tiktok"


def test_what_was_sent_of_a_file_is_kept_when_another_is_sent(
    service: FakeClips, open_page: Open, tmp_path: Path
) -> None:
    first, second = files(tmp_path)
    page = broken_off(service, open_page, first)
    service.break_segment = None
    page.get_by_label("Choose a file").set_input_files(second)
    expect(page.locator("#studio")).to_be_visible()
    go(page, "Choose")
    expect(page.locator("#resume-words")).to_contain_text("first.mov is there to")
    page.get_by_label("Choose a file").set_input_files(first)
    expect(page.locator("#studio")).to_be_visible()
    assert [asked["input"]["upload"] for asked in service.submitted] == ["upload_1", "upload_0"]
    assert page.evaluate("localStorage.getItem('reelpress-upload')") is None


def test_two_windows_send_two_files(service: FakeClips, open_page: Open, tmp_path: Path) -> None:
    first, second = files(tmp_path)
    service.break_segment = 7
    page = open_page()
    page.get_by_label("Choose a file").set_input_files(first)
    eventually(page, lambda: service.uploads and len(service.uploads["upload_0"]["segments"]) >= 9)
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#upload-limit")).to_be_visible()
    expect(other.locator("#resume")).to_be_hidden()
    other.get_by_label("Choose a file").set_input_files(first)
    expect(other.locator("#choose-error")).to_contain_text("being sent in another window")
    other.get_by_label("Choose a file").set_input_files(second)
    eventually(other, lambda: len(service.uploads) == 2)
    service.break_segment = None
    expect(other.locator("#studio")).to_be_visible(timeout=20_000)
    expect(page.locator("#studio")).to_be_visible(timeout=20_000)
    assert {asked["name"] for asked in service.submitted} == {"first.mov", "second.mov"}


def test_an_upload_is_stopped_while_it_waits_to_try_again(service: FakeClips, open_page: Open, tmp_path: Path) -> None:
    first, _ = files(tmp_path)
    service.break_segment = 0
    page = open_page()
    page.evaluate(
        "() => { const real = setTimeout; window.setTimeout = (act, ms) => (ms >= 4000 ? 0 : real(act, ms)); }"
    )
    page.get_by_label("Choose a file").set_input_files(first)
    eventually(page, lambda: sum(path.endswith("/segments/0") for _, path, _ in service.seen) == 3)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#pick")).to_be_visible()


def test_nothing_more_is_sent_of_a_file_that_was_refused(service: FakeClips, open_page: Open, tmp_path: Path) -> None:
    first, _ = files(tmp_path)
    service.failing["/v1/uploads/upload_0/segments/0"] = (413, {"detail": "The file is too large."})
    page = open_page()
    page.get_by_label("Choose a file").set_input_files(first)
    expect(page.locator("#choose-error")).to_contain_text("The file is too large.")
    page.wait_for_timeout(500)
    assert sum("/segments/" in path for _, path, _ in service.seen) < 10


def test_a_segment_that_came_too_slowly_is_sent_again(service: FakeClips, open_page: Open, tmp_path: Path) -> None:
    first, _ = files(tmp_path)
    slow = "/v1/uploads/upload_0/segments/0"
    service.failing[slow] = (408, {"detail": "The request came too slowly"})
    page = open_page()
    page.get_by_label("Choose a file").set_input_files(first)
    eventually(page, lambda: sum(path == slow for _, path, _ in service.seen) >= 3)
    service.failing.clear()
    expect(page.locator("#studio")).to_be_visible()


def test_an_upload_is_not_begun_anew_because_the_service_is_busy(
    service: FakeClips, open_page: Open, tmp_path: Path
) -> None:
    first, _ = files(tmp_path)
    page = broken_off(service, open_page, first)
    service.failing["/v1/uploads/upload_0"] = (503, {"detail": "The database does not answer."})
    page.get_by_label("Choose a file").set_input_files(first)
    expect(page.locator("#choose-error")).to_contain_text("The database does not answer.")
    assert list(service.uploads) == ["upload_0"]


def files(folder: Path) -> tuple[Path, Path]:
    """Return two files of many segments."""
    first, second = folder / "first.mov", folder / "second.mov"
    first.write_bytes(bytes(range(256)) * 4000)
    second.write_bytes(bytes(range(255, -1, -1)) * 3000)
    return first, second


def broken_off(service: FakeClips, open_page: Open, first: Path) -> Page:
    """Send a part of a file, and return the page that was opened again."""
    service.break_segment = 7
    page = open_page()
    page.get_by_label("Choose a file").set_input_files(first)
    eventually(page, lambda: service.uploads and len(service.uploads["upload_0"]["segments"]) >= 9)
    page.reload()
    expect(page.locator("#resume-words")).to_contain_text("first.mov is there to")
    return page


def eventually(page: Page, test: Callable[[], Any]) -> None:
    """Wait until something is so."""
    for _ in range(400):
        if test():
            return
        page.wait_for_timeout(25)
    pytest.fail("it did not happen")
