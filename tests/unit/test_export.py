"""Exports with a cutter that is told what becomes of each clip: all settled, steered, kept, redone."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.bookkeeping import Hashing
from reelpress.clip_request import ClipRequest
from reelpress.clips import export
from reelpress.clips.control import ExportControl
from reelpress.clips.export import export_clips
from reelpress.clips.manifest import LOCK, MANIFEST, Folder
from reelpress.clips.summary import KEPT, is_kept, summary_of
from reelpress.errors import InputError, OutputError, UsageError
from reelpress.events import Event, Queued, Started
from reelpress.gpus import GpuPolicy
from reelpress.policy import RunPolicy, clips_at_once
from reelpress.receipt import Receipt
from reelpress.run.process import CancelToken
from reelpress.source.opening import OpenSource, open_source

import factories
from cutter import Cutter, delivers

HOST = factories.host()
PATIENCE_S = 20.0


@pytest.fixture
def cutter(monkeypatch: pytest.MonkeyPatch) -> Cutter:
    fake = Cutter()
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def source(tmp_path: Path) -> Iterator[OpenSource]:
    (tmp_path / "my talk.mp4").write_bytes(b"video")
    with open_source(tmp_path / "my talk.mp4") as opened:
        yield opened


def clips(*names: str | None) -> list[ClipRequest]:
    return [ClipRequest(start_s=10 * n, end_s=10 * n + 5, name=name) for n, name in enumerate(names)]


@pytest.fixture
def run(cutter: Cutter, source: OpenSource, tmp_path: Path) -> Callable[..., tuple[Receipt, ...]]:
    def go(wanted: list[ClipRequest], **more: Any) -> tuple[Receipt, ...]:
        return export_clips(source, wanted, tmp_path / "out", host=HOST, **more)

    return go


Run = Callable[..., tuple[Receipt, ...]]


def statuses(receipts: tuple[Receipt, ...]) -> list[str]:
    return ["kept" if is_kept(r) else r.status for r in receipts]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- all settled ---


def test_every_clip_is_queued_before_any_is_begun_and_receipts_are_in_order(
    run: Run, cutter: Cutter, source: OpenSource, tmp_path: Path
) -> None:
    events: list[Event] = []
    receipts = run(clips("a", None, "c"), jobs=1, on_event=events.append)
    queued = [event for event in events if isinstance(event, Queued)]
    assert [(q.index, q.name, q.start_s, Path(q.output).name) for q in queued] == [
        (0, "a", 0, "01-a.mp4"), (1, None, 10, "my-talk-02.mp4"), (2, "c", 20, "03-c.mp4"),
    ]  # fmt: skip
    assert [r.job for r in receipts] == [q.job for q in queued]
    assert [Path(r.output or "").name for r in receipts] == ["01-a.mp4", "my-talk-02.mp4", "03-c.mp4"]
    for q in queued:
        kinds = [type(event) for event in events if event.job == q.job]
        assert (kinds[0], kinds[1], kinds[-1]) == (Queued, Started, Receipt)
        assert kinds.count(Receipt) == kinds.count(Started) == 1
    assert files(tmp_path / "out") == [MANIFEST, "01-a.mp4", "03-c.mp4", "my-talk-02.mp4"]
    assert cutter.probed == [[(0, 5), (10, 15), (20, 25)]], "one look at the source serves all"
    summary = summary_of(receipts, source=source, folder=tmp_path / "out", exit_code=0, wall_s=1.0)
    assert (summary.clips, summary.encoded, summary.kept, summary.failed) == (3, 3, 0, 0)


def test_one_failure_touches_one_clip(run: Run, cutter: Cutter) -> None:
    cutter.behave = lambda request, _cancel: "failed" if request.name == "b" else "encoded"
    assert statuses(run(clips("a", "b", "c"))) == ["encoded", "failed", "encoded"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_clips_run_than_were_asked_for(run: Run, cutter: Cutter, jobs: int) -> None:
    together = threading.Barrier(jobs)

    def behave(_request: ClipRequest, _cancel: CancelToken) -> str:
        together.wait(PATIENCE_S)
        return "encoded"

    cutter.behave = behave
    run(clips("a", "b", "c"), jobs=jobs)
    assert cutter.most_at_once == jobs


def test_a_source_that_cannot_be_read_rejects_each_clip(
    run: Run, cutter: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: Any, stretches: Any, **_rest: Any) -> Any:
        if len(stretches) > 1 or stretches[0][0] == 10:
            raise InputError("It cannot be decoded there.", hint="x")
        return factories.media()

    monkeypatch.setattr(export, "probe_stretches", refuse)
    events: list[Event] = []
    receipts = run(clips("a", "b", "c"), on_event=events.append)
    assert statuses(receipts) == ["encoded", "rejected", "encoded"]
    assert (receipts[1].exit_code, receipts[1].error_code, receipts[1].hint) == (3, "input_unusable", "x")
    assert [type(e) for e in events if e.job == receipts[1].job] == [Queued, Started, Receipt]


def test_damage_elsewhere_in_the_source_is_no_matter_of_a_clip(
    run: Run, cutter: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe(_source: Any, stretches: Any, **_rest: Any) -> Any:
        return factories.media(damage=("no picture at 10 s",) if (10, 15) in stretches else ())

    monkeypatch.setattr(export, "probe_stretches", probe)
    run(clips("a", "b", "c"))
    assert cutter.damage == {"a": (), "b": ("no picture at 10 s",), "c": ()}


@pytest.mark.parametrize("times", [(math.nan, 5.0), (0.0, math.inf), (-math.inf, math.inf)])
def test_nothing_is_looked_at_where_a_clip_lies_nowhere(run: Run, cutter: Cutter, times: tuple[float, float]) -> None:
    """The engine refuses such a clip; to those who look at the file it would be no place."""
    start_s, end_s = times
    run([ClipRequest(start_s=start_s, end_s=end_s), ClipRequest(start_s=10, end_s=15)])
    assert cutter.probed == [[(0.0, 0.0), (10, 15)]]


def test_platforms_warn_in_the_receipt_and_in_its_event(run: Run) -> None:
    events: list[Event] = []
    (made,) = run([ClipRequest(start_s=0, end_s=2)], platforms=("reels", "shorts"), on_event=events.append)
    assert made.clip is not None
    assert len(made.clip.warnings) == 1
    assert made.clip.warnings[0].startswith("Instagram Reels: 2 s are shorter")
    assert events[-1] == made


def test_a_clip_that_is_kept_is_held_against_the_platforms_of_this_run(run: Run) -> None:
    short = [ClipRequest(start_s=0, end_s=2)]
    told: list[tuple[str, ...]] = []
    for platforms in ((), ("reels",), (), ("reels",)):
        events: list[Event] = []
        (made,) = run(short, platforms=platforms, on_event=events.append)
        assert made.clip is not None
        assert events[-1] == made
        told.append(tuple(warning.partition(":")[0] for warning in made.clip.warnings))
    assert told == [(), ("Instagram Reels",), (), ("Instagram Reels",)]


def test_no_clips_is_a_usage_error(run: Run) -> None:
    with pytest.raises(UsageError):
        run([])


def test_a_listener_that_fails_stops_everything_and_is_heard(run: Run, cutter: Cutter) -> None:
    cutter.behave = lambda _request, cancel: "cancelled" if cancel.wait(PATIENCE_S) else "encoded"

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            raise OutputError("The events could not be written.")

    with pytest.raises(OutputError, match="events"):
        run(clips("a", "b"), on_event=listen)


# --- steering ---


def test_cancelling_one_clip_touches_no_other(run: Run, cutter: Cutter) -> None:
    control = ExportControl()

    def behave(request: ClipRequest, cancel: CancelToken) -> str:
        if request.name == "b":
            control.cancel(1)
            control.cancel(7)  # there is no such clip
            return "cancelled" if cancel.wait(PATIENCE_S) else "encoded"
        return "encoded"

    cutter.behave = behave
    assert statuses(run(clips("a", "b", "c"), control=control)) == ["encoded", "cancelled", "encoded"]


def test_a_clip_that_waits_is_cancelled_at_once(run: Run, cutter: Cutter) -> None:
    control, told = ExportControl(), threading.Event()
    receipts: dict[str, Receipt] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Receipt):
            receipts[event.job] = event
            told.set()

    def behave(request: ClipRequest, _cancel: CancelToken) -> str:
        control.cancel(1)
        assert told.wait(PATIENCE_S), "while the first one is still at work"
        return "encoded"

    cutter.behave = behave
    one, two = run(clips("a", "b"), jobs=1, control=control, on_event=listen)
    assert (one.status, two.status, two.exit_code) == ("encoded", "cancelled", 130)
    assert cutter.names() == ["a"]


def test_all_are_cancelled_at_once(run: Run, cutter: Cutter, tmp_path: Path) -> None:
    control = ExportControl()

    def behave(_request: ClipRequest, cancel: CancelToken) -> str:
        control.cancel_all()
        return "cancelled" if cancel.wait(PATIENCE_S) else "encoded"

    cutter.behave = behave
    assert statuses(run(clips("a", "b", "c", "d"), control=control)) == ["cancelled"] * 4
    assert files(tmp_path / "out") == [MANIFEST]


def test_a_stop_signal_is_asked_for_and_stops_all(run: Run, cutter: Cutter) -> None:
    cutter.behave = lambda _request, cancel: "cancelled" if cancel.wait(PATIENCE_S) else "encoded"
    assert statuses(run(clips("a", "b", "c"), stop_if=lambda: True)) == ["cancelled"] * 3


def test_a_clip_that_failed_is_tried_again_while_others_go_on(run: Run, cutter: Cutter) -> None:
    control, again = ExportControl(), threading.Event()
    tries = {"a": 0}
    events: list[Event] = []

    def behave(request: ClipRequest, _cancel: CancelToken) -> str:
        if request.name == "a":
            tries["a"] += 1
            if tries["a"] == 2:
                again.set()
            return "encoded" if tries["a"] == 2 else "failed"
        assert again.wait(PATIENCE_S)
        control.retry(1)  # it is not going to fail
        return "encoded"

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, Receipt) and event.status == "failed":
            control.retry(0)
            control.retry(-1)  # there is no such clip

    cutter.behave = behave
    receipts = run(clips("a", "b"), jobs=2, control=control, on_event=listen)
    assert statuses(receipts) == ["encoded", "encoded"]
    assert tries["a"] == 2
    queued = [event for event in events if isinstance(event, Queued) and event.index == 0]
    assert len({q.job for q in queued}) == 2, "another try is another job"
    assert receipts[0].job == queued[1].job


def test_the_last_clip_may_be_tried_again_when_it_says_that_it_failed(run: Run, cutter: Cutter) -> None:
    control, tries = ExportControl(), []

    def behave(_request: ClipRequest, _cancel: CancelToken) -> str:
        tries.append(1)
        return "encoded" if len(tries) == 3 else "failed"

    def listen(event: Event) -> None:
        if isinstance(event, Receipt) and event.status == "failed":
            control.retry(0)

    cutter.behave = behave
    assert statuses(run(clips("a"), control=control, on_event=listen)) == ["encoded"]
    assert len(tries) == 3


def test_a_cancel_takes_back_a_retry(run: Run, cutter: Cutter) -> None:
    control = ExportControl()

    def behave(_request: ClipRequest, cancel: CancelToken) -> str:
        control.retry(0)
        control.cancel(0)
        return "cancelled" if cancel.wait(PATIENCE_S) else "encoded"

    cutter.behave = behave
    assert statuses(run(clips("a"), control=control)) == ["cancelled"]
    assert len(cutter.asked) == 1


def test_whatever_is_cancelled_and_retried_every_clip_ends_once(run: Run, cutter: Cutter, tmp_path: Path) -> None:
    """Random wishes from the cutter's own threads, which is when they are most untimely; runs go on from runs."""
    chance = random.Random(5)
    names = ["a", "b", "c", "d"]
    for _ in range(40):
        control, events = ExportControl(), list[Event]()
        for output in (tmp_path / "out").glob("*.mp4"):
            if chance.random() < 0.7:
                output.unlink()

        def behave(_request: ClipRequest, cancel: CancelToken, control: ExportControl = control) -> str:
            for _ in range(chance.randrange(3)):
                wish = chance.choice([control.cancel, control.retry, control.retry])
                wish(chance.randrange(-1, len(names) + 1))
            time.sleep(chance.choice([0, 0.001, 0.004]))
            if cancel.is_cancelled:
                return "cancelled"
            return chance.choice(["failed", "encoded", "encoded"])

        cutter.behave = behave
        receipts = run(clips(*names), jobs=chance.randrange(1, 5), control=control, on_event=events.append)
        assert cutter.at_once == 0
        queued = [event for event in events if isinstance(event, Queued)]
        assert {q.index for q in queued} == {0, 1, 2, 3}
        for q in queued:
            kinds = [type(event) for event in events if event.job == q.job]
            assert kinds == [Queued, Started, Receipt]
        last = {q.index: q.job for q in queued}
        assert [r.job for r in receipts] == [last[index] for index in range(len(names))]
        there = {name for name in files(tmp_path / "out") if name.endswith(".mp4")}
        assert there >= {Path(r.output or "").name for r in receipts if r.status == "encoded"}
        assert files(tmp_path / "out")[0] == MANIFEST
    cutter.behave = delivers
    assert set(statuses(run(clips(*names)))) <= {"kept", "encoded"}


# --- the same command again ---


def test_finished_clips_are_kept_and_the_rest_is_made(run: Run, cutter: Cutter) -> None:
    cutter.behave = lambda request, _cancel: "failed" if request.name == "b" else "encoded"
    first = run(clips("a", "b", "c"))
    cutter.behave, cutter.asked = delivers, []
    events: list[Event] = []
    second = run(clips("a", "b", "c"), on_event=events.append)
    assert statuses(second) == ["kept", "encoded", "kept"]
    assert cutter.names() == ["b"]
    assert second[0].result == first[0].result
    assert second[0].job != first[0].job
    assert [type(e) for e in events if e.job == second[0].job] == [Queued, Started, Receipt]
    third = run(clips("a", "b", "c"))
    assert statuses(third) == ["kept"] * 3
    assert sum(reason.code == KEPT for reason in third[0].reasons) == 1


@pytest.mark.parametrize("change", ["missing", "shorter", "same size"])
def test_an_output_that_is_not_what_was_delivered_is_made_again(
    run: Run, cutter: Cutter, tmp_path: Path, change: str
) -> None:
    run(clips("a", "b"))
    target = tmp_path / "out" / "01-a.mp4"
    content = target.read_bytes()
    if change == "missing":
        target.unlink()
    else:
        target.write_bytes(content[:-1] if change == "shorter" else bytes(len(content)))
    assert statuses(run(clips("a", "b"))) == ["encoded", "kept"]
    assert target.read_bytes() == content


@pytest.mark.parametrize(
    "change", [{"end_s": 6.0}, {"crf": 20.0}, {"layout": "fit"}, {"width": 720}, {"loudness_lufs": None}]
)
def test_a_clip_that_is_to_be_something_else_leaves_the_file_alone(
    run: Run, cutter: Cutter, tmp_path: Path, change: dict[str, Any]
) -> None:
    (one,) = clips("a")
    run([one])
    content = (tmp_path / "out" / "01-a.mp4").read_bytes()
    other = msgspec.structs.replace(one, **change)
    assert statuses(run([other])) == ["failed"], "its file is in the way, and is somebody's work"
    assert (tmp_path / "out" / "01-a.mp4").read_bytes() == content
    assert statuses(run([one])) == ["kept"], "and still what it was"
    assert statuses(run([other], overwrite=True)) == ["encoded"]
    assert statuses(run([other])) == ["kept"]


def test_another_content_of_the_source_is_another_clip(run: Run, source: OpenSource) -> None:
    run(clips("a"))
    source.fingerprint = "another"
    assert statuses(run(clips("a"))) == ["failed"]
    assert statuses(run(clips("a"), overwrite=True)) == ["encoded"]


def test_a_file_of_somebody_else_is_left_alone(run: Run, cutter: Cutter, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "01-a.mp4").write_bytes(b"precious")
    for _ in range(2):  # nor does a first try make it ours
        assert statuses(run(clips("a", "b")))[0] == "failed"
    assert (tmp_path / "out" / "01-a.mp4").read_bytes() == b"precious"


def test_what_a_killed_run_delivered_in_its_last_moment_is_ours(
    run: Run, cutter: Cutter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "end", lambda *_args: None)  # killed before it could write that down
    run(clips("a"))
    monkeypatch.undo()
    cutter.install(monkeypatch)
    cutter.asked = []
    assert statuses(run(clips("a"))) == ["encoded"]
    assert cutter.asked == [("a", True)]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\xff\xfe", b"[]", b'{"version":1,"clips":{"01-a.mp4":{"asked":7}}}', b'{"version":99}']
)
def test_a_manifest_that_makes_no_sense_is_as_good_as_none(run: Run, tmp_path: Path, damage: bytes) -> None:
    run(clips("a"))
    (tmp_path / "out" / MANIFEST).write_bytes(damage)
    assert statuses(run(clips("a", "b"))) == ["failed", "encoded"], "files that nobody knows are left alone"
    assert statuses(run(clips("a", "b"), overwrite=True)) == ["encoded", "kept"]


def test_what_other_exports_put_there_stays_known(run: Run) -> None:
    run(clips("a", "b"))
    run(clips("a"))
    assert statuses(run(clips("a", "b"))) == ["kept", "kept"]


def test_the_manifest_is_json_with_a_version(run: Run, tmp_path: Path) -> None:
    run(clips("a"))
    told = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert told["version"] == 1
    assert told["clips"]["01-a.mp4"]["receipt"]["status"] == "encoded"


def test_a_cancel_while_a_finished_clip_is_looked_at_does_not_forget_it(
    run: Run, cutter: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(request: ClipRequest, cancel: CancelToken) -> str:
        return "failed" if request.name == "a" else "cancelled" if cancel.is_cancelled else "encoded"

    def cancel_midway(path: Path, cancel: CancelToken | None = None) -> str | None:
        assert cancel is not None
        cancel.cancel()
        return read(path, cancel)

    cutter.behave, read = behave, Hashing.of
    run(clips("a", "b"))
    monkeypatch.setattr(Hashing, "of", cancel_midway)
    assert statuses(run(clips("a", "b"), jobs=1)) == ["failed", "cancelled"]
    monkeypatch.setattr(Hashing, "of", read)
    assert statuses(run(clips("a", "b"))) == ["failed", "kept"]


def test_clips_that_failed_are_not_remembered(run: Run, cutter: Cutter, tmp_path: Path) -> None:
    cutter.behave = lambda _request, _cancel: "failed"
    run(clips("a"))
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["clips"] == {}


# --- the folder ---


def test_two_exports_into_one_folder_do_not_meet(run: Run, cutter: Cutter, tmp_path: Path) -> None:
    refused: list[OutputError] = []

    def behave(_request: ClipRequest, _cancel: CancelToken) -> str:
        with pytest.raises(OutputError, match="under way") as told:
            run(clips("x"))
        refused.append(told.value)
        return "encoded"

    cutter.behave = behave
    assert statuses(run(clips("a"))) == ["encoded"]
    assert refused[0].exit_code == 5
    assert LOCK not in files(tmp_path / "out")


def test_a_folder_that_cannot_be_is_an_output_error(cutter: Cutter, source: OpenSource, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError) as told:
        export_clips(source, clips("a"), tmp_path / "file" / "out", host=HOST)
    assert told.value.hint


def test_a_manifest_that_could_not_be_read_does_not_hold_the_folder(run: Run, tmp_path: Path) -> None:
    in_the_way = tmp_path / "out" / MANIFEST
    in_the_way.mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be kept"):
        run(clips("a"))
    assert files(tmp_path / "out") == [MANIFEST]
    in_the_way.rmdir()
    assert statuses(run(clips("a"))) == ["encoded"]


def test_a_manifest_that_cannot_be_written_loses_no_clip(
    run: Run, cutter: Cutter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> None:
        raise OutputError("No space.")

    monkeypatch.setattr(Folder, "end", fail)
    assert statuses(run(clips("a"))) == ["encoded"]
    monkeypatch.setattr(Folder, "begin", fail)
    receipts = run(clips("a", "b"))
    assert statuses(receipts) == ["failed", "failed"]
    assert receipts[0].exit_code == 5


# --- how many at once ---


@pytest.mark.parametrize(
    ("changes", "uses_gpu", "width"),
    [
        ({"cores": 1}, False, 1),
        ({"cores": 2}, False, 2),
        ({"cores": 4}, False, 2),
        ({"cores": 16}, False, 8),
        ({"cores": 16, "memory_mb": 1500}, False, 2),
        ({"cores": 2, "memory_mb": 300}, False, 1),
        ({"cores": 2, "memory_mb": None}, False, 2),
        ({"cores": 2}, True, 2),
        ({"cores": 2, "gpu_note": None}, True, 4),
        ({"cores": 2, "gpu_note": None}, False, 2),
        ({"cores": 16, "gpu_note": None}, True, 8),
    ],
)
def test_the_width_follows_the_machine(changes: dict[str, Any], uses_gpu: bool, width: int) -> None:
    assert clips_at_once(factories.host(**changes), RunPolicy(), uses_gpu=uses_gpu) == width


def test_the_width_follows_the_sessions_that_were_set() -> None:
    host = factories.host(cores=2, gpu_note=None)
    assert clips_at_once(host, RunPolicy(gpu=GpuPolicy(sessions=6)), uses_gpu=True) == 6
