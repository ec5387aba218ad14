"""Where Whisper models are, and the one place that downloads any. Only for the child process and the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from reelpress.errors import TranscribeError, UsageError

_NEEDED = ("model.bin", "config.json", "tokenizer.json")  # without the last one, libraries would go and fetch it
INSTALL = "pip install 'reelpress[transcribe]'"


def require_extra() -> None:
    """Raise :class:`TranscribeError` unless the extra is installed; imports nothing."""
    missing = [name for name in ("faster_whisper", "ctranslate2", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise TranscribeError(
            "transcription is not installed", evidence=f"no module {', '.join(missing)}", hint=INSTALL
        )


def find_model(name: str, models_dir: str | None) -> Path:
    """Return the folder of a model: ``name`` is that folder, or a name as :func:`download_model` takes it.

    Nothing is ever downloaded. Raises :class:`TranscribeError`.
    """
    folder = Path(name)
    if not folder.is_dir():
        found = _downloaded(name, models_dir)
        if found is None:
            known = "" if os.sep in name or name in known_models() else "; Whisper has no model of that name"
            raise TranscribeError(
                f"the transcription model {name} is not here", evidence=f"looked in {_place(models_dir)}{known}",
                hint=f"reelpress models download {name}, or give the folder of a CTranslate2 model",
            )  # fmt: skip
        folder = found
    missing = [file for file in _NEEDED if not (folder / file).is_file()]
    if missing:
        raise TranscribeError(
            f"the transcription model {name} is not whole", evidence=f"{folder} lacks {', '.join(missing)}",
            hint="give the folder of a Whisper model that was converted for CTranslate2, or download it again",
        )  # fmt: skip
    return folder


def known_models() -> Mapping[str, str]:
    """Return the names that can be downloaded, each with its repository."""
    from faster_whisper.utils import _MODELS

    return dict(_MODELS)


def downloaded_models(models_dir: str | None) -> dict[str, Path]:
    """Return the models that are here, whole, by name."""
    found = {name: _downloaded(name, models_dir) for name in known_models()}
    return {
        name: folder
        for name, folder in found.items()
        if folder is not None and all((folder / file).is_file() for file in _NEEDED)
    }


def download_model(name: str, models_dir: str | None) -> Path:
    """Download a model from the Hugging Face Hub and return its folder; what is there already is not fetched again.

    ``name`` is a name of Whisper's (``small``), or ``OWNER/REPOSITORY``. Raises :class:`UsageError` for other names
    and :class:`TranscribeError` when it cannot be had.
    """
    from faster_whisper.utils import download_model as fetch

    if "/" not in name and name not in known_models():
        raise UsageError(f"there is no model {name}", hint=f"choose one of {', '.join(known_models())}")
    try:
        fetch(name, cache_dir=models_dir)
    except Exception as error:
        # The hub's client has half a dozen families of errors, of several HTTP libraries.
        evidence = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        raise TranscribeError(
            f"the model {name} could not be downloaded", evidence=evidence[:300],
            hint="check the connection to the hub (HF_ENDPOINT names another one), or copy the model's folder here",
        ) from error  # fmt: skip
    return find_model(name, models_dir)


def _downloaded(name: str, models_dir: str | None) -> Path | None:
    from faster_whisper.utils import download_model as locate
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(locate(name, cache_dir=models_dir, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, ValueError):
        return None


def _place(models_dir: str | None) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    return models_dir or HF_HUB_CACHE
