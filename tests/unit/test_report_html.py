"""The HTML report of a comparison: whole in itself, safe with any name, and honest about what was not measured."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re

import msgspec
import pytest

from reelpress.facts.quality import FrameScores, Window
from reelpress.quality.report_chart import pieces, thinned
from reelpress.quality.report_frames import worst_frames
from reelpress.quality.report_text import clock, script_json, size, words

import comparisons
from comparisons import HOSTILE, entry, report, scores


class Seen(html.parser.HTMLParser):
    """What a browser makes of the report: tags with their attributes, and what stands in the first of some."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_asks_the_network_for_nothing() -> None:
    text = report(entry(), entry("b.mp4"))
    seen = Seen(text)
    sources = [value for _, attributes in seen.tags for key, value in attributes.items() if key in ("src", "href")]
    assert sources
    assert all(value and value.startswith(("data:image/jpeg;base64,", "#")) for value in sources)
    assert re.search(r"url\(|@import|https?://", text) is None
    assert not any(key.startswith("on") or key == "style" for _, attributes in seen.tags for key in attributes)


def test_the_policy_allows_exactly_what_is_in_the_page() -> None:
    text = report(entry())
    policy = next(m["content"] for m in Seen(text).of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    for kind in ("style", "script"):
        inside = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert len(inside) == 1
        hashed = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{hashed}';" in policy
    assert policy.startswith("default-src 'none';")


def test_words_of_strangers_are_words() -> None:
    tame, wild = Seen(report(entry())), Seen(report(entry(HOSTILE)))
    count = [(tag, sorted(attributes)) for tag, attributes in tame.tags]
    assert [(tag, sorted(attributes)) for tag, attributes in wild.tags] == count  # no tag more, none with more to it
    text = report(entry(HOSTILE))
    assert "\x1b" not in text
    assert "\u202e" not in text
    text.encode("utf-8")  # a name need not be UTF-8


def test_json_in_the_page_ends_no_script() -> None:
    told = script_json({"name": "</script><!--<script>&"})
    assert re.search(r"[<>&]", told) is None
    assert json.loads(told) == {"name": "</script><!--<script>&"}


def test_ids_are_unique_and_links_lead_somewhere() -> None:
    seen = Seen(report(entry(), entry("b.mp4")))
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in seen.of("a")} <= set(ids)
    assert sum(str(i).startswith("frame-") for i in ids) == 2 * len(comparisons.PICTURES)


def test_what_was_not_measured_has_no_score_and_says_why() -> None:
    made = msgspec.structs.replace(
        comparisons.comparison(), verdict="unmeasured", cause="The self-test <failed>.", vmaf=None, by_frame=None,
        psnr_y_db=None, psnr_cb_db=None, psnr_cr_db=None, windows=(), findings=(),
    )  # fmt: skip
    text = report(msgspec.structs.replace(entry(), comparison=made), pictures=())
    assert "Not measured" in text
    assert "The self-test &lt;failed&gt;." in text
    assert "no damage found" not in text
    assert "<svg" not in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"comparison": comparisons.damaged()}, "Damaged: 1 finding"),
        ({"missed": ("VMAF is 92.1, and 93 was asked for.",), "asked": True}, "Below what was asked for"),
        ({"asked": True}, "As good as asked for"),
        ({}, "Measured, no damage found"),
    ],
)
def test_the_verdict_says_what_became_of_it(change: dict[str, object], told: str) -> None:
    text = report(msgspec.structs.replace(entry(), **change))
    assert told in text
    for missed in change.get("missed", ()):
        assert missed in text


def test_the_worst_frames_are_bad_and_not_all_of_one_second() -> None:
    bad = {40: 3.0, 41: 1.0, 42: 2.0, 160: 20.0, 90: 30.0}
    made = scores(200, lambda n: bad.get(n, 95.0 + n % 3))
    chosen = worst_frames(made)
    assert [round(one.at_s * 25) for one in chosen[:3]] == [41, 160, 90]
    assert all(abs(a.at_s - b.at_s) >= 1 for a in chosen for b in chosen if a is not b)
    assert worst_frames(FrameScores(at_s=(), vmaf=())) == ()
    assert len(worst_frames(scores(3, lambda n: 50.0 + n))) == 1


def test_a_thinned_curve_keeps_its_depths() -> None:
    points = [(n / 60, 90 + n % 5) for n in range(200_000)]
    points[123_456] = (123_456 / 60, 7.0)
    kept = thinned(points, 1200)
    assert len(kept) <= 1300
    assert min(kept, key=lambda p: p[1]) == points[123_456]
    assert kept == sorted(kept)
    assert thinned(points[:5], 1200) == points[:5]


def test_a_curve_has_holes_where_nothing_was_scored() -> None:
    two = [*((n / 25, 90.0) for n in range(50)), *((20 + n / 25, 90.0) for n in range(50))]
    assert [len(piece) for piece in pieces(two)] == [50, 50]
    text = report(
        msgspec.structs.replace(
            entry(),
            comparison=msgspec.structs.replace(
                comparisons.comparison(), windows=(Window(start_s=1, duration_s=2), Window(start_s=5, duration_s=2))
            ),
        )
    )
    assert text.count('class="unscored"') == 3 * 2  # before, between, after; wide and narrow


@pytest.mark.parametrize(
    ("given", "told"),
    [(0, "0:00.00"), (4.318, "0:04.32"), (59.999, "1:00.00"), (3723.5, "1:02:03.50"), (-1, "0:00.00")],
)
def test_times(given: float, told: str) -> None:
    assert clock(given) == told


def test_sizes_and_words() -> None:
    assert [size(n) for n in (0, 999, 1000, 999_499, 1_234_567, 5 * 10**12)] == [
        "0 B", "999 B", "1 kB", "999 kB", "1.23 MB", "5 TB"]  # fmt: skip
    assert words("a\x00b\u202e<") == "a\ufffdb\ufffd&lt;"
