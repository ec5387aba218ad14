"""What is flushed to disk before it counts, and what need not be."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from job_table import open_empty


@pytest.fixture
def database(database_url, tmp_path):
    opened = open_empty(database_url, tmp_path)
    yield opened
    opened.close()


def asked_of(database, context):
    with context() as connection:
        if database.is_postgres:
            return connection.execute(sa.text("SHOW synchronous_commit")).scalar_one()
        return connection.exec_driver_sql("PRAGMA synchronous").scalar_one()


def test_jobs_are_flushed_and_progress_is_not_whatever_came_before_on_the_connection(database):
    flushed, noted = ("on", "off") if database.is_postgres else (2, 1)
    for _ in range(3):
        assert asked_of(database, database.writing) == flushed
        assert asked_of(database, database.noting) == noted
    with database.noting() as connection:
        connection.execute(sa.text(f"CREATE TABLE {'reelpress.' if database.is_postgres else ''}kept (n INTEGER)"))
    assert sa.inspect(database.engine).has_table("kept", schema="reelpress" if database.is_postgres else None)
