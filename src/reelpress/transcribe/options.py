"""What a caller may choose about a transcript."""

from __future__ import annotations

from typing import Literal

from reelpress.errors import UsageError
from reelpress.facts.values import Value

Device = Literal["auto", "cpu", "cuda"]


class TranscribeOptions(Value, frozen=True, kw_only=True):
    """How to transcribe.

    ``model`` is the folder of a CTranslate2 Whisper model, or the name of a downloaded one; ``models_dir`` is where
    those are, by default the Hugging Face cache. ``language`` is Whisper's code (``en``); ``None`` detects it.
    ``device`` ``auto`` is the GPU if CTranslate2 sees one, else the CPU. ``threads`` is for the CPU; 0 leaves it to
    CTranslate2. ``batch_size`` is how many clips of up to 28 s a GPU gets at once; the CPU gets one. ``window_s`` is
    how much audio one checkpoint covers, at least 60. ``max_duration_s`` is the longest audio taken on;
    ``max_memory_bytes`` the most resident memory. A run that says nothing for ``stall_s`` is ended.
    """

    model: str = "small"
    models_dir: str | None = None
    language: str | None = None
    device: Device = "auto"
    threads: int = 0
    batch_size: int = 8
    beam_size: int = 5
    window_s: float = 600.0
    max_duration_s: float = 24 * 3600.0
    max_memory_bytes: int | None = None
    stall_s: float = 900.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant. Raises :class:`UsageError`."""
        ranges: tuple[tuple[str, float, float, float], ...] = (
            ("threads", self.threads, 0, 512),
            ("batch_size", self.batch_size, 1, 128),
            ("beam_size", self.beam_size, 1, 32),
            ("window_s", self.window_s, 60, 3600),
            ("max_duration_s", self.max_duration_s, 1, 7 * 24 * 3600),
            ("stall_s", self.stall_s, 1, 24 * 3600),
        )
        for name, value, least, most in ranges:
            if not least <= value <= most:
                raise UsageError(f"{name} must be from {least:g} to {most:g}", evidence=f"it is {value:g}")
        if not self.model:
            raise UsageError("the transcription model has no name")
