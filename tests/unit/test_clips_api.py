"""Clips from Python: what is taken for a clip, and a task that is cancelled."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import reelpress
from reelpress.clips.api import acut_clips, cut_clips
from reelpress.clips.specs import ClipSpec
from reelpress.errors import UsageError
from reelpress.events import Event

from cutter import Cutter

PATIENCE_S = 20.0


@pytest.fixture
def cutter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cutter:
    (tmp_path / "in.mp4").write_bytes(b"video")
    monkeypatch.chdir(tmp_path)
    fake = Cutter()
    fake.install(monkeypatch)
    return fake


def test_a_clip_is_a_range_a_tuple_a_spec_or_a_request(cutter: Cutter) -> None:
    whole = reelpress.ClipRequest(start_s=8, end_s=9, width=720, height=1280)
    receipts = cut_clips(
        "in.mp4",
        ["0:01-0:02=one", (2, "0:03"), (3, 4.5, "three"), ClipSpec(start_s=6, end_s=7, layout="fit"), whole],
        "out", size="540x960", jobs=1, hardware="off",
    )  # fmt: skip
    assert [r.status for r in receipts] == ["encoded"] * 5
    asked = [(r.start_s, r.end_s, r.name, r.width, r.layout) for r in cutter.requests]
    assert asked == [
        (1, 2, "one", 540, "auto"), (2, 3, None, 540, "auto"), (3, 4.5, "three", 540, "auto"),
        (6, 7, None, 540, "fit"), (8, 9, None, 720, "auto"),
    ]  # fmt: skip


@pytest.mark.parametrize("clip", ["x", (2, 1), ("x", 1), (1,), (1, 2, "a", "b"), 7, (None, 1)])
def test_what_is_no_clip_says_which_one(cutter: Cutter, clip: object) -> None:
    with pytest.raises(UsageError, match="Clip 2"):
        cut_clips("in.mp4", [(0, 1), clip], "out")  # type: ignore[list-item]


def test_a_cancelled_task_stops_every_clip_before_it_returns(cutter: Cutter) -> None:
    begun = threading.Event()
    events: list[Event] = []

    def behave(_request: object, cancel: reelpress.CancelToken) -> str:
        begun.set()
        return "cancelled" if cancel.wait(PATIENCE_S) else "encoded"

    async def go() -> None:
        task = asyncio.create_task(acut_clips("in.mp4", [(0, 1), (1, 2)], "out", on_event=events.append))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    cutter.behave = behave
    asyncio.run(go())
    assert cutter.at_once == 0
    assert any(event.__struct_config__.tag == "queued" for event in events)


def test_an_awaited_export_returns_its_receipts(cutter: Cutter) -> None:
    (made,) = asyncio.run(acut_clips("in.mp4", [(0, 1)], "out"))
    assert made.status == "encoded"


def test_compressing_imports_nothing_of_clips() -> None:
    code = (
        "import sys, reelpress, reelpress.cli.app, reelpress.cli.compress\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('numpy', 'cv2', 'scipy', 'pysubs2')"
        " or m.startswith(('reelpress.clips', 'reelpress.source.', 'reelpress.reframe', 'reelpress.captions'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [m for m in eval(done.stdout) if m != "reelpress.source.snapshot"] == []
