"""A ladder in Chromium: it takes every rung by the codecs that the playlists name, and changes rungs without a gap.

No player is needed for that: a page feeds segments to MediaSource as hls.js or dash.js do.
"""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from reelpress.check.ladder import read_master, read_media
from reelpress.probe.host import probe_host
from reelpress.request import Request
from reelpress.stream_engine import LadderWish, make_ladder

import clips

HOST = probe_host()
pytestmark = pytest.mark.skipif(HOST.scorer is None, reason="no FFmpeg here has libvmaf")

# Feeds one segment of each rung in turn, from the best down and round again, and all of one sound; then it plays.
FEED = """async ({rungs, sound}) => {
  const get = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
  const video = document.querySelector('video'), source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((done) => source.addEventListener('sourceopen', done, {once: true}));
  const append = (buffer, data) => new Promise((done, fail) => {
    buffer.addEventListener('updateend', done, {once: true});
    buffer.addEventListener('error', () => fail(new Error('refused by the decoder')), {once: true});
    buffer.appendBuffer(data);
  });
  for (const one of [...rungs, sound])
    if (!MediaSource.isTypeSupported(one.type)) throw new Error('not supported: ' + one.type);
  const pictures = source.addSourceBuffer(rungs[0].type), tones = source.addSourceBuffer(sound.type);
  const sizes = [];
  for (let n = 0; n < rungs[0].segments.length; n++) {
    const rung = rungs[n % rungs.length];
    await append(pictures, await get(rung.initial));
    await append(pictures, await get(rung.segments[n]));
  }
  await append(tones, await get(sound.initial));
  for (const name of sound.segments) await append(tones, await get(name));
  source.endOfStream();
  const ranges = [], had = pictures.buffered;
  for (let n = 0; n < had.length; n++) ranges.push([had.start(n), had.end(n)]);
  for (let n = 0; n < rungs[0].segments.length; n++) {
    const seeked = new Promise((done) => video.addEventListener('seeked', done, {once: true}));
    video.currentTime = n * 2 + 0.5;
    await seeked;
    sizes.push(video.videoWidth + 'x' + video.videoHeight);
  }
  video.muted = true;
  video.playbackRate = 4;
  video.currentTime = 0;
  await video.play();
  await new Promise((done, fail) => {
    video.addEventListener('ended', done, {once: true});
    video.addEventListener('error', () => fail(new Error(video.error.message)), {once: true});
  });
  return {ranges, sizes, duration: video.duration, shown: video.getVideoPlaybackQuality().totalVideoFrames};
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "play.html").write_text("<!doctype html><video></video>")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.thorough
def test_chromium_changes_rungs_at_every_segment_without_a_gap(browser: Browser, address: str, tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "a.mp4", "-f", "lavfi", "-i", "mandelbrot=size=120x68:rate=25,scale=854:480", "-f", "lavfi", "-i",
        "sine=frequency=440:sample_rate=44100", "-t", "7", *clips.X264, "-crf", "12",
    )  # fmt: skip
    asked = Request(preset="veryfast", max_width=1920, max_height=1080)
    folder = tmp_path / "out"
    made = make_ladder(source, folder, host=HOST, request=asked, wish=LadderWish(most_rungs=3, segment_s=2.0))
    assert made.status == "encoded", (made.error, made.evidence)
    variants, groups = read_master((folder / "master.m3u8").read_text())
    assert len(variants) >= 2

    def listed(uri: str, kind: str, codec: str) -> dict[str, object]:
        playlist = read_media((folder / uri).read_text())
        names = [f"out/{name}" for name in playlist.names]
        return {"type": f'{kind}/mp4; codecs="{codec}"', "initial": f"out/{playlist.initial}", "segments": names}

    rungs = [listed(v.uri, "video", v.codecs.split(",")[0]) for v in variants]
    sound = listed(groups[variants[0].audio or ""], "audio", variants[0].codecs.split(",")[1])
    page = browser.new_page()
    page.goto(f"{address}/play.html")
    seen = page.evaluate(FEED, {"rungs": rungs, "sound": sound})
    page.close()
    assert len(seen["ranges"]) == 1  # no gap between segments of different rungs
    assert seen["ranges"][0] == pytest.approx([0, 7], abs=0.05)
    assert seen["sizes"] == [variants[n % len(variants)].resolution for n in range(4)]
    assert len(set(seen["sizes"])) > 1
    assert seen["duration"] == pytest.approx(7, abs=0.1)
    assert seen["shown"] >= 100
