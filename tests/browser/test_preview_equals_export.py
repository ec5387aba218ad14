"""What the page shows of a short is what is delivered: the same part of the picture, in the same frame.

The page's own preview is photographed, at 14 pixels for 15 of the delivered frame, and parts of that frame, brought to
the same size, are looked for in the photograph, to a tenth of a pixel. The picture is a texture that is nowhere like
itself; over a part of it another one moves, which tells frames apart and is what analysis follows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from reelpress.facts.values import to_json

import measure
import numbered
from clip_work import framed, shot, window
from fake_media import Json
from served import PATIENCE_S, Asked, Service
from wizard_pages import go, needs_chromium

pytestmark = needs_chromium

RATE, FRAMES = 25, 85
SIZE = (1280, 720)
DELIVERED, PHOTOGRAPH = (1080, 1920), (1008, 1792)
PARTS = (3, 5)
REACH_PX = 16  # how far a part is looked for, in the photograph

# Shots begin between frames, and the frames beside are looked at: who rounds otherwise shows the other shot there. One
# still window has a zoom at which cuts by whole pixels alone would miss its place.
HAND = framed(
    shot(0.413, 0.61, "still", window((0.413, 0.43, 0.41), zoom=1.37)),
    shot(0.61, 0.8, "still", window((0.61, 0.5613, 0.41), zoom=1.13)),
    shot(0.8, 1.21, "track", window((0.8, 0.40, 0.44), (1.0, 0.46, 0.55), (1.2, 0.60, 0.55), zoom=1.2)),
    shot(1.21, 1.39, "fit"),
    shot(1.39, 1.6, "split", window((1.39, 0.3, 0.5), (1.6, 0.36, 0.5)), window((1.39, 0.71, 0.62), zoom=1.5)),
)  # fmt: skip
LOOKED_AT = {"Hand": (0, 5, 10, 14, 15, 19, 20, 24, 25, 28), "Found": (0, 9, 27)}
CLIPS: list[Json] = [
    {"id": "hand", "name": "Hand", "start_s": 0.413, "end_s": 1.6, "framing": json.loads(to_json(HAND))},
    {"id": "found", "name": "Found", "start_s": 2.19, "end_s": 3.3},
]
# The preview at whole pixels of the screen, else every photograph is off by a part of one.
ALIGN = """(screen) => {
  const { y } = screen.getBoundingClientRect();
  screen.style.marginTop ||= `${Math.ceil(y) - y}px`;
}"""
SETTLED = """async (video) => {
  const drawn = () => new Promise((done) => requestAnimationFrame(done));
  while (video.seeking || video.readyState < 2) await drawn();
  for (let n = 0; n < 3; n += 1) await drawn();
  return video.currentTime;
}"""


def pictures() -> list[np.ndarray]:
    chance = np.random.default_rng(5)

    def texture(width: int, height: int, sigma: float) -> np.ndarray:
        noise = cv2.GaussianBlur(chance.standard_normal((height, width)).astype(np.float32), (0, 0), sigma)
        return cv2.normalize(noise, None, 30, 225, cv2.NORM_MINMAX).astype(np.uint8)

    ground, thing = texture(*SIZE, 5), texture(260, 420, 4)
    made = []
    for n in range(FRAMES):
        left = 100 + 16 * max(0, n - 50)
        made.append(ground.copy())
        made[-1][150:570, left : left + 260] = thing
    return made


def apart_px(delivered: np.ndarray, photograph: np.ndarray) -> float:
    """How far off the worst part is, in pixels of the delivered frame; infinite if it is not found nearby."""
    small = cv2.resize(delivered, PHOTOGRAPH, interpolation=cv2.INTER_AREA)
    width, height = (side // count for side, count in zip(PHOTOGRAPH, PARTS, strict=True))
    worst, looked_for = 0.0, 0
    for x, y in ((column * width, row * height) for column in range(PARTS[0]) for row in range(PARTS[1])):
        part = small[y + REACH_PX : y + height - REACH_PX, x + REACH_PX : x + width - REACH_PX]
        if part.std() < 12:  # the blurred background of a fit
            continue
        looked_for += 1
        alike = cv2.matchTemplate(photograph[y : y + height, x : x + width], part, cv2.TM_CCOEFF_NORMED)
        _, best, _, (left, top) = cv2.minMaxLoc(alike)
        if best < 0.95 or not (0 < left < 2 * REACH_PX and 0 < top < 2 * REACH_PX):
            return float("inf")
        across, down = left + beyond(alike[top, left - 1 : left + 2]), top + beyond(alike[top - 1 : top + 2, left])
        worst = max(worst, abs(across - REACH_PX), abs(down - REACH_PX))
    assert looked_for >= PARTS[0]
    return worst * DELIVERED[0] / PHOTOGRAPH[0]


def beyond(three: np.ndarray) -> float:
    """Where a parabola through three values is highest, from the middle one."""
    before, at, after = (float(value) for value in three)
    return 0.5 * (before - after) / (before - 2 * at + after)


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asked]:
    settings = {
        "DATA_DIR": str(tmp_path / "data"), "CACHE_DIR": str(tmp_path / "cache"), "PORT": "0",
        "LOCAL_PATHS": str(tmp_path), "WORKER_JOBS": "2",
    }  # fmt: skip
    named = {f"REELPRESS_{name}": value for name, value in settings.items()}
    service = Service({"GPU_ENABLED": "false", **named}, tmp_path / "log")
    asked = Asked(service)
    yield asked
    asked.client.close()
    assert service.end() == 0, service.log.read_text()


def photographs(page: Page, name: str) -> dict[int, np.ndarray]:
    """Go through a clip by the key for the next frame."""
    page.get_by_role("group", name="Clip to work on").get_by_role("button", name=name).click()
    screen, video = page.locator("#screen"), page.locator("#video")
    began, at, taken = video.evaluate(SETTLED), 0, {}
    screen.evaluate(ALIGN)
    for frame in LOOKED_AT[name]:
        for _ in range(frame - at):
            page.keyboard.press(".")
        at = frame
        assert video.evaluate(SETTLED) * RATE // 1 - began * RATE // 1 == frame
        taken[frame] = cv2.imdecode(np.frombuffer(screen.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert taken[frame].shape == PHOTOGRAPH[::-1]
    return taken


def test_the_preview_is_what_is_delivered(ask: Asked, browser: Browser, tmp_path: Path) -> None:
    source = numbered.encode(tmp_path / "texture.mp4", pictures(), str(RATE))
    video = ask("POST", "/v1/videos", json={"input": {"path": str(source)}})
    ask.wait(f"/v1/videos/{video['id']}", "ready")
    export = ask("POST", "/v1/exports", json={"video": video["id"], "clips": CLIPS})
    url = f"/v1/exports/{export['id']}"
    context = browser.new_context(viewport={"width": 1300, "height": 1220}, device_scale_factor=2)
    page = context.new_page()
    page.goto(f"{ask.client.base_url}/?export={export['id']}#frame")
    expect(page.locator("#video")).to_have_js_property("readyState", 4)
    deadline = time.monotonic() + PATIENCE_S
    while ask("GET", url)["drafts"][1]["framing"] is None:  # the page keeps what analysis found
        assert time.monotonic() < deadline
        time.sleep(0.1)
    seen = {name: photographs(page, name) for name in LOOKED_AT}
    go(page, "Export")
    page.locator("#start").click()
    expect(page.get_by_role("status").first).to_contain_text("The export has started")
    context.close()

    apart, delivered = {}, {}
    for clip in ask.wait(url, "done")["clips"]:
        path = tmp_path / f"{clip['name']}.mp4"
        path.write_bytes(ask("GET", f"/v1/clips/{clip['id']}/output").content)
        frames = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for _, picture in measure.frames(path)]
        delivered[clip["name"]] = frames
        for frame, photograph in seen[clip["name"]].items():
            apart[clip["name"], frame] = apart_px(frames[frame], photograph)
    print(*(f"{name} {frame}: {px:.2f} px" for (name, frame), px in apart.items()), sep="\n")
    assert max(apart.values()) <= 1, apart
    # what is measured by would have seen it
    assert apart_px(np.roll(delivered["Hand"][0], 2, axis=1), seen["Hand"][0]) > 1
    assert apart_px(np.roll(delivered["Hand"][20], 2, axis=0), seen["Hand"][20]) > 1
    assert apart_px(delivered["Hand"][15], seen["Hand"][14]) > 1
    assert apart_px(delivered["Found"][10], seen["Found"][9]) > 1
