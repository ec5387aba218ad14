"""Opens the database of the service: a SQLite file in the data folder, or Postgres."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from reelpress.errors import OutputError, UsageError
from reelpress.facts.values import to_json
from reelpress.jobs.tables import METADATA, MIGRATIONS, TURNS, VERSIONS

_LOG = logging.getLogger("reelpress.jobs")
_SCHEMA = "reelpress"
_MIGRATION_LOCK = 7_205_759_403
_BUSY_TIMEOUT_MS = 30_000
_COMMITTED = "reelpress_once_committed"
# A server whose machine is gone sends nothing, not even an end, and TCP alone would wait for a quarter of an hour.
# It is given up after 5 s without a connection, 14 s of silence, or 12 s in which it takes nothing of what was sent.
_GIVEN_UP = {
    "connect_timeout": "5", "keepalives": "1", "keepalives_idle": "5", "keepalives_interval": "3",
    "keepalives_count": "3", "tcp_user_timeout": "12000",
}  # fmt: skip
T = TypeVar("T")


class Database:
    """An open database; safe to share between threads."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self.url = url
        self.is_postgres = engine.dialect.name == "postgresql"
        self._engine = engine
        self._writing = engine.execution_options(reelpress_writes=True)
        self._noting = self._writing.execution_options(reelpress_may_be_lost=True)

    @property
    def engine(self) -> Engine:
        """The engine, whose transactions write."""
        return self._writing

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes; on SQLite it is the only one that does."""
        with self._writing.begin() as connection:
            connection.info.pop(_COMMITTED, None)  # left by a transaction that failed
            yield connection
            then = connection.info.pop(_COMMITTED, ())
        for do in then:
            do()

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """Open a transaction that writes what a loss of power may take with it: progress, heartbeats.

        It does not wait for the disk, and neither do those who wait for it.
        """
        with self._noting.begin() as connection:
            if self.is_postgres:
                connection.execute(sa.text("SET LOCAL synchronous_commit TO OFF"))
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def open_database(url: str | None, data: Path) -> Database:
    """Open the database at ``url``, or the SQLite file in the folder ``data``, and bring its tables up to date.

    Raises :class:`UsageError` for an address that is none, :class:`OutputError` for a database that cannot be opened.
    """
    parsed = database_url(url, data)
    try:
        return _opened(parsed)
    except (DBAPIError, OSError) as error:
        said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        hint = "Look whether it runs, and at its address." if url else "REELPRESS_DATA_DIR says where its file is."
        raise OutputError("The database cannot be opened.", evidence=" ".join(said.split()), hint=hint) from None


def _opened(url: URL) -> Database:
    if url.get_backend_name() == "sqlite":
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = _sqlite(url)
    else:
        engine = sa.create_engine(url, pool_size=10, max_overflow=20, pool_pre_ping=True).execution_options(
            schema_translate_map={None: _SCHEMA}
        )
    database = Database(engine, url)
    try:
        _bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    return database


def once_committed(connection: Connection, do: Callable[[], None]) -> None:
    """Have ``do`` called when what this transaction of :meth:`Database.writing` wrote stands, and else never."""
    connection.info.setdefault(_COMMITTED, []).append(do)


def database_url(url: str | None, data: Path, *, name: str = "reelpress.sqlite") -> URL:
    """Return the address of the database; ``None`` is the file ``name`` in ``data``. Raises :class:`UsageError`.

    That of a Postgres says when a server that is silent is given up, unless ``url`` says so itself.
    """
    if url is None:
        return URL.create("sqlite", database=str(data / name))
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UsageError("REELPRESS_DATABASE_URL is no address.", hint="postgresql://USER@HOST/DATABASE") from None
    if parsed.get_backend_name() != "postgresql":
        raise UsageError(
            "REELPRESS_DATABASE_URL is not Postgres.",
            evidence=parsed.drivername,
            hint="postgresql://USER@HOST/DATABASE, or leave it out for SQLite",
        )
    parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.update_query_dict({name: value for name, value in _GIVEN_UP.items() if name not in parsed.query})


def _sqlite(url: URL) -> Engine:
    # readers wait for nobody in WAL; writers wait for each other
    engine = sa.create_engine(url, pool_size=10, max_overflow=20, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - whatever the driver's is
        connection.isolation_level = None  # else the driver begins transactions of its own kind
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a transaction that reads first and writes later could find that another has written between
        options = connection.get_execution_options()
        if not options.get("reelpress_writes", False):
            connection.exec_driver_sql("BEGIN")
            return
        # a job that was accepted outlives a loss of power: WAL is flushed with FULL, and only now and then with NORMAL
        may_be_lost = options.get("reelpress_may_be_lost", False)
        connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if may_be_lost else 'FULL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _bring_up_to_date(database: Database) -> None:
    with database.writing() as connection:
        lock(connection, _MIGRATION_LOCK)
        if database.is_postgres:
            connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}"))
        is_new = not sa.inspect(connection).has_table(
            "schema_version", schema=_SCHEMA if database.is_postgres else None
        )
        METADATA.create_all(connection)
        if is_new:
            connection.execute(VERSIONS.insert().values(version=len(MIGRATIONS)))
            connection.execute(TURNS.insert().values(id=1, served=0))
            return
        version = connection.execute(sa.select(sa.func.max(VERSIONS.c.version))).scalar_one()
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            for statement in statements:
                schema = f"{_SCHEMA}." if database.is_postgres else ""
                connection.execute(sa.text(statement.replace("<schema>", schema)))
            connection.execute(VERSIONS.insert().values(version=number))


def lock(connection: Connection, number: int, of: str | None = None) -> None:
    """Hold a lock until this transaction ends, one for each ``of``; on SQLite whoever writes is alone anyway."""
    if connection.dialect.name != "postgresql":
        return
    if of is None:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": number})
    else:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock, hashtext(:of))"), {"lock": number, "of": of})


def persist(write: Callable[[], T], *, give_up: Callable[[], bool] = lambda: False, patience_s: float = 900.0) -> T:
    """Call ``write`` until the database takes it: a restart of the database is no reason to lose an hour's work.

    What the database refuses for any other reason than its absence is raised at once, as is everything once
    ``patience_s`` are over or ``give_up`` is true.
    """
    deadline, pause = time.monotonic() + patience_s, 0.1
    while True:
        try:
            return write()
        except DBAPIError as error:
            gone = isinstance(error, OperationalError) or error.connection_invalidated
            if not gone or give_up() or time.monotonic() > deadline:
                raise
            _LOG.warning("the database is away (%s); trying again", type(error.orig).__name__)
            time.sleep(pause)
            pause = min(2.0, pause * 2)


def encode(value: object) -> str:
    """Return a value as the JSON that stands in a text column."""
    return to_json(value).decode()
