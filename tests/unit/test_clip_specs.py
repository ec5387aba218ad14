"""What people write for a clip, and what its file is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.clips.naming import output_names, safe_stem
from reelpress.clips.specs import MOST_CLIPS, ClipSpec, parse_range, parse_time, read_specs, spec_of
from reelpress.clips.wishes import platforms_from, requests_of, wishes_from
from reelpress.errors import InputError, UsageError
from reelpress.facts.framing import Framing, PathKey, Shot, Window
from reelpress.facts.values import to_plain
from reelpress.plan.platforms import PLATFORMS, platform_warnings
from reelpress.settings import load

SETTINGS = load(environ={}, env_file=None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("75", 75.0), ("7.25", 7.25), ("1:15", 75.0), ("01:15.5", 75.5), ("1:02:03", 3723.0),
        ("0:00:00.001", 0.001), (" 12 ", 12.0), ("100:00", 6000.0),
    ],
)  # fmt: skip
def test_a_time_is_seconds_minutes_or_hours(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "x", "1:60", "1:60:00", "-1", "1:2:3:4", "1e3", "nan", "inf", ":30", "1.", ".5", "12,5", "9" * 400]
)
def test_what_is_no_time_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_time(text)
    assert told.value.hint


@given(st.integers(0, 999_999), st.integers(0, 999))
def test_every_time_written_out_is_read_back(whole: int, thousandths: int) -> None:
    hours, rest = divmod(whole, 3600)
    text = f"{hours}:{rest // 60:02}:{rest % 60:02}.{thousandths:03}"
    assert parse_time(text) == pytest.approx(whole + thousandths / 1000)


@pytest.mark.parametrize(
    ("text", "start_s", "end_s", "name"),
    [
        ("0:12-0:57", 12, 57, None),
        ("0:12-0:57=intro", 12, 57, "intro"),
        ("12..57.5", 12, 57.5, None),
        ("12.5..20", 12.5, 20, None),
        ("12 \u2013 57 = a = b", 12, 57, "a = b"),
        ("5:00+30=x", 300, 330, "x"),
        ("5:00+0:01:30", 300, 390, None),
        ("0-1=", 0, 1, None),
    ],
)
def test_a_range_has_a_start_and_an_end_or_a_duration(
    text: str, start_s: float, end_s: float, name: str | None
) -> None:
    assert parse_range(text) == ClipSpec(start_s=start_s, end_s=end_s, name=name)


@pytest.mark.parametrize(
    "text", ["", "12", "12-", "-12", "57-12", "12-12", "12+0", "a-b", "0:12=intro", "1-2-3", "1--2"]
)
def test_what_is_no_range_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_range(text)
    assert told.value.hint


def test_json_lists_clips_with_all_that_they_may_have(tmp_path: Path) -> None:
    framing = Framing(
        shots=(
            Shot(
                start_s=3, end_s=9, layout="still", windows=(Window(path=(PathKey(t_s=3, x=0.4, y=0.5),)),), rule="hand"
            ),
        )
    )
    rows = [
        {"start": "0:12", "end": 57.5, "name": "intro", "layout": "fit"},
        {
            "start": 3,
            "duration": "0:06",
            "framing": to_plain(framing),
            "captions": "words.srt",
            "caption_style": "bold",
        },
    ]
    for text in (json.dumps(rows), json.dumps({"clips": rows}), "\ufeff" + json.dumps(rows)):
        path = tmp_path / "clips.json"
        path.write_text(text, encoding="utf-8")
        one, two = read_specs(path)
        assert one == ClipSpec(start_s=12, end_s=57.5, name="intro", layout="fit")
        assert two == ClipSpec(
            start_s=3, end_s=9, framing=framing, captions=tmp_path / "words.srt", caption_style="bold"
        )  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_lists_clips_under_a_header(tmp_path: Path, delimiter: str) -> None:
    rows = ["start|end|name|layout", '0:12|0:57|"intro, the first"|', "|||", "1:00|1:30||split", "", "| ||", ""]
    path = tmp_path / "clips.csv"
    path.write_text("\r\n".join(rows).replace("|", delimiter), encoding="utf-8-sig")
    assert read_specs(path) == (
        ClipSpec(start_s=12, end_s=57, name="intro, the first"), ClipSpec(start_s=60, end_s=90, layout="split"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", '[{"start": 1, "end": 2}, {"start": 5, "end": 4}]', "clip 2: It ends at 4 s"),
        ("a.json", '[{"start": 1, "end": 2}, {"start": "x", "end": 4}]', "clip 2: 'x' is no time"),
        ("a.json", '[{"start": 1}]', "clip 1: A clip has an end or a duration"),
        ("a.json", '[{"start": 1, "end": 2, "duration": 1}]', "clip 1: A clip has an end or a duration"),
        ("a.json", '[{"start": 1, "end": 2, "zoom": 2}]', "clip 1: Object contains unknown field `zoom`"),
        ("a.json", '[{"start": 1, "end": 2, "layout": "wide"}]', "clip 1: Invalid enum value 'wide'"),
        ("a.json", '[{"start": NaN, "end": 2}]', "clip 1: nan is no time"),
        ("a.json", '[{"start": true, "end": 2}]', "clip 1: Expected"),
        ("a.json", "[7]", "clip 1: Expected"),
        ("a.json", "[]", "lists no clips"),
        ("a.json", '{"clip": []}', "holds no list"),
        ("a.json", "[" * 100_000, "is no JSON"),
        ("a.json", "{", "is no JSON"),
        ("a.csv", "0:12,0:57\n", "no header"),
        ("a.csv", "start,end,colour\n1,2,red\n", "no header"),
        ("a.csv", "start,end\n1,2,3\n", "line 2: more fields"),
        ("a.csv", "start,end\n1,2\n9,3\n", "clip 2: It ends at 3 s"),
        ("a.csv", "start,end\n", "lists no clips"),
        ("a.csv", "", "no header"),
        ("a.txt", "", "neither .json nor .csv"),
        ("a.csv", "start,duration\n" + "1,1\n" * (MOST_CLIPS + 1), f"more than {MOST_CLIPS}"),
    ],
)
def test_a_list_that_cannot_be_meant_says_which_clip(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says.replace("(", r"\(")):
        read_specs(path)


def test_a_list_that_cannot_be_read_is_an_unusable_input(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"start,end,name\n1,2,caf\xe9\n")
    for name in ("latin.csv", "missing.json"):
        with pytest.raises(InputError):
            read_specs(tmp_path / name)


# --- names of files ---


def test_files_are_numbered_and_named_for_their_clips() -> None:
    assert output_names(["intro", None, "Größe 7: a/b"], "my talk") == (
        "01-intro.mp4", "my-talk-02.mp4", "03-Größe-7-a-b.mp4",
    )  # fmt: skip
    assert output_names([None] * 100, "t")[-1] == "t-100.mp4"


@given(st.lists(st.none() | st.text(max_size=300), max_size=30), st.text(max_size=300))
def test_no_name_leaves_the_folder_or_meets_another(names: list[str | None], stem: str) -> None:
    made = output_names(names, stem)
    assert len({name.casefold() for name in made}) == len(names)
    for name in made:
        assert Path(name).name == name
        assert name.isprintable()
        assert name[0] not in ".-"
        assert len(name.encode()) <= 200


def test_a_name_like_a_numbered_stem_is_told_apart() -> None:
    assert len(set(output_names(["a-02", None], "01-a"))) == 2


@given(st.text())
def test_a_safe_name_stays_as_it_is(text: str) -> None:
    assert safe_stem(safe_stem(text)) == safe_stem(text)


# --- wishes ---


@pytest.mark.parametrize(
    ("wish", "value"),
    [
        ("size", "big"), ("size", "1081x1920"), ("size", "8x8"), ("size", "9000x16000"), ("layout", "wide"),
        ("caption_style", "comic"), ("preset", "p4"), ("crf", "52"), ("crf", "0"), ("crf", "x"), ("loudness", "loud"),
        ("loudness", "0"), ("loudness", "nan"), ("hardware", "maybe"),
    ],
)  # fmt: skip
def test_a_wish_that_is_not_accepted_is_refused_with_what_is(wish: str, value: str) -> None:
    with pytest.raises(UsageError) as told:
        wishes_from(SETTINGS, **{wish: value})  # type: ignore[arg-type]
    assert "accepted" in (told.value.hint or "")


def srt(path: Path, text: str) -> Path:
    path.write_text(f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n", encoding="utf-8")
    return path


def test_what_a_clip_says_wins_over_the_whole_export(tmp_path: Path) -> None:
    everywhere, own = srt(tmp_path / "all.srt", "everywhere"), srt(tmp_path / "own.srt", "own")
    wishes = wishes_from(
        SETTINGS, size="720x1280", layout="fit", captions=everywhere, caption_style="plain", crf="20", loudness="off"
    )
    specs = [
        spec_of(1, 2),
        ClipSpec(start_s=3, end_s=4, layout="track", captions=own, caption_style="bold"),
        spec_of(5, 6, name="x"),
    ]
    one, two, three = requests_of(specs, wishes, SETTINGS)
    assert (one.width, one.height, one.layout, one.crf, one.loudness_lufs) == (720, 1280, "fit", 20.0, None)
    assert (two.layout, three.name, three.layout) == ("track", "x", "fit")
    assert [(r.captions.cues[0].text, r.captions.style) for r in (one, two, three) if r.captions] == [
        ("everywhere", "plain"), ("own", "bold"), ("everywhere", "plain"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["missing.srt", "no\x00name.srt"])
def test_captions_that_cannot_be_read_are_an_unusable_input(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        requests_of([spec_of(1, 2)], wishes_from(SETTINGS, captions=tmp_path / name), SETTINGS)


# --- platforms ---

GOOD = {"duration_s": 30.0, "width": 1080, "height": 1920, "fps": 30.0, "size_bytes": 20_000_000}


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_usual_short_suits_every_platform(name: str) -> None:
    assert platform_warnings(name, **GOOD) == ()  # type: ignore[arg-type]
    assert platform_warnings(name, **{**GOOD, "fps": None, "size_bytes": None}) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("shorts", {"duration_s": 180.5}, "longer than the 180 s"),
        ("shorts", {"width": 1920, "height": 1080}, "wider than"),
        ("tiktok", {"duration_s": 181.0}, "longer"),
        ("tiktok", {"width": 270, "height": 480}, "below 360"),
        ("tiktok", {"height": 4098}, "above 4096"),
        ("tiktok", {"fps": 12.0}, "fewer than 23"),
        ("tiktok", {"size_bytes": 4_100_000_000}, "4100 MB"),
        ("reels", {"duration_s": 2.0}, "shorter than the 3 s"),
        ("reels", {"fps": 120.0}, "more than 60"),
        ("reels", {"width": 1080, "height": 1350}, "not 9:16"),
        ("reels", {"width": 2160, "height": 3840}, "wider than 1920"),
        ("reels", {"size_bytes": 301_000_000}, "300 MB"),
        ("reels", {"duration_s": 3.0, "size_bytes": 12_000_000}, "Mbit/s"),
    ],
)
def test_what_a_platform_may_not_take_is_said(name: str, change: dict[str, float], says: str) -> None:
    told = platform_warnings(name, **{**GOOD, **change})  # type: ignore[arg-type]
    assert any(says in text and text.startswith(PLATFORMS[name].label) for text in told), told  # type: ignore[index]


def test_square_is_a_short_and_almost_vertical_is_vertical() -> None:
    assert platform_warnings("shorts", **{**GOOD, "height": 1080}) == ()
    assert platform_warnings("reels", **{**GOOD, "width": 608, "height": 1080}) == ()


@pytest.mark.parametrize(("name", "length_s"), [("shorts", 180.0), ("tiktok", 180.0), ("reels", 180.0), ("reels", 3.0)])
@pytest.mark.parametrize("start_s", [160.465, 2000.555, 0.1, 1.1])
def test_a_length_that_is_just_the_limit_is_inside_it_wherever_the_clip_begins(
    name: str, length_s: float, start_s: float
) -> None:
    begun_there = (start_s + length_s) - start_s  # 180.00000000000003 of the first two, 2.9999999999999996 of the last
    assert platform_warnings(name, **{**GOOD, "duration_s": begun_there, "size_bytes": None}) == ()  # type: ignore[arg-type]


def test_a_length_that_is_a_little_too_much_is_told_with_that_little() -> None:
    (told,) = platform_warnings("shorts", **{**GOOD, "duration_s": 5395 * 1001 / 30000})  # type: ignore[arg-type]
    assert told == "YouTube Shorts: 180.013 s are longer than the 180 s it takes."


def test_platforms_are_named_once_each_and_known() -> None:
    assert platforms_from(["reels", "shorts", "reels"]) == ("reels", "shorts")
    with pytest.raises(UsageError, match="myspace"):
        platforms_from(["myspace"])


def test_a_list_that_is_not_there_is_not_told_to_be_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read") as refused:
        read_specs(tmp_path / "clips.csv")
    assert refused.value.hint == "Check the name."
