"""The small copy of a video in a real browser: it plays, seeks to the picture that is asked for, and is heard."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from playwright.sync_api import Browser

from reelpress.preview import make_preview
from reelpress.probe.media import probe

import clips
from wizard_pages import needs_chromium

pytestmark = needs_chromium

# Grey by the frame: 8 levels, of which each lasts for a picture, so the neighbour of the right one is a wrong one.
LEVELS, RATE = 8, 25
LOOK = """async (times) => {
  const video = document.querySelector('video');
  await new Promise((done, fail) => { video.onloadeddata = done; video.onerror = () => fail(video.error.message);
                                      video.src = '/proxy.mp4'; });
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  const context = canvas.getContext('2d');
  const seen = [];
  for (const time of times) {
    const seeked = new Promise((done) => { video.onseeked = done; });
    const presented = new Promise((done) => video.requestVideoFrameCallback(done)); // "seeked" may come before it
    video.currentTime = time;
    await Promise.all([seeked, presented]);
    context.drawImage(video, 0, 0, 8, 8);
    seen.push(context.getImageData(4, 4, 1, 1).data[0]);
  }
  const sound = new AudioContext({ sampleRate: 48000 });
  const heard = await sound.decodeAudioData(await (await fetch('/proxy.mp4')).arrayBuffer());
  const samples = heard.getChannelData(0);
  return { seen, width: video.videoWidth, height: video.videoHeight, duration: video.duration,
           beep: samples.findIndex((sample) => Math.abs(sample) > 0.1) / heard.sampleRate };
}"""


class Ranged(SimpleHTTPRequestHandler):
    """Answers one range, without which no browser seeks."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if "Range" not in self.headers or not path.is_file():
            super().do_GET()
            return
        size = path.stat().st_size
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or size), size - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(end - start + 1))
        self.send_header("Content-Type", "video/mp4")
        self.end_headers()
        self.wfile.write(path.read_bytes()[start : end + 1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "index.html").write_text("<!doctype html><link rel=icon href=data:,><video></video>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranged, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_browser_shows_the_picture_of_the_time_and_hears_the_sound(
    browser: Browser, served: str, tmp_path: Path
) -> None:
    grey = f"color=black:s=128x72:r={RATE}:d=4,geq=lum='16+28*mod(N,{LEVELS})':cb=128:cr=128"
    beep = "aevalsrc='0.6*sin(2*PI*1000*t)*gte(t,2)':s=48000:d=4"
    source = clips.make(
        tmp_path / "source.mp4", "-f", "lavfi", "-i", grey, "-f", "lavfi", "-i", beep, *clips.X264, "-crf", "4",
        "-bf", "3", "-c:a", "aac",
    )  # fmt: skip
    make_preview(source, probe(source), tmp_path, ffmpeg=imageio_ffmpeg.get_ffmpeg_exe())
    wanted = [0, 1, 7, 24, 25, 26, 49, 60, 99]
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(served)
    found: dict[str, Any] = page.evaluate(LOOK, [(frame + 0.5) / RATE for frame in wanted])
    page.close()
    assert (found["width"], found["height"]) == (128, 72)
    assert found["duration"] == pytest.approx(4, abs=0.05)
    assert [round(grey * 219 / 255 / 28) for grey in found["seen"]] == [frame % LEVELS for frame in wanted]
    assert found["beep"] == pytest.approx(2, abs=0.03)
