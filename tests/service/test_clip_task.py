"""A claim on a clip, with a stand-in for the engine: what is stored, told, made again, and left to others."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from task_steps import begin, task_of

from reelpress.facts.captions import Captions, Cue
from reelpress.facts.values import to_json
from reelpress.jobs import clip_stages
from reelpress.jobs.changing import cancel
from reelpress.jobs.clip_model import ClipDetails, VideoSource
from reelpress.jobs.clip_stages import ClipStages
from reelpress.jobs.house import House
from reelpress.jobs.reading import details_of, events_since, receipt_of
from reelpress.jobs.work import release
from reelpress.run.process import CancelToken
from reelpress.storage.opening import open_store
from reelpress.storage.upload import upload

import clip_tables
from clip_tables import clips_of, job, kinds, put_export, put_video
from cutters import Cutter
from job_table import NOW, claim, set_row


@pytest.fixture
def export(houses, tmp_path):
    """An export of two clips of a video that is in the store."""
    (tmp_path / "objects" / "in.mp4").write_bytes(b"a long video")
    version = houses[0].store.find("in.mp4").etag
    source = VideoSource(
        kind="object", value="in.mp4", size_bytes=12, version=version, name="in.mp4", is_ours=False
    )  # fmt: skip
    video = put_video(houses[0].database, known=clip_tables.details(source))
    return put_export(houses[0].database, video, 2)


@pytest.fixture
def cutter(monkeypatch):
    standing_in = Cutter()
    monkeypatch.setattr(clip_stages, "cut_clip", standing_in)
    return standing_in


def do_one(house, encoding, worker="w1"):
    task = task_of(house, encoding, worker)
    begin(task)
    assert task.done.wait(30)
    return job(house.database, task.claim.job.id)


def objects(tmp_path):
    folder = tmp_path / "objects" / "users"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_clip_is_cut_told_of_and_stored(houses, encoding, export, cutter, tmp_path):
    database = houses[0].database
    [first, _] = sorted(clips_of(database, export.id), key=lambda clip: clip.spec.wants.index)
    captions = Captions(cues=(Cue(start_s=0.5, end_s=1.0, text="Hello"),))
    wants = msgspec.structs.replace(
        first.spec.wants, platform="reels", draft=msgspec.structs.replace(first.spec.wants.draft, captions=captions)
    )
    set_row(database, first.id, spec=to_json(msgspec.structs.replace(first.spec, wants=wants)).decode())
    done = do_one(houses[0], encoding)
    assert (done.status, done.percent, done.error) == ("done", 100.0, None)
    folder = f"ann/exports/{export.id}"
    assert objects(tmp_path) == [
        f"{folder}/01-Clip 0.mp4", f"{folder}/01-Clip 0.receipt.json", f"{folder}/01-Clip 0.srt",
        f"{folder}/01-Clip 0.vtt",
    ]  # fmt: skip
    with database.reading() as connection:
        known = details_of(connection, [done.id], ClipDetails)[done.id]
        receipt = json.loads(receipt_of(connection, done.id))
        events = {one.kind: one.data for one in events_since(connection, 0, user_id=None, jobs=[done.id])}
    assert (known.encoder, known.device, known.file.file_name) == ("libx264", "cpu", "01-Clip 0.mp4")
    assert known.framing.shots[0].layout == "fit"
    assert "a warning" in known.warnings
    assert any("Instagram" in warning for warning in known.warnings)
    assert events["encoder"] == {"encoder": "libx264", "device": "cpu", "fallback": None}
    assert events["framed"] == {"rules": ["centre"], "layouts": ["fit"], "warnings": []}
    assert receipt["input"] == "in.mp4"
    assert receipt["output"] is None
    stages = [stage.stage for stage in done.stages]
    assert stages == ["fetch", "analyse", "render", "check", "store", "notify"]
    assert not (houses[0].settings.scratch / "jobs").is_dir() or not any(
        (houses[0].settings.scratch / "jobs").iterdir()
    )


def test_one_clip_that_fails_leaves_the_others_alone(houses, encoding, export, monkeypatch):
    monkeypatch.setattr(clip_stages, "cut_clip", Cutter(fails=lambda request: request.name == "Clip 0"))
    ended = [do_one(houses[0], encoding) for _ in range(2)]
    assert sorted(one.status for one in ended) == ["done", "failed"]
    failed = next(one for one in ended if one.status == "failed")
    assert (failed.error.code, failed.error.evidence) == ("input_unusable", "made to fail")
    assert job(houses[0].database, export.id).status == "failed"


def test_a_running_clip_is_cancelled_alone(houses, encoding, export, cutter):
    cutter.may_end.clear()
    task = task_of(houses[0], encoding)
    begin(task)
    assert cutter.began.wait(30)
    cancel(houses[0].database, task.claim.job.id, now=NOW)
    task.stop("user")
    assert task.done.wait(30)
    assert sorted(clip.status for clip in clips_of(houses[0].database, export.id)) == ["cancelled", "queued"]


def test_a_clip_that_was_taken_away_while_it_was_cut_leaves_no_step_behind(houses, encoding, export, cutter):
    """The engine would take what its events' reader raises for a failure of the clip."""
    database = houses[0].database
    cutter.may_end.clear()
    task = task_of(houses[0], encoding)
    steps = begin(task)
    assert cutter.began.wait(30)
    set_row(database, task.claim.job.id, status="queued", worker=None)
    cutter.may_end.set()  # it now goes on to its check, which is a stage to write down
    assert task.done.wait(30)
    assert [name for name, _ in steps.left] == ["fetch"]
    assert job(database, task.claim.job.id).status == "queued"


def test_a_clip_that_its_dead_maker_stored_is_not_cut_again(houses, encoding, export, cutter, tmp_path):
    def stages_of(house, worker):
        return ClipStages(house, encoding, claim(house.database, worker), CancelToken(), lambda *_: None)

    from reelpress.jobs.video_reading import VideoReading

    first = stages_of(houses[0], "w1")
    with VideoReading(first) as video:
        made = first.cut(video)
        first.store(video, made)
    release(houses[0].database, first.claim, now=NOW, why="drain")
    second = stages_of(houses[1], "w2")
    with VideoReading(second) as video:
        kept = second.store(video, made)
        assert (kept.made, kept.output.sha256, len(cutter.cuts)) == (made, made.sha256, 1)
        (tmp_path / "objects" / kept.output.key).unlink()
        again = second.store(video, made)
    assert len(cutter.cuts) == 2
    assert again.made.file == f"clip.{second.claim.fence}.mp4"


def test_a_video_that_changed_is_not_cut(houses, encoding, export, cutter, tmp_path):
    (tmp_path / "objects" / "in.mp4").write_bytes(b"another long video")
    failed = do_one(houses[0], encoding)
    assert (failed.status, failed.error.code, cutter.cuts) == ("failed", "changed", [])


def test_a_file_of_this_machine_is_read_where_it_is(houses, encoding, cutter, tmp_path):
    path = tmp_path / "long.mp4"
    path.write_bytes(b"a long video")
    from reelpress.jobs.sources import version_of_file

    version, size_bytes = version_of_file(path)
    source = VideoSource(
        kind="path", value=str(path), size_bytes=size_bytes, version=version, name="long.mp4", is_ours=False
    )  # fmt: skip
    put_export(houses[0].database, put_video(houses[0].database, known=clip_tables.details(source)), 2)
    assert do_one(houses[0], encoding).status == "done"
    path.write_bytes(b"another one")
    assert do_one(houses[0], encoding).error.code == "changed"


def test_a_video_is_opened_once_for_all_who_read_it(houses, export, monkeypatch):
    from reelpress.jobs import sources as module

    opened = []
    real = module.open_source

    def counting(named, **more):
        opened.append(Path(named))
        return real(named, **more)

    monkeypatch.setattr(module, "open_source", counting)
    house = houses[0]
    with house.database.reading() as connection:
        known = details_of(connection, [export.parent], clip_tables.VideoDetails)[export.parent].source
    opening = (house.sources.opened("v", known, cancel=CancelToken()) for _ in range(2))
    with next(opening) as one, next(opening) as two:
        assert one is two
    with house.sources.opened("v", known, cancel=CancelToken()):
        pass
    assert len(opened) == 2


def test_a_video_in_a_store_that_signs_nothing_is_brought_once_and_not_kept(houses, tmp_path):
    settings, database, scratch = houses[0].settings, houses[0].database, houses[0].scratch
    house = House(settings, database, open_store("memory://"), scratch)
    path = tmp_path / "long.mp4"
    path.write_bytes(b"a long video")
    upload(house.store, path, "in.mp4", job="v")
    known = VideoSource(
        kind="object", value="in.mp4", size_bytes=12, version=house.store.find("in.mp4").etag, name="in.mp4",
        is_ours=False,
    )  # fmt: skip
    opening = (house.sources.opened("v", known, cancel=CancelToken()) for _ in range(2))
    with next(opening) as one, next(opening) as two:
        assert one.path == two.path
        assert one.path.read_bytes() == b"a long video"
        assert scratch.room().promised_bytes == 0, "what is on the disk would count twice"
        houses[1].private.sweep()
        other = House(settings, database, house.store, scratch)
        other.private.sweep()  # another process that starts on the same machine
        assert one.path.is_file()
    assert not one.path.exists()


def test_a_clip_asks_for_room_once_its_video_is_there(houses, encoding, export, cutter, monkeypatch):
    """Who goes on with it elsewhere brings the video first, and would wait for the room it has promised itself."""
    from reelpress.jobs.video_reading import VideoReading

    house, seen = houses[0], []
    real, opened = house.scratch.reserve, house.sources.opened
    monkeypatch.setattr(house.scratch, "reserve", lambda *given, **more: seen.append("room") or real(*given, **more))
    monkeypatch.setattr(house.sources, "opened", lambda *given, **more: seen.append("video") or opened(*given, **more))
    stages = ClipStages(house, encoding, claim(house.database), CancelToken(), lambda *_: None)
    with VideoReading(stages) as video:
        stages.cut(video)
    assert seen == ["video", "room"]


def test_the_last_clip_to_end_ends_the_export(houses, encoding, export, cutter):
    for _ in range(2):
        do_one(houses[0], encoding)
    assert job(houses[0].database, export.id).status == "done"
    assert kinds(houses[0].database, export.id) == ["export_started", "done"]
