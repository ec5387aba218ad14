"""From an upload to finished clips, with the real server, the real engine and real videos."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

import clips as media
from served import Asked, Service

CAPTIONS = {"cues": [{"start_s": 1.2, "end_s": 1.8, "text": "Forty-two"}], "style": "bold"}


@pytest.fixture(scope="module")
def service(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("flow")
    started = Service(
        {
            "REELPRESS_DATA_DIR": str(folder / "data"), "REELPRESS_PORT": "0", "REELPRESS_WORKER_JOBS": "2",
            "REELPRESS_CACHE_DIR": str(folder / "cache"), "GPU_ENABLED": "false",
            "REELPRESS_TRANSCRIBE_MODEL": str(tiny_model),
        },
        folder / "log",
    )  # fmt: skip
    yield started
    assert started.end() == 0, started.log.read_text()


@pytest.fixture(scope="module")
def long_video(tmp_path_factory) -> Path:
    return media.make(
        tmp_path_factory.mktemp("long") / "long.mp4", *media.picture("640x360", "25", 6), *media.tone(440, 6),
        *media.X264, "-c:a", "aac",
    )  # fmt: skip


def streams_of(path: Path) -> list[dict[str, Any]]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]


@pytest.fixture
def ask(service):
    asked = Asked(service)
    yield asked
    asked.client.close()


def test_a_long_video_becomes_clips(ask: Asked, service: Service, long_video: Path, tmp_path: Path) -> None:
    content = long_video.read_bytes()
    upload = ask("POST", "/v1/uploads", json={"name": "long.mp4", "size_bytes": len(content)})
    for segment in upload["send"]:
        start = segment["number"] * upload["segment_bytes"]
        ask("PUT", segment["url"], content=content[start : start + segment["size_bytes"]], expect=(204,))
    ask("POST", f"/v1/uploads/{upload['id']}/complete")
    video = ask("POST", "/v1/videos", json={"input": {"upload": upload["id"]}, "name": "Long"})
    video = ask.wait(f"/v1/videos/{video['id']}", "ready")
    assert (video["facts"]["width"], video["facts"]["height"], video["facts"]["duration_s"]) == (640, 360, 6.0)
    preview = ask("GET", f"/v1/videos/{video['id']}/preview", headers={"Range": "bytes=0-99"}, expect=(206,))
    assert preview.headers["content-range"].startswith("bytes 0-99/")
    assert len(ask("GET", f"/v1/videos/{video['id']}/peaks")["peaks"]) == 600
    assert ask("GET", f"/v1/videos/{video['id']}/sprites/0").content.startswith(b"\xff\xd8")

    question = {"start_s": 1.0, "end_s": 3.0}
    analysis = ask("POST", f"/v1/videos/{video['id']}/analyses", json=question)
    analysis = ask.wait(f"/v1/analyses/{analysis['id']}", "done")
    shots = analysis["framing"]["shots"]
    assert (shots[0]["start_s"], shots[-1]["end_s"]) == (1.0, 3.0)

    heard = ask("POST", f"/v1/videos/{video['id']}/captions", json={"start_s": 1.0, "end_s": 3.0, "language": "en"})
    heard = ask.wait(f"/v1/analyses/{heard['id']}", "done")
    assert (heard["kind"], heard["captions"]["origin"]) == ("captions", "transcription")  # of a tone: no words

    clips = [
        {
            "id": "a", "name": "First", "start_s": 1.0, "end_s": 3.0, "framing": analysis["framing"],
            "captions": CAPTIONS,
        },
        {"id": "b", "name": "Second", "start_s": 3.0, "end_s": 4.5, "layout": "fit"},
    ]  # fmt: skip
    beyond = {"id": "c", "name": "Beyond", "start_s": 60.0, "end_s": 61.0}
    ask("POST", "/v1/exports", json={"video": video["id"], "clips": [*clips, beyond]}, expect=(422,))
    export = ask("POST", "/v1/exports", json={"video": video["id"], "clips": clips, "platform": "shorts"})
    assert export["status"] == "draft"
    url = f"/v1/exports/{export['id']}"
    ask("POST", f"{url}/start")
    ended = ask.wait(url, "failed", "done", "cancelled")
    first, second = ended["clips"]
    assert [clip["status"] for clip in ended["clips"]] == ["done", "done"], ended["clips"]
    assert ended["status"] == "done"
    assert (first["encoder"], first["device"], first["result"]["width"], first["result"]["height"]) == (
        "libx264", "cpu", 1080, 1920,
    )  # fmt: skip
    assert second["framing"]["shots"][0]["layout"] == "fit"

    for clip, seconds in ((first, 2.0), (second, 1.5)):
        path = tmp_path / f"{clip['id']}.mp4"
        path.write_bytes(ask("GET", f"/v1/clips/{clip['id']}/output").content)
        picture, sound = streams_of(path)
        assert (picture["codec_name"], picture["width"], picture["height"]) == ("h264", 1080, 1920)
        assert (int(picture["nb_frames"]), sound["codec_name"]) == (round(seconds * 25), "aac")
        assert ask("GET", f"/v1/clips/{clip['id']}/receipt")["status"] == "encoded"
    assert "Forty-two" in ask("GET", f"/v1/clips/{first['id']}/captions.srt").text

    # the video is gone for a while: what was delivered stays, and what failed can be done again
    more = ask("POST", "/v1/exports", json={"video": video["id"], "clips": [clips[1]]})
    [source] = (service.data / "objects").rglob("source.mp4")
    source.rename(tmp_path / "away.mp4")
    ask("POST", f"/v1/exports/{more['id']}/start")
    failed = ask.wait(f"/v1/exports/{more['id']}", "failed")
    assert failed["clips"][0]["error"]["code"] == "missing"
    (tmp_path / "away.mp4").rename(source)
    ask("POST", f"/v1/clips/{failed['clips'][0]['id']}/retry")
    assert ask.wait(f"/v1/exports/{more['id']}", "done")["clips"][0]["run"] == 2

    archive = ask("GET", f"{url}/zip")
    with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
        assert opened.namelist() == ["01-First.mp4", "02-Second.mp4"]
        assert opened.testzip() is None
    events = ask("GET", "/v1/events", params={"poll": 0, "job": [first["id"], export["id"]]})["events"]
    kinds = [(event["job"].partition("_")[0], event["kind"]) for event in events]
    assert {("exp", "export_started"), ("clip", "framed"), ("clip", "encoder"), ("exp", "done")} <= set(kinds)

    for path in (url, f"/v1/exports/{more['id']}", f"/v1/videos/{video['id']}"):
        ask("DELETE", path, expect=(204,))
    assert list((service.data / "objects" / "users").rglob("*.*")) == []
    assert list((service.data / "scratch").glob("*/*/*")) == []
