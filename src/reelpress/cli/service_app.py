"""The commands of the service: run it, and what it needs. What they do is imported when they run."""

from __future__ import annotations

import click

from reelpress.cli.options import JSON, with_options

_MODELS_DIR = click.option("--dir", "models_dir", metavar="FOLDER", help="Where models are [the Hugging Face cache].")


@click.group()
def models() -> None:
    """Get the models that make speech text, or find faces."""


@models.command("download", epilog="Example: reelpress models download small")
@click.argument("name", metavar="NAME")
@_MODELS_DIR
def download_model(name: str, models_dir: str | None) -> None:
    """Download a model.

    NAME is one of Whisper's, or OWNER/REPOSITORY. Nothing else ever downloads any.
    """
    from reelpress.cli.models import run_download

    raise click.exceptions.Exit(run_download(name, models_dir))


@models.command("get", epilog="Example: reelpress models get yunet")
@click.argument("name", metavar="yunet")
@click.option("--dir", "models_dir", metavar="FOLDER", help="Put it here [models, in the cache folder].")
def get_model(name: str, models_dir: str | None) -> None:
    """Download the model that finds faces.

    With it windows of clips follow people better. Its hash is checked.
    """
    from reelpress.cli.models import run_get

    raise click.exceptions.Exit(run_get(name, models_dir))


@models.command("list")
@_MODELS_DIR
def list_models(models_dir: str | None) -> None:
    """List Whisper's models, and those that are here."""
    from reelpress.cli.models import run_list

    raise click.exceptions.Exit(run_list(models_dir))


_SERVICE = (
    click.option("--data-dir", metavar="DIR", help="Database, objects, scratch [reelpress-data]."),
    click.option("--database-url", metavar="URL", help="Postgres instead of SQLite in the folder."),
)
_WORKING = (
    *_SERVICE,
    click.option("--storage-url", metavar="URL", help="Object store instead of the folder."),
    click.option("--worker-jobs", metavar="N", help="Jobs at once [half the cores, or 2]."),
    click.option("--grace", "grace_s", metavar="SECONDS", help="For jobs at the end, then handed back [8]."),
)


@click.command(epilog="Example: reelpress serve --port 8001 --data-dir /srv/reelpress")
@with_options(_WORKING)
@click.option("--host", metavar="ADDRESS", help="Listen here; beyond this machine keys are needed [127.0.0.1].")
@click.option("--port", metavar="PORT", help="Listen here [8001].")
@click.option("--push-jobs", metavar="N", help="Jobs at once by /process-video [as --worker-jobs].")
def serve(**flags: str | None) -> None:
    """Serve the HTTP API, and do its jobs.

    Everything is kept in one folder, unless a database or a store is named.
    """
    from reelpress.cli.serve import run_serve

    raise click.exceptions.Exit(run_serve(flags))


@click.command(epilog="Example: reelpress worker --database-url postgresql://db/videos --storage-url s3://videos")
@with_options(_WORKING)
@click.option("--health-port", metavar="PORT", type=click.IntRange(0, 65535), help="Answer /health and /ready here.")
def worker(*, health_port: int | None, **flags: str | None) -> None:
    """Do the jobs of a service.

    On as many machines as share its database and its store.
    """
    from reelpress.cli.serve import run_worker

    raise click.exceptions.Exit(run_worker(flags, health_port=health_port))


@click.command(epilog="Example: export REELPRESS_DATABASE_URL=$(reelpress postgres)")
@click.option("--data-dir", metavar="DIR", help="Its data are in here [reelpress-data].")
@click.option("--stop", is_flag=True, help="Stop it; the data stay.")
def postgres(data_dir: str | None, *, stop: bool) -> None:
    """Start a Postgres of your own, to try several workers.

    It goes on in the background, and prints its address.
    """
    from reelpress.cli.postgres import run_postgres

    raise click.exceptions.Exit(run_postgres(data_dir, stop=stop))


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command("create", epilog="Example: reelpress keys create --user ann --expires 90")
@click.option("--user", required=True, metavar="NAME", help="Whose key it is.")
@click.option("--scope", "scopes", metavar="read|write|admin", multiple=True, help="Repeatable [read and write].")
@click.option("--label", metavar="TEXT", default="", help="What it is for.")
@click.option("--expires", metavar="DAYS", type=click.FloatRange(0.001, 36500), help="Days it is good for [no end].")
@with_options(_SERVICE)
@JSON
def keys_create(
    user: str, *, scopes: tuple[str, ...], label: str, expires: float | None, json_output: bool, **flags: str | None
) -> None:
    """Make a key, and print it this once."""
    from reelpress.cli.keys import run_create

    code = run_create(flags, user, scopes=scopes, label=label, expires_days=expires, as_json=json_output)
    raise click.exceptions.Exit(code)


@keys.command("list")
@with_options(_SERVICE)
@JSON
def keys_list(*, json_output: bool, **flags: str | None) -> None:
    """List the keys, without their secrets."""
    from reelpress.cli.keys import run_list

    raise click.exceptions.Exit(run_list(flags, as_json=json_output))


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@with_options(_SERVICE)
@JSON
def keys_revoke(key_id: str, *, json_output: bool, **flags: str | None) -> None:
    """Make a key open nothing any more."""
    from reelpress.cli.keys import run_revoke

    raise click.exceptions.Exit(run_revoke(flags, key_id, as_json=json_output))


COMMANDS = (serve, worker, postgres, keys, models)
