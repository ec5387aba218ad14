"""What comes of transcribing: the account of a whole transcript."""

from __future__ import annotations

from reelpress.facts.values import Value


class TranscriptFile(Value, frozen=True, kw_only=True):
    """A file that was written."""

    path: str
    size_bytes: int
    sha256: str


class Transcript(Value, frozen=True, kw_only=True):
    """The account of a transcript.

    ``language`` and ``language_probability`` are ``None`` when nobody speaks; the probability is 1 when the language
    was given. ``speech_s`` is how much of ``duration_s`` is speech. ``segments`` and ``words`` are counts. ``device``
    (``cpu``, ``cuda``) and ``compute_type`` are the ones that were used last, ``None`` when no model was needed.
    ``windows`` of audio were transcribed, of which ``resumed_windows`` by an earlier run. ``wall_s`` and ``cpu_s`` are
    of this run. ``notes`` say what was fallen back to, and what was left out.
    """

    language: str | None
    language_probability: float | None
    duration_s: float
    speech_s: float
    segments: int
    words: int
    model: str
    device: str | None
    compute_type: str | None
    windows: int
    resumed_windows: int
    vtt: TranscriptFile
    srt: TranscriptFile
    json: TranscriptFile
    wall_s: float
    cpu_s: float
    notes: tuple[str, ...] = ()
