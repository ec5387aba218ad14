"""``reelpress models``: get what makes speech text or finds faces, and see what is here."""

from __future__ import annotations

import sys
from pathlib import Path

from reelpress.cli.render import print_rows
from reelpress.errors import ExitCode
from reelpress.transcribe.models import download_model, downloaded_models, known_models, require_extra


def run_download(name: str, models_dir: str | None) -> int:
    """Download a model and print where it is. Raises :class:`TranscribeError` and :class:`UsageError`."""
    require_extra()
    print_rows([(name, str(download_model(name, models_dir)))], sys.stdout)
    return int(ExitCode.DONE)


def run_get(name: str, models_dir: str | None) -> int:
    """Download a model that finds faces and print where it is. Raises :class:`UsageError` and :class:`NetError`."""
    from reelpress import settings
    from reelpress.probe.host import default_cache_dir
    from reelpress.reframe.face_model import download_face_model, models_folder

    folder = Path(models_dir) if models_dir else models_folder(settings.load().cache_path or default_cache_dir())
    print_rows([(name, str(download_face_model(name, folder)))], sys.stdout)
    return int(ExitCode.DONE)


def run_list(models_dir: str | None) -> int:
    """Print all models that have a name, with their folder if they are here. Raises :class:`TranscribeError`."""
    require_extra()
    here = downloaded_models(models_dir)
    print_rows([(name, str(here.get(name, "-"))) for name in known_models()], sys.stdout)
    return int(ExitCode.DONE)
