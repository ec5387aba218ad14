"""Captions are set in lines and pages, and words get their times."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.captions.ass import ass_document
from reelpress.captions.editing import checked
from reelpress.captions.fonts import face, fonts_dir, not_in_font
from reelpress.captions.text import clean
from reelpress.captions.timing import most_pages, shown, spoken
from reelpress.captions.transcribed import from_transcript
from reelpress.captions.wrapping import Box, arrange, tokens_of
from reelpress.facts.captions import Captions, CaptionWord, Cue
from reelpress.facts.transcript import Segment, TranscriptDocument, Word

BOX = Box(width_em=10, lines=2, most_lines=12)


def width_of(char: str) -> float:
    return 0.0 if unicodedata.category(char).startswith("M") else 1.0


def pages_of(text: str, most: int = 9, box: Box = BOX) -> list[list[str]]:
    return [[text[a:b] for a, b in page.lines] for page in arrange(text, width_of, box, most)]


def test_lines_are_even_and_pages_end_where_sentences_do() -> None:
    assert pages_of("one two three") == [["one two", "three"]]
    assert pages_of("its\nown lines") == [["its", "own lines"]]
    assert pages_of("aaa bbb ccc ddd. eee fff ggg hhh") == [["aaa bbb", "ccc ddd."], ["eee fff", "ggg hhh"]]
    assert pages_of("aaa bbb ccc ddd eee, fff ggg hhh") == [["aaa bbb", "ccc ddd"], ["eee, fff", "ggg hhh"]]


def test_without_time_for_pages_letters_are_smaller() -> None:
    text = "aaa bbb ccc ddd eee fff ggg hhh"
    assert {page.scale for page in arrange(text, width_of, BOX, 9)} == {1.0}
    (page,) = arrange(text, width_of, BOX, 1)
    assert 0.6 <= page.scale < 1
    assert len(page.lines) <= 2 / page.scale


def test_long_words_are_made_smaller_and_then_broken_between_letters() -> None:
    (page,) = arrange("a" * 14, width_of, BOX, 9)
    assert (len(page.lines), 0.6 <= page.scale <= 10 / 14) == (1, True)
    assert pages_of("a" * 25) == [["a" * 10], ["a" * 10, "a" * 5]]
    letters = "a\u0301" * 25
    assert all(not line.startswith("\u0301") for page in pages_of(letters) for line in page)
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
    assert "".join(line for page in pages_of(family * 8) for line in page) == family * 8
    assert all(line.startswith("\U0001f469") for page in pages_of(family * 8) for line in page)


def test_chinese_and_japanese_break_between_characters_but_not_before_a_full_stop() -> None:
    text = "今天天气很好我们一起去。公园「散步」吧"
    assert [text[a:b] for a, b in tokens_of(text)][-6:] == ["去。", "公", "园", "「散", "步」", "吧"]
    assert [text[a:b] for a, b in tokens_of("한국어 문장")] != []
    assert len(tokens_of("한국어 문장")) == 2


words_of_any_kind = st.lists(
    st.text(st.sampled_from("aW.,\u0301今。「\U0001f469\u200d\n שع"), min_size=1, max_size=40), min_size=1, max_size=20
)


@given(words_of_any_kind, st.integers(1, 6), st.floats(3, 30), st.integers(1, 4), st.integers(4, 14))
def test_pages_hold_the_whole_text_and_fit(words: list[str], most: int, wide: float, lines: int, tall: int) -> None:
    text = clean(" ".join(words))
    box = Box(width_em=wide, lines=lines, most_lines=max(lines, tall))
    pages = arrange(text, width_of, box, most)
    assert "".join("".join(text[a:b] for page in pages for a, b in page.lines).split()) == "".join(text.split())
    assert len(pages) <= max(most, 1)
    for page in pages:
        assert len(page.lines) <= max(lines / page.scale, box.most_lines / page.scale if page.scale < 0.6 else 0)
        for a, b in page.lines:
            cluster = sum(width_of(char) for char in text[a:b])
            assert cluster * page.scale <= wide + 1e-9 or cluster == 1


def test_words_have_their_own_times_or_a_share_by_characters() -> None:
    words = (CaptionWord(start_s=1.0, end_s=1.2, text="Hi"), CaptionWord(start_s=1.3, end_s=2, text="there"))
    cue = Cue(start_s=1, end_s=3, text="Hi\nthere", words=words)
    assert [(cue.text[a:b], start, end) for (a, b), start, end in spoken(cue)] == [("Hi", 1, 1.3), ("there", 1.3, 2)]
    changed = Cue(start_s=1, end_s=3, text="Hello there", words=words)
    assert [start for _, start, _ in spoken(changed)] == [1.0, 1.3], "a word that was corrected keeps its time"
    other = Cue(start_s=1, end_s=4, text="a bb cc", words=words)
    assert [round(start, 3) for _, start, _ in spoken(other)] == [1, 1.75, 2.875]
    han = Cue(start_s=1, end_s=3, text="今天好", words=(words[0], words[1]))
    assert [han.text[a:b] for (a, b), _, _ in spoken(han)] == ["今", "天", "好"]


def test_pages_follow_the_words() -> None:
    text = "aaa bbb ccc ddd eee fff ggg hhh"
    times = [0, 0.2, 0.4, 0.6, 5, 5.2, 5.4, 5.6]
    words = tuple(
        CaptionWord(start_s=at, end_s=at + 0.2, text=word) for at, word in zip(times, text.split(), strict=True)
    )
    cue = Cue(start_s=0, end_s=8, text=text, words=words)
    pages = shown(cue, arrange(text, width_of, BOX, most_pages(cue)))
    assert [(page.start_s, page.end_s) for page in pages] == [(0, 5), (5, 8)]
    long = Cue(start_s=0, end_s=3, text="a" * 40)
    assert [(page.start_s, page.end_s) for page in shown(long, arrange(long.text, width_of, BOX, 2))] == [
        (0, 1.5), (1.5, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("times_s", "end_s", "turned_s"),
    [
        ([0, 0.3, 0.6, 0.9, 1.04, 1.2, 1.3, 1.4], 1.57, 0.87),
        ([0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2], 1.57, 0.7),
        ([0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4], 1.57, 0.8),
    ],
    ids=["late", "early", "in between"],
)
def test_every_page_is_on_long_enough_to_be_read(times_s: list[float], end_s: float, turned_s: float) -> None:
    text = "aaa bbb ccc ddd eee fff ggg hhh"
    words = tuple(
        CaptionWord(start_s=at, end_s=at + 0.1, text=word) for at, word in zip(times_s, text.split(), strict=True)
    )
    one, two = shown(cue := Cue(start_s=0, end_s=end_s, text=text, words=words), arrange(text, width_of, BOX, 9))
    assert (one.start_s, two.end_s) == (0, end_s)
    assert one.end_s == two.start_s == pytest.approx(turned_s)
    assert most_pages(cue) == 2


def test_pages_that_have_no_time_to_be_read_are_on_equally_long() -> None:
    text = "aaa bbb ccc ddd eee fff ggg hhh"
    cue = Cue(start_s=0, end_s=1, text=text)
    assert [page.end_s for page in shown(cue, arrange(text, width_of, BOX, 2))] == [0.5, 1]


def dialogue(document: str) -> list[tuple[str, str, str]]:
    """Start, end and bare text of every event."""
    found = re.findall(r"^Dialogue: 0,([\d:.]+),([\d:.]+),Caption,,0,0,0,,(.*)$", document, re.MULTILINE)
    return [(start, end, re.sub(r"(?<!\\)\{[^}]*\}", "", text)) for start, end, text in found]


def test_a_document_has_the_clip_only_and_counts_from_its_start() -> None:
    captions = Captions(
        cues=(
            Cue(start_s=1, end_s=2, text="before"), Cue(start_s=9, end_s=10.5, text="into"),
            Cue(start_s=3599.5 + 10, end_s=99_999, text="out"), Cue(start_s=99_999, end_s=100_000, text="after"),
        )
    )  # fmt: skip
    made = ass_document(captions, start_s=10, end_s=3610.25, width=1080, height=1920)
    assert dialogue(made) == [("0:00:00.00", "0:00:00.50", "into"), ("0:59:59.50", "1:00:00.25", "out")]


def test_emoji_are_left_out_and_told_of() -> None:
    words = (CaptionWord(start_s=0, end_s=1, text="Nice"), CaptionWord(start_s=1, end_s=2, text="♪👩\u200d👧🇩🇪"))
    cues = (Cue(start_s=0, end_s=2, text="Nice ♪👩\u200d👧🇩🇪 one©", words=words), Cue(start_s=3, end_s=4, text="🎉🎉"))
    made = ass_document(Captions(cues=cues), start_s=0, end_s=5, width=1080, height=1920)
    assert [text for _, _, text in dialogue(made)] == ["Nice one©"]
    assert not_in_font("Nice 🎉 今, été Привет") == "🎉今"


anything = st.text(st.sampled_from("ab{}\\Nnht(),&<>%\u200b\u0301今🎉 \n"), min_size=1, max_size=80)


@given(anything, st.sampled_from(["plain", "bold", "karaoke"]))
def test_no_tag_of_strangers_reaches_the_document(text: str, style: str) -> None:
    captions = checked(Captions(cues=(Cue(start_s=0, end_s=4, text=text),), style=style))
    made = ass_document(captions, start_s=0, end_s=4, width=1080, height=1920)
    events = made.split("[Events]")[1].strip().splitlines()[1:]
    for event in events:
        bare = re.sub(r"\{\\(pos|1c)[^{}]*\}", "", event.split(",,0,0,0,,")[1])
        assert re.sub(r"\\[{}]", "", bare).count("{") == 0
        assert re.sub(r"\\[{}]|\\N|\\\u200b", "", bare).count("\\") == 0
    plain = "".join(re.sub(r"\\([{}])", r"\1", text).replace("\\N", "") for _, _, text in dialogue(made))
    drawn = face("Bold").without_symbols("".join(cue.text for cue in captions.cues))
    assert "".join(plain.replace("\u200b", "").split()) == "".join(clean(drawn).split())


def document_of(*segments: str, start_s: float = 0.0, each_s: float = 0.3) -> TranscriptDocument:
    made, at_s = [], start_s
    for segment in segments:
        words = []
        for text in segment.split():
            words.append(Word(start_s=at_s, end_s=at_s + each_s, text=f" {text}", probability=1.0))
            at_s += each_s
        made.append(Segment(start_s=words[0].start_s, end_s=words[-1].end_s, text=segment, words=tuple(words)))
    return TranscriptDocument(
        language="en", language_probability=1.0, duration_s=at_s, speech_s=at_s, model="tiny", segments=tuple(made),
        notes=(),
    )  # fmt: skip


def test_a_transcript_becomes_short_cues_with_timed_words() -> None:
    captions = from_transcript(
        document_of("So this is the part where everything changes. And nobody saw it coming,", "not even me.")
    )
    assert [cue.text for cue in captions.cues] == [
        "So this is the part where", "everything changes.", "And nobody saw it coming,", "not even me.",
    ]  # fmt: skip
    assert (captions.origin, captions.style) == ("transcription", "karaoke")
    assert checked(captions) == captions
    for cue in captions.cues:
        assert cue.end_s - cue.start_s <= 3.0
        assert [word.text for word in cue.words] == cue.text.split()


def test_word_times_that_cannot_be_are_mended() -> None:
    times = [(1.0, 1.01), (1.2, 9.0), (3.0, 2.0), (3.5, 3.6), (3.7, 3.75), (9.0, 9.2)]
    words = tuple(Word(start_s=a, end_s=b, text=f" w{n}", probability=1.0) for n, (a, b) in enumerate(times))
    document = document_of("x")
    segment = Segment(start_s=1, end_s=9, text="", words=words)
    mended = from_transcript(
        TranscriptDocument(
            language="en", language_probability=1.0, duration_s=10, speech_s=9, model="tiny", notes=document.notes,
            segments=(segment,),
        )
    )  # fmt: skip
    spans = [(word.start_s, round(word.end_s, 3)) for cue in mended.cues for word in cue.words]
    assert spans == [(1.0, 1.2), (1.2, 2.4), (3.0, 3.08), (3.5, 3.7), (3.7, 3.78), (9.0, 9.2)]
    assert checked(mended) == mended


def test_the_font_is_a_package_with_a_free_licence_and_has_what_it_says() -> None:
    assert {"FiraSans-SemiBold.ttf", "FiraSans-ExtraBold.ttf"} <= {path.name for path in fonts_dir().iterdir()}
    assert "SIL Open Font License" in (fonts_dir().parent / "LICENSE").read_text(encoding="utf-8")
    for weight in ("SemiBold", "ExtraBold"):
        assert set("Ünïcødé ßẞ Ελληνικά Кириллица Tiếng Việt €—…\u200b") <= set(face(weight).widths_em)
        assert face(weight).width_em("W") > face(weight).width_em("i") > 0


@pytest.mark.parametrize("style", ["plain", "bold", "karaoke"])
def test_a_document_is_the_same_each_time(style: str) -> None:
    captions = Captions(cues=(Cue(start_s=0, end_s=4, text="the same each time, whatever happens"),), style=style)
    assert len({ass_document(captions, start_s=0, end_s=4, width=1080, height=1920) for _ in range(2)}) == 1
