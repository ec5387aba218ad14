"""What housekeeping throws away, and above all what it does not."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from reelpress.jobs.exports import forget_left_events, forget_rows
from reelpress.jobs.housekeeping import DAY_S, UPLOADS_LAST_S, Housekeeping
from reelpress.jobs.model import JobInput, JobSpec
from reelpress.jobs.reading import events_since, last_seq
from reelpress.jobs.submission import submit
from reelpress.jobs.tables import EVENTS
from reelpress.jobs.uploads import Upload, add_upload, find_upload

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
