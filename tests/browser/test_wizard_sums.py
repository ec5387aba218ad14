"""The page's own sums: its framing is the engine's, its times are read as the command reads them."""

from __future__ import annotations

import itertools
import random

import pytest

from reelpress.facts.framing import PathKey, Window, middle_at, window_shares
from reelpress.facts.values import to_json
from reelpress.plan.clip_graph import fit_size
from reelpress.plan.geometry import Size
from reelpress.plan.window_path import Upright

from fake_clips import FakeClips
from wizard_pages import Open, needs_chromium

pytestmark = needs_chromium


def test_windows_lie_where_the_engine_puts_them(service: FakeClips, open_page: Open) -> None:
    chance = random.Random(5)
    cases, wanted = [], []
    for display, aspect, zoom in itertools.product(
        (16 / 9, 9 / 16, 4 / 3, 2.39, 1.0), (9 / 16, 9 / 8, 1.0), (1.0, 1.37, 4.0)
    ):
        times = sorted(chance.uniform(0, 20) for _ in range(chance.randint(1, 6)))
        path = tuple(PathKey(t_s=t, x=chance.uniform(-0.2, 1.2), y=chance.uniform(-0.2, 1.2)) for t in times)
        window = Window(path=path, zoom=zoom)
        shares = window_shares(display, aspect, zoom)
        for t in (*times, chance.uniform(-1, 21), chance.uniform(-1, 21)):
            cases.append(
                [display, aspect, zoom, {"path": [{"t_s": k.t_s, "x": k.x, "y": k.y} for k in path], "zoom": zoom}, t]
            )
            wanted.append([*shares, *middle_at(window, t, shares)])
    assert to_json(window)
    found = open_page().evaluate(
        """async (cases) => {
          const { windowShares, middleAt } = await import("/web/framing.js");
          return cases.map(([display, aspect, zoom, window, t]) => {
            const shares = windowShares(display, aspect, zoom);
            return [...shares, ...middleAt(window, t, shares)];
          });
        }""",
        cases,
    )
    assert len(found) > 200
    assert found == [pytest.approx(one, abs=1e-12) for one in wanted]


def test_a_whole_picture_lies_where_the_engine_puts_it(service: FakeClips, open_page: Open) -> None:
    sizes = (Size(width=1080, height=1920), Size(width=720, height=1280), Size(width=608, height=1080))
    cases, wanted = [], []
    for size, aspect in itertools.product(sizes, (16 / 9, 4 / 3, 2.39, 1.85, 1.0, 9 / 16, 0.5, 1.7786)):
        inner = fit_size(Upright(width=640, height=360, aspect=aspect), size)
        cases.append([{"width": size.width, "height": size.height}, aspect])
        middle = ((size.width - inner.width) // 4 * 2, (size.height - inner.height) // 4 * 2)
        wanted.append([*middle, inner.width, inner.height])
    each = "async (all) => { const m = await import('/web/framing.js'); return all.map((one) => m.fitPlace(...one)); }"
    assert open_page().evaluate(each, cases) == wanted


def test_times_are_read_and_written(service: FakeClips, open_page: Open) -> None:
    said = {
        "72": 72, "72.5": 72.5, "0:12.5": 12.5, "1:12": 72, "1:02:03": 3723, " 0:12,25 ": 12.25, ".5": 0.5, "0": 0,
        "1:60": None, "1:60:00": None, "": None, "x": None, "1:2:3:4": None, "-3": None, "1e3": None, "1:": None,
    }  # fmt: skip
    page = open_page()
    each = "async ([name, all]) => { const m = await import('/web/times.js'); return all.map((one) => m[name](one)); }"
    assert page.evaluate(each, ["parseTime", [*said]]) == [*said.values()]
    shown = page.evaluate(each, ["clock", [0, 59.996, 72.5, 3723.004]])
    assert shown == ["0:00.00", "1:00.00", "1:12.50", "1:02:03.00"]
    words = page.evaluate(each, ["spoken", [1, 72.5, 3600]])
    assert words == ["1 second", "1 minute 12.5 seconds", "1 hour"]


def test_two_changed_lists_of_clips_become_one(service: FakeClips, open_page: Open) -> None:
    def clips(**names: str) -> list[dict[str, str]]:
        return [{"id": key, "name": name} for key, name in names.items()]

    base = clips(a="A", b="B", c="C", d="D")
    ours = clips(a="A1", b="B", c="C1", e="E")  # changed a and c, deleted d, made e
    theirs = clips(a="A", b="B2", c="C2", d="D", f="F")
    both = "async (all) => { const { merged } = await import('/web/draft.js'); return merged(...all); }"
    merged = open_page().evaluate(both, [base, ours, theirs])
    assert merged == {"clips": clips(a="A1", b="B2", c="C1", f="F", e="E"), "both": ["C1"]}


def test_in_whatever_order_a_clip_is_written_it_is_the_same(service: FakeClips, open_page: Open) -> None:
    def clip(key: str, **fields: str) -> dict[str, object]:
        shot = {"start_s": 1, "end_s": 2, "windows": [{"path": [{"t_s": 1, "x": 0.5, "y": 0.4}], "zoom": 1}]}
        return {"id": key, "name": key, "framing": {"shots": [shot], "detector": None}, "captions": None, **fields}

    def turned(value: object) -> object:
        if isinstance(value, dict):
            return {key: turned(one) for key, one in reversed(value.items())}
        return [turned(one) for one in value] if isinstance(value, list) else value

    base = [clip(key) for key in "abcde"]
    ours = [clip("a"), clip("b", name="B1"), clip("c"), clip("e")]  # changed b, deleted d
    theirs = [turned(one) for one in (clip("b"), clip("c", name="C2"), clip("d"), clip("e"))]  # deleted a, changed c
    both = "async (all) => { const { merged } = await import('/web/draft.js'); return merged(...all); }"
    merged = open_page().evaluate(both, [base, ours, theirs])
    assert merged == {"clips": [clip("b", name="B1"), clip("c", name="C2"), clip("e")], "both": []}
