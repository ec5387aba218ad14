"""The player of the wizard, without the wizard: where its playhead is, whoever stopped the video."""

from __future__ import annotations

import pytest

from fake_clips import FakeClips
from fake_media import DURATION_S, FPS
from wizard_pages import Open, needs_chromium

pytestmark = needs_chromium
# Makes `player` and its `video`, and `heard`, where the playhead was whenever the page was told to look.
PLAYER = """async ([address, fps, duration]) => {
  const { Player } = await import("/web/player.js");
  const video = document.createElement("video");
  const heard = [];
  const player = new Player(video, { onMove: () => heard.push(player.at), onState: () => {} });
  const happens = (kind) => new Promise((done) => video.addEventListener(kind, done, { once: true }));
  video.muted = true; // else a browser wants a click first
  player.load(address, { fps, duration });
  await happens("canplay");
  const played = async (from) => {
    player.seek(from);
    player.play();
    const start = performance.now();
    while (video.currentTime < from + 0.1 && performance.now() < start + 5000) await happens("timeupdate");
  };
  BODY
}"""


def played(service: FakeClips, open_page: Open, body: str) -> list[float]:
    """Return what a script returns that has a player."""
    video = service.add_video()
    address = f"/v1/videos/{video['id']}/preview"
    return open_page().evaluate(PLAYER.replace("BODY", body), [address, FPS, DURATION_S])


def test_the_playhead_is_at_the_end_of_a_video_that_was_played_to_it(service: FakeClips, open_page: Open) -> None:
    end = "player.seek(duration - 0.4); player.play(); await happens('ended'); return [player.at, heard.at(-1)];"
    assert played(service, open_page, end) == [DURATION_S, DURATION_S]


def test_the_playhead_is_where_the_browser_stopped_the_video(service: FakeClips, open_page: Open) -> None:
    stopped = """
        await played(2);
        video.pause(); // as a media key does
        await happens("pause");
        return [player.at, heard.at(-1), video.currentTime];
    """
    at, heard, now = played(service, open_page, stopped)
    assert at == heard == pytest.approx(int(now * FPS + 0.05) / FPS)
    assert at >= 2.08


def test_the_playhead_stays_where_it_was_put_once_the_page_stopped_the_video(
    service: FakeClips, open_page: Open
) -> None:
    put = """
        await played(2);
        player.pause();
        player.seek(1.2345); // before the browser has told of the pause
        await happens("pause");
        const paused = player.at;
        await played(2);
        player.shuttle(-1);
        await happens("pause");
        player.pause();
        player.seek(3.2345);
        await happens("seeked");
        return [paused, player.at];
    """
    assert played(service, open_page, put) == [1.2345, 3.2345]
