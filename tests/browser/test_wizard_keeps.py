"""What a person has made on the page is not lost: by a break, a lost answer, a key that ends, or a closed tab."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, Route, expect

from fake_clips import FakeClips
from wizard_pages import Open, add_clip, needs_chromium, open_draft, saved

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
    page.reload()
    expect(page.locator(".clip-title")).to_have_text("One")
    assert asked == []
    page.locator(".clip-open").click()
    page.locator(".clip-open").click()
    (export_id,) = service.exports
    service.failing[f"/v1/exports/{export_id}"] = (503, {"detail": "The database does not answer."})
    rename(page, "Renamed")
    expect(page.locator("#saved-text")).to_have_text("Not saved, trying again")
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
