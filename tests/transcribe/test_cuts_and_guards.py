"""Where audio is cut, what is left out, and what subtitles look like: pure."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.captions.writing import srt, vtt
from reelpress.errors import UsageError
from reelpress.facts.transcript import Segment, Word
from reelpress.transcribe.guards import Heard, in_order, is_doubtful, is_silence, kept_words, without_loops
from reelpress.transcribe.options import TranscribeOptions
from reelpress.transcribe.subtitles import segments_of
from reelpress.transcribe.windows import CLIP_S, RATE_HZ, Cut, Span, choose_cut, clips


def spans(*seconds: tuple[float, float]) -> list[Span]:
    return [Span(start=int(a * RATE_HZ), end=int(b * RATE_HZ)) for a, b in seconds]


def said(*words: tuple[float, float, str]) -> tuple[Word, ...]:
    return tuple(Word(start_s=a, end_s=b, text=text, probability=0.9) for a, b, text in words)


def heard(words: tuple[Word, ...], *, silent: float = 0.0, sure: float = -0.2, ratio: float = 1.0) -> Heard:
    return Heard(words=words, no_speech_prob=silent, avg_logprob=sure, compression_ratio=ratio)


SIZE = 600 * RATE_HZ


def test_cut_lies_in_the_middle_of_the_longest_pause_of_the_last_minute() -> None:
    speech = spans((0, 100), (120, 560), (561, 570), (574, 580), (580.5, 640))
    assert choose_cut(speech, SIZE) == Cut(at=572 * RATE_HZ, overlap=0)


def test_silence_up_to_the_end_of_a_window_is_cut_at_its_end() -> None:
    assert choose_cut(spans((0, 555)), SIZE) == Cut(at=SIZE, overlap=0)
    assert choose_cut([], SIZE) == Cut(at=SIZE, overlap=0)
    assert choose_cut(spans((0, 550), (601, 605)), SIZE) == Cut(at=SIZE, overlap=0)


def test_where_nobody_pauses_both_sides_hear_the_same_seconds() -> None:
    assert choose_cut(spans((0, 300), (300.2, 605)), SIZE) == Cut(at=SIZE, overlap=5 * RATE_HZ)
    assert choose_cut(spans((0, 590), (590.2, 605)), SIZE).overlap == 5 * RATE_HZ


edges = st.lists(st.floats(0, 660), min_size=0, max_size=20, unique=True).map(sorted)


@given(edges)
def test_a_cut_is_never_inside_speech_unless_there_is_an_overlap(at: list[float]) -> None:
    speech = [span for span in spans(*zip(at[::2], at[1::2], strict=False)) if span.start < span.end]
    cut = choose_cut(speech, SIZE)
    assert SIZE - 60 * RATE_HZ <= cut.at <= SIZE
    if not cut.overlap:
        assert not any(span.start < cut.at < span.end for span in speech)


def test_clips_join_short_pauses_and_stay_short_enough_for_whisper() -> None:
    speech = spans((0, 10), (11, 20), (21, 30), (40, 45), (46, 50))
    found = clips(speech, 0, 47 * RATE_HZ)
    assert found == spans((0, 20), (21, 30), (40, 47))
    assert all(clip.length_s <= CLIP_S for clip in found)


def test_doubt_and_silence_are_whispers_own_thresholds() -> None:
    words = said((0, 1, " a"))
    assert is_silence(heard(words, silent=0.7, sure=-1.2))
    assert not is_silence(heard(words, silent=0.7, sure=-0.5))
    assert not is_silence(heard(words, silent=0.5, sure=-1.2))
    assert is_doubtful(heard(words, ratio=2.5))
    assert is_doubtful(heard(words, sure=-1.1))
    assert not is_doubtful(heard(words))


def test_a_word_belongs_to_the_window_that_has_its_middle() -> None:
    words = said((0, 1, " a"), (1, 3, " b"), (3, 5, " c"))
    before, after = kept_words(heard(words), 0, 2), kept_words(heard(words), 2, 5)
    assert (before.text, after.text) == ("a", "b c")


def test_four_times_the_same_is_a_loop_and_three_times_is_not() -> None:
    thanks = [said((n, n + 1, " Thank you.")) for n in range(4)]
    kept, notes = without_loops([said((0, 0, " So.")), *thanks, said((9, 10, " Bye."))])
    assert ["".join(w.text for w in words) for words in kept] == [" So.", " Thank you.", " Bye."]
    assert notes == ["4 repetitions of 'Thank you.' were made one: 0.0 s to 4.0 s"]
    assert without_loops(thanks[:3]) == (thanks[:3], [])


times = st.floats(-1, 70)


@given(st.lists(st.lists(st.tuples(times, times, st.sampled_from([" a", " ", "", " long.", " x<y>&"])), max_size=8)))
def test_times_never_go_back_and_stay_inside(raw: list[list[tuple[float, float, str]]]) -> None:
    ordered = in_order([said(*words) for words in raw], 60.0)
    flat = [word for words in ordered for word in words]
    assert all(0 <= word.start_s < word.end_s <= 60 for word in flat)
    assert all(a.end_s <= b.start_s for a, b in pairwise(flat))
    segments = segments_of(ordered)
    assert [word for segment in segments for word in segment.words] == flat
    assert all(a.end_s <= b.start_s for a, b in pairwise(segments))


def test_segments_end_at_sentences_pauses_and_when_they_are_full() -> None:
    words = said(
        (0, 1, " This is a sentence."), (1, 1.5, " And"), (1.5, 2, " more"), (4, 5, " after a pause"),
        (5, 6, " " + "x" * 60), (6, 7, " " + "y" * 60),
    )  # fmt: skip
    texts = [segment.text for segment in segments_of([words, said((7, 8, " next"))])]
    assert texts == ["This is a sentence.", "And more", "after a pause " + "x" * 60, "y" * 60, "next"]


def test_subtitles_escape_and_break_lines() -> None:
    text = "a < b && c --> d and then some more words to fill the line"
    segments = (Segment(start_s=3661.0, end_s=3662.5, text=text, words=()),)
    assert vtt(segments) == (
        "WEBVTT\n\n01:01:01.000 --> 01:01:02.500\n"
        "a &lt; b &amp;&amp; c --&gt; d and then some\nmore words to fill the line\n"
    )
    assert srt(segments).splitlines()[:2] == ["1", "01:01:01,000 --> 01:01:02,500"]
    assert "-->" not in srt(segments).partition("\n")[2].partition("\n")[2]
    assert (vtt(()), srt(())) == ("WEBVTT\n", "")


@pytest.mark.parametrize(
    "wrong", [{"window_s": 5}, {"batch_size": 0}, {"model": ""}, {"threads": -1}, {"stall_s": float("nan")}]
)
def test_options_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        TranscribeOptions(**wrong)  # type: ignore[arg-type]
