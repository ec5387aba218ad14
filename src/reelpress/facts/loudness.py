"""How loud a stretch of sound is, as ITU-R BS.1770 and EBU R 128 measure it."""

from __future__ import annotations

from reelpress.facts.values import Value


class Loudness(Value, frozen=True, kw_only=True):
    """Integrated loudness in LUFS and true peak in dBTP; ``None`` of what is silent or too short to tell."""

    integrated_lufs: float | None
    true_peak_dbtp: float | None
