"""Where the database is: what an address says, and what is added to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelpress.errors import ExitCode, OutputError
from reelpress.jobs import workflows
from reelpress.jobs.database import database_url, open_database
from reelpress.service_settings import load_service

# As libpq reads them: seconds, but milliseconds in the last.
GIVEN_UP = {
    "connect_timeout": "5", "keepalives_idle": "5", "keepalives_interval": "3", "keepalives_count": "3",
    "tcp_user_timeout": "12000",
}  # fmt: skip


def test_a_postgres_that_falls_silent_is_given_up(new_postgres: Callable[[], str], tmp_path: Path) -> None:
    """By the driver itself, as it says: a connection that breaks without a word is not seen by anything else."""
    database = open_database(new_postgres(), tmp_path)
    with database.reading() as connection:
        driver: Any = connection.connection.driver_connection
        assert driver.info.get_parameters().items() >= GIVEN_UP.items()
    database.close()


def test_the_workflow_engine_gives_it_up_as_soon(monkeypatch: Any, tmp_path: Path) -> None:
    given: list[dict[str, Any]] = []

    class Engine:
        def __init__(self, config: dict[str, Any]) -> None:
            given.append(config)

        listen_queues = launch = register_queue = staticmethod(lambda *_args, **_more: None)

    monkeypatch.setattr(workflows, "DBOS", Engine)
    monkeypatch.setattr(workflows, "_LAUNCHED", type("Event", (), {"set": lambda _self: None})())
    settings = load_service({"database_url": "postgresql://u@h/d"}, environ={}, env_file=None)
    workflows.Workflows("w1").launch(settings)
    (config,) = given
    assert all(f"{name}={value}" in config["system_database_url"] for name, value in GIVEN_UP.items())


def test_what_an_address_says_itself_counts(tmp_path: Path) -> None:
    url = database_url("postgresql://u@h/d?connect_timeout=30&sslmode=require&tcp_user_timeout=60000", tmp_path)
    own = {"connect_timeout": "30", "sslmode": "require", "tcp_user_timeout": "60000"}
    assert url.query.items() >= {**own, "keepalives_idle": "5"}.items()


@pytest.mark.parametrize("url", [None, "postgresql://u:secret@127.0.0.1:1/d"])
def test_a_database_that_cannot_be_opened_is_no_bug(tmp_path: Path, url: str | None) -> None:
    (tmp_path / "reelpress.sqlite").write_text("this is no database" * 100)
    with pytest.raises(OutputError) as failed:
        open_database(url, tmp_path)
    assert failed.value.exit_code == ExitCode.OUTPUT_FAILED
    assert failed.value.evidence is not None
    assert {None: "not a database"}.get(url, "127.0.0.1") in failed.value.evidence
    assert "secret" not in "".join(failed.value.lines())
    with pytest.raises(OutputError):
        open_database(None, tmp_path / "reelpress.sqlite")  # a file, and no folder


def test_steps_that_cannot_be_read_are_no_bug(tmp_path: Path) -> None:
    (tmp_path / "workflows.sqlite").write_text("this is no database" * 100)
    with pytest.raises(OutputError, match=r"workflows\.sqlite"):
        workflows.Workflows("w1").launch(load_service({"data_dir": str(tmp_path)}, environ={}, env_file=None))
