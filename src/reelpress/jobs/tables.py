"""The tables of the service, and how an older database becomes today's.

JSON stands in text columns: SQLite and Postgres keep it alike, and nothing is searched for inside it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text, UniqueConstraint

from reelpress.webhooks.outbox import define

METADATA = MetaData()
_BIG = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what it calls INTEGER

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("percent", Float, nullable=False),
    Column("priority", Integer, nullable=False),  # 0 high, 1 normal, 2 low
    Column("turn", _BIG, nullable=False),  # whose turn it is among users, see submission.py
    Column("origin", Text, nullable=False),
    Column("queue", Text, nullable=False),  # "pull" is for whoever is free, "push" for who is asked by name
    Column("run", Integer, nullable=False),
    Column("fence", Integer, nullable=False),  # grows with every claim; writes with an older one are refused
    Column("attempts", Integer, nullable=False),
    Column("worker", Text),
    Column("idempotency_key", Text),
    Column("spec_hash", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("cache_key", Text),
    Column("created_at", Float, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("updated_at", Float, nullable=False),
    Column("cancel_requested", Integer, nullable=False),
    Column("eta_s", Float),
    Column("speed", Float),
    Column("result", Text),
    Column("error", Text),
    Column("receipt", Text),
    Column("stages", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="compress"),
    Column("parent", Text),
    Column("details", Text),  # what a job of a kind has found out, beyond what all jobs have
    Column("trace", Text),  # the traceparent of the request that submitted it
    UniqueConstraint("user_id", "idempotency_key", name="one_job_per_key"),
    Index("jobs_to_claim", "status", "queue", "priority", "turn", "created_at"),
    Index("jobs_of_user", "user_id", "created_at"),
    Index("jobs_of_user_by_status", "user_id", "status", "created_at", "id", "turn"),
    Index("jobs_by_time", "created_at"),
    Index("jobs_by_status", "status", "created_at", "id"),
    Index("jobs_by_change", "updated_at"),
    Index("jobs_same_work", "user_id", "cache_key"),
    Index("jobs_of_worker", "worker"),
    Index("jobs_of_parent", "parent", "kind"),
    Index("jobs_of_kind", "kind", "user_id", "created_at", "id"),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("seq", _BIG, primary_key=True, autoincrement=True),
    Column("job", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("data", Text, nullable=False),
    Index("events_of_job", "job", "seq"),
    Index("events_of_user", "user_id", "seq"),
)

# What exports are to make of their videos; each is a job of the same id.
EXPORTS = Table(
    "exports",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
)

# The turn that was served last: what a user who was away starts from.
TURNS = Table(
    "turns",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("served", _BIG, nullable=False),
)

WORKERS = Table(
    "workers",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("dead_at", Float),
    Column("facts", Text, nullable=False),
)

# Events on their way to those who asked to be told.
WEBHOOKS = define(METADATA)

# What each user's webhooks are signed with. It must be known to sign, so it is not hashed.
SECRETS = Table(
    "webhook_secrets",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("secret", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

# Only a hash of the secret is kept. Scopes stand with spaces between.
API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Index("api_keys_of_user", "user_id"),
)

# Files that callers send in segments; see storage/segments.py.
UPLOADS = Table(
    "uploads",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size_bytes", _BIG, nullable=False),
    Column("segment_bytes", _BIG, nullable=False),
    Column("sha256", Text),
    Column("created_at", Float, nullable=False),
    Column("completed_at", Float),
    Index("uploads_of_user", "user_id", "created_at"),
    Index("uploads_by_time", "created_at"),
)

# What jobs that ended used, made and cost; it outlives them. Columns are what is asked for, `entry` is all of it.
LEDGER = Table(
    "ledger",
    METADATA,
    Column("seq", _BIG, primary_key=True, autoincrement=True),
    Column("job", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("finished_at", Float, nullable=False),
    Column("encoder", Text, nullable=False),
    Column("size_class", Text, nullable=False),
    Column("usd_per_s", Float),  # of output; NULL where nothing was made, or a price is not known
    Column("usd", Float, nullable=False),
    Column("entry", Text, nullable=False),
    UniqueConstraint("job", "run", name="one_entry_per_run"),
    Index("ledger_by_time", "finished_at"),
    Index("ledger_of_user", "user_id", "finished_at"),
    Index("ledger_by_encoder", "encoder", "size_class", "seq"),
)

# What was spent in each day and month (UTC), as "2026-11-22" and "2026-11": added up as jobs end, so that who claims
# a job reads one row.
SPENDING = Table(
    "spending",
    METADATA,
    Column("period", Text, primary_key=True),
    Column("usd", Float, nullable=False),
)

# The steps of budgets that were told of: each once for a period and an amount.
BUDGET_STEPS = Table(
    "budget_steps",
    METADATA,
    Column("period", Text, primary_key=True),
    Column("amount_usd", Float, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("at", Float, nullable=False),
)

# How fast jobs were when that was taken for normal; the newest counts. See jobs/performance.py.
BASELINES = Table(
    "baselines",
    METADATA,
    Column("seq", _BIG, primary_key=True, autoincrement=True),
    Column("made_at", Float, nullable=False),
    Column("baseline", Text, nullable=False),
)

# The last comparison with the baseline: one row, which whoever compares next takes first.
PERFORMANCE = Table(
    "performance",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("checked_at", Float, nullable=False),
    Column("comparisons", Text, nullable=False),
)

VERSIONS = Table("schema_version", METADATA, Column("version", Integer, primary_key=True))

# Statements that bring a database from one version to the next; only ever add: older programs go on beside newer ones.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "ALTER TABLE <schema>jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'compress'",
        "ALTER TABLE <schema>jobs ADD COLUMN parent TEXT",
        "ALTER TABLE <schema>jobs ADD COLUMN details TEXT",
        "CREATE INDEX jobs_of_parent ON <schema>jobs (parent, kind)",
        "CREATE INDEX jobs_of_kind ON <schema>jobs (kind, user_id, created_at, id)",
    ),
    ("ALTER TABLE <schema>jobs ADD COLUMN trace TEXT",),
)
