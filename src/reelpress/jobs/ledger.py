"""The ledger: a line for every run of a job that ended, written in the transaction in which it ends.

Jobs are forgotten after a while (``REELPRESS_KEEP_DAYS``); what they used and cost is kept for longer, since costs and
speed are looked at over months. Lines are numbered in the order in which transactions end, as events are: they are
written after the event that tells of the end, under the same lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from reelpress.facts.values import Value, from_json
from reelpress.jobs.database import encode
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.model import Job
from reelpress.jobs.reading import receipt_of
from reelpress.jobs.tables import LEDGER, SPENDING
from reelpress.observe.budget import periods_of
from reelpress.observe.cost import MOST_SAMPLES, other_usd, others_of, usd_per_programme_s
from reelpress.observe.entry import Entry, Worked, entry_of
from reelpress.observe.prices import StorageRates, Tariff, storage_rates
from reelpress.receipt import Receipt
from reelpress.service_settings import ServiceSettings

# Kinds that an engine works on; videos, analyses and exports have no receipt.
KEPT_KINDS = ("compress", "clip")
LEDGER_LASTS_S = 400 * 86_400.0  # a year, and what is needed to compare its last month with the same one
# Where S3's tools look for a store that is not Amazon's, as storage/opening.py does.
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
# Stages of a job during which the engine's own stages are counted.
_OF_THE_ENGINE = frozenset({"queued", "compress", "analyse", "render", "check", "finished"})


class Charging(Value, frozen=True, kw_only=True):
    """By what a process charges jobs: its machine, and the store that keeps outputs (``None``: no price is known)."""

    tariff: Tariff
    storage: StorageRates | None = None


def charging_for(settings: ServiceSettings, encoding: Encoding) -> Charging:
    """Return by what a worker on this machine charges jobs. Raises :class:`UsageError` for prices that are none."""
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)
    storage = storage_rates(
        settings.storage_prices, settings.storage, endpoint=endpoint, own_file=encoding.settings.prices_file
    )
    return Charging(tariff=encoding.tariff, storage=storage)


def note_end(connection: Connection, job: Job, charging: Charging | None = None) -> Entry | None:
    """Write the line of a job that ended, and return it; ``None`` for jobs that have none.

    A job has one if it is of a kind that is kept and somebody worked on it. ``job`` is as it stands in the table.
    """
    if job.kind not in KEPT_KINDS or job.started_at is None:
        return None
    entry = _entry(connection, job, charging)
    entry = msgspec.structs.replace(entry, usd_other=_other_usd(connection, entry))
    row = {
        "job": job.id, "run": job.run, "user_id": job.user_id, "finished_at": entry.finished_at,
        "encoder": entry.encoder, "size_class": entry.size_class, "usd_per_s": usd_per_programme_s(entry),
        "usd": entry.usd, "entry": encode(entry),
    }  # fmt: skip
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    # should the same end be written twice, the first stands
    written = insert(LEDGER).values(row).on_conflict_do_nothing().returning(LEDGER.c.seq)
    if connection.execute(written).first() is None:
        return None
    for period in periods_of(entry.finished_at):
        spent = insert(SPENDING).values(period=period, usd=entry.usd)
        more = {"usd": SPENDING.c.usd + entry.usd}
        connection.execute(spent.on_conflict_do_update(index_elements=[SPENDING.c.period], set_=more))
    return entry


def _entry(connection: Connection, job: Job, charging: Charging | None) -> Entry:
    # whose work it was is charged for it
    is_reused = job.result is not None and job.result.reused_from is not None
    text = None if is_reused else receipt_of(connection, job.id)
    receipt = None if text is None else from_json(text, Receipt)
    outside = _OF_THE_ENGINE if receipt is not None else frozenset({"queued", "finished"})
    worked = [
        Worked(name=stage.stage, wall_s=stage.wall_s or 0.0) for stage in job.stages if stage.stage not in outside
    ]
    began = job.started_at if job.started_at is not None else job.created_at
    return entry_of(
        receipt, job=job.id, run=job.run, user_id=job.user_id, kind=job.kind, status=job.status,
        finished_at=job.finished_at or job.updated_at, error_code=job.error.code if job.error else None,
        input_bytes=job.result.input_bytes if job.result else job.spec.input.size_bytes,
        queue_wait_s=began - job.created_at if job.run == 1 else 0.0, worked=worked,
        tariff=charging.tariff if charging else None, storage=charging.storage if charging else None,
        reads_store=job.spec.input.kind in ("object", "upload", "video"),
    )  # fmt: skip


def _other_usd(connection: Connection, entry: Entry) -> float | None:
    """Return what a job would have cost on the other device, as the newest jobs there cost; ``None`` if too few did."""
    names = others_of(entry.encoder, entry.device)
    if not names or usd_per_programme_s(entry) is None:
        return None
    alike = sa.and_(LEDGER.c.encoder.in_(names), LEDGER.c.size_class == entry.size_class)
    query = sa.select(LEDGER.c.usd_per_s).where(alike, LEDGER.c.usd_per_s.is_not(None))
    found = connection.execute(query.order_by(LEDGER.c.seq.desc()).limit(MOST_SAMPLES)).scalars()
    return other_usd(entry, [float(usd) for usd in found])


def lines(
    connection: Connection,
    *,
    since: float | None = None,
    until: float | None = None,
    user_id: str | None = None,
    after_seq: int | None = None,
    limit: int | None = None,
) -> Iterator[tuple[int, Entry]]:
    """Yield lines with their numbers, the oldest first, a few at a time: there may be millions.

    Those of jobs that ended from ``since`` to before ``until``, seconds since 1970; ``after_seq`` continues after a
    line's number.
    """
    query = sa.select(LEDGER.c.seq, LEDGER.c.entry).order_by(LEDGER.c.seq)
    if since is not None:
        query = query.where(LEDGER.c.finished_at >= since)
    if until is not None:
        query = query.where(LEDGER.c.finished_at < until)
    if user_id is not None:
        query = query.where(LEDGER.c.user_id == user_id)
    if after_seq is not None:
        query = query.where(LEDGER.c.seq > after_seq)
    if limit is not None:
        query = query.limit(limit)
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield row.seq, from_json(row.entry, Entry)


def entries(connection: Connection, *, since: float | None = None, until: float | None = None) -> list[Entry]:
    """Return the lines of a time without their numbers, all at once."""
    return [entry for _, entry in lines(connection, since=since, until=until)]


def last_entry(connection: Connection) -> int:
    """Return the number of the newest line, 0 where there is none."""
    return connection.execute(sa.select(sa.func.max(LEDGER.c.seq))).scalar() or 0


def spent_usd(connection: Connection, period: str) -> float:
    """Return what was spent in a day (``2026-11-22``) or a month (``2026-11``), UTC."""
    return float(connection.execute(sa.select(SPENDING.c.usd).where(SPENDING.c.period == period)).scalar() or 0.0)


def forget_lines(connection: Connection, *, older_than: float) -> int:
    """Delete lines of jobs that ended before ``older_than``, seconds since 1970, and return how many."""
    return connection.execute(sa.delete(LEDGER).where(LEDGER.c.finished_at < older_than)).rowcount
