"""The wizard on the real service: a file of this machine becomes a short that plays in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import clips
from served import Service
from wizard_pages import needs_chromium

pytestmark = [needs_chromium, pytest.mark.media]
PATIENCE_MS = 120_000


@pytest.fixture
def real_service(tmp_path: Path) -> Iterator[Service]:
    settings = {
        "REELPRESS_DATA_DIR": str(tmp_path / "data"), "REELPRESS_PORT": "0", "REELPRESS_LOCAL_PATHS": str(tmp_path),
        "REELPRESS_CACHE_DIR": str(tmp_path / "cache"), "GPU_ENABLED": "false",
    }  # fmt: skip
    started = Service(settings, tmp_path / "log")
    yield started
    assert started.end() == 0, started.log.read_text()


def test_a_file_becomes_a_short_that_plays(browser: Browser, real_service: Service, tmp_path: Path) -> None:
    video = clips.make(
        tmp_path / "talk.mp4", *clips.picture("640x360", "25", 8), *clips.tone(440, 8), *clips.X264, "-c:a", "aac"
    )
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(real_service.url)
    place = page.get_by_role("textbox", name="A file on this machine")
    place.fill(str(video))
    place.press("Enter")
    expect(page.locator("#video")).to_have_js_property("readyState", 4, timeout=PATIENCE_MS)
    for key in ("ArrowRight", "i", *["ArrowRight"] * 2, "o"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Next: Frame").click()
    expect(page.locator("#framing-state")).to_contain_text("1 shot", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Next: Captions").click()
    page.get_by_role("button", name="Next: Export").click()
    page.locator("#start").click()
    card = page.locator(".job")
    expect(card).to_contain_text("CPU \u00b7 libx264", timeout=PATIENCE_MS)
    page.reload()  # everything is on the server, and in the address
    expect(card).to_contain_text("1080\u00d71920", timeout=PATIENCE_MS)
    card.get_by_role("button", name="Play").click()
    short = card.locator("video")
    expect(short).not_to_have_js_property("currentTime", 0, timeout=PATIENCE_MS)
    assert short.evaluate("(v) => [v.videoWidth, v.videoHeight, v.duration]") == [1080, 1920, 2]
    expect(short).not_to_have_js_property("webkitAudioDecodedByteCount", 0)
    assert said == []
    page.close()
