"""Events to deliver, as rows of a table, in SQLite or Postgres; times are in epoch seconds and come from the caller.

An event is added in the transaction that makes it true, so that neither is without the other. To send it, a process
leases its row for a while: one statement both finds rows and takes them, so no two processes have one at a time. A
lease that nobody settled runs out, and the event is sent again; receivers tell repeats by the event's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from reelpress.facts.values import Value, from_json, from_plain, to_json
from reelpress.webhooks.delivery import Outcome

State: TypeAlias = Literal["pending", "delivered", "failed"]
# Longer than one try can take (15 s), with much to spare for a slow database.
LEASE_S = 60.0


class Try(Value, frozen=True, kw_only=True):
    """One try as it is remembered; ``at`` is when it ended."""

    at: float
    outcome: Outcome


class Event(Value, frozen=True, kw_only=True):
    """A row of the outbox: one event for one receiver. ``tries`` are those that were settled, oldest first."""

    id: str
    user_id: str
    job_id: str | None
    url: str
    kind: str
    payload: str
    state: State
    attempts: int
    next_at: float
    created_at: float
    finished_at: float | None
    tries: tuple[Try, ...]


def define(metadata: sa.MetaData) -> sa.Table:
    """Return the table ``webhook_deliveries``, added to ``metadata``."""
    table = sa.Table(
        "webhook_deliveries", metadata,
        sa.Column("id", sa.Text, primary_key=True),  # of the event; receivers see it
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("lease_until", sa.Double),
        sa.Column("lease_by", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("log", sa.Text, nullable=False),
    )  # fmt: skip
    sa.Index("webhook_deliveries_due", table.c.next_at, postgresql_where=table.c.state == "pending",
          sqlite_where=table.c.state == "pending")  # fmt: skip
    sa.Index("webhook_deliveries_of_job", table.c.job_id)
    return table


def add(
    connection: sa.Connection,
    table: sa.Table,
    *,
    event_id: str,
    user_id: str,
    job_id: str | None,
    url: str,
    kind: str,
    payload: str,
    now: float,
) -> None:
    """Put an event into the outbox, inside the caller's transaction; one that is there already stays as it is."""
    row = {
        "id": event_id, "user_id": user_id, "job_id": job_id, "url": url, "kind": kind, "payload": payload,
        "state": "pending", "attempts": 0, "next_at": now, "created_at": now, "log": "[]",
    }  # fmt: skip
    insert_new(connection, table, row)


def insert_new(connection: sa.Connection, table: sa.Table, row: Mapping[str, object]) -> None:
    """Put a row into a table; one that is there already stays as it is."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).values(row).on_conflict_do_nothing())


def due(engine: sa.Engine, table: sa.Table, *, me: str, now: float, limit: int) -> list[Event]:
    """Lease at most ``limit`` events whose time has come, and return them; each counts as an attempt from now on.

    ``me`` names who holds them. Users take turns, so that a thousand events of one do not keep another's back; of one
    user's, the longest due come first.
    """
    free = sa.or_(table.c.lease_until.is_(None), table.c.lease_until <= now)
    wanted = sa.and_(table.c.state == "pending", table.c.next_at <= now, free)
    turn = sa.func.row_number().over(partition_by=table.c.user_id, order_by=table.c.next_at).label("turn")
    ranked = sa.select(table.c.id, turn).where(wanted).subquery()
    # Postgres passes over rows that others are taking just now; SQLite has one writer and no such words.
    picked = (
        sa.select(table.c.id)
        .join(ranked, ranked.c.id == table.c.id)
        .where(wanted)
        .order_by(ranked.c.turn, table.c.next_at)
        .limit(limit)
        .with_for_update(of=table, skip_locked=True)
    ).cte("picked")
    taken = (
        sa.update(table)
        .where(table.c.id.in_(sa.select(picked.c.id)))
        .values(lease_by=me, lease_until=now + LEASE_S, attempts=table.c.attempts + 1)
        .returning(*table.c)
    )
    with engine.begin() as connection:
        rows = connection.execute(taken).mappings().all()
    return [_event(row) for row in rows]


def settle(
    engine: sa.Engine, table: sa.Table, event: Event, outcome: Outcome, *, me: str, now: float, next_at: float | None
) -> bool:
    """Write down what came of a leased event's try, and give the lease back.

    ``next_at`` is when it is due again; ``None`` ends it, delivered or failed. Returns False, and changes nothing, if
    the lease has run out and somebody else has had the event since.
    """
    tries = (*event.tries, Try(at=now, outcome=outcome))
    values: dict[str, object] = {"log": to_json(tries).decode(), "lease_by": None, "lease_until": None}
    if next_at is None:
        state: State = "delivered" if outcome.verdict == "delivered" else "failed"
        values |= {"state": state, "finished_at": now}
    else:
        values["next_at"] = next_at
    ours = sa.and_(table.c.id == event.id, table.c.lease_by == me, table.c.attempts == event.attempts)
    with engine.begin() as connection:
        return _count(connection.execute(sa.update(table).where(ours).values(values))) == 1


def deliveries_of(
    connection: sa.Connection, table: sa.Table, *, user_id: str, job_id: str | None = None
) -> list[Event]:
    """Return a user's events, of one job or the latest hundred of all, oldest first."""
    query = (
        sa.select(table).where(table.c.user_id == user_id).order_by(table.c.created_at.desc(), table.c.id).limit(100)
    )
    if job_id is not None:
        query = query.where(table.c.job_id == job_id)
    return [_event(row) for row in reversed(connection.execute(query).mappings().all())]


def purge(engine: sa.Engine, table: sa.Table, *, older_than: float) -> int:
    """Delete events that ended before a time, and return how many; pending ones stay."""
    with engine.begin() as connection:
        return _count(connection.execute(sa.delete(table).where(table.c.finished_at < older_than)))


def _event(row: Any) -> Event:  # noqa: ANN401 - a row of whatever the database returns
    fields = {name: row[name] for name in Event.__struct_fields__ if name != "tries"}
    return from_plain({**fields, "tries": from_json(row["log"], tuple[Try, ...])}, Event)


def _count(result: sa.CursorResult[Any]) -> int:
    return result.rowcount
