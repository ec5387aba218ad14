"""Where YuNet's file is, and the one place that downloads it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from reelpress.errors import NetError, UsageError
from reelpress.probe.host import default_cache_dir

# The model of March 2023, for OpenCV 4, from OpenCV's own collection at one commit; MIT. It is tied to its bytes.
FACE_MODEL = "yunet"
FILE_NAME = "face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_HUB = "https://huggingface.co"
_PATH = f"/opencv/face_detection_yunet/resolve/3cc26e7f1014a5ee5d74a42acee58bafc9d0a310/{FILE_NAME}"
_MOST_BYTES = 2_000_000  # it has a quarter of a million


def models_folder(cache_dir: Path | None = None) -> Path:
    """Return the folder for downloaded models; ``None`` is the user's cache folder."""
    return (cache_dir or default_cache_dir()) / "models"


def find_face_model(named: str, cache_dir: Path | None = None) -> Path | None:
    """Return the file that the setting ``face_model`` means, ``None`` for no model. Nothing is ever downloaded.

    ``named`` is a file, ``yunet`` (downloaded before), ``auto`` (that if it is here), or ``none``. Raises
    :class:`UsageError` when what is named is not here.
    """
    downloaded = models_folder(cache_dir) / FILE_NAME
    word = named.strip().lower()
    if word in ("none", ""):
        return None
    if word == "auto":
        return downloaded if downloaded.is_file() else None
    path = downloaded if word == FACE_MODEL else Path(named)
    if not path.is_file():
        raise UsageError(
            f"The model for faces is not here: {named}.", evidence=f"looked for {path}",
            hint="`reelpress models get yunet` downloads it; auto does without where it is not here",
        )  # fmt: skip
    return path


def download_face_model(name: str, folder: Path, *, sha256: str = SHA256) -> Path:
    """Download YuNet into a folder, check that it is the very file, and return it; one that is there is kept.

    ``HF_ENDPOINT`` in the environment names another hub. Raises :class:`UsageError` for another name and where the
    HTTP client is not installed, and what :func:`reelpress.net.fetch.fetch` raises.
    """
    if name != FACE_MODEL:
        raise UsageError(f"There is no model for faces called {name}.", hint=f"accepted: {FACE_MODEL}")
    target = folder / FILE_NAME
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == sha256:
        return target
    try:
        from reelpress.net.fetch import fetch
    except ImportError as error:
        raise UsageError(
            "Downloading is not installed.", evidence=f"no module {error.name}", hint="pip install 'reelpress[clips]'"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    hub = os.environ.get("HF_ENDPOINT")
    part = folder / f".{FILE_NAME}.download"
    fetched = fetch((hub or _HUB).rstrip("/") + _PATH, part, max_bytes=_MOST_BYTES, allow_private=hub is not None)
    if fetched.sha256 != sha256:
        part.unlink()
        raise NetError(
            "What was downloaded is not YuNet; it was dropped.", reason="refused", retryable=False,
            evidence=f"SHA-256 {fetched.sha256}, not {sha256}", hint="try again, or another hub by HF_ENDPOINT",
        )  # fmt: skip
    part.replace(target)
    return target
