"""The two example files, written from the tables: ``.env.prod.example`` and ``.env.deploy.example``."""

from __future__ import annotations

import textwrap

from cloudrun.settings_file import DERIVED, SECRETS
from cloudrun.variables import VARIABLES
from reelpress.service_table import SERVICE_SETTINGS
from reelpress.settings_table import SETTINGS

# What a worker in production is told, in this order. ``None`` leaves the default, as a comment.
_PROD: dict[str, dict[str, str | None]] = {
    "What comes out": {
        "COMPRESSION_CODEC": None, "COMPRESSION_CRF": "23", "COMPRESSION_MAX_WIDTH": "1280",
        "COMPRESSION_MAX_HEIGHT": "720", "COMPRESSION_MAX_FPS": "30", "COMPRESSION_AUDIO_BITRATE": "128k",
        "COMPRESSION_MAX_FILE_SIZE": "1GB", "COMPRESSION_PRESET": None,
    },
    "The GPU; `make disable-gpu` sets the first one without a deployment": {
        "ENABLE_GPU_ACCELERATION": "true", "GPU_PRESET": "p4", "REELPRESS_GPU_PATIENCE": "30",
        "REELPRESS_GPU_SESSIONS": None,
    },
    "The work. An instance that is up also takes jobs of the API and the wizard": {
        "REELPRESS_WORKER_JOBS": "1", "REELPRESS_PUSH_JOBS": "1", "COMPRESSION_TIMEOUT": "1700",
        "REELPRESS_MEMORY_LIMIT": None, "REELPRESS_GRACE": "8", "REELPRESS_MAX_ATTEMPTS": "3",
        "REELPRESS_MAX_UPLOAD": "3G", "REELPRESS_MAX_DURATION": "14400", "REELPRESS_TRANSCRIBE_MODEL": None,
    },
    "Whom it tells, what it keeps": {
        "REELPRESS_WEBHOOK_URL": None, "REELPRESS_KEEP_DAYS": "30", "REELPRESS_LOG_FORMAT": "json",
    },
    # nobody can scrape one instance of many: figures are sent
    "Figures and costs": {
        "REELPRESS_METRICS": "gcp", "REELPRESS_TRACES": None, "REELPRESS_PRICES": "auto",
        "REELPRESS_STORAGE_PRICES": "auto", "REELPRESS_BUDGET": None, "REELPRESS_BUDGET_WINDOW": None,
        "REELPRESS_BUDGET_ACTION": None, "REELPRESS_REGRESSION_FACTOR": None,
    },
    "Users of Firebase, new objects of the bucket; see docs/firebase.md": {
        "REELPRESS_FIREBASE_PROJECT": None, "REELPRESS_FIREBASE_USER_CLAIM": None, "REELPRESS_EVENTS_AUDIENCE": None,
        "REELPRESS_EVENTS_SERVICE_ACCOUNT": None,
    },
    "Limits of users": {"REELPRESS_MAX_QUEUED": "2000", "REELPRESS_RATE": "600"},
    "Another store than the bucket, as Cloudflare's R2": {"REELPRESS_STORAGE_URL": None},
}  # fmt: skip
_ROWS = {name: row for row in (*SETTINGS, *SERVICE_SETTINGS) for name in row.env}


def prod_example() -> str:
    """Return ``.env.prod.example``."""
    lines = [
        "# Settings of the service in production: copy to deploy/.env.prod and change what differs. Each is explained",
        "# in docs/settings.md. Written by `make docs` from the settings table.",
        "#",
        *_wrapped("Not here, because the deployment knows them: ", DERIVED),
        *_wrapped("Not here, because they are secrets (`make put-secrets` reads them from the environment): ", SECRETS),
    ]
    for title, names in _PROD.items():
        lines += ["", f"## {title}."]
        for name, value in names.items():
            row = _ROWS[name]
            lines += _wrapped(f"{row.help} Accepted: {row.accepts}", ())
            lines.append(f"#{name}={row.default}" if value is None else f"{name}={value}")
    lines += [
        "", "## The start of a container.",
        "# auto: the doctor's word is logged; require: no start without a GPU. Accepted: auto, require, off.",
        "REELPRESS_START_CHECK=auto",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def deploy_example() -> str:
    """Return ``.env.deploy.example``."""
    lines = [
        "# What a deployment is told: copy to deploy/.env.deploy. The environment wins over it. By `make docs`.",
    ]
    for row in VARIABLES:
        lines += [
            "",
            *_wrapped(f"{row.help} Accepted: {row.accepts}", ()),
            f"{'#' if row.default else ''}{row.env[0]}={row.default}",
        ]
    return "\n".join(lines) + "\n"


EXAMPLES = {".env.prod.example": prod_example, ".env.deploy.example": deploy_example}


def _wrapped(what: str, names: tuple[str, ...]) -> list[str]:
    return textwrap.wrap(what + ", ".join(names) + ".", 116, initial_indent="# ", subsequent_indent="#   ")
