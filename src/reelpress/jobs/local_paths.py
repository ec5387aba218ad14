"""Files of this machine that jobs may name: those in folders that the operator allows."""

from __future__ import annotations

from pathlib import Path

from reelpress.errors import UsageError


def check_path(path: str, allowed: tuple[str, ...]) -> Path:
    """Return the file that ``path`` is, links followed. Raises :class:`UsageError` if it is in no allowed folder."""
    real = Path(path).resolve()
    if not Path(path).is_absolute() or not any(real.is_relative_to(Path(folder).resolve()) for folder in allowed):
        hint = "Paths must be absolute and inside a folder of REELPRESS_LOCAL_PATHS."
        raise UsageError("This path may not be read.", hint=hint)
    return real
