"""Reelpress compresses videos, checks what came out, and proves it with a receipt.

    >>> import reelpress
    >>> receipt = reelpress.compress("talk.mov", "talk.mp4")  # doctest: +SKIP
    >>> receipt.status, receipt.encoder, receipt.saved_share  # doctest: +SKIP
    ('encoded', 'libx264', 0.71)

Names are loaded when they are first used: importing the package costs next to nothing.
"""

from __future__ import annotations

from reelpress.version import VERSION as __version__  # noqa: N811 - the name packages use

TYPE_CHECKING = False  # `typing` takes longer to import than all that is done here
if TYPE_CHECKING:
    from typing import Any

    from reelpress.api import acompress, compress, compress_many, probe_file
    from reelpress.clip_request import ClipRequest
    from reelpress.clips.api import acut_clips, cut_clips
    from reelpress.clips.control import ExportControl
    from reelpress.errors import (
        Cancelled,
        EncodeError,
        ExitCode,
        HardwareError,
        InputError,
        OutputError,
        ReelpressError,
        UsageError,
    )
    from reelpress.facts.gate import GateWish
    from reelpress.facts.media import MediaFacts
    from reelpress.legacy import VideoCompressionError, compress_video, get_gpu_info, is_gpu_available
    from reelpress.receipt import Receipt
    from reelpress.run.process import CancelToken

_HOMES = {
    "acompress": "api",
    "compress": "api",
    "compress_many": "api",
    "ClipRequest": "clip_request",
    "ExportControl": "clips.control",
    "acut_clips": "clips.api",
    "cut_clips": "clips.api",
    "probe_file": "api",
    "Cancelled": "errors",
    "EncodeError": "errors",
    "ExitCode": "errors",
    "HardwareError": "errors",
    "InputError": "errors",
    "OutputError": "errors",
    "ReelpressError": "errors",
    "UsageError": "errors",
    "GateWish": "facts.gate",
    "MediaFacts": "facts.media",
    "VideoCompressionError": "legacy",
    "compress_video": "legacy",
    "get_gpu_info": "legacy",
    "is_gpu_available": "legacy",
    "Receipt": "receipt",
    "CancelToken": "run.process",
}

__all__ = [
    "CancelToken",
    "Cancelled",
    "ClipRequest",
    "EncodeError",
    "ExitCode",
    "ExportControl",
    "GateWish",
    "HardwareError",
    "InputError",
    "MediaFacts",
    "OutputError",
    "Receipt",
    "ReelpressError",
    "UsageError",
    "VideoCompressionError",
    "__version__",
    "acompress",
    "acut_clips",
    "compress",
    "compress_many",
    "compress_video",
    "cut_clips",
    "get_gpu_info",
    "is_gpu_available",
    "probe_file",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'reelpress' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"reelpress.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
