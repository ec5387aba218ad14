"""``reelpress models``: get what makes speech text, and see what is here."""

from __future__ import annotations

import sys

from reelpress.cli.render import print_rows
from reelpress.errors import ExitCode
from reelpress.transcribe.models import download_model, downloaded_models, known_models, require_extra


def run_download(name: str, models_dir: str | None) -> int:
    """Download a model and print where it is. Raises :class:`TranscribeError` and :class:`UsageError`."""
    require_extra()
    print_rows([(name, str(download_model(name, models_dir)))], sys.stdout)
    return int(ExitCode.DONE)


def run_list(models_dir: str | None) -> int:
    """Print all models that have a name, with their folder if they are here. Raises :class:`TranscribeError`."""
    require_extra()
    here = downloaded_models(models_dir)
    print_rows([(name, str(here.get(name, "-"))) for name in known_models()], sys.stdout)
    return int(ExitCode.DONE)
