"""The rule that the tier needs the extra."""

from __future__ import annotations

import os
from importlib.util import find_spec

_NEEDED = ("test_audio", "test_child", "test_models", "test_transcribe")
HAS_EXTRA = all(find_spec(name) is not None for name in ("faster_whisper", "ctranslate2", "onnxruntime"))
# CI installs it: there, a module that cannot be imported is an error
collect_ignore = [] if HAS_EXTRA or os.environ.get("CI") else [f"{name}.py" for name in _NEEDED]
