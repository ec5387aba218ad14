"""Text that is no Unicode, from names and from what FFmpeg says, does not stop a job from being written down."""

from __future__ import annotations

import msgspec

from reelpress.jobs.model import JobError
from reelpress.jobs.reading import get_job
from reelpress.jobs.task import _left, _Outcome
from reelpress.jobs.work import finish

from job_table import NOW, claim, enlist, open_empty, put

ODD = b"caf\xe9 \x00 \xf0\x9f\x8e\xac".decode("utf-8", "surrogateescape")


def test_an_error_with_odd_evidence_is_kept(database_url, tmp_path):
    database = open_empty(database_url, tmp_path)
    enlist(database, "w1")
    put(database)
    finish(database, claim(database, "w1"), "failed", now=NOW, error=JobError(code="odd", text="No.", evidence=ODD))
    with database.reading() as connection:
        jobs = (
            connection.exec_driver_sql(f"SELECT id FROM {'reelpress.' if database.is_postgres else ''}jobs")
            .scalars()
            .all()
        )
        error = get_job(connection, jobs[0]).error
    assert error is not None
    assert error.evidence == "caf\ufffd \x00 \U0001f3ac"
    database.close()


def test_a_step_that_failed_oddly_is_told_on():
    outcome = msgspec.json.decode(_left(error=JobError(code="odd", text=ODD)), type=_Outcome)
    assert outcome.error is not None
    assert outcome.error.text.startswith("caf\ufffd")
