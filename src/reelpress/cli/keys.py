"""``reelpress keys``: make, list and revoke API keys, in the database that the settings name."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reelpress.cli.render import plain_text
from reelpress.errors import ExitCode, UsageError
from reelpress.facts.values import to_json, to_plain
from reelpress.service_settings import load_service

if TYPE_CHECKING:
    from reelpress.jobs.database import Database
    from reelpress.service.keys import ApiKey

_DAY_S = 86_400


def run_create(
    flags: Mapping[str, str | None],
    user: str,
    *,
    scopes: Sequence[str],
    label: str,
    expires_days: float | None,
    as_json: bool,
) -> int:
    """Make a key and print it, once."""
    with _open(flags) as database:
        from reelpress.service.keys import create_key

        now = time.time()
        expires_at = None if expires_days is None else now + expires_days * _DAY_S
        key, text = create_key(
            database, user, now=now, scopes=scopes or ("read", "write"), label=label, expires_at=expires_at
        )
    if as_json:
        print(to_json({"key": text, **to_plain(key)}).decode())  # noqa: T201
    else:
        print(text)  # noqa: T201
        print("It is shown this once. Send it as Authorization: Bearer rp_...", file=sys.stderr)  # noqa: T201
    return int(ExitCode.DONE)


def run_list(flags: Mapping[str, str | None], *, as_json: bool) -> int:
    """Print all keys, without their secrets."""
    with _open(flags) as database, database.reading() as connection:
        from reelpress.service.keys import list_keys

        keys = list_keys(connection)
    now = time.time()
    for key in keys:
        print(to_json(key).decode() if as_json else _line(key, now))  # noqa: T201
    if not keys and not as_json:
        print("There are no keys. Make one: reelpress keys create --user NAME")  # noqa: T201
    return int(ExitCode.DONE)


def run_revoke(flags: Mapping[str, str | None], key_id: str, *, as_json: bool) -> int:
    """Make a key useless."""
    with _open(flags) as database:
        from reelpress.service.keys import revoke_key

        key = revoke_key(database, key_id, now=time.time())
    print(to_json(key).decode() if as_json else f"{key.id} opens nothing any more.")  # noqa: T201
    return int(ExitCode.DONE)


@contextmanager
def _open(flags: Mapping[str, str | None]) -> Iterator[Database]:
    settings = load_service(flags)
    try:
        from reelpress.jobs.database import open_database
    except ModuleNotFoundError as error:
        what, hint = "API keys need more than is installed.", "pip install 'reelpress[service]'"
        raise UsageError(what, evidence=f"{error.name} is not installed", hint=hint) from None
    database = open_database(settings.database_url, settings.data)
    try:
        yield database
    finally:
        database.close()


def _line(key: ApiKey, now: float) -> str:
    if key.revoked_at is not None:
        state = f"revoked {_day(key.revoked_at)}"
    elif key.expires_at is not None:
        state = f"{'expired' if now >= key.expires_at else 'expires'} {_day(key.expires_at)}"
    else:
        state = "does not expire"
    used = f"used {_day(key.last_used_at)}" if key.last_used_at else "never used"
    return plain_text(f"{key.id}  {key.user_id}  {','.join(key.scopes)}  {state}, {used}  {key.label}".rstrip())


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
