"""A tiny Whisper for all tests, and the rule that the tier needs the extra."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

_NEEDED = ("test_audio", "test_child", "test_models", "test_transcribe")
HAS_EXTRA = all(find_spec(name) is not None for name in ("faster_whisper", "ctranslate2", "onnxruntime"))
# CI installs it: there, a module that cannot be imported is an error
collect_ignore = [] if HAS_EXTRA or os.environ.get("CI") else [f"{name}.py" for name in _NEEDED]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from whisper_model import make_model

    return make_model(tmp_path_factory.mktemp("models") / "tiny")
