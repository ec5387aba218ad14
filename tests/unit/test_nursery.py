"""Looks that are forked from one process: the same facts, the same limits, and no file that another has to pay for."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reelpress.cli.early import first_look
from reelpress.errors import Cancelled, InputError
from reelpress.probe import nursery, start
from reelpress.probe.media import ProbeLimits, for_many_files, probe
from reelpress.probe.media_request import Decoding
from reelpress.probe.ready import ReadyProbe
from reelpress.run.ahead import Ahead
from reelpress.run.process import CancelToken

import clips

pytestmark = pytest.mark.media

# Stands in for what looks at a file: what each of the names it is given does to its process.
PLAYED = """
import sys; sys.path[:0] = sys.argv[1:]
import os, resource, time
from reelpress.probe import media_child, nursery_child
real = media_child.answer
def answer(request):
    name = os.path.basename(request.path).decode()
    if name.startswith("segv"): os.kill(os.getpid(), 11)
    if name.startswith("exit"): os._exit(3)
    if name.startswith("memory"): return bytearray(1 << 40)
    if name.startswith("spin"):
        while True: pass
    if name.startswith("sleep"): time.sleep(60)
    if name.startswith("stop"): os.kill(os.getpid(), 19)
    if name.startswith("junk"): os.write(1, b"{"); os._exit(0)
    if name.startswith("held"):
        os.write(2, ("ValueError: " + " ".join(sorted(os.listdir("/proc/self/fd"), key=int))).encode()); os._exit(1)
    if name.startswith("write"): os.write(os.open(request.path + b".made", os.O_CREAT | os.O_WRONLY), b"x")
    return real(request)
nursery_child.answer = answer
nursery_child.main()
"""


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(no_descriptor_left: None) -> Iterator[None]:
    yield
    assert nursery.kept() is None


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    whole = clips.plain(tmp_path / "whole.mp4", seconds=1.0)

    def named(name: str) -> Path:
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(whole.read_bytes())
        return path

    return named


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(start, "NURSERY", PLAYED)
    with for_many_files():
        yield


def mother() -> int:
    """The number of the process that others are forked from, which is up."""
    kept = nursery.kept()
    assert kept is not None
    kept.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int((path / "stat").read_text().rpartition(")")[2].split()[1]) != os.getpid():
                    continue
                if (path / "comm").read_bytes().strip() == b"reelpress-look":
                    return int(path.name)
        time.sleep(0.01)
    raise AssertionError("there is none")


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def refused(path: Path, **limits: float) -> InputError:
    with pytest.raises(InputError) as caught:
        probe(path, limits=ProbeLimits(**limits))  # type: ignore[arg-type]
    return caught.value


def test_the_facts_are_those_of_a_process_of_its_own(tmp_path: Path) -> None:
    made = [
        clips.with_sound(tmp_path / "sound.mp4"), clips.variable(tmp_path / "variable.mkv"),
        clips.plain(tmp_path / "stream.ts"), clips.plain(tmp_path / "long name \u00e4.mov", seconds=1.0),
    ]  # fmt: skip
    bytes_name = os.fsencode(tmp_path) + b"/\xff.mp4"
    Path(os.fsdecode(bytes_name)).write_bytes(made[0].read_bytes())
    made.append(Path(os.fsdecode(bytes_name)))
    alone = [probe(path) for path in made]
    spent: list[float] = []
    with for_many_files():
        assert [probe(path, spend=spent.append) for path in made] == alone
        one = mother()
        assert [probe(path) for path in made] == alone
        assert mother() == one, "all are of one process"
    assert all(0 < cpu_s < 5 for cpu_s in spent)
    assert not is_alive(one)


def test_a_command_for_one_file_looks_at_input_and_output_from_one_process(tmp_path: Path) -> None:
    clip, cancel = clips.plain(tmp_path / "clip.mp4"), CancelToken()
    with for_many_files(Ahead(start.NURSERY, start.roots())), first_look([str(clip)], cancel) as look:
        assert look is not None
        assert look.result().facts == probe(clip)
        one = mother()
        with ReadyProbe(cancel, 1.0) as ready:
            ready.start()
            assert ready.look(clip, Decoding(threads=2), lambda _: None)[0].main_video == probe(clip).main_video
        assert mother() == one
    assert not is_alive(one)


def test_one_that_was_started_ahead_is_followed_by_another_when_it_goes(tmp_path: Path) -> None:
    clip = clips.plain(tmp_path / "clip.mp4", seconds=1.0)
    with for_many_files(Ahead(start.NURSERY, start.roots())):
        facts, one = probe(clip), mother()
        os.kill(one, signal.SIGKILL)
        assert probe(clip) == facts  # by a process of its own, or by the next
        assert probe(clip) == facts
        assert mother() != one
    assert not is_alive(one)


def test_one_that_was_started_ahead_in_vain_is_ended() -> None:
    with for_many_files():
        mine = mother()
        spare = Ahead(start.NURSERY, start.roots())
        with for_many_files(spare):
            assert spare.has_ended()
            assert mother() == mine


def test_one_that_cannot_start_costs_its_start(tmp_path: Path) -> None:
    clip = clips.plain(tmp_path / "clip.mp4", seconds=1.0)
    with for_many_files(Ahead("raise SystemExit(9)", ())):
        assert probe(clip).main_video is not None
        assert nursery.kept() is not None


def test_a_program_started_ahead_has_its_line_and_nothing_else_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFREPORT", "file=x")
    told = (
        "import os, socket; s = socket.socket(fileno=0); s.send(repr((sorted(os.listdir('/proc/self/fd')), "
        "'FFREPORT' in os.environ, os.getsid(0) == os.getpid())).encode()); s.recv(1)"
    )
    with tempfile.TemporaryFile():
        ahead = Ahead(told, ())
        with socket.socket(fileno=ahead.take_line()) as line:
            line.settimeout(20)
            names, has_report, leads = ast.literal_eval(line.recv(4096).decode())
            assert not ahead.has_ended()
        ahead.end()
    assert ahead.has_ended()
    assert names == ["0", "1", "2", "3"]  # the last lists them
    assert (has_report, leads) == (False, True)


def test_a_probe_that_stands_ready_is_of_the_nursery_too(tmp_path: Path) -> None:
    clip = clips.plain(tmp_path / "clip.mp4")
    with for_many_files(), ReadyProbe(CancelToken(), 1.0) as ready:
        ready.start()
        one = mother()
        assert children(one) == []
        assert ready.look(clip, Decoding(threads=2), lambda _: None)[0].main_video is not None
        assert mother() == one


@pytest.mark.parametrize(
    ("name", "reason", "evidence"),
    [
        ("segv", "crashed", "SIGSEGV"),
        ("exit", "crashed", "exit code 3"),
        ("junk", "crashed", None),
        ("memory", "too_costly", None),
        ("spin", "too_costly", "1 s of CPU"),
        ("write", "crashed", "File too large"),
    ],
)
def test_a_file_that_ruins_its_process_ruins_nothing_else(
    played: None, file: Callable[[str], Path], name: str, reason: str, evidence: str | None
) -> None:
    good, bad = file("good"), file(name)
    assert probe(good).main_video is not None
    one = mother()
    error = refused(bad, cpu_s=1, wall_s=30)
    assert error.reason == reason
    assert evidence is None or evidence in (error.evidence or "")
    assert probe(good).main_video is not None
    assert mother() == one, "what others are forked from has nothing to do with it"
    assert children(one) == []


def test_one_that_hangs_is_ended_in_its_time_while_others_are_looked_at(
    played: None, file: Callable[[str], Path]
) -> None:
    good, bad = file("good"), [file("sleep"), file("stop")]
    with ThreadPoolExecutor(3) as pool:
        hung = [pool.submit(refused, path, wall_s=1.5) for path in bad]
        time.sleep(0.3)
        for _ in range(3):
            assert probe(good).main_video is not None
        assert not any(each.done() for each in hung)
        assert {each.result().reason for each in hung} == {"too_costly"}
    one = mother()
    deadline = time.monotonic() + 5
    while children(one) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert children(one) == []


def test_a_cancelled_look_ends_at_once_and_alone(played: None, file: Callable[[str], Path]) -> None:
    cancel, began = CancelToken(), time.monotonic()
    probe(file("good"))
    threading.Timer(0.3, cancel.cancel).start()
    with pytest.raises(Cancelled):
        probe(file("sleep"), cancel=cancel)
    assert time.monotonic() - began < 10
    assert probe(file("good")).main_video is not None


def test_a_process_holds_nothing_of_others(played: None, file: Callable[[str], Path]) -> None:
    """Neither the socket of orders, nor the pipes of one who is looked at beside it."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(refused, file("sleep"), wall_s=2.0)
        time.sleep(0.5)
        told = refused(file("held")).evidence or ""
        other.result()
    # 3 is what lists them
    assert told.endswith("ValueError: 0 1 2 3")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_when_the_process_they_come_from_dies_files_are_looked_at_all_the_same(
    played: None, file: Callable[[str], Path], number: signal.Signals
) -> None:
    slow, good = file("sleep"), file("good")
    probe(good)
    one = mother()
    with ThreadPoolExecutor(1) as pool:
        # what plays the hanging file is the nursery alone: its second look is by a process of its own
        looked = pool.submit(probe, slow)
        deadline = time.monotonic() + 10
        while not children(one) and time.monotonic() < deadline:
            time.sleep(0.01)
        (at_work,) = children(one)
        os.kill(one, number)
        assert looked.result().main_video is not None
    assert not is_alive(at_work)
    assert probe(good).main_video is not None
    assert mother() != one, "another was started"


def test_one_that_cannot_start_is_done_without(file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "NURSERY", "raise SystemExit(9)")
    with for_many_files():
        kept = nursery.kept()
        assert kept is not None
        for _ in range(5):
            assert probe(file("good")).main_video is not None
        assert kept.start() is None, "it is not tried for ever"


def test_one_that_begins_nothing_is_not_waited_for(
    file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "NURSERY", "import time; time.sleep(60)")
    monkeypatch.setattr(nursery, "_BEGIN_S", 0.3)
    with for_many_files():
        assert probe(file("good")).main_video is not None


def test_it_goes_when_nobody_asks_and_comes_again(file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "NURSERY", PLAYED.replace("nursery_child.main()", ""
        "nursery_child.IDLE_S = 0.2; nursery_child.main()"))  # fmt: skip
    good = file("good")
    with for_many_files():
        for _ in range(5):  # more often than it may end badly
            assert probe(good).main_video is not None
            one = mother()
            deadline = time.monotonic() + 10
            while is_alive(one) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not is_alive(one)


def test_two_who_keep_one_share_it_and_the_last_ends_it(file: Callable[[str], Path]) -> None:
    good = file("good")
    with for_many_files():
        probe(good)
        one = mother()
        with for_many_files():
            assert mother() == one
        assert probe(good).main_video is not None
        assert mother() == one


def test_many_ask_at_once(tmp_path: Path) -> None:
    made = {size: clips.plain(tmp_path / f"{size}.mp4", size=size, seconds=0.4) for size in ("320x180", "160x120")}
    with for_many_files(), ThreadPoolExecutor(8) as pool:
        asked = [(size, pool.submit(probe, path)) for _ in range(12) for size, path in made.items()]
        for size, each in asked:
            track = each.result().main_video
            assert track is not None
            assert f"{track.width}x{track.height}" == size
