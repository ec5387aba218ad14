"""The deployment's own packages can be imported, as its Makefile has it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "deploy", ROOT / "scripts"):
    sys.path.insert(0, str(folder))
