"""Reads the settings of the service, by the same rules as those of an encode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from reelpress.facts.values import Value
from reelpress.observe.budget import Budget
from reelpress.service_table import SERVICE_SETTINGS
from reelpress.settings import in_force, parse_row

_ROWS = {row.name: row for row in SERVICE_SETTINGS}


class ServiceSettings(Value, frozen=True, kw_only=True):
    """The settings in force; one field for each row of :data:`SERVICE_SETTINGS`, units in the names."""

    data_dir: str
    database_url: str | None
    storage_url: str | None
    scratch_dir: str | None
    host: str
    port: int
    worker_jobs: int | None
    global_jobs: int | None
    push_jobs: int | None
    grace_s: float
    heartbeat_s: float
    dead_after_s: float
    max_attempts: int
    max_upload_bytes: int
    max_duration_s: float
    max_queued: int
    rate_per_minute: int
    local_paths: tuple[str, ...]
    allow_private_urls: bool
    push_audience: str | None
    push_service_account: str | None
    push_issuer: str
    push_jwks_url: str
    push_deadline_s: float
    push_max_attempts: int | None
    iam_checked: bool
    firebase_project: str | None
    firebase_jwks_url: str
    firebase_user_claim: str | None
    firebase_admin_claim: str | None
    events_audience: str | None
    events_service_account: str | None
    events_folder: str
    events_endings: tuple[str, ...]
    webhook_url: str | None
    transcribe_model: str | None
    keep_days: float
    storage_prices: str
    budget_usd: float | None
    budget_window: Literal["day", "month"]
    budget_action: Literal["alert", "cpu", "pause"]
    budget_overrun_action: Literal["auto", "alert", "cpu", "pause"]
    regression_factor: float
    regression_samples: int
    regression_window_h: float
    log_format: str
    metrics: tuple[str, ...]
    traces: str

    @property
    def budget(self) -> Budget | None:
        """What jobs may cost, and what follows when they did; ``None`` without a budget."""
        if self.budget_usd is None:
            return None
        overrun = self.budget_action if self.budget_overrun_action == "auto" else self.budget_overrun_action
        return Budget(
            amount_usd=self.budget_usd, window=self.budget_window, at_100=self.budget_action, at_120=overrun
        )  # fmt: skip

    @property
    def data(self) -> Path:
        """The data folder."""
        return Path(self.data_dir).absolute()

    @property
    def scratch(self) -> Path:
        """The folder for files of jobs at work."""
        return Path(self.scratch_dir).absolute() if self.scratch_dir else self.data / "scratch"

    @property
    def storage(self) -> str:
        """The address of the object store."""
        return self.storage_url or f"file://{self.data / 'objects'}"


def load_service(
    flags: Mapping[str, str | None] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    env_file: Path | str | None = ".env",
) -> ServiceSettings:
    """Read all settings of the service: ``flags`` (by setting name, text as typed), the environment, then ``env_file``.

    Raises :class:`reelpress.errors.UsageError` for values outside what is accepted, and misspelled names.
    """
    typed = {name: parse_row(_ROWS[name], text) for name, text in (flags or {}).items() if text is not None}
    return ServiceSettings(**in_force(SERVICE_SETTINGS, typed, environ=environ, env_file=env_file))
