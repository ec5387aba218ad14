"""What the product cuts, made and watched on its page: in Chromium and Firefox by one journey, in WebKit by another."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect  # wizard_pages skips where it is not installed

import reelpress

import clips
from fake_clips import FakeClips
from fake_media import Media
from thorough import every_second
from webkit import DRIVER, Webkit
from wizard_pages import Open, go, job, must_have, press_until, saved

pytest.importorskip("cv2", reason="the extra clips is not installed")
SECONDS, TONE_HZ = 2, 1000
# Plays the short to its end and hears what is in it; `loud` is a share of full scale.
WATCH = """async () => {
  const video = document.querySelector('.job video');
  let shown = 0;
  const count = (_now, { presentedFrames }) => {
    shown = presentedFrames;
    video.requestVideoFrameCallback(count);
  };
  video.requestVideoFrameCallback(count);
  await new Promise((done, fail) => {
    video.addEventListener('ended', done);
    video.addEventListener('error', () => fail(video.error.message));
    if (video.ended) done();
  });
  const canvas = new OffscreenCanvas(9, 16);
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 9, 16);
  const colours = new Set(new Uint32Array(context.getImageData(0, 0, 9, 16).data.buffer)).size;
  const sound = new OfflineAudioContext(2, 48000, 48000);
  const heard = await sound.decodeAudioData(await (await fetch(video.src)).arrayBuffer());
  const known = [video.mozHasAudio, video.audioTracks?.length, video.webkitAudioDecodedByteCount]; // each knows one
  const samples = heard.getChannelData(0).slice(24000, 72000);
  let crossings = 0;
  for (let n = 1; n < samples.length; n++) crossings += samples[n - 1] < 0 && samples[n] >= 0;
  return { width: video.videoWidth, height: video.videoHeight, duration: video.duration, at: video.currentTime,
           shown, colours, heard: heard.duration, loud: Math.max(...samples), hertz: crossings,
           track: known.some(Boolean),
           violations: window.violations ?? [] };
}"""

# Notes what the page's policy forbids; WebDriver runs nothing before the page has loaded.
HEED = """async () => {
  window.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective));
}"""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """A video as ever, of which the finished short is one that the product cut."""
    folder = tmp_path_factory.mktemp("shorts")
    source = clips.make(
        folder / "talk.mp4", *clips.picture("640x360", "25", SECONDS + 1), *clips.tone(TONE_HZ, SECONDS + 1),
        *clips.X264, "-c:a", "aac",
    )  # fmt: skip
    (receipt,) = reelpress.cut_clips(source, [f"0:00.5-0:0{SECONDS}.5=short"], folder / "out", layout="fit")
    assert receipt.status == "encoded"
    assert receipt.output is not None
    made = Media(folder)
    made.short = Path(receipt.output)
    return made


def judge(seen: dict[str, Any]) -> None:
    """The right size and duration, played to the end, and the tone of the source."""
    assert (seen["width"], seen["height"]) == (1080, 1920)
    assert seen["duration"] == pytest.approx(SECONDS, abs=0.1)
    assert seen["at"] == pytest.approx(SECONDS, abs=0.1)
    assert seen["shown"] > 3, "it moves; how many pictures are left out is up to the machine's other work"
    assert seen["colours"] > 20
    assert seen["heard"] == pytest.approx(SECONDS, abs=0.1)
    assert seen["hertz"] == pytest.approx(TONE_HZ, abs=3)
    assert 0.05 < seen["loud"] < 1
    assert seen["track"] is True
    assert seen["violations"] == []


@pytest.mark.parametrize("browser", every_second(["firefox", "chromium"]), indirect=True)
def test_a_short_is_marked_by_keys_exported_and_watched(browser: Browser, service: FakeClips, open_page: Open) -> None:
    service.add_video("talk.mp4")
    page = open_page()
    page.get_by_role("link", name="talk.mp4").click()
    expect(page.locator("#video")).to_have_js_property("readyState", 4)
    for key in ("i", *["ArrowRight"] * SECONDS, "o"):
        page.keyboard.press(key)
    expect(page.get_by_role("status").first).to_contain_text("Out at 0:02.00.")
    assert [(clip["start_s"], clip["end_s"]) for clip in saved(page, service)] == [(0.0, SECONDS)]
    page.keyboard.press("3")
    expect(page.locator("#framing-state")).to_contain_text("faces by haar")
    press_until(page, "Tab", "Window")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#shot-rule")).to_contain_text("set by hand")
    assert saved(page, service)[0]["framing"]["shots"][0]["windows"][0]["path"][0]["x"] == pytest.approx(0.45)

    go(page, "Export")
    page.locator("#start").click()
    card = job(page, "Clip 1")
    expect(card).to_contain_text("Waiting")
    service.progress("Clip 1", 42.0)
    expect(card).to_contain_text("Rendering, 42 %")
    service.finish("Clip 1")
    expect(page.locator("#overall-words")).to_have_text("1 of 1 finished")
    card.get_by_role("button", name="Play").click()
    judge(page.evaluate(WATCH))
    with page.expect_download() as got:
        card.get_by_role("button", name="Download").click()
    assert got.value.suggested_filename == "Clip 1.mp4"


@pytest.fixture
def webkit(service: FakeClips) -> Iterator[Webkit]:
    must_have(DRIVER, "WebKit: apt install webkit2gtk-driver gstreamer1.0-libav gstreamer1.0-plugins-good")
    display = os.environ.get("DISPLAY") or shutil.which("Xvfb")
    must_have(display, "display for WebKit: apt install xvfb")
    with Webkit.started() as started:
        yield started


def test_a_short_is_made_and_watched_in_webkit(service: FakeClips, webkit: Webkit) -> None:
    service.add_video("talk.mp4")
    webkit.open(service.url)
    webkit.evaluate(HEED)
    webkit.click("#videos a")
    webkit.until("document.querySelector('#video').readyState === 4")
    webkit.press("i", *["ArrowRight"] * SECONDS, "o")
    webkit.until("document.querySelector('#saved').dataset.state === 'saved' && location.href.includes('export=')")
    (export,) = service.exports.values()
    assert [(clip["start_s"], clip["end_s"]) for clip in export["drafts"]] == [(0.0, SECONDS)]
    webkit.press("3")
    webkit.shows("#framing-state", "faces by haar")
    webkit.press("5")
    webkit.click("#start")
    webkit.shows(".job", "Waiting")
    service.progress("Clip 1", 42.0)
    webkit.shows(".job", "Rendering, 42 %")
    service.finish("Clip 1")
    webkit.shows("#overall-words", "1 of 1 finished")
    webkit.click(".job button[aria-label='Play Clip 1']")
    webkit.until("document.querySelector('.job video')")
    judge(webkit.evaluate(WATCH))
    assert webkit.evaluate("async () => document.querySelector('#problem').hidden")
    agent = str(webkit.evaluate("async () => navigator.userAgent"))
    assert re.search(r"AppleWebKit/(?!537)", agent), "Chromium says 537.36"
