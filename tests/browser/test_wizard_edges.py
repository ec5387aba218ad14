"""Clips at their edges: of their video, of each other, by two fingers, and what answers find that come late."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from fake_clips import FakeClips
from wizard_pages import Open, go, needs_chromium, open_draft, saved

pytestmark = needs_chromium
TWO = (("One", "1", "5"), ("Two", "6", "12"))
# Presses a pointer on the lane at a time of 24 s, moves it through others without a pause, and lets go; in [t, 2] it is
# a second one.
TOUCH = """([from, ...moves]) => {
  const lane = document.getElementById("lane");
  const { left, top, width } = lane.getBoundingClientRect();
  lane.setPointerCapture = () => {};
  const send = (kind, t, pointerId = 1) => {
    const at = { clientX: left + (width * t) / 24, clientY: top + 5, bubbles: true, cancelable: true };
    lane.dispatchEvent(new PointerEvent(kind, { pointerId, isPrimary: pointerId === 1, ...at }));
  };
  send("pointerdown", from);
  for (const t of moves) send("pointermove", ...[t].flat());
  send("pointerup", 0);
}"""


def times(page: Page, service: FakeClips) -> list[tuple[float, float]]:
    return [(round(clip["start_s"], 1), round(clip["end_s"], 1)) for clip in saved(page, service)]


def type_time(page: Page, words: str, text: str) -> None:
    field = page.get_by_role("textbox", name=words, exact=True)
    field.fill(text)
    field.press("Enter")


def test_another_video_begins_at_its_own_beginning(service: FakeClips, open_page: Open) -> None:
    service.add_video("short.mp4")["facts"]["duration_s"] = 10.0
    service.add_video("long.mp4")
    page = open_page()
    page.get_by_role("link", name="long.mp4").click()
    expect(page.locator("#video")).to_have_js_property("readyState", 4)
    page.keyboard.press("End")
    expect(page.locator("#clock-now")).to_have_text("0:24.00")
    go(page, "Choose")
    page.get_by_role("link", name="short.mp4").click()
    expect(page.locator("#clock-all")).to_have_text("/ 0:10")
    expect(page.locator("#clock-now")).to_have_text("0:00.00")
    page.get_by_role("button", name="Mark in").click()
    assert times(page, service) == [(0, 10)]


def test_a_clip_that_is_begun_at_the_end_lies_inside_of_the_video(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    page.locator("#videos a").click()
    expect(page.locator("#video")).to_have_js_property("readyState", 4)
    page.keyboard.press("End")
    page.keyboard.press("i")
    assert times(page, service) == [(23.5, 24)]


def test_after_a_reload_the_picture_is_one_of_the_clip(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[1:])
    go(page, "Frame")
    expect(page.locator("#framing-state")).to_contain_text("faces by haar")
    saved(page, service)
    page.reload()
    expect(page.locator("#clock-now")).to_have_text("0:06.00")


def test_a_typed_time_takes_the_other_edge_along_and_is_shown_as_it_became(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[:1])
    type_time(page, "Start", "10")
    assert times(page, service) == [(10, 14)]
    type_time(page, "End", "8")
    assert times(page, service) == [(4, 8)]
    for beyond in ("1:00", "2:00"):
        type_time(page, "End", beyond)
        expect(page.get_by_role("textbox", name="End", exact=True)).to_have_value("0:24.00")
    assert times(page, service) == [(4, 24)]


def test_no_clip_is_longer_than_the_service_takes(service: FakeClips, open_page: Open) -> None:
    service.add_video()["facts"]["duration_s"] = 10_000.0
    page = open_page()
    open_draft(page, service, TWO[:1])
    type_time(page, "End", "2:00:00")
    assert times(page, service) == [(1, 3601)]
    type_time(page, "Start", "0")
    assert times(page, service) == [(1, 3601)]
    expect(page.get_by_role("textbox", name="Start", exact=True)).to_have_value("0:01.00")


def test_a_new_clip_leaves_others_alone_however_fast_it_is_drawn(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[:1])
    page.locator("#snap").uncheck()
    page.evaluate(TOUCH, [14, 15, 16, 17])
    assert times(page, service) == [(1, 5), (14, 17)]


def test_a_drag_that_comes_back_leaves_a_clip_that_can_be(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[:1])
    page.locator("#snap").uncheck()
    page.evaluate(TOUCH, [14, 15, 14.1])
    assert times(page, service) == [(1, 5), (14, 15)]


def test_a_second_finger_moves_nothing(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[:1])
    page.locator("#snap").uncheck()
    page.evaluate(TOUCH, [14, 15, 16, [20, 2]])
    assert times(page, service) == [(1, 5), (14, 16)]


def test_with_as_many_clips_as_there_can_be_a_drag_changes_none(service: FakeClips, open_page: Open) -> None:
    service.info["max_clips"] = 1
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[:1])
    page.evaluate(TOUCH, [14, 15, 16])
    expect(page.get_by_role("status").first).to_contain_text("There cannot be more than 1 clips.")
    assert times(page, service) == [(1, 5)]


def test_what_is_said_comes_into_clips_that_are_not_shown(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO)
    service.hold_analyses = True
    go(page, "Captions")
    for name in ("One", "Two"):
        page.get_by_role("button", name=name, exact=True).click()
        page.get_by_role("button", name="Write down what is said").click()
        expect(page.locator("#speech-state")).to_contain_text("Listening")
    go(page, "Export")
    expect(page.locator("#planned li").first).to_contain_text("what is said is still being written down")
    for one in [*service.analyses.values()]:
        if one["kind"] == "captions":
            service.finish_analysis(one["id"])
    expect(page.locator("#planned li").first).to_contain_text("1 cue")
    expect(page.locator("#planned li").last).to_contain_text("1 cue")
    assert [len(clip["captions"]["cues"]) for clip in saved(page, service)] == [1, 1]


def test_what_is_said_does_not_replace_what_was_written_meanwhile(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[:1])
    service.hold_analyses = True
    go(page, "Captions")
    page.get_by_role("button", name="Write down what is said").click()
    expect(page.locator("#speech-state")).to_contain_text("Listening")
    page.get_by_role("button", name="Write them here").click()
    page.get_by_label("Text of cue 1").fill("My own words")
    (asked,) = (one for one in service.analyses.values() if one["kind"] == "captions")
    service.finish_analysis(asked["id"])
    expect(page.get_by_role("status").first).to_contain_text("it has captions by now")
    assert [cue["text"] for cue in saved(page, service)[0]["captions"]["cues"]] == ["My own words"]


def test_the_shot_becomes_automatic_that_was_shown_when_it_was_asked_for(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, (("Both", "1", "11"),))
    go(page, "Frame")
    expect(page.locator(".shot")).to_have_count(2)
    for shot in (1, 0):
        page.locator(".shot").nth(shot).click()
        page.locator("#zoom").fill("2")
        expect(page.locator("#shot-rule")).to_contain_text("set by hand")
    saved(page, service)
    service.analyses.clear()
    service.hold_analyses = True
    page.reload()
    expect(page.locator("#shot-rule")).to_contain_text("set by hand", timeout=20_000)
    page.get_by_role("button", name="Back to automatic").click()
    for _ in range(200):
        if service.analyses:
            break
        page.wait_for_timeout(25)
    page.locator(".shot").nth(1).click()
    expect(page.locator("#shot-title")).to_have_text("Shot 2 of 2")
    for one in [*service.analyses.values()]:
        service.finish_analysis(one["id"])
    expect(page.locator("#said")).to_contain_text("framed automatically again")
    assert [shot["rule"] for shot in saved(page, service)[0]["framing"]["shots"]] == ["faces", "hand"]


@pytest.mark.parametrize(
    ("aspect", "places"), [(16 / 9, [(0.25, 0.4), (0.75, 0.4)]), (9 / 16, [(0.3, 0.25), (0.3, 0.75)])]
)
def test_halves_of_a_split_lie_where_panes_leave_something_out(
    service: FakeClips, open_page: Open, aspect: float, places: list[tuple[float, float]]
) -> None:
    split = """async (aspect) => {
      const { relaid } = await import("/web/reframing.js");
      const windows = [{ path: [{ t_s: 0, x: 0.3, y: 0.4 }], zoom: 1 }];
      const shot = { start_s: 0, end_s: 5, layout: "still", windows, rule: "centre", note: null };
      const now = relaid(shot, "split", null, { size: { width: 1080, height: 1920 }, aspect });
      return now.windows.map(({ path: [key] }) => [key.x, key.y]);
    }"""
    assert open_page().evaluate(split, aspect) == [list(place) for place in places]


def test_a_fitted_short_can_be_left(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[:1])
    go(page, "Frame")
    page.locator("#clip-layout").get_by_role("radio", name="Fit").check()
    expect(page.locator("#framing-state")).to_contain_text("faces by haar")
    saved(page, service)
    go(page, "Export")
    expect(page.locator("#planned")).to_be_visible()
    page.wait_for_timeout(
        200
    )  # whoever watches sizes is told after the next picture, and a script error fails the test


def test_a_cue_that_begins_between_two_pictures_is_on_where_it_is_gone_to(service: FakeClips, open_page: Open) -> None:
    service.add_video()
    page = open_page()
    open_draft(page, service, TWO[:1])
    go(page, "Captions")
    page.keyboard.press("Home")
    expect(page.locator("#clock-now")).to_have_text("0:01.00")
    page.get_by_role("button", name="Write them here").click()
    page.get_by_label("Text of cue 1").fill("First")
    type_time(page, "End of cue 1", "2.01")
    page.get_by_role("button", name="1 second on").click()
    page.locator("#add-cue").click()
    page.get_by_label("Text of cue 2").fill("Second")
    type_time(page, "Start of cue 2", "2.01")
    page.get_by_role("button", name="Go to cue 2").click()
    expect(page.locator("#cue")).to_have_text("Second")


def test_a_clip_that_a_hand_set_before_its_shots_were_known_gets_them_all_back(
    service: FakeClips, open_page: Open
) -> None:
    service.add_video()
    service.hold_analyses = True
    page = open_page()
    open_draft(page, service, (("Both", "1", "11"),))
    go(page, "Frame")
    page.locator("#zoom").fill("2")
    expect(page.locator("#shot-rule")).to_contain_text("set by hand")
    saved(page, service)
    page.reload()
    expect(page.locator("#shot-title")).to_have_text("Shot 1 of 1")
    service.analyses.clear()
    service.hold_analyses = False
    page.get_by_role("button", name="Back to automatic").click()
    expect(page.locator("#said")).to_contain_text("framed automatically again")
    shots = saved(page, service)[0]["framing"]["shots"]
    assert [(shot["start_s"], shot["end_s"], shot["rule"]) for shot in shots] == [(1, 6, "faces"), (6, 11, "faces")]
