"""Videos, analyses, exports and clips over HTTP: what is taken, what is refused, and whose it is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from test_jobs_api import problem

from reelpress.jobs.claiming import Claim
from reelpress.jobs.clip_model import ClipDetails, ClipFile, StoredObject, VideoSource
from reelpress.jobs.house import House
from reelpress.jobs.model import JobResult
from reelpress.jobs.work import finish
from reelpress.service.app import create_app

import factories
from clip_tables import clips_of, details, make_folder, make_ready, put_export, put_video
from conftest import LOCAL, MakeKey, open_house
from job_table import NOW, claim, enlist

CLIP = {"id": "a", "name": "The answer", "start_s": 1.0, "end_s": 3.5}
FRAMING = {
    "shots": [
        {"start_s": 1.0, "end_s": 2.0, "layout": "still", "rule": "hand",
         "windows": [{"path": [{"t_s": 1.0, "x": 0.5, "y": 0.5}], "zoom": 1.0}]},
        {"start_s": 2.0, "end_s": 3.5, "layout": "fit", "rule": "centre", "windows": []},
    ]
}  # fmt: skip
# A window that follows, dragged as far as it goes: where the path would leave the picture, the window stops.
FOLLOWED = {
    "shots": [
        {"start_s": 1.0, "end_s": 3.5, "layout": "track", "rule": "hand",
         "windows": [{"path": [{"t_s": 1.0, "x": 1.1, "y": 0.5}, {"t_s": 3.0, "x": 0.7, "y": -0.2}], "zoom": 1.0}]},
    ]
}  # fmt: skip
CAPTIONS = {"cues": [{"start_s": 1.2, "end_s": 2.0, "text": "Forty-two"}], "style": "karaoke", "origin": "hand"}


def objects(house: House) -> Path:
    return Path(house.settings.storage.removeprefix("file://"))


def deliver(house: House, taken: Claim, content: bytes) -> None:
    """Do as if a clip had been rendered and stored."""
    name = f"{taken.job.spec.wants.index + 1:02d}-clip.mp4"
    key = f"users/{taken.job.user_id}/exports/{taken.job.parent}/{name}"
    path = objects(house) / key
    make_folder(path.parent)
    path.write_bytes(content)
    stored = StoredObject(key=key, size_bytes=len(content), sha256="0" * 64, content_type="video/mp4")
    result = JobResult(
        outcome="encoded", encoder="libx264", device="cpu", input_key=None, input_bytes=1, output=stored, receipt=None,
        saved_share=None,
    )  # fmt: skip
    file = ClipFile(
        file_name=name, size_bytes=len(content), sha256="0" * 64, duration_s=2.5, width=1080, height=1920, fps=25.0,
        loudness_lufs=-14.0, true_peak_dbtp=-2.0,
    )  # fmt: skip
    details = ClipDetails(encoder="libx264", device="cpu", warnings=("scaled up",), file=file)
    finish(house.database, taken, "done", now=NOW, result=result, receipt='{"status":"encoded"}', details=details)


def at_key(**fields: float) -> dict[str, object]:
    """Return a clip whose window stands at one key, with these fields."""
    [shot] = FOLLOWED["shots"]
    key = {"t_s": 1.0, "x": 0.5, "y": 0.5, **fields}
    return {**CLIP, "framing": {"shots": [{**shot, "windows": [{"path": [key], "zoom": 1.0}]}]}}


@pytest.fixture
def video(house: House) -> str:
    return put_video(house.database, "local").id


def test_a_video_is_taken_once_and_shown(client: TestClient) -> None:
    body = {"input": {"url": "https://example.com/talk.mov"}, "name": "The talk"}
    first = client.post("/v1/videos", json=body, headers={"Idempotency-Key": "v"})
    again = client.post("/v1/videos", json=body, headers={"Idempotency-Key": "v"})
    assert (first.status_code, again.status_code) == (201, 200)
    shown = client.get(first.headers["location"]).json()
    assert (shown["name"], shown["status"], shown["facts"], shown["preview"]) == ("The talk", "queued", None, None)
    assert [one["id"] for one in client.get("/v1/videos").json()["videos"]] == [shown["id"]]
    problem(client.get(f"/v1/videos/{shown['id']}/preview"), 409, "video_not_ready")
    # the list of jobs is of those that compress, unless others are asked for
    assert client.get("/v1/jobs").json()["jobs"] == []
    assert [one["kind"] for one in client.get("/v1/jobs", params={"kind": "all"}).json()["jobs"]] == ["video"]
    assert client.get("/v1/jobs", params={"kind": "video"}).json()["counts"] == {"queued": 1}


def test_a_video_that_is_ready_says_what_is_in_it(client: TestClient, house: House, video: str) -> None:
    shown = client.get(f"/v1/videos/{video}").json()
    assert shown["status"] == "ready"
    assert shown["facts"]["width"] > 0
    assert shown["preview"]["sprites"]["count"] == 20
    assert shown["preview"]["cuts_s"] == [1.5]
    folder = make_folder(objects(house) / f"users/local/videos/{video}")
    (folder / "proxy.mp4").write_bytes(b"0123456789")
    (folder / "sprites-000.jpg").write_bytes(b"jpeg")
    got = client.get(f"/v1/videos/{video}/preview", headers={"Range": "bytes=2-4"})
    assert (got.status_code, got.content, got.headers["content-type"]) == (206, b"234", "video/mp4")
    assert "content-disposition" not in got.headers
    tag = client.get(f"/v1/videos/{video}/preview").headers["etag"]
    assert client.get(f"/v1/videos/{video}/preview", headers={"If-None-Match": tag}).status_code == 304
    assert client.get(f"/v1/videos/{video}/sprites/0").content == b"jpeg"
    problem(client.get(f"/v1/videos/{video}/sprites/1"), 404, "not_found")


@pytest.mark.parametrize(("pictures_s", "said_s"), [(8.0, 8.0), (None, 10.0)])
def test_a_video_lasts_as_long_as_its_pictures(
    client: TestClient, house: House, pictures_s: float | None, said_s: float
) -> None:
    # sound goes on for longer; what lies behind the last picture cannot be cut
    facts = factories.media(factories.video(duration_s=pictures_s), factories.audio())
    source = VideoSource(kind="object", value="in.mp4", size_bytes=4, version="1", name="in.mp4", is_ours=False)
    video = put_video(house.database, "local", known=details(source, facts=facts))
    assert client.get(f"/v1/videos/{video.id}").json()["facts"]["duration_s"] == said_s


def test_a_draft_keeps_what_it_was_given(client: TestClient, video: str) -> None:
    clips = [{**CLIP, "framing": FRAMING, "captions": CAPTIONS}]
    made = client.post("/v1/exports", json={"video": video, "clips": clips, "platform": "reels"})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    export = client.get(made.headers["location"]).json()
    assert (export["status"], export["version"], export["clips"], export["platform"]) == ("draft", 1, [], "reels")
    [kept] = export["drafts"]
    assert kept["framing"]["shots"][0]["windows"] == FRAMING["shots"][0]["windows"]
    assert kept["captions"]["cues"][0]["text"] == "Forty-two"
    url = f"/v1/exports/{export['id']}"
    changed = client.put(url, json={"clips": [CLIP, {**CLIP, "id": "b"}], "version": 1}).json()
    assert (changed["version"], len(changed["drafts"])) == (2, 2)
    refused = problem(client.put(url, json={"clips": [], "version": 1}), 409, "changed")
    assert refused["evidence"] == "2"
    [listed] = client.get("/v1/exports", params={"video": video}).json()["exports"]
    assert listed["id"] == export["id"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("第１話\u3000はじめ", "第１話 はじめ"), ("क्\u200dष", "क्\u200dष"), ("👨\u200d👩", "👨\u200d👩"),
        (" two\nlines\x1b[31m \x00", "two lines[31m"),
    ],
)  # fmt: skip
def test_a_name_keeps_its_words_in_any_script(client: TestClient, video: str, said: str, kept: str) -> None:
    made = client.post("/v1/exports", json={"video": video, "clips": [{**CLIP, "name": said}]})
    assert made.json()["drafts"][0]["name"] == kept


def test_a_window_that_was_dragged_over_the_edge_is_kept(client: TestClient, video: str) -> None:
    made = client.post("/v1/exports", json={"video": video, "clips": [{**CLIP, "framing": FOLLOWED}]})
    assert made.status_code == 201, made.text
    [kept] = made.json()["drafts"]
    assert kept["framing"]["shots"][0]["windows"] == FOLLOWED["shots"][0]["windows"]


@pytest.mark.parametrize(
    "clip",
    [
        {**CLIP, "end_s": 1.0}, {**CLIP, "end_s": 9000.0}, {**CLIP, "id": "a b"}, {**CLIP, "layout": "round"},
        {**CLIP, "framing": {"shots": []}},
        {**CLIP, "framing": {"shots": [{**FRAMING["shots"][1], "layout": "still"}]}},
        {**CLIP, "framing": {"shots": [{**FRAMING["shots"][1], "end_s": 1e999}]}},
        {**CLIP, "framing": {"shots": [FRAMING["shots"][1], FRAMING["shots"][0]]}},
        at_key(x=float("nan")), at_key(y=float("-inf")), at_key(x=1e7), at_key(t_s=float("inf")), at_key(t_s=1e7),
        {**CLIP, "captions": {"cues": [{"start_s": 3, "end_s": 1, "text": "x"}]}}, {**CLIP, "more": 1},
    ],
)  # fmt: skip
def test_what_can_never_be_cut_is_refused_at_once(client: TestClient, video: str, clip: dict[str, object]) -> None:
    import json

    answer = client.post(
        "/v1/exports", content=json.dumps({"video": video, "clips": [clip]}),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


BEYOND = [(8.0, 10.6, "reaches beyond"), (10.0, 10.4, "reaches beyond"), (9.9, 10.4, "Less than 0.2 s")]


@pytest.mark.parametrize(("start_s", "end_s", "why"), BEYOND)
def test_a_clip_beyond_a_video_that_is_ready_is_refused_at_once(
    client: TestClient, video: str, start_s: float, end_s: float, why: str
) -> None:
    there = {"video": video, "clips": [{**CLIP, "start_s": 8.0, "end_s": 10.4}]}  # pages round its length of 10 s
    clips = [CLIP, {**CLIP, "id": "b", "start_s": start_s, "end_s": end_s}]
    made = client.post("/v1/exports", json=there)
    assert made.status_code == 201, made.text
    refused = problem(client.post("/v1/exports", json={"video": video, "clips": clips, "start": True}), 422, "invalid")
    assert why in refused["detail"]
    assert refused["evidence"] == f"clips.1: {start_s:g} s to {end_s:g} s"
    problem(client.put(made.headers["location"], json={"clips": clips, "version": 1}), 422, "invalid")
    [kept] = client.get("/v1/exports").json()["exports"]
    assert (kept["id"], kept["version"]) == (made.json()["id"], 1)


def test_a_clip_beyond_a_video_that_was_not_ready_is_refused_at_the_start(client: TestClient, house: House) -> None:
    video = client.post("/v1/videos", json={"input": {"url": "https://example.com/talk.mov"}}).json()["id"]
    body = {"video": video, "clips": [{**CLIP, "start_s": 60.0, "end_s": 61.0}]}
    made = client.post("/v1/exports", json=body, headers={"Idempotency-Key": "e"})
    assert made.status_code == 201, made.text
    source = VideoSource(kind="object", value="in.mp4", size_bytes=4, version="1", name="in.mp4", is_ours=False)
    make_ready(house.database, video, details(source))
    assert client.post("/v1/exports", json=body, headers={"Idempotency-Key": "e"}).status_code == 200  # a repeat
    problem(client.post(f"{made.headers['location']}/start"), 422, "invalid")
    assert client.get(made.headers["location"]).json()["status"] == "draft"


def test_an_export_is_started_watched_cancelled_and_retried(client: TestClient, house: House, video: str) -> None:
    clips = [CLIP, {**CLIP, "id": "b"}, {**CLIP, "id": "c"}]
    export = client.post("/v1/exports", json={"video": video, "clips": clips, "start": True}).json()
    assert (export["status"], [clip["draft"] for clip in export["clips"]]) == ("running", ["a", "b", "c"])
    url = f"/v1/exports/{export['id']}"
    assert len(client.post(f"{url}/start").json()["clips"]) == 3
    problem(client.delete(url), 409, "not_finished")
    problem(client.delete(f"/v1/videos/{video}"), 409, "in_use")
    problem(client.get(f"{url}/zip"), 409, "no_result")
    enlist(house.database, "w1")
    for content in (b"first clip", b"second"):
        deliver(house, claim(house.database), content)
    last = next(clip for clip in client.get(url).json()["clips"] if clip["status"] == "queued")
    assert client.post(f"/v1/clips/{last['id']}/cancel").json()["status"] == "cancelled"
    ended = client.get(url).json()
    assert ended["status"] == "cancelled"
    done = [clip for clip in ended["clips"] if clip["status"] == "done"]
    assert {(clip["encoder"], clip["result"]["loudness_lufs"], *clip["warnings"]) for clip in done} == {
        ("libx264", -14.0, "scaled up")
    }
    archive = client.get(f"{url}/zip")
    assert archive.headers["content-disposition"].startswith('attachment; filename="in-clips.zip"')
    assert int(archive.headers["content-length"]) == len(archive.content)
    with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
        assert sorted(opened.read(name) for name in opened.namelist()) == [b"first clip", b"second"]
        assert opened.testzip() is None
    kinds = [(one["job"][:4], one["kind"]) for one in client.get("/v1/events", params={"poll": 0}).json()["events"]]
    assert kinds[-2:] == [("clip", "cancelled"), ("exp_", "cancelled")]
    again = client.post(f"{url}/retry").json()
    assert (again["status"], sorted(clip["status"] for clip in again["clips"])) == (
        "running", ["done", "done", "queued"],
    )  # fmt: skip
    assert client.post(f"{url}/cancel").json()["status"] == "cancelled"
    assert client.delete(url).status_code == 204
    problem(client.get(url), 404, "not_found")
    assert list((objects(house) / "users").rglob("*.mp4")) == []
    assert client.delete(f"/v1/videos/{video}").status_code == 204


def test_what_a_clip_left_that_was_cancelled_goes_with_its_export(client: TestClient, house: House, video: str) -> None:
    """It was stopped between its video and its captions, and delivered nothing."""
    export = client.post("/v1/exports", json={"video": video, "clips": [CLIP], "start": True}).json()
    left = make_folder(objects(house) / "users" / "local" / "exports" / export["id"]) / "01-clip.mp4"
    left.write_bytes(b"x")
    client.post(f"/v1/exports/{export['id']}/cancel")
    assert client.delete(f"/v1/exports/{export['id']}").status_code == 204
    assert not left.exists()


def test_the_files_of_a_clip(client: TestClient, house: House, video: str) -> None:
    clips = [{**CLIP, "captions": CAPTIONS}, {**CLIP, "id": "b"}]
    export = client.post("/v1/exports", json={"video": video, "clips": clips, "start": True}).json()
    enlist(house.database, "w1")
    ids = [clip["id"] for clip in export["clips"]]
    problem(client.get(f"/v1/clips/{ids[0]}/output"), 409, "no_result")
    problem(client.get(f"/v1/clips/{ids[0]}/receipt"), 404, "not_found")
    for _ in ids:
        deliver(house, claim(house.database), b"0123456789")
    url = f"/v1/clips/{ids[0]}"
    part = client.get(f"{url}/output", headers={"Range": "bytes=-3"})
    assert (part.status_code, part.content) == (206, b"789")
    assert "content-disposition" not in part.headers
    saved = client.get(f"{url}/output", params={"download": 1})
    assert saved.headers["content-disposition"].startswith('attachment; filename="01-clip.mp4"')
    receipt = client.get(f"{url}/receipt")
    assert receipt.json() == {"status": "encoded"}
    assert receipt.headers["content-disposition"].startswith('inline; filename="01-clip.receipt.json"')
    assert "00:00:00.200 --> 00:00:01.000\nForty-two" in client.get(f"{url}/captions.vtt").text
    captions = client.get(f"{url}/captions.srt")
    assert "00:00:00,200 --> 00:00:01,000" in captions.text
    assert captions.headers["content-disposition"].startswith('attachment; filename="01-clip.srt"')
    problem(client.get(f"/v1/clips/{ids[1]}/captions.srt"), 404, "not_found")


def test_questions_about_stretches(client: TestClient, video: str) -> None:
    url = f"/v1/videos/{video}"
    asked = client.post(f"{url}/analyses", json={"start_s": 1, "end_s": 4})
    assert asked.status_code == 201
    shown = client.get(asked.headers["location"]).json()
    assert (shown["kind"], shown["status"], shown["video"], shown["framing"]) == ("framing", "queued", video, None)
    assert client.post(f"{url}/analyses", json={"start_s": 1, "end_s": 4}).status_code == 200
    assert client.post(f"{url}/analyses", json={"start_s": 1, "end_s": 4, "layout": "fit"}).status_code == 201
    problem(client.post(f"{url}/analyses", json={"start_s": 99_999, "end_s": 100_000}), 422, "invalid")
    problem(client.post(f"{url}/captions", json={"start_s": 1, "end_s": 4}), 409, "no_model")
    read = client.put(f"{url}/captions", content="WEBVTT\n\n00:01.000 --> 00:02.000\nHé\n".encode())
    assert read.json()["captions"]["cues"][0]["text"] == "Hé"
    problem(client.put(f"{url}/captions", content=b"\0\1"), 422, "input_unusable")


def test_what_others_have_does_not_exist(public: TestClient, public_house: House, key_of: MakeKey) -> None:
    video = put_video(public_house.database, "ann")
    export = put_export(public_house.database, video, 1)
    [clip] = clips_of(public_house.database, export.id)
    ann, bob, root = key_of("ann"), key_of("bob"), key_of("ops", "admin")
    paths = [
        f"/v1/videos/{video.id}", f"/v1/videos/{video.id}/preview", f"/v1/exports/{export.id}",
        f"/v1/exports/{export.id}/zip", f"/v1/clips/{clip.id}", f"/v1/clips/{clip.id}/output", f"/v1/jobs/{clip.id}",
    ]  # fmt: skip
    for path in paths:
        problem(public.get(path, headers=bob), 404, "not_found")
        assert public.get(path).status_code == 401
        assert public.get(path, headers=ann).status_code != 404 or "preview" in path
        assert public.get(path, headers=root).status_code != 404 or "preview" in path
    for path in ("cancel", "retry", "start"):
        problem(public.post(f"/v1/exports/{export.id}/{path}", headers=bob), 404, "not_found")
    problem(public.post(f"/v1/clips/{clip.id}/cancel", headers=bob), 404, "not_found")
    problem(public.delete(f"/v1/videos/{video.id}", headers=bob), 404, "not_found")
    body = {"video": video.id, "clips": [CLIP]}
    problem(public.post("/v1/exports", json=body, headers=bob), 404, "not_found")
    problem(
        public.post(f"/v1/videos/{video.id}/analyses", json={"start_s": 0, "end_s": 2}, headers=bob), 404, "not_found"
    )
    assert public.get("/v1/videos", headers=bob).json()["videos"] == []
    assert public.get("/v1/exports", headers=bob).json()["exports"] == []
    assert public.get("/v1/clips-info", headers=bob).json()["sources"]["path"] is False


def test_bodies_of_drafts_may_be_long_and_others_not(client: TestClient, video: str) -> None:
    cues = [{"start_s": n * 0.0001, "end_s": n * 0.0001 + 0.00005, "text": "x" * 40} for n in range(3000)]
    clips = [{**CLIP, "captions": {"cues": cues}}]
    assert client.post("/v1/exports", json={"video": video, "clips": clips}).status_code == 201
    assert (
        client.post("/v1/jobs", json={"input": {"url": "https://e.com"}, "labels": {"a": "x" * 70_000}}).status_code
        == 413
    )
    assert client.put(f"/v1/videos/{video}/captions", content=b"x" * (2 * 2**20 + 1)).status_code == 413


def test_paths_are_offered_where_they_are_allowed(tmp_path: Path) -> None:
    house = open_house(tmp_path / "data", local_paths=str(tmp_path))
    with TestClient(create_app(house), base_url=LOCAL) as client:
        info = client.get("/v1/clips-info").json()
    house.close()
    assert info["sources"] == {"upload": True, "url": True, "path": True}
    assert (info["max_clips"], info["has_transcription"]) == (100, False)
