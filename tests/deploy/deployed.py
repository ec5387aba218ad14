"""What the deployment files have in common: where they are, and whether the settings in them are ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from reelpress.service_settings import load_service
from reelpress.settings import load

ROOT = Path(__file__).resolve().parents[2]


def accepts(environment: Mapping[str, str]) -> None:
    """Raise what the program would, started with these settings."""
    load(environ=environment, env_file=None)
    load_service(environ=environment, env_file=None)


def docker_environment(path: Path) -> dict[str, str]:
    """Return what ENV says in the last stage of a Dockerfile."""
    last = path.read_text().rsplit("\nFROM ", 1)[1].replace("\\\n", " ")
    found = [line.removeprefix("ENV ") for line in last.splitlines() if line.startswith("ENV ")]
    return dict(re.findall(r'([A-Z_]+)=("[^"]*"|\S+)', " ".join(found)))


def shell_scripts() -> list[Path]:
    """Return all scripts of the repository."""
    return [ROOT / ".ci/run", *sorted((ROOT / "deploy").rglob("*.sh")), *sorted((ROOT / "scripts").glob("*.sh"))]
