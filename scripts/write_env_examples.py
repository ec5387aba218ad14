"""Writes deploy/.env.prod.example and deploy/.env.deploy.example from the tables of settings and variables."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "deploy"
sys.path.insert(0, str(FOLDER))

from cloudrun.examples import EXAMPLES  # noqa: E402


def main() -> None:
    """Write both files."""
    for name, text in EXAMPLES.items():
        (FOLDER / name).write_text(text())
        print(f"deploy/{name} written")


if __name__ == "__main__":
    main()
