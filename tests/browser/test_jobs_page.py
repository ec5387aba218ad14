"""The page of jobs in a real browser: what it shows, that it stays alive, and that strangers' names stay text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, Route, expect

from fake_service import FakeService, a_job, video
from wizard_pages import Open, needs_chromium, press_until

EVIL = "<img src=x onerror=document.title='owned'>"

pytestmark = needs_chromium


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService().running() as running:
        yield running


@pytest.fixture
def home() -> str:
    return "/jobs"


def row(page: Page, name: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("button", name=name, exact=True))


def replace(job: Any, **more: Any) -> Any:
    return msgspec.structs.replace(job, **more)


def test_the_list_shows_every_job_with_its_status_progress_and_user(service: FakeService, open_page: Open) -> None:
    for number, status in enumerate(("done", "failed", "running", "queued", "cancelled", "dead")):
        service.put(a_job(number, status, name=f"{status}.mov"))
    page = open_page()
    expect(page.locator("#rows tr")).to_have_count(6)
    expect(row(page, "running.mov")).to_contain_text("compress 42 %, 31.0 s left")
    expect(row(page, "running.mov").get_by_role("progressbar")).to_have_attribute(
        "aria-label", "Progress of running.mov"
    )
    expect(row(page, "failed.mov")).to_contain_text("The input is not a video.")
    expect(row(page, "done.mov")).to_contain_text("67 % smaller")
    expect(row(page, "queued.mov")).to_contain_text("ada")
    expect(page.locator("#connection-text")).to_have_text("Live")


def test_events_change_the_list_without_a_reload(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "running", name="one.mov"))
    page = open_page()
    expect(page.locator("#rows tr")).to_have_count(1)
    page.evaluate("window.same = document.querySelector('#rows tr')")
    service.put(replace(service.jobs[a_job(1).id], percent=77.7))
    expect(row(page, "one.mov")).to_contain_text("77 %")
    service.put(a_job(1, "done", name="one.mov"), "done")
    expect(row(page, "one.mov")).to_contain_text("done")
    service.put(a_job(2, "queued", name="two.mov"), "queued")
    expect(page.locator("#rows tr").first).to_contain_text("two.mov")
    assert page.evaluate("window.same === document.querySelectorAll('#rows tr')[1]"), "rows are changed, not remade"


def test_a_storm_of_events_becomes_few_requests_and_the_right_list(service: FakeService, open_page: Open) -> None:
    for number in range(2000):
        service.put(a_job(number, "running"))
    page = open_page()
    expect(page.locator("#rows tr")).to_have_count(50)
    for number in range(1500, 2300):
        service.put(a_job(number, "done", name=f"{number}.mov"), "done")
    expect(page.locator("#rows tr").first).to_contain_text("2299.mov")
    expect(page.locator("#rows tr").last).to_contain_text("2250.mov")
    assert sum(path == "/v1/jobs" for _, path, _ in service.seen) < 80


def test_a_change_of_status_is_announced(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "running", name="one.mov"))
    page = open_page()
    expect(page.locator("#rows tr")).to_have_count(1)
    service.put(a_job(1, "done", name="one.mov"), "done")
    expect(page.get_by_role("status")).to_have_text("one.mov is done.")


def test_names_labels_and_errors_of_strangers_stay_text(service: FakeService, open_page: Open) -> None:
    evil = a_job(1, "failed", name=EVIL, user_id=EVIL)
    error = replace(evil.error, text=EVIL, evidence=EVIL, hint=EVIL)
    spec = replace(evil.spec, labels={"name": EVIL, EVIL: EVIL}, settings={EVIL: EVIL})
    service.put(replace(evil, error=error, spec=spec))
    page = open_page()
    page.get_by_role("button", name=EVIL).click()
    expect(page.locator("#panel h2")).to_have_text(EVIL)
    expect(page.locator("#panel .failure")).to_contain_text(EVIL)
    assert page.locator("img").count() == 0
    expect(page).to_have_title(re.compile("^Jobs . Reelpress$"))


def test_a_job_opens_retries_and_closes_by_keyboard_alone(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "failed", name="broken.mov"))
    page = open_page()
    expect(page.locator("#rows tr")).to_have_count(1)
    press_until(page, "Tab", "broken.mov")
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_focused()
    press_until(page, "Tab", "Retry")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("broken.mov waits to be done again.")
    assert service.jobs[a_job(1).id].status == "queued"
    expect(page.locator("#panel").get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.get_by_role("button", name="broken.mov")).to_be_focused()


def test_what_was_done_is_said_last(service: FakeService, open_page: Open) -> None:
    """And not over it that the job failed before, which is said a little later."""
    service.put(a_job(1, "running", name="broken.mov"))
    page = open_page()
    page.get_by_role("button", name="broken.mov").click()
    page.evaluate(
        "window.heard = [];"
        "new MutationObserver(() => heard.push(document.getElementById('said').textContent))"
        ".observe(document.getElementById('said'), {childList: true, characterData: true, subtree: true})"
    )
    service.put(a_job(1, "failed", name="broken.mov"), "failed")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#panel").get_by_role("button", name="Cancel")).to_be_visible()
    page.wait_for_timeout(1200)
    assert [text for text in page.evaluate("heard") if text][-1] == "broken.mov waits to be done again."


def test_a_running_job_is_cancelled_by_keyboard_alone(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "running", name="long.mov"))
    page = open_page()
    expect(page.locator("#rows tr")).to_have_count(1)
    press_until(page, "Tab", "long.mov")
    page.keyboard.press("Enter")
    press_until(page, "Tab", "Cancel")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("long.mov is being stopped.")
    assert service.jobs[a_job(1).id].cancel_requested
    stopping = page.get_by_role("button", name="Stopping")
    expect(stopping).to_be_focused()
    expect(stopping).to_have_attribute("aria-disabled", "true")


def test_focus_stays_where_it_is_while_jobs_come_and_change(service: FakeService, open_page: Open) -> None:
    for number in range(5):
        service.put(a_job(number, "running", name=f"{number}.mov"))
    page = open_page()
    page.get_by_role("button", name="2.mov").focus()
    service.put(a_job(9, "queued", name="9.mov"), "queued")
    service.put(a_job(2, "done", name="2.mov"), "done")
    expect(row(page, "2.mov")).to_contain_text("done")
    expect(page.locator("#rows tr")).to_have_count(6)
    expect(page.get_by_role("button", name="2.mov")).to_be_focused()


def test_a_refusal_is_shown_with_what_to_do(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "failed", name="broken.mov"))
    page = open_page("/jobs#job=" + a_job(1).id)
    refused = {"detail": "There are too many unfinished jobs.", "hint": "Wait until some are done."}
    service.failing[f"/v1/jobs/{a_job(1).id}/retry"] = (429, refused)
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#panel").get_by_role("alert")).to_have_text(" ".join(refused.values()))
    expect(page.get_by_role("status")).to_have_text(" ".join(refused.values()))


def test_the_panel_tells_stages_reasons_attempts_checks_and_settings(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "done", name="film.mov"))
    page = open_page()
    page.get_by_role("button", name="film.mov").click()
    panel = page.get_by_role("region", name="film.mov")
    for text in (
        "compress", "hevc_nvenc did not deliver", "CUDA_ERROR_LAUNCH_FAILED", "Checks: 2 of 2 passed", "1920x1080",
        "480 kB", "VMAF 95.1", "libx265 on the CPU",
    ):  # fmt: skip
        expect(panel).to_contain_text(text)
    expect(page).to_have_url(re.compile(f"#job={a_job(1).id}$"))
    page.reload()
    expect(page.locator("#panel h2")).to_have_text("film.mov")
    page.go_back()
    expect(page.locator("#panel")).to_be_hidden()


@pytest.mark.parametrize("key", [None, "rp_secret"])
def test_output_and_receipt_are_downloaded_under_the_jobs_name(
    service: FakeService, open_page: Open, key: str | None
) -> None:
    service.put(a_job(1, "done", name="film.mov"))
    service.key = key
    page = open_page("/jobs#job=" + a_job(1).id)
    if key:
        give_key(page, key)
    with page.expect_download() as got:
        page.get_by_role("button", name="Download video").click()
    assert got.value.suggested_filename == "film.mp4"
    assert got.value.path().read_bytes() == video(1)
    with page.expect_download() as got:
        page.get_by_role("button", name="Receipt").click()
    assert got.value.suggested_filename == "film.receipt.json"


def test_with_a_key_a_video_comes_from_the_store_without_it(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "done", name="film.mov"))
    service.key = "rp_secret"
    page = open_page("/jobs#job=" + a_job(1).id)
    give_key(page, "rp_secret")
    with FakeService([a_job(1)]).running() as store:
        service.store_url = store.url
        with page.context.expect_page():
            page.get_by_role("button", name="Download video").click()
        for _ in range(500):
            if store.seen:
                break
            page.wait_for_timeout(10)
        assert "/output" in store.seen[0][1]
        assert "rp_secret" not in str(store.seen)


def test_without_a_key_the_page_asks_for_one_and_forgets_it_with_the_tab(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, name="film.mov"))
    service.key = "rp_secret"
    page = open_page()
    expect(page.get_by_label("API key", exact=True)).to_be_focused()
    expect(page.locator("#board")).to_be_hidden()
    give_key(page, "rp_wrong")
    expect(page.get_by_role("alert").filter(has_text="does not accept this key")).to_be_visible()
    give_key(page, "rp_secret")
    expect(row(page, "film.mov")).to_be_visible()
    page.reload()
    expect(row(page, "film.mov")).to_be_visible()
    assert page.evaluate("[localStorage.length, document.cookie, location.href.includes('rp_secret')]") == [
        0,
        "",
        False,
    ]
    page.get_by_role("button", name="Forget API key").click()
    expect(page.get_by_label("API key", exact=True)).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_after_a_break_it_goes_on_with_the_last_event(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "running", name="film.mov"), "started")
    page = open_page()
    expect(page.locator("#connection-text")).to_have_text("Live")
    service.put(replace(service.jobs[a_job(1).id], stage="check"), "stage")
    expect(row(page, "film.mov")).to_contain_text("check")
    service.failing["/v1/events"] = (503, {"detail": "The service restarts."})
    service.break_streams()
    expect(page.locator("#connection-text")).to_have_text("Reconnecting")
    service.put(a_job(1, "done", name="film.mov"), "done")
    service.failing.clear()
    expect(page.locator("#connection-text")).to_have_text("Live")
    expect(row(page, "film.mov")).to_contain_text("done")
    asked = [headers for _, path, headers in service.seen if path == "/v1/events"]
    assert asked[-1]["last-event-id"] == "2"


def test_a_service_in_trouble_is_named_and_asked_again(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, name="film.mov"))
    service.failing["/v1/jobs"] = (503, {"detail": "The database does not answer.", "hint": "It comes back by itself."})
    page = open_page()
    alert = page.get_by_role("alert").filter(has_text="The database does not answer.")
    expect(alert).to_contain_text("It comes back by itself.")
    service.failing.clear()
    page.get_by_role("button", name="Try again").click()
    expect(row(page, "film.mov")).to_be_visible()
    expect(alert).to_be_hidden()


def test_filters_by_status_and_text_are_in_the_address(service: FakeService, open_page: Open) -> None:
    for number in range(300):
        service.put(a_job(number, "failed" if number == 5 else "done"))
    page = open_page()
    expect(page.locator("#count")).to_have_text("Jobs 1 to 50 of 300")
    page.get_by_role("radio", name="failed 1").check()
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("#status=failed$"))
    page.get_by_role("radio", name="all 300").check()
    page.get_by_role("searchbox").fill("FILM 17.MOV")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(row(page, "film 17.mov")).to_be_visible()
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.locator("#empty")).to_contain_text("No job among 300")
    expect(page).to_have_url(re.compile("#text=nothing"))
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value("nothing like it")


def test_pages_lead_to_the_oldest_job_and_back(service: FakeService, open_page: Open) -> None:
    for number in range(120):
        service.put(a_job(number))
    page = open_page()
    older, newer = page.get_by_role("button", name="Older"), page.get_by_role("button", name="Newer")
    expect(newer).to_be_disabled()
    older.click()
    expect(page.locator("#count")).to_have_text("Jobs 51 to 100 of 120")
    older.click()
    expect(page.locator("#count")).to_have_text("Jobs 101 to 120 of 120")
    expect(row(page, "film 0.mov")).to_be_visible()
    expect(older).to_be_disabled()
    expect(page.locator("#list")).to_be_focused()
    newer.click()
    expect(page.locator("#count")).to_have_text("Jobs 51 to 100 of 120")


def test_an_empty_service_and_a_missing_job_say_what_to_do(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#empty")).to_contain_text("reelpress jobs submit")
    page = open_page("/jobs#job=job_gone")
    expect(page.locator("#panel").get_by_role("alert")).to_contain_text("There is no such job.")


def test_two_clicks_turn_one_page(service: FakeService, open_page: Open) -> None:
    for number in range(170):
        service.put(a_job(number))
    page = open_page()
    older, newer, count = (page.get_by_role("button", name="Older"), page.get_by_role("button", name="Newer"),
                           page.locator("#count"))  # fmt: skip
    expect(count).to_have_text("Jobs 1 to 50 of 170")
    page.evaluate("const older = document.getElementById('older'); older.click(); older.click(); null")
    expect(count).to_have_text("Jobs 51 to 100 of 170")
    older.click()
    expect(count).to_have_text("Jobs 101 to 150 of 170")
    newer.click()
    expect(count).to_have_text("Jobs 51 to 100 of 170")
    page.evaluate("const newer = document.getElementById('newer'); newer.click(); newer.click(); null")
    expect(count).to_have_text("Jobs 1 to 50 of 170")
    expect(newer).to_be_disabled()


def test_a_job_opens_by_its_button_though_text_is_selected(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, name="film.mov"))
    page = open_page()
    button = page.get_by_role("button", name="film.mov")
    button.focus()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    page.keyboard.press("Enter")
    expect(page.locator("#panel h2")).to_have_text("film.mov")


def test_a_slow_list_comes_where_it_is_asked_for_again_and_again(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, name="film.mov"))
    page = open_page("/web/icon.svg")
    page.route(
        "**/web/site.js",
        lambda route: route.fulfill(
            content_type="text/javascript", body="export const session = null; export const streams = false;"
        ),
    )
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/jobs?*", hold)
    page.goto(service.url + "/jobs")
    for _ in range(600):
        if sum(path == "/v1/events" for _, path, _ in service.seen) == 3:
            break
        page.wait_for_timeout(25)
    held[0].continue_()
    expect(row(page, "film.mov")).to_be_visible()


# --- for everybody ---

NAMELESS = """() => {
  const seen = (e) => e.checkVisibility();
  const labels = (e) => [...(e.labels ?? [])].map((l) => l.textContent).join("");
  const by = (e) => document.getElementById(e.getAttribute("aria-labelledby"))?.textContent;
  const name = (e) => (e.getAttribute("aria-label") || by(e) || labels(e) || e.textContent).trim();
  const wanted = "button, input, a, progress, table:not(.small), section[tabindex], nav, [role=region], [role=search]";
  return [...document.querySelectorAll(wanted)].filter((e) => seen(e) && !name(e)).map((e) => e.outerHTML);
}"""
IDS = "() => [...document.querySelectorAll('[id]')].map((e) => e.id)"
REFERRED = """() => ['aria-labelledby', 'aria-describedby', 'aria-controls'].flatMap((name) =>
  [...document.querySelectorAll(`[${name}]`)].map((e) => e.getAttribute(name)))"""
CONTRAST = """() => {
  const numbers = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (colour) => colour.slice(0, 3).map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = numbers(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.disabled || e.closest("[aria-disabled=true]")) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.push(`${e.tagName} ${e.className} ${e.textContent.slice(0, 30)}`);
  }
  return bad;
}"""


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.thorough),
        pytest.param(390, "light", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.by_turns
def test_names_landmarks_references_contrast_and_width(
    service: FakeService, open_page: Open, scheme: str, width: int
) -> None:
    for number, status in enumerate(("done", "failed", "running", "queued", "cancelled", "dead")):
        service.put(a_job(number, status, name="x" * 200 if status == "dead" else None))
    for address in ("/jobs", *(f"/jobs#job={job}" for job in service.jobs)):
        page = open_page(address, viewport={"width": width, "height": 800}, color_scheme=scheme)
        shown = page.locator("#panel h2") if "#" in address else page.locator("#rows tr").first
        expect(shown).to_be_visible()
        assert page.evaluate(NAMELESS) == []
        ids = page.evaluate(IDS)
        assert len(ids) == len(set(ids))
        assert set(page.evaluate(REFERRED)) - set(ids) - {"panel-title"} == set()
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for landmark in ("main", "banner", "navigation", "search"):
            if not (width == 390 and "#" in address):  # there one job takes the page
                expect(page.get_by_role(landmark)).to_have_count(1)
        page.context.close()


def test_controls_are_large_enough_for_a_finger_on_a_phone(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "failed"))
    page = open_page("/jobs#job=" + a_job(1).id, viewport={"width": 390, "height": 800})
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    for button in page.locator("#panel button").all():
        assert button.bounding_box()["height"] >= 24


def test_who_wants_no_motion_gets_none(service: FakeService, open_page: Open) -> None:
    service.put(a_job(1, "running"))
    page = open_page(reduced_motion="reduce")
    expect(page.locator("#rows .badge")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('#rows .badge'), '::before').animationName") == "none"


# --- how it is served ---


def test_the_policy_lets_in_nothing_but_our_own_files(service: FakeService, open_page: Open) -> None:
    page = open_page()
    response = page.request.get(service.url + "/jobs")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    text = response.text()
    assert re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?://", text) is None
    assert page.evaluate("performance.getEntriesByType('resource').every((e) => e.name.startsWith(location.origin))")


def test_files_are_revalidated_and_nothing_else_is_served(service: FakeService, open_page: Open) -> None:
    page = open_page()
    answer = page.request.get(service.url + "/web/jobs.js")
    again = page.request.get(service.url + "/web/jobs.js", headers={"If-None-Match": answer.headers["etag"]})
    assert (answer.status, again.status) == (200, 304)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    for path in ("/web/jobs.html", "/web/..%2fversion.py", "/web/nothing.js"):
        assert page.request.get(service.url + path).status == 404


def give_key(page: Page, key: str) -> None:
    page.get_by_label("API key", exact=True).fill(key)
    page.get_by_role("button", name="Use this key").click()
