"""One deployment as a value, read from the environment and ``.env.deploy``; and the names that follow from it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from cloudrun.variables import BY_NAME, GPUS, LONGEST_DISPATCH_S, VARIABLES
from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.settings import parse_row

FOLDER = Path(__file__).resolve().parent.parent
ROOT = FOLDER.parent


class Deployment(Value, frozen=True, kw_only=True):
    """One field for each row of :data:`VARIABLES`; what was not given, and has no default, is ``None``."""

    stage: str
    project: str | None
    region: str | None
    bucket: str | None
    repository: str
    tag: str
    service: str
    api_service: str
    api_public: bool
    gpu_type: str
    cpu: int
    memory_gib: int
    scratch: str
    scratch_gib: int
    min_instances: int
    max_instances: int
    timeout_s: int
    queue: str
    dispatches_per_s: float
    max_attempts: int
    cloudsql: str | None
    network: str | None
    subnet: str | None
    env_file: str | None
    staged: bool | None
    container_tool: str
    billing_account: str | None
    budget_usd: float | None
    github_owner: str | None
    github_repository: str | None

    @property
    def worker(self) -> str:
        """Name of the worker's service; the GPU's and the CPU's are one, so that each can take the other's place."""
        return f"{self.service}-{self.stage}"

    @property
    def api(self) -> str:
        """Name of the API's service."""
        return f"{self.api_service}-{self.stage}"

    @property
    def queue_name(self) -> str:
        """Name of the queue."""
        return f"{self.queue}-{self.stage}"

    @property
    def is_staged(self) -> bool:
        """Whether a new revision begins without traffic."""
        return self.stage == "prod" if self.staged is None else self.staged

    @property
    def audience(self) -> str:
        """What tokens for the worker are made out for: known before it has an address, and one for all its tags."""
        return f"{self.worker}.{self.project}"

    @property
    def dispatch_deadline_s(self) -> int:
        """How long Cloud Tasks waits for an answer, in seconds."""
        return min(self.timeout_s, LONGEST_DISPATCH_S)

    @property
    def settings_file(self) -> Path:
        """The file of the service's own settings."""
        return Path(self.env_file) if self.env_file else FOLDER / f".env.{self.stage}"

    def account(self, role: str) -> str:
        """Return the e-mail address of the service account of a role: worker, tasks, api or build."""
        return f"reelpress-{role}-{self.stage}@{self.project}.iam.gserviceaccount.com"

    def image(self, kind: str) -> str:
        """Return the image of ``gpu`` or ``cpu``."""
        return f"{self.region}-docker.pkg.dev/{self.project}/{self.repository}/reelpress-{kind}:{self.tag}"

    def secret(self, variable: str) -> str:
        """Return the name in Secret Manager of what a variable holds."""
        return f"reelpress-{self.stage}-{variable.removeprefix('REELPRESS_').lower().replace('_', '-')}"


def read_deployment(
    environ: Mapping[str, str] | None = None, *, needs: Collection[str] = (), file: Path | None = None
) -> Deployment:
    """Return the deployment that the environment describes, and after it ``file`` (by default ``.env.deploy``).

    Raises :class:`UsageError`: one that names all of ``needs`` that are missing, or the value that cannot be meant.
    """
    path = FOLDER / ".env.deploy" if file is None else file
    in_file = dotenv_values(path) if path.is_file() else {}
    strangers = sorted(set(in_file) - {row.env[0] for row in VARIABLES})
    if strangers:
        raise UsageError(f"{path.name} has names that are none of a deployment: {', '.join(strangers)}.")
    given = {**{k: v for k, v in in_file.items() if v}, **{k: v for k, v in (environ or os.environ).items() if v}}
    missing = [
        f"{BY_NAME[name].env[0]} ({BY_NAME[name].accepts})" for name in needs if BY_NAME[name].env[0] not in given
    ]
    if missing:
        raise UsageError(
            f"Missing: {', '.join(missing)}.", hint="Set them in the environment, or in deploy/.env.deploy."
        )
    values: dict[str, Any] = {}
    for row in VARIABLES:
        text = given.get(row.env[0], row.default)
        values[row.name] = parse_row(row, text, shown_as=row.env[0]) if text else None
    deployment = Deployment(**values)
    _refuse_what_cannot_be(deployment)
    return deployment


def _refuse_what_cannot_be(deployment: Deployment) -> None:
    least_cpu, least_gib = GPUS[deployment.gpu_type]
    if deployment.cpu < least_cpu or deployment.memory_gib < least_gib:
        raise UsageError(
            f"{deployment.gpu_type} needs at least CPU={least_cpu} and MEMORY_GIB={least_gib}.",
            evidence=f"CPU={deployment.cpu}, MEMORY_GIB={deployment.memory_gib}",
        )
    if deployment.scratch == "memory" and deployment.scratch_gib > deployment.memory_gib // 2:
        raise UsageError(
            "SCRATCH_GIB may be half of MEMORY_GIB at most: files in memory are part of it.",
            evidence=f"SCRATCH_GIB={deployment.scratch_gib}, MEMORY_GIB={deployment.memory_gib}",
        )
    if deployment.min_instances > deployment.max_instances:
        raise UsageError("MIN_INSTANCES is larger than MAX_INSTANCES.")
    if (deployment.network is None) != (deployment.subnet is None):
        raise UsageError("NETWORK and SUBNET are set together, or neither.")
