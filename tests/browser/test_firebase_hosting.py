"""The whole of it, rehearsed: pages from Firebase Hosting, a user of Firebase's, files straight into a bucket.

Hosting, the bucket and the issuer of tokens are played here; the service, its worker, FFmpeg and the browser are real.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

import clips
from fake_gcs import FakeGcs, service_account_key
from firebase_tokens import PROJECT, bearer, id_token, key_server
from hosting import Hosting
from served import Service
from wizard_pages import needs_chromium

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import collect_wizard as site

pytestmark = [needs_chromium, pytest.mark.media]
BUCKET = f"{PROJECT}.firebasestorage.app"
PATIENCE_MS = 120_000
# As an app's own module would be, with Firebase's SDK behind it: the first token has ended.
SESSION = """
const tokens = {tokens};
export const session = {{
  token: async (fresh) => tokens[fresh ? (window.renewed = 1) : window.renewed ?? 0],
  signIn: () => {{ document.title = "sign in"; }},
  signOut: async () => {{}},
}};
"""


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs(BUCKET) as server:
        yield server


@pytest.fixture
def api(tmp_path: Path, gcs: FakeGcs) -> Iterator[Service]:
    with key_server() as jwks_url:
        env = {
            "REELPRESS_DATA_DIR": str(tmp_path / "data"), "REELPRESS_PORT": "0", "GPU_ENABLED": "false",
            "REELPRESS_CACHE_DIR": str(tmp_path / "cache"), "REELPRESS_STORAGE_URL": f"gs://{BUCKET}/videos",
            "GOOGLE_SERVICE_ACCOUNT_KEY": service_account_key(), "GOOGLE_BASE_URL": gcs.url,
            "REELPRESS_FIREBASE_PROJECT": PROJECT, "REELPRESS_FIREBASE_JWKS_URL": jwks_url,
            "REELPRESS_ALLOW_PRIVATE_URLS": "true",
        }  # fmt: skip
        service = Service(env, tmp_path / "log")
        yield service
        assert service.end() == 0, service.log.read_text()


@pytest.fixture
def hosting(tmp_path: Path, gcs: FakeGcs, api: Service) -> Iterator[Hosting]:
    session = tmp_path / "session.js"
    session.write_text(SESSION.format(tokens=[id_token("Ab3", exp=1), id_token("Ab3")]))
    asked = ["--project", PROJECT, "--bucket", BUCKET, "--prefix", "videos", "--storage", gcs.url]
    folder = tmp_path / "site"
    site.main(["--folder", str(folder), *asked, "--session", str(session)])
    with Hosting(folder, {"reelpress-api": api.url}, patience_s=4.0) as served:
        gcs.cors = site.cors_json([served.url])
        yield served


def test_a_user_uploads_to_the_bucket_and_cuts(
    hosting: Hosting, api: Service, gcs: FakeGcs, browser: Browser, tmp_path: Path
) -> None:
    film = clips.make(
        tmp_path / "talk.mp4", *clips.picture("320x180", "25", 3), *clips.tone(440, 3), *clips.X264, "-c:a", "aac"
    )
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(hosting.url)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")  # with a token renewed, and by polling
    page.get_by_label("Choose a file").set_input_files(film)
    video = page.locator("#video")
    expect(video).to_have_js_property("readyState", 4, timeout=PATIENCE_MS)
    assert video.get_attribute("src").startswith(f"{gcs.url}/{BUCKET}/videos/firebase/Ab3/videos/")
    assert {method for method, key in gcs.signed if "/uploads/" in key} == {"PUT"}
    assert not [one for one in hosting.seen if one[0] == "PUT"]  # no part of the file went by Hosting
    for key in ("i", *["ArrowRight"] * 2, "o"):
        page.keyboard.press(key)
    page.locator("#steps").get_by_role("button", name="Export").click()
    page.locator("#start").click()
    card = page.locator(".job")
    expect(card).to_contain_text("1080\u00d71920", timeout=PATIENCE_MS)
    card.get_by_role("button", name="Play").click()
    short = card.locator("video")
    expect(short).not_to_have_js_property("currentTime", 0, timeout=PATIENCE_MS)
    assert short.get_attribute("src").startswith(f"{gcs.url}/{BUCKET}/videos/firebase/Ab3/exports/")
    page.goto(f"{hosting.url}/jobs")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    assert [text for text in said if "401" not in text] == []
    page.context.close()
    # others see nothing of it, by whichever way they come
    for url in (hosting.url, api.url):
        assert httpx.get(f"{url}/v1/videos", headers=bearer("Ab3")).json()["videos"]
        assert httpx.get(f"{url}/v1/videos", headers=bearer("Ab4")).json()["videos"] == []
    assert httpx.get(f"{hosting.url}/v1/videos").status_code == 401
    assert httpx.get(f"{hosting.url}/metrics").status_code == 404
