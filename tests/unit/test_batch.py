"""Many inputs: how many at once, what they share, and that none of it shows in what comes back."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from reelpress import batch
from reelpress.batch import Item, collect, refuse_clashes, run_batch
from reelpress.errors import UsageError
from reelpress.policy import SMALL_BYTES, RunPolicy, cores_for
from reelpress.probe import nursery
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken

import clips
import factories
import receipts

pytestmark = pytest.mark.usefixtures("no_nursery")
LARGE = SMALL_BYTES + 1


class Machine:
    """Stands in for the engine: notes how many are worked on at once, and what each was told."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[str] = []
        self.at_once: dict[str, int] = {}
        self.was_kept = set[bool]()
        self._lock = threading.Lock()

    def compress_file(self, source: Path, _target: Path, *, policy: RunPolicy, **_rest: object) -> Receipt:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(source.name)
            self.at_once[source.name] = policy.at_once
            self.was_kept.add(nursery.kept() is not None)
        time.sleep(0.03)
        with self._lock:
            self.now -= 1
        return receipts.receipt(input=source.name)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    played = Machine()
    monkeypatch.setattr(batch, "compress_file", played.compress_file)
    return played


def items(folder: Path, *sizes: int) -> list[Item]:
    made = []
    for number, size in enumerate(sizes):
        source = folder / f"{number}.mp4"
        with source.open("wb") as file:
            file.truncate(size)
        made.append(Item(source=source, target=folder / f"{number}.out.mp4"))
    return made


@pytest.mark.parametrize(
    ("cores", "jobs", "sizes", "most", "at_once"),
    [
        (2, None, (1000,) * 6, 2, {2}),
        (2, None, (LARGE,) * 4, 1, {1}),
        (8, None, (LARGE,) * 9, 4, {4}),
        (8, None, (1000,) * 12, 8, {8}),
        (3, None, (LARGE, 1000, LARGE, 1000), 2, {1, 3}),
        (1, None, (1000, LARGE), 1, {1}),
        (8, 3, (1000, LARGE) * 4, 3, {3}),
        (2, 4, (LARGE,) * 6, 4, {4}),
        (8, None, (1000, 1000), 2, {2}),
    ],
)
def test_small_ones_have_a_core_each_and_others_two(
    tmp_path: Path, machine: Machine, cores: int, jobs: int | None, sizes: tuple[int, ...], most: int, at_once: set[int]
) -> None:
    todo = items(tmp_path, *sizes)
    done = run_batch(todo, host=factories.host(cores=cores), request=Request(), policy=RunPolicy(), jobs=jobs)
    assert [each.input for each in done] == [item.source.name for item in todo]
    assert machine.most == most
    assert set(machine.at_once.values()) == at_once, "each is charged its share of the machine"


def test_a_machine_with_little_memory_gives_each_two_cores() -> None:
    roomy, tight = factories.host(cores=4, memory_mb=4 * 700), factories.host(cores=4, memory_mb=4 * 699)
    unknown = factories.host(cores=4, memory_mb=None)
    assert [cores_for(SMALL_BYTES, host) for host in (roomy, tight, unknown)] == [1, 2, 1]
    assert cores_for(LARGE, roomy) == 2


def test_a_process_to_look_with_is_kept_for_several_and_not_for_one(tmp_path: Path, machine: Machine) -> None:
    todo = items(tmp_path, 1000, 1000)
    run_batch(todo, host=factories.host(cores=2), request=Request(), policy=RunPolicy())
    assert machine.was_kept == {True}
    assert nursery.kept() is None
    machine.was_kept.clear()
    run_batch(todo[:1], host=factories.host(cores=2), request=Request(), policy=RunPolicy())
    assert machine.was_kept == {False}


def test_what_is_not_there_is_an_input_like_others(tmp_path: Path, machine: Machine) -> None:
    todo = [*items(tmp_path, 1000), Item(source=tmp_path / "none.mp4", target=tmp_path / "none.out.mp4")]
    todo.append(Item(source=tmp_path / ("x" * 300), target=tmp_path / "long.out.mp4"))
    todo.append(Item(source=tmp_path / "nul\0.mp4", target=tmp_path / "nul\0" / "out.mp4"))
    refuse_clashes(todo)
    assert len(run_batch(todo, host=factories.host(cores=2), request=Request(), policy=RunPolicy())) == 4


@pytest.mark.media
def test_many_short_files_some_of_them_bad_each_get_their_own_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reelpress.probe.host import probe_host

    good = clips.with_sound(tmp_path / "good.mp4")
    todo = []
    for number in range(6):
        source = tmp_path / f"{number}.mp4"
        source.write_bytes(b"no video" if number % 3 == 1 else good.read_bytes())
        todo.append(Item(source=source, target=tmp_path / f"{number}.out.mp4"))
    own = list[object]()
    monkeypatch.setattr("reelpress.probe.media.run", lambda *given, **_: own.append(given))
    request = Request(always_encode=True, preset="ultrafast", hardware="off")
    done = run_batch(todo, host=probe_host(), request=request, policy=RunPolicy())
    assert own == [], "no look started a process of its own"
    assert [each.status for each in done] == ["encoded", "rejected", "encoded"] * 2
    assert [Path(each.input).name for each in done] == [item.source.name for item in todo]
    assert {each.error_code for each in done if each.status == "rejected"} == {"input_unusable"}
    assert all(g.verdict == "passed" for each in done for g in each.gates)
    assert all(stage.cpu_s > 0 for each in done[::3] for stage in each.stages if stage.name in ("probe", "check"))


@pytest.mark.media
def test_what_is_cancelled_midway_leaves_receipts_for_all_and_no_process(tmp_path: Path) -> None:
    from reelpress.probe.host import probe_host

    good = clips.with_sound(tmp_path / "good.mp4")
    todo = [Item(source=good, target=tmp_path / f"{number}.out.mp4") for number in range(12)]
    cancel = CancelToken()
    threading.Timer(0.8, cancel.cancel).start()
    request = Request(always_encode=True, preset="slow", hardware="off")
    done = run_batch(todo, host=probe_host(), request=request, policy=RunPolicy(), cancel=cancel)
    assert len(done) == 12
    assert done[-1].status == "cancelled"
    assert {each.status for each in done} <= {"encoded", "cancelled"}
    assert {path.name for path in tmp_path.glob("*.out.mp4")} == {
        Path(each.output).name for each in done if each.output is not None
    }
    assert not list(tmp_path.glob(".*reelpress-part"))
    assert nursery.kept() is None


@pytest.mark.parametrize("what", ["listed", "looked at"])
def test_nothing_of_a_folder_is_left_out_unsaid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str) -> None:
    """A folder that is closed, or a file server that does not answer: each gets a receipt that says so."""
    closed = tmp_path / "closed"
    closed.mkdir()
    for file in (tmp_path / "a.mp4", closed / "b.mp4"):
        file.write_bytes(b"x")
    real_scan, real_stat = os.scandir, os.stat

    def scan(path: str) -> object:
        if what == "listed" and Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real_scan(path)

    def stat(path: object, **more: object) -> object:
        if what == "looked at" and str(path).endswith("b.mp4"):
            raise OSError(116, "Stale file handle", str(path))
        return real_stat(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "stat", stat)
    found = {item.source for item in collect([tmp_path], None)}
    assert found == {tmp_path / "a.mp4", closed if what == "listed" else closed / "b.mp4"}


def closed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a folder not be listed, or looked into, as the system keeps others than root from it."""
    real_scan, real_stat, real_lstat = os.scandir, os.stat, os.lstat

    def refuse(path: object) -> None:
        if isinstance(path, str | os.PathLike) and folder in Path(path).absolute().parents:
            raise PermissionError(13, "Permission denied", str(path))

    def scan(path: str) -> object:
        if Path(path).absolute() == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real_scan(path)

    def stat(path: object, **more: object) -> object:
        refuse(path)
        return real_stat(path, **more)  # type: ignore[arg-type]

    def lstat(path: object, **more: object) -> object:
        refuse(path)
        return real_lstat(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "lstat", lstat)


@pytest.mark.parametrize("output", ["out/", None])
def test_a_named_folder_that_cannot_be_listed_is_one_input_whatever_the_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str | None
) -> None:
    (tmp_path / "films").mkdir()
    closed(monkeypatch, tmp_path / "films")
    (item,) = collect([tmp_path / "films"], output)
    assert item.source == tmp_path / "films"
    assert item.target == (Path("out/films.mp4") if output else tmp_path / "films.compressed.mp4")
    monkeypatch.chdir(tmp_path / "films")
    (item,) = collect([Path()], output)
    assert item.target == (Path("out/films.mp4") if output else Path(".compressed.mp4"))


def test_a_folder_of_outputs_that_cannot_be_looked_at_is_left_to_each_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inputs = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    (tmp_path / "closed").mkdir()
    closed(monkeypatch, tmp_path / "closed")
    for output in (tmp_path / "closed" / "new", tmp_path / ("x" * 300)):
        assert [item.target for item in collect(inputs, output)] == [output / "a.mp4", output / "b.mp4"]


def test_a_folder_of_outputs_that_is_a_link_in_circles_is_left_to_each_job(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(b"x")
    (tmp_path / "out").symlink_to("out")
    (item,) = collect([tmp_path / "in"], tmp_path / "out")
    assert item.target == tmp_path / "out" / "a.mp4"


@pytest.mark.parametrize("name", ["small.mkv", "small.WEBM", "small.avi", "small.ts"])
def test_an_output_named_as_another_container_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.mov").write_bytes(b"x")
    with pytest.raises(UsageError) as raised:
        collect([tmp_path / "a.mov"], tmp_path / name)
    assert (raised.value.what, raised.value.hint) == (
        f"-o {tmp_path / name} would be an MP4, whatever its name says.", "Name it small.mp4.",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["small.mp4", "small.M4V", "small.mov", "small", "small.v2"])
def test_an_output_may_have_any_other_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"x")
    (item,) = collect([tmp_path / "a.mkv"], tmp_path / name)
    assert item.target == tmp_path / name
