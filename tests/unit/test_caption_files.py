"""Caption files of every odd kind are read, and written again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.captions import reading
from reelpress.captions.editing import checked, cut
from reelpress.captions.reading import parse_captions, read_captions
from reelpress.captions.text import MAX_TEXT_CHARS
from reelpress.captions.writing import srt, vtt
from reelpress.errors import InputError
from reelpress.facts.captions import Captions, CaptionWord, Cue
from reelpress.facts.values import from_json, to_json


def read(text: str, encoding: str = "utf-8") -> list[tuple[float, float, str]]:
    return [(cue.start_s, cue.end_s, cue.text) for cue in parse_captions(text.encode(encoding)).cues]


SRT = "1\n00:00:01,000 --> 00:00:02,500\nHällo “you”\nthere\n\n2\n00:00:03,000 --> 00:00:04,000\nnext\n"
CUES = [(1.0, 2.5, "Hällo “you”\nthere"), (3.0, 4.0, "next")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_usual_encoding_and_line_end(encoding: str, line_end: str) -> None:
    assert read(SRT.replace("\n", line_end), encoding) == CUES


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("00:00:05,000 --> 00:00:06,000\nb\n\n00:00:01,000 --> 00:00:02,000\na", [(1, 2, "a"), (5, 6, "b")]),
        ("00:00:01,000 --> 00:00:09,000\na\n\n00:00:02,000 --> 00:00:03,000\nb", [(1, 2, "a"), (2, 3, "b")]),
        ("00:00:01,000 --> 00:00:02,000\na\n\n00:00:01,000 --> 00:00:03,000\nb", [(1, 3, "a\nb")]),
        ("00:00:01,000 --> 00:00:02,000\na\n\n00:00:01,000 --> 00:00:03,000\na", [(1, 3, "a")]),
        ("-00:00:01,000 --> 00:00:02,000\na", [(0, 2, "a")]),
        ("00:00:03,000 --> 00:00:01,000\na\n\n00:00:04,000 --> 00:00:05,000\nb", [(3, 4, "a"), (4, 5, "b")]),
        ("00:00:03,000 --> 00:00:03,000\na", [(3, 5, "a")]),
        ("00:00:01,000 --> 23:00:00,000\na", [(1, 31, "a")]),
        ("00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\nb", [(3, 4, "b")]),
        ("00:00:01,000 --> 00:00:02,000\none\n\ntwo\n\n7\n00:00:03,000 --> 00:00:04,000\n42", [
            (1, 2, "one\ntwo"), (3, 4, "42"),
        ]),
        ("00:00:01,000 --> 00:00:02,000 X1:100 X2:200 Y1:1 Y2:2\n{\\an8}<font color=\"#f00\">a</font> <i>b", [
            (1, 2, "a b"),
        ]),
        ("1:2:3.4 -> 01:02:05\nshort &amp; 3 < 4 &lt;b&gt;", [(3723.4, 3725, "short & 3 < 4 <b>")]),
        ("00:01,000 --> 00:02,000\ngo --> there\n-> and back", [(1, 2, "go --> there\n-> and back")]),
    ],
)  # fmt: skip
def test_subrip_as_people_write_it(text: str, cues: list[tuple[float, float, str]]) -> None:
    assert read(text) == cues


def test_webvtt_without_what_is_not_said() -> None:
    text = (
        "WEBVTT - a title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE\nnothing\n\nREGION\nid:a\n\n"
        "intro\n00:01.000 --> 00:02.000 align:start position:0%\n<v Anna><c.loud>Hi &amp;</c> <00:01.500>you\n\n"
        "NOTE more\n\nname of the next\n00:00:03.000 --> 00:00:04.000\n<ruby>a<rt>b</rt></ruby>\n"
    )
    captions = parse_captions(text.encode())
    assert [(cue.start_s, cue.end_s, cue.text) for cue in captions.cues] == [(1, 2, "Hi & you"), (3, 4, "ab")]
    assert captions.cues[0].words == (
        CaptionWord(start_s=1.0, end_s=1.5, text="Hi &"), CaptionWord(start_s=1.5, end_s=2.0, text="you"),
    )  # fmt: skip
    assert captions.cues[1].words == ()


def test_rolled_up_live_captions_say_everything_once() -> None:
    text = (
        "WEBVTT\n\n00:00:00.160 --> 00:00:02.470 align:start position:0%\n \nhello<00:00:00.480><c> dear</c>\n\n"
        "00:00:02.470 --> 00:00:02.480\nhello dear\n \n\n"
        "00:00:02.480 --> 00:00:05.000\nhello dear\nworld<00:00:03.000><c> out</c><00:00:04.000><c> there</c>\n\n"
        "00:00:05.000 --> 00:00:05.010\nworld out there\n \n\n00:00:07.000 --> 00:00:08.000\nworld out there\n"
    )
    captions = parse_captions(text.encode())
    assert [cue.text for cue in captions.cues] == ["hello dear", "world out there", "world out there"]
    assert [word.text for word in captions.cues[1].words] == ["world", "out", "there"]
    assert [word.start_s for word in captions.cues[1].words] == [2.48, 3.0, 4.0]


def test_ass_without_its_drawings_and_comments() -> None:
    text = (
        "[Script Info]\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\pos(1,2)\\b1}Bold{\\b0}, yes\\Nline\n"
        "Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,hidden\n"
        "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 1 1{\\p0}\n"
    )
    assert read(text) == [(1.0, 2.0, "Bold, yes\nline")]
    assert read(text.replace("Bold", "{\\b" * 60_000 + "}"))[0][2].startswith("{\\b{\\b")  # not in hours


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "no time"),
        (b"just words\nand more\n", "no time"),
        (b"WEBVTT\n", "no time"),
        (b"00:00:01,000 --> 00:00:02,000\n<i></i>\n", "none with text"),
        (b"1\n00:00:01,000 --> 00:00:02,000\na\n\n2\n00:00:99:01 --> 00:00:05,000\nb\n", "line 6: '00:00:99:01 -->"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "00 00 00 20 66 74 79 70"),
        (b"\x89PNG\r\n\x1a\n\x01\x02\x03", "89 50 4e 47"),
        (b"\x1f\x8b\x08\x08\x01", "1f 8b 08"),
        (b"00:00:01,000 --> 00:00:02,000\na\n" * 20_001, "20001, at most 20000"),
        (b"[Script Info]\n[Events]\nDialogue: 0,x", "ValueError"),
        (b"a" * (reading.MAX_FILE_BYTES + 1), "4 MiB"),
    ],
)
def test_what_is_no_caption_file_is_refused_with_its_reason(raw: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_captions(raw, name="talk.srt")
    assert said in (caught.value.evidence or "")
    assert "talk.srt" in caught.value.what
    assert caught.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.srt"):
        read_captions(tmp_path / "gone.srt")
    (tmp_path / "there.srt").write_text(SRT, encoding="utf-8")
    assert [cue.text for cue in read_captions(tmp_path / "there.srt", style="plain").cues] == [c[2] for c in CUES]


@given(st.one_of(st.binary(max_size=300), st.text(alphabet="0123456789:,.-> \n<>{}\\abWEBVTT[]", max_size=300)))
def test_any_bytes_are_read_or_refused(raw: bytes | str) -> None:
    given = raw if isinstance(raw, bytes) else raw.encode()
    for text in (given, b"WEBVTT\n\n00:01.000 --> 00:09.000\n" + given, b"0:0:1 --> 0:0:3\n" + given):
        try:
            captions = parse_captions(text)
        except InputError:
            continue
        assert checked(captions) == captions
        ends = [0.0, *(cue.end_s for cue in captions.cues)]
        for cue, before_s in zip(captions.cues, ends, strict=False):
            assert before_s <= cue.start_s < cue.end_s
            assert 0 < len(cue.text) <= MAX_TEXT_CHARS
            assert "\n\n" not in cue.text


texts = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=60)


@given(st.lists(texts, min_size=1, max_size=5))
def test_what_is_written_is_read_again(said: list[str]) -> None:
    cues = tuple(Cue(start_s=n, end_s=n + 0.5, text=text) for n, text in enumerate(said))
    captions = checked(Captions(cues=cues))
    if not captions.cues:
        return
    again = parse_captions(vtt(captions.cues).encode()).cues
    assert [cue.start_s for cue in again] == [cue.start_s for cue in captions.cues]
    assert [cue.text.split() for cue in again] == [cue.text.split() for cue in captions.cues]
    assert len(parse_captions(srt(captions.cues).encode()).cues) == len(captions.cues)


WORDS = tuple(CaptionWord(start_s=n, end_s=n + 1, text=f"w{n}") for n in range(3))
CUE = Cue(start_s=0, end_s=3, text="w0 w1 w2", words=WORDS)


def test_a_cut_keeps_what_is_on_and_counts_from_its_start() -> None:
    captions = Captions(cues=(CUE, Cue(start_s=3.5, end_s=4.03, text="b"), Cue(start_s=4.5, end_s=9, text="c")))
    made = cut(captions, 1.5, 3.52)
    assert made.cues == (
        Cue(
            start_s=0.0, end_s=1.5, text="w0 w1 w2",
            words=(
                CaptionWord(start_s=0.0, end_s=0.0, text="w0"), CaptionWord(start_s=0.0, end_s=0.5, text="w1"),
                CaptionWord(start_s=0.5, end_s=1.5, text="w2"),
            ),
        ),
    )  # fmt: skip
    assert [(cue.start_s, cue.end_s) for cue in cut(captions, 4, 5).cues] == [(0.5, 1.0)]
    assert cut(captions, 20, 30).cues == ()
    assert srt(cut(captions, 4, 5).cues) == "1\n00:00:00,500 --> 00:00:01,000\nc\n"


@pytest.mark.parametrize(
    ("cue", "said"),
    [
        (Cue(start_s=-1, end_s=2, text="a"), "cue 2: -1 s to 2 s"),
        (Cue(start_s=2, end_s=2, text="a"), "cue 2: 2 s to 2 s"),
        (Cue(start_s=float("nan"), end_s=2, text="a"), "cue 2: nan s"),
        (Cue(start_s=1, end_s=float("inf"), text="a"), "cue 2: 1 s to inf"),
        (Cue(start_s=90, end_s=91, text="a"), "ends at 60 s"),
        (Cue(start_s=1, end_s=2, text="a" * 501), "501 characters"),
        (Cue(start_s=1, end_s=2, text="a", words=WORDS * 67), "201 words"),
    ],
)
def test_captions_of_callers_are_checked(cue: Cue, said: str) -> None:
    with pytest.raises(InputError) as caught:
        checked(Captions(cues=(CUE, cue)), duration_s=60)
    assert said in (caught.value.evidence or "")


def test_what_callers_say_is_cleaned() -> None:
    cues = (
        Cue(start_s=5, end_s=6, text=" two \u202e lines\x07 \r\n\r\n here\u200b "),
        Cue(start_s=1, end_s=2, text="\x00 "), Cue(start_s=3, end_s=4, text="back", words=(WORDS[0],)), CUE,
    )  # fmt: skip
    made = checked(Captions(cues=cues))
    assert made.cues == (CUE, Cue(start_s=3, end_s=4, text="back"), Cue(start_s=5, end_s=6, text="two lines\nhere"))
    assert from_json(to_json(made), Captions) == made
    assert checked(made) == made
