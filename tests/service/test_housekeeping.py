"""What housekeeping throws away, and above all what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from reelpress.errors import StorageError
from reelpress.jobs import housekeeping
from reelpress.jobs.clip_model import AnalysisWanted
from reelpress.jobs.exports import forget_left_events, forget_rows
from reelpress.jobs.housekeeping import DAY_S, UPLOADS_LAST_S, Housekeeping
from reelpress.jobs.model import JobInput, JobSpec
from reelpress.jobs.owners import user_prefix
from reelpress.jobs.reading import events_since, find_job, last_seq
from reelpress.jobs.submission import submit
from reelpress.jobs.tables import EVENTS
from reelpress.jobs.uploads import Upload, add_upload, find_upload
from reelpress.jobs.videos import submit_analysis, submit_video

from clip_tables import put_export, put_video
from conftest import open_house
from job_table import NOW, open_empty, put, set_row

LATER = NOW + UPLOADS_LAST_S + DAY_S


def upload(house, tmp_path, upload_id, *, completed_at, written_at=NOW):
    """Put an upload of two segments into the tables and the store, and return its segments."""
    seen = Upload(
        id=upload_id, user_id="ann", name="a.mp4", size_bytes=2, segment_bytes=1, sha256=None, created_at=NOW,
        completed_at=completed_at,
    )  # fmt: skip
    with house.database.writing() as connection:
        add_upload(connection, seen)
    folder = tmp_path / "objects/.reelpress/uploads" / upload_id
    folder.mkdir(parents=True)
    segments = [folder / "00000", folder / "00001"]
    for segment, at in zip(segments, (NOW, written_at), strict=True):
        segment.write_bytes(b"x")
        os.utime(segment, (at, at))
    return segments


def known(house, upload_id):
    with house.database.reading() as connection:
        return find_upload(connection, upload_id) is not None


def find(house, job_id):
    with house.database.reading() as connection:
        return find_job(connection, job_id) is not None


def job_of(house, upload_id):
    place = JobInput(kind="upload", value=upload_id, size_bytes=2, segment_bytes=1)
    return submit(house.database, JobSpec(input=place, transcribe=False), user_id="ann", now=NOW).job


@pytest.mark.parametrize("status", ["queued", "running"])
def test_what_a_job_still_waits_for_is_kept_however_old_it_is(houses, tmp_path, status):
    house = houses[0]
    segments = upload(house, tmp_path, "up1", completed_at=NOW)
    job = job_of(house, "up1")
    set_row(house.database, job.id, status=status)
    Housekeeping(house).run_once(LATER)
    assert [segment.exists() for segment in segments] == [True, True]
    assert known(house, "up1")


@pytest.mark.parametrize("completed_at", [NOW, None])
def test_an_upload_nobody_wants_goes_with_its_segments(houses, tmp_path, completed_at):
    house = houses[0]
    segments = upload(house, tmp_path, "up1", completed_at=completed_at)
    job = job_of(house, "up1")
    set_row(house.database, job.id, status="done", finished_at=NOW)
    Housekeeping(house).run_once(NOW + UPLOADS_LAST_S - DAY_S)
    assert [segment.exists() for segment in segments] == [True, True]
    done = Housekeeping(house).run_once(LATER)
    assert (done["uploads"], done["orphans"]) == (1, 2)
    assert [segment.exists() for segment in segments] == [False, False]
    assert not known(house, "up1")  # nobody is told that it is complete once it is gone


def test_an_upload_that_takes_days_keeps_its_first_segments(houses, tmp_path):
    house = houses[0]
    segments = upload(house, tmp_path, "slow", completed_at=None, written_at=LATER - DAY_S)
    Housekeeping(house).run_once(LATER)
    assert [segment.exists() for segment in segments] == [True, True]
    assert known(house, "slow")


def test_segments_of_no_upload_go(houses, tmp_path):
    house = houses[0]
    segments = upload(house, tmp_path, "up1", completed_at=None)
    with house.database.writing() as connection:
        connection.execute(sa.text("DELETE FROM uploads"))
    Housekeeping(house).run_once(LATER)
    assert [segment.exists() for segment in segments] == [False, False]


@pytest.mark.parametrize("use", ["analysis", "export", "draft"])
def test_a_video_stays_as_long_as_it_is_used(houses, tmp_path, use):
    """It was made ready long ago; who asked about a stretch of it yesterday is still at work on it."""
    house = houses[0]
    video = put_video(house.database)
    preview = tmp_path / "objects/users/ann/videos" / video.id / "proxy.mp4"
    preview.parent.mkdir(parents=True)
    preview.write_bytes(b"x")
    used_at = NOW + 40 * DAY_S
    if use == "analysis":
        question = AnalysisWanted(about="framing", start_s=0.0, end_s=1.0)
        user = submit_analysis(house.database, video, question, user_id="ann", now=used_at).job
    else:
        user = put_export(house.database, video, 0, start=False, now=used_at)
    if use != "draft":
        set_row(house.database, user.id, status="done", finished_at=used_at)
    Housekeeping(house).run_once(used_at + DAY_S)
    assert (find(house, video.id), find(house, user.id), preview.exists()) == (True, True, True)
    Housekeeping(house).run_once(used_at + 31 * DAY_S)
    assert (find(house, video.id), find(house, user.id), preview.exists()) == (False, False, False)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_a_video_that_was_never_ready_put_into_the_store_goes_with_it(houses, tmp_path, status):
    """It was stopped while its files were stored, so that nothing but its folder tells of them."""
    house = houses[0]
    video = submit_video(house.database, JobInput(kind="upload", value="up1"), user_id="ann é", now=NOW).job
    set_row(house.database, video.id, status=status, finished_at=NOW)
    source = tmp_path / "objects" / user_prefix("ann é") / "videos" / video.id / "source.mp4"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"x")
    Housekeeping(house).run_once(NOW + 40 * DAY_S)
    assert (find(house, video.id), source.exists()) == (False, False)


def test_all_that_is_old_goes_in_one_round_however_much_it_is(houses, monkeypatch):
    """What was left for the next round would grow without end where more is made in an hour than goes in one."""
    monkeypatch.setattr(housekeeping, "_MOST_AT_ONCE", 2)
    house = houses[0]
    videos = [put_video(house.database) for _ in range(5)]
    exports = [put_export(house.database, video, 0, start=False) for video in videos]
    Housekeeping(house).run_once(NOW + 40 * DAY_S)
    assert [one.id for one in (*videos, *exports) if find(house, one.id)] == []


def test_a_store_that_does_not_answer_keeps_only_what_is_in_it(houses, monkeypatch):
    """Rows and workflows are thrown away all the same, and so are the videos after one whose files will not go."""
    house = houses[0]
    videos = [put_video(house.database) for _ in range(2)]
    forgotten = []

    def denied(*_given, **_more):
        raise StorageError("No.", reason="denied")

    monkeypatch.setattr(house.store, "delete_under", denied)
    monkeypatch.setattr(house.store, "calls", types.SimpleNamespace(list=denied))
    keeping = Housekeeping(house, lambda older_than: forgotten.append(older_than) or 0)
    with pytest.raises(StorageError):
        keeping.run_once(NOW + 40 * DAY_S)
    assert [find(house, video.id) for video in videos] == [False, False]
    assert len(forgotten) == 1


def test_a_job_that_cannot_be_read_ends_no_housekeeping(houses, monkeypatch):
    """As one of a newer program's beside this one: the next round is to come all the same."""
    house = houses[0]
    job = job_of(house, "up1")
    set_row(house.database, job.id, spec='{"input":{"kind":"upload","value":"up1","hologram":1},"wants":{"kind":"?"}}')
    rounds = []
    enough = threading.Event()
    monkeypatch.setattr(housekeeping, "_FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(housekeeping, "_EVERY_S", 0.0)
    keeping = Housekeeping(house, lambda _older_than: rounds.append(1) or (len(rounds) > 1 and enough.set()) or 0)
    keeping.start()
    assert enough.wait(20)
    keeping.stop()
    keeping._thread.join(20)


def test_a_machine_whose_clock_is_years_ahead_throws_nothing_away(new_postgres, tmp_path, monkeypatch):
    house = open_house(tmp_path / "data", database_url=new_postgres())
    job = put(house.database)
    set_row(house.database, job.id, status="done", finished_at=time.time())
    rounds = threading.Event()
    monkeypatch.setattr(housekeeping, "_FIRST_AFTER_S", 0.0)
    keeping = Housekeeping(house, lambda _older_than: rounds.set() or 0)
    with monkeypatch.context() as wrong:
        wrong.setattr(time, "time", lambda: 4e9)
        keeping.start()
        assert rounds.wait(20)
        keeping.stop()
    keeping._thread.join(20)
    assert find(house, job.id)
    house.close()


def test_numbers_of_events_are_never_given_out_again(database_url, tmp_path):
    """Whoever has seen an event asks for those after it: a number that comes again is never seen."""
    database = open_empty(database_url, tmp_path)
    kept, gone = put(database), put(database)
    with database.reading() as connection:
        seen = last_seq(connection)
    with database.writing() as connection:
        forget_rows(connection, [gone.id])
    new = put(database)
    with database.reading() as connection:
        assert [event.job for event in events_since(connection, seen, user_id=None)] == [new.id]
    with database.writing() as connection:  # and what was left for its number goes, once there is a later one
        forget_rows(connection, [kept.id])
        forget_left_events(connection)
    with database.reading() as connection:
        assert set(connection.execute(sa.select(EVENTS.c.job)).scalars()) == {new.id}
    database.close()


def test_the_clock_of_a_round_is_its_own(houses, tmp_path):
    """Files of the store are judged by the time the round is told, as rows are."""
    house = houses[0]
    fresh = upload(house, tmp_path, "up1", completed_at=None, written_at=datetime.now(UTC).timestamp())
    Housekeeping(house).run_once(datetime.now(UTC).timestamp() + UPLOADS_LAST_S + DAY_S)
    assert not any(segment.exists() for segment in fresh)


PROGRAM = """
import sys, time
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from dbos import DBOS
from conftest import open_house
from job_table import put, row
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.housekeeping import Housekeeping
from reelpress.jobs.worker import Worker
from reelpress.jobs.workflows import forget_workflows
from reelpress.settings import load

house = open_house(Path(sys.argv[1]))
worker = Worker(house, Encoding.here(load(environ={}, env_file=None)), capacity=1)
worker.start()
job = put(house.database)
while row(house.database, job.id).status != "failed":
    time.sleep(0.05)
while not (ended := DBOS.list_workflows(completed_before="2999-01-01T00:00:00+00:00")):
    time.sleep(0.05)
keeping, day = Housekeeping(house, forget_workflows), 86400
print(len(ended), keeping.run_once(time.time())["workflows"], end=" ")
print(keeping.run_once(time.time() + (house.settings.keep_days + 1) * day)["workflows"], len(DBOS.list_workflows()))
worker.drain(0)
house.close()
"""


def test_workflows_go_by_their_age_whoever_forgot_their_jobs(tmp_path):
    """In a process of its own: there is one workflow engine in each."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(here), str(here.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0", "1", "0"]
