"""What comes of transcribing: words, segments, and the account of a whole transcript."""

from __future__ import annotations

from reelpress.facts.values import Value


class Word(Value, frozen=True, kw_only=True):
    """One word as it was heard, in seconds of the video; ``text`` begins with a space where the language has one.

    ``probability`` is the model's, from 0 to 1.
    """

    start_s: float
    end_s: float
    text: str
    probability: float


class Segment(Value, frozen=True, kw_only=True):
    """Words that belong on the screen together: a sentence, or a part of one. Segments never overlap."""

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]


class TranscriptDocument(Value, frozen=True, kw_only=True):
    """The JSON file of a transcript; it says nothing of how and when it was made, beyond the notes."""

    version: int = 1
    language: str | None
    language_probability: float | None
    duration_s: float
    speech_s: float
    model: str
    segments: tuple[Segment, ...]
    notes: tuple[str, ...]


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
