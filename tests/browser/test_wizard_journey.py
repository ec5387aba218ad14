"""The wizard from a video to finished shorts: by mouse, by keyboard alone, and when something breaks on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from fake_clips import FakeClips
from wizard_pages import (
    Open,
    add_clip,
    go,
    job,
    needs_chromium,
    open_draft,
    press_until,
    saved,
)

pytestmark = needs_chromium
THREE = (("One", "1", "5"), ("Two", "6", "12"), ("Three", "14", "20"))


def test_the_whole_journey_by_mouse(service: FakeClips, open_page: Open) -> None:
    service.add_video("talk.mp4")
    page = open_page()
    page.get_by_role("link", name="talk.mp4").click()
    expect(page.locator("#video")).to_have_js_property("readyState", 4)

    # a clip is dragged along the lane; an edge is dragged, and snaps to the cut at 6 s
    lane = page.locator("#lane").bounding_box()
    at = lambda t: (lane["x"] + lane["width"] * t / 24, lane["y"] + lane["height"] / 2)  # noqa: E731
    page.mouse.move(*at(1))
    page.mouse.down()
    page.mouse.move(*at(3), steps=4)
    page.mouse.move(*at(4), steps=4)
    page.mouse.up()
    (clip,) = saved(page, service)
    assert clip["start_s"] == pytest.approx(1, abs=0.05)
    assert clip["end_s"] == pytest.approx(4, abs=0.05)
    edge = page.get_by_role("slider", name="End of Clip 1").bounding_box()
    page.mouse.move(edge["x"] + edge["width"] - 3, at(0)[1])
    page.mouse.down()
    page.mouse.move(at(5.9)[0] + edge["width"] - 3 - 8, at(0)[1], steps=8)
    page.mouse.move(*at(6.03), steps=3)
    page.mouse.up()
    assert saved(page, service)[0]["end_s"] == 6.0
    assert "export=exp_" in page.url

    # the shot that analysis placed is moved by dragging its window
    page.get_by_role("button", name="Next: Frame").click()
    expect(page.locator("#framing-state")).to_contain_text("faces by haar")
    window = page.get_by_role("slider", name="Window")
    box = window.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + 50, steps=5)
    page.mouse.up()
    expect(page.locator("#shot-rule")).to_contain_text("set by hand")
    shot = saved(page, service)[0]["framing"]["shots"][0]
    assert shot["rule"] == "hand"
    assert shot["windows"][0]["path"][0]["x"] > 0.45

    page.get_by_role("button", name="Next: Captions").click()
    page.get_by_label("Choose SRT or VTT").set_input_files(
        {"name": "talk.srt", "mimeType": "application/x-subrip", "buffer": b"1\n00:00:01,000 --> 00:00:04,000\nx\n"}
    )
    expect(page.locator(".cue-row")).to_have_count(2)  # of five: the others are not in the clip
    page.get_by_role("button", name="Go to cue 1").click()
    page.get_by_label("Text of cue 1").fill("Better words")
    expect(page.locator("#cue")).to_have_text("Better words")
    page.get_by_role("radio", name="Plain").check()
    captions = saved(page, service)[0]["captions"]
    assert (captions["style"], captions["cues"][0]["text"]) == ("plain", "Better words")

    page.get_by_role("button", name="Next: Export").click()
    page.locator("#start").click()
    expect(page.get_by_role("status").first).to_contain_text("The export has started")
    expect(job(page, "Clip 1")).to_contain_text("Waiting")
    service.progress("Clip 1", 42.0)
    service.encoder("Clip 1", "libx264", "cpu", "no free encoder session")
    card = job(page, "Clip 1")
    expect(card).to_contain_text("Rendering, 42 %, 6 s left")
    expect(card.get_by_role("progressbar")).to_have_js_property("value", 42)
    expect(card).to_contain_text("CPU · libx264: no free encoder session")
    service.finish("Clip 1")
    expect(card).to_contain_text("1080\u00d71920")
    card.get_by_role("button", name="Play").click()
    video = card.locator("video")
    expect(video).to_have_js_property("videoWidth", 270)
    expect(video).not_to_have_js_property("currentTime", 0)
    shown = "(v) => [v.videoHeight, Math.round(v.duration), v.mozHasAudio ?? v.webkitAudioDecodedByteCount > 0]"
    assert video.evaluate(shown) == [480, 2, True]
    with page.expect_download() as got:
        card.get_by_role("button", name="Download").click()
    assert got.value.suggested_filename == "Clip 1.mp4"
    with page.expect_download() as got:
        page.get_by_role("button", name=re.compile("zip")).click()
    assert got.value.suggested_filename == "talk-clips.zip"


def test_the_whole_journey_by_keyboard(service: FakeClips, open_page: Open) -> None:
    service.add_video("talk.mp4")
    page = open_page()
    expect(page.get_by_role("link", name="talk.mp4")).to_be_visible()
    press_until(page, "Tab", "talk.mp4")
    page.keyboard.press("Enter")
    expect(page.locator("#video")).to_have_js_property("readyState", 4)
    now = page.locator("#clock-now")
    for keys, shown in ((("ArrowRight",), "0:01.00"), (("Shift+ArrowRight", "."), "0:06.04"), ((",", ","), "0:05.96"),
                        (("ArrowUp",), "0:00.00"), (("ArrowDown",), "0:06.00")):  # fmt: skip
        for one in keys:
            page.keyboard.press(one)
        expect(now).to_have_text(shown)
    page.keyboard.press("i")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("o")
    assert [(clip["start_s"], clip["end_s"]) for clip in saved(page, service)] == [(6.0, 11.0)]
    press_until(page, "Tab", "Start 1 frame later")
    page.keyboard.press("Enter")
    press_until(page, "Tab", "End of Clip 1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(".")
    assert [(clip["start_s"], clip["end_s"]) for clip in saved(page, service)] == [(6.04, 12.04)]
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("l")
    expect(page.locator("#speed")).to_have_text("2\u00d7")
    page.keyboard.press("k")
    expect(page.get_by_role("button", name="Play", exact=True).first).to_be_visible()
    page.keyboard.press("Delete")
    expect(page.locator("#no-clips")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("#clips > li")).to_have_count(1)

    page.keyboard.press("3")
    expect(page.locator("#studio-title")).to_have_text("Frame: talk.mp4")
    press_until(page, "Tab", "Window")
    page.keyboard.press("Shift+ArrowRight")
    press_until(page, "Tab", "Zoom")
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    shot = saved(page, service)[0]["framing"]["shots"][0]
    assert shot["rule"] == "hand"
    assert shot["windows"][0]["path"][0]["x"] == pytest.approx(0.45)
    assert shot["windows"][0]["zoom"] == pytest.approx(1.1)
    press_until(page, "Tab", "Back to automatic")
    page.keyboard.press("Enter")
    expect(page.locator("#shot-rule")).to_contain_text("placed by faces")

    page.keyboard.press("4")
    press_until(page, "Tab", "Write down what is said")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Text of cue 1")).to_have_value("so this is what was said")
    page.keyboard.press("5")
    press_until(page, "Tab", "Export")
    page.keyboard.press("Enter")
    expect(job(page, "Clip 1")).to_contain_text("Waiting")
    service.progress("Clip 1", 50)
    press_until(page, "Tab", "Cancel Clip 1")
    page.keyboard.press("Enter")
    expect(job(page, "Clip 1")).to_contain_text("cancelled")
    press_until(page, "Tab", "Try again Clip 1")
    page.keyboard.press("Enter")
    expect(job(page, "Clip 1")).to_contain_text("Waiting")
    service.progress("Clip 1", 99)
    service.finish("Clip 1")
    expect(page.get_by_role("status").first).to_contain_text("1 of 1 clips finished")


def test_keys_are_told_and_can_be_turned_off(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    page.locator("#videos a").click()
    expect(page.locator("#video")).to_have_js_property("readyState", 4)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.get_by_label("Use single keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.wait_for_timeout(200)
    expect(page.locator("#clips > li")).to_have_count(0)


def test_one_clip_fails_while_others_finish(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, THREE)
    go(page, "Export")
    page.get_by_role("button", name="Export all 3 clips").click()
    for name in ("One", "Two", "Three"):
        expect(job(page, name)).to_contain_text("Waiting")
        service.progress(name, 30)
    service.fail("Two")
    expect(job(page, "Two")).to_contain_text("The encoder gave up.")
    service.finish("One")
    service.finish("Three")
    expect(page.locator("#overall-words")).to_have_text("2 of 3 finished, 1 failed")
    expect(page.get_by_role("status").first).to_contain_text("the export has ended with 2 of 3 clips finished")
    page.get_by_role("button", name="Try again what failed").click()
    expect(job(page, "Two")).to_contain_text("Waiting")
    expect(job(page, "One")).to_contain_text("done")
    service.progress("Two", 60)
    job(page, "Two").get_by_role("button", name="Cancel").click()
    expect(job(page, "Two")).to_contain_text("cancelled")
    job(page, "Two").get_by_role("button", name="Try again").click()
    expect(job(page, "Two")).to_contain_text("Waiting")
    service.progress("Two", 10)
    service.finish("Two")
    expect(page.locator("#overall-words")).to_have_text("3 of 3 finished")
    assert {clip["run"] for clip in service.clips.values()} == {1, 3}


def test_a_reload_and_a_restart_in_mid_export(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, THREE)
    go(page, "Export")
    page.get_by_role("button", name="Export all 3 clips").click()
    expect(job(page, "One")).to_contain_text("Waiting")
    service.progress("One", 61)
    expect(job(page, "One")).to_contain_text("61 %")
    page.reload()
    expect(job(page, "One")).to_contain_text("61 %")
    expect(page.locator(".job")).to_have_count(3)
    service.failing["/v1/events"] = (503, {"detail": "The service restarts."})
    service.break_streams()
    expect(page.locator("#connection-text")).to_have_text("Connection lost, trying again")
    service.finish("One")
    service.failing.clear()
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(job(page, "One")).to_contain_text("done")
    service.progress("Two", 33)
    expect(job(page, "Two")).to_contain_text("33 %")
    # one stream for the whole page, taken up again where it broke off
    asked = [headers for _, path, headers in service.seen if path == "/v1/events"]
    assert "last-event-id" in asked[-1]
    assert len(service.streams) == 1


@pytest.mark.thorough
def test_a_draft_survives_a_reload_with_hand_set_shots(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, THREE[:2])
    go(page, "Frame")
    page.get_by_role("button", name="Two", exact=True).click()
    expect(page.locator("#framing-state")).to_contain_text("faces by haar")
    page.locator("#shot-layout").get_by_role("radio", name="Split").check()
    assert saved(page, service)[1]["framing"]["shots"][0]["layout"] == "split"
    page.reload()
    page.get_by_role("button", name="Two", exact=True).click()
    expect(page.locator("#shot-layout").get_by_role("radio", name="Split")).to_be_checked()
    # other times: what a hand had set stays with its shot
    go(page, "Mark")
    field = page.get_by_role("textbox", name="End", exact=True)
    field.fill("11")
    field.press("Enter")
    page.wait_for_timeout(1200)
    framing = saved(page, service)[1]["framing"]
    assert [shot["rule"] for shot in framing["shots"]] == ["hand"]
    assert framing["shots"][-1]["end_s"] == 11


def test_a_change_in_another_window_is_merged_and_told(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, THREE[:2])

    def elsewhere(export: dict) -> None:
        export["drafts"] = [dict(clip) for clip in export["drafts"]]
        export["drafts"][0]["name"] = "Named elsewhere"
        export["drafts"].append(dict(export["drafts"][0], id="other", name="Made elsewhere"))

    service.conflict = elsewhere
    page.get_by_role("textbox", name="Name").fill("Named here")
    expect(page.get_by_role("status").first).to_contain_text("changed in another window")
    assert [clip["name"] for clip in saved(page, service)] == ["Named elsewhere", "Named here", "Made elsewhere"]
    expect(page.locator(".clip-title")).to_have_text(["Named elsewhere", "Named here", "Made elsewhere"])


def test_an_upload_goes_on_after_a_reload(service: FakeClips, open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "film.mov"
    file.write_bytes(bytes(range(256)) * 4000)
    service.break_segment = 7
    page = open_page()
    page.get_by_label("Choose a file").set_input_files(file)
    (upload,) = _eventually(page, lambda: list(service.uploads.values()))
    _eventually(page, lambda: len(upload["segments"]) >= 9)
    page.reload()
    expect(page.locator("#resume-words")).to_contain_text("film.mov is there to")
    sent = len([1 for method, path, _ in service.seen if method == "PUT" and "segments" in path])
    service.break_segment = None
    page.get_by_label("Choose a file").set_input_files(file)
    expect(page.locator("#studio")).to_be_visible()
    again = len([1 for method, path, _ in service.seen if method == "PUT" and "segments" in path]) - sent
    assert again <= 2
    assert b"".join(upload["segments"][n] for n in sorted(upload["segments"])) == file.read_bytes()
    assert service.submitted == [{"input": {"upload": upload["id"]}, "name": "film.mov"}]
    assert page.evaluate("localStorage.getItem('reelpress-upload')") is None


def test_a_video_is_made_ready_and_a_wrong_path_is_told(service: FakeClips, open_page: Open) -> None:
    service.hold_videos = True
    page = open_page()
    page.get_by_label("A file on this machine").fill("/missing.mp4")
    page.get_by_label("A file on this machine").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="There is no such file.")).to_be_visible()
    page.get_by_label("A file on this machine").fill("/videos/long.mp4")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#preparing-title")).to_have_text("Getting long.mp4 ready")
    (video,) = service.videos.values()
    video |= {"status": "running", "stage": "preview", "percent": 40.0}
    service.tell(video["id"], "stage")
    expect(page.locator("#preparing-words")).to_contain_text("Making the preview, 40 %")
    service.finish_video(video["id"])
    expect(page.locator("#studio")).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("long.mp4 is ready.")


@pytest.mark.thorough
def test_a_draft_that_is_refused_is_told_and_saved_later(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, THREE[:1])
    (export_id,) = service.exports
    service.failing[f"/v1/exports/{export_id}"] = (503, {"detail": "The database does not answer."})
    page.get_by_role("textbox", name="Name").fill("Renamed")
    expect(page.locator("#saved-text")).to_have_text("Not saved, trying again")
    service.failing.clear()
    expect(page.locator("#saved-text")).to_have_text("Saved")
    assert saved(page, service)[0]["name"] == "Renamed"


def test_with_a_key_the_preview_and_the_thumbnails_come_too(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    service.key = "rp_secret"
    page = open_page()
    page.get_by_label("API key", exact=True).fill("rp_wrong")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("alert").filter(has_text="does not accept this key")).to_be_visible()
    page.get_by_label("API key", exact=True).fill("rp_secret")
    page.get_by_role("button", name="Use this key").click()
    page.locator("#videos a").click()
    expect(page.locator("#video")).to_have_js_property("readyState", 4)
    add_clip(page, "1", "3", "One")
    saved(page, service)
    go(page, "Export")
    page.locator("#start").click()
    expect(job(page, "One")).to_contain_text("Waiting")
    service.progress("One", 5)
    service.finish("One")
    job(page, "One").get_by_role("button", name="Play").click()
    expect(job(page, "One").locator("video")).to_have_js_property("videoWidth", 270)
    assert page.evaluate("document.cookie + location.href").find("rp_secret") == -1


def _eventually(page: Page, test: Callable[[], Any]) -> Any:
    for _ in range(200):
        if found := test():
            return found
        page.wait_for_timeout(25)
    return pytest.fail("it did not happen")
