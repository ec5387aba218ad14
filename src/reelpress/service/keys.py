"""API keys: ``rp_<id>_<secret>``. The database holds a hash of the secret, which has 256 bits and needs no salt."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.jobs.database import Database
from reelpress.jobs.owners import FIREBASE
from reelpress.jobs.tables import API_KEYS

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_NOTED_S = 60.0  # "last used" is not worth a write for every request
_MOST_CHARS = 128


class ApiKey(Value, frozen=True, kw_only=True):
    """A key without its secret. Times are seconds since 1970, UTC. ``admin`` may do everything, for all users."""

    id: str
    user_id: str
    scopes: tuple[str, ...]
    label: str
    created_at: float
    last_used_at: float | None
    expires_at: float | None
    revoked_at: float | None

    def is_good(self, now: float) -> bool:
        """Tell whether the key still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create_key(
    database: Database,
    user_id: str,
    *,
    now: float,
    scopes: Iterable[str] = ("read", "write"),
    label: str = "",
    expires_at: float | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; the second value is its text, which nobody can find out again.

    Raises :class:`UsageError` for a user or scope that cannot be.
    """
    given = tuple(dict.fromkeys(scopes))
    unknown = [scope for scope in given if scope not in SCOPES]
    if unknown or not given:
        raise UsageError("There is no such scope.", evidence=ascii(unknown), hint=f"accepted: {', '.join(SCOPES)}")
    if not user_id or len(user_id) > _MOST_CHARS or not user_id.isprintable() or not label.isprintable():
        raise UsageError("A user's name and a label are up to 128 printable characters.", evidence=ascii(user_id[:40]))
    if user_id.startswith(FIREBASE):
        raise UsageError(
            "Users of keys are not called as those who sign in with Firebase.", evidence=ascii(user_id[:40]),
            hint=f"a name that does not begin with {FIREBASE}",
        )  # fmt: skip
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = {
        "id": key_id, "user_id": user_id, "secret_sha256": _hash(secret), "scopes": " ".join(given),
        "label": label[:_MOST_CHARS], "created_at": now, "expires_at": expires_at,
    }  # fmt: skip
    with database.writing() as connection:
        connection.execute(API_KEYS.insert().values(**row))
        return _one(connection, key_id), f"rp_{key_id}_{secret}"


def list_keys(connection: Connection) -> list[ApiKey]:
    """Return all keys, the newest first."""
    rows = connection.execute(sa.select(API_KEYS).order_by(API_KEYS.c.created_at.desc())).mappings()
    return [_key(row) for row in rows]


def has_good_key(connection: Connection, now: float) -> bool:
    """Tell whether any key opens anything."""
    return any(key.is_good(now) for key in list_keys(connection))


def revoke_key(database: Database, key_id: str, *, now: float) -> ApiKey:
    """Make a key useless from now on; again is no error. Raises :class:`UsageError` where there is none."""
    with database.writing() as connection:
        alive = sa.and_(API_KEYS.c.id == key_id, API_KEYS.c.revoked_at.is_(None))
        connection.execute(API_KEYS.update().where(alive).values(revoked_at=now))
        if connection.execute(sa.select(API_KEYS.c.id).where(API_KEYS.c.id == key_id)).first() is None:
            raise UsageError("There is no such key.", evidence=ascii(key_id), hint="reelpress keys list")
        return _one(connection, key_id)


def check_key(database: Database, text: str, *, now: float) -> ApiKey | None:
    """Return the key that ``text`` is, or ``None`` for one that is forged, expired or revoked."""
    kind, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if kind != "rp" or not key_id.isalnum() or not key_id.isascii():
        return None
    with database.reading() as connection:
        row = connection.execute(sa.select(API_KEYS).where(API_KEYS.c.id == key_id)).mappings().one_or_none()
    expected = (
        row["secret_sha256"] if row is not None else _hash("")
    )  # as long a comparison for a key that is not there
    same = hmac.compare_digest(_hash(secret), expected)
    if row is None or not same:
        return None
    key = _key(row)
    if not key.is_good(now):
        return None
    if key.last_used_at is None or now - key.last_used_at > _NOTED_S:
        with database.writing() as connection:
            connection.execute(API_KEYS.update().where(API_KEYS.c.id == key_id).values(last_used_at=now))
    return key


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _one(connection: Connection, key_id: str) -> ApiKey:
    return _key(connection.execute(sa.select(API_KEYS).where(API_KEYS.c.id == key_id)).mappings().one())


def _key(row: Any) -> ApiKey:  # noqa: ANN401 - a row of any shape of SQLAlchemy's
    return ApiKey(
        id=row["id"], user_id=row["user_id"], scopes=tuple(row["scopes"].split()), label=row["label"],
        created_at=row["created_at"], last_used_at=row["last_used_at"], expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )  # fmt: skip
