"""``reelpress serve`` and ``reelpress worker``: settings from flags, the environment and ``.env``, then the service."""

from __future__ import annotations

from collections.abc import Mapping

from reelpress.errors import UsageError
from reelpress.service_settings import load_service


def run_serve(flags: Mapping[str, str | None]) -> int:
    """Serve until told to end."""
    settings = load_service(flags)
    try:
        from reelpress.service.server import serve
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    return serve(settings)


def run_worker(flags: Mapping[str, str | None], *, health_port: int | None) -> int:
    """Do jobs until told to end."""
    settings = load_service(flags)
    try:
        from reelpress.service.server import work
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    return work(settings, health_port=health_port)


def _missing(error: ModuleNotFoundError) -> UsageError:
    what, hint = "The service needs more than is installed.", "pip install 'reelpress[service]'"
    return UsageError(what, evidence=f"{error.name} is not installed", hint=hint)
