"""The service's own settings of a deployment: what goes into the container's environment, and what must be a secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from cloudrun.deployment import Deployment
from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.observe.telemetry import exports_of
from reelpress.service_settings import load_service
from reelpress.service_table import SERVICE_SETTINGS
from reelpress.settings import parse_row
from reelpress.settings_table import SETTINGS

# Never an argument of a command, where every process of the machine could read it: Secret Manager has them. The store's
# keys are for R2 and S3 (docs/storage.md); a bucket of Google's needs none, the service account is enough.
SECRETS = ("REELPRESS_DATABASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OTEL_EXPORTER_OTLP_HEADERS")
# Of the image's start (deploy/image/start.sh), and of the store's clients: no settings of the table.
# OpenTelemetry's own variables are another such group.
OTHERS = ("REELPRESS_START_CHECK", "AWS_ENDPOINT_URL", "AWS_REGION")
# What follows from the deployment; a file that said otherwise would break it.
DERIVED = (
    "REELPRESS_HOST", "REELPRESS_PORT", "PORT", "REELPRESS_DATA_DIR", "REELPRESS_SCRATCH_DIR", "REELPRESS_CACHE_DIR",
    "REELPRESS_PUSH_AUDIENCE", "REELPRESS_PUSH_SERVICE_ACCOUNT", "REELPRESS_PUSH_DEADLINE", "REELPRESS_IAM_CHECKED",
    "REELPRESS_PUSH_MAX_ATTEMPTS",
)  # fmt: skip
_ROWS = {name: row for row in (*SETTINGS, *SERVICE_SETTINGS) for name in row.env}


class ServiceEnvironment(Value, frozen=True, kw_only=True):
    """What a container is given: plain values, and the names of those that Secret Manager has."""

    plain: dict[str, str]
    secret: tuple[str, ...]


def read_settings(path: Path) -> dict[str, str]:
    """Return what a settings file says, each value accepted by the service's own parser.

    Raises :class:`UsageError` for a missing file, names that are no settings, values that are not accepted, and names
    that follow from the deployment.
    """
    if not path.is_file():
        raise UsageError(f"{path} is missing.", hint="Copy deploy/.env.prod.example there, and change what differs.")
    given = {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
    for name, value in given.items():
        if name in DERIVED:
            raise UsageError(f"{name} follows from the deployment.", hint=f"Take it out of {path.name}.")
        if name in _ROWS:
            parse_row(_ROWS[name], value, shown_as=name)
        elif name not in (*SECRETS, *OTHERS) and not name.startswith("OTEL_"):
            raise UsageError(f"{path.name}: {name} is not a setting.", hint="See docs/settings.md.")
    return given


def tells_figures(given: Mapping[str, str]) -> bool:
    """Tell whether containers with these settings tell the figures that dashboard and alerts ask for to anybody.

    Nothing outside can ask an instance of Cloud Run: a sidecar does, at a port of its own, or figures are sent.
    """
    exports = exports_of(load_service(environ=given, env_file=None).metrics, "none", given)
    return exports.otlp_metrics or (exports.prometheus and "OTEL_EXPORTER_PROMETHEUS_PORT" in given)


def service_environment(deployment: Deployment, given: Mapping[str, str], *, role: str) -> ServiceEnvironment:
    """Return the environment of the containers of a role, ``worker`` or ``api``, with these settings."""
    derived = {
        "REELPRESS_STORAGE_URL": f"gs://{deployment.bucket}",
        **{name: value for name, value in given.items() if name not in SECRETS},
        "REELPRESS_HOST": "0.0.0.0",
        "REELPRESS_PORT": "8001",
        "REELPRESS_SCRATCH_DIR": "/scratch",
        "REELPRESS_DATA_DIR": "/data",
        "REELPRESS_CACHE_DIR": "/cache/reelpress",
    }
    if role == "api":
        # jobs of either kind are the worker's, whatever a file says that both have
        derived |= {"REELPRESS_WORKER_JOBS": "0", "REELPRESS_PUSH_JOBS": "0"}
        if not deployment.api_public:
            derived["REELPRESS_IAM_CHECKED"] = "true"  # as for the worker: those who tell of new objects
    else:
        derived |= {
            "REELPRESS_PUSH_AUDIENCE": deployment.audience,
            "REELPRESS_PUSH_SERVICE_ACCOUNT": deployment.account("tasks"),
            "REELPRESS_PUSH_DEADLINE": str(deployment.dispatch_deadline_s),
            "REELPRESS_PUSH_MAX_ATTEMPTS": str(deployment.max_attempts),
            # the service admits nobody without Google's own check, which may take the signature off the token
            "REELPRESS_IAM_CHECKED": "true",
        }
    # a database is needed by both, and its address holds a password
    secrets = ("REELPRESS_DATABASE_URL", *(name for name in SECRETS[1:] if name in given))
    return ServiceEnvironment(plain=derived, secret=secrets)
