"""A newer program brings the tables up to date while an older one goes on with them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from reelpress.jobs import database as module
from reelpress.jobs.claiming import claim_next
from reelpress.jobs.submission import submit
from reelpress.jobs.tables import VERSIONS

from job_table import NOW, enlist, open_empty, spec


def versions(database):
    with database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(VERSIONS)).scalar_one()


def test_a_newer_version_is_put_in_once_beside_an_older_program_at_work(database_url, tmp_path, monkeypatch):
    older = open_empty(database_url, tmp_path)
    enlist(older, "w1")
    first = submit(older, spec(), user_id="ann", now=NOW).job
    schema = "reelpress." if older.is_postgres else ""
    monkeypatch.setattr(
        module, "MIGRATIONS",
        (*module.MIGRATIONS, (f"ALTER TABLE {schema}jobs ADD COLUMN colour TEXT",
                              f"CREATE INDEX jobs_by_colour ON {schema}jobs (colour)")),
    )  # fmt: skip
    with ThreadPoolExecutor(3) as pool:  # several new workers start at the same moment
        newer = [*pool.map(lambda _: open_empty(database_url, tmp_path), range(3))]
    assert versions(newer[0]) == 2
    with newer[1].reading() as connection:
        described = sa.inspect(connection).get_columns("jobs", schema="reelpress" if schema else None)
    columns = {column["name"] for column in described}
    assert "colour" in columns
    # the older program knows nothing of the column, and need not
    submit(older, spec(), user_id="ann", now=NOW + 1)
    claim = claim_next(older, "w1", now=NOW + 2, max_attempts=3)
    assert claim is not None
    assert claim.job.id == first.id
    for database in (older, *newer):
        database.close()
