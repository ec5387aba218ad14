"""Slots within one process, and over processes that are killed, stopped, many and impatient."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelpress.errors import OutputError, UsageError
from reelpress.run.host_state import FileLock, host_folder, is_still, private_folder, read_value, replace_value
from reelpress.run.process import CancelToken, run
from reelpress.run.slots import RISE_S, UNMEASURED, Cap, GpuSlots, Load

A, B = "GPU-aaaa", "GPU-bbbb"
SRC = Path(__file__).parents[2] / "src"


def take(slots: GpuSlots, *gpus: str, patience_s: float = 0.0, **kwargs):
    return slots.acquire(gpus or (A,), patience_s=patience_s, **kwargs)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_gpu_has_as_many_slots_as_were_measured_and_no_more(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 2})
    first, second = take(slots), take(slots)
    assert (first.gpu, {first.slot, second.slot}, slots.held(A)) == (A, {0, 1}, 2)
    assert take(slots) is None
    first.release()
    first.release()
    assert slots.held(A) == 1
    with take(slots) as third:
        assert third.slot == first.slot
        assert take(slots) is None
    assert slots.held(A) == 1
    second.release()


def test_an_unmeasured_gpu_starts_with_a_documented_value(tmp_path: Path):
    slots = GpuSlots(tmp_path)
    leases = [take(slots) for _ in range(UNMEASURED + 1)]
    assert [lease is None for lease in leases] == [False] * UNMEASURED + [True]


def test_two_objects_and_two_capacities_see_the_same_slots(tmp_path: Path):
    wide, narrow = GpuSlots(tmp_path, {A: 4}), GpuSlots(tmp_path, {A: 2})
    held = [take(wide) for _ in range(3)]
    assert narrow.held(A) == 3
    assert take(narrow) is None
    held[0].release()
    held[1].release()
    assert take(narrow).slot in (0, 1)
    assert slots_of(tmp_path) == 4 - 1


def slots_of(folder: Path) -> int:
    return len(list(folder.glob("*.slot-*")))


def test_the_least_loaded_gpu_is_taken(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 4, B: 2})
    assert take(slots, A, B).gpu == A
    assert take(slots, A, B).gpu == B  # 0/2 against 1/4
    assert take(slots, A, B).gpu == A  # 1/4 against 1/2
    busy = {A: Load(90, 100), B: Load(10, 100)}
    assert take(slots, A, B, load=lambda: busy).gpu == B  # 2/4 against 1/2: the encoders decide
    fresh = GpuSlots(tmp_path / "fresh", {A: 4, B: 4})
    assert take(fresh, A, B, load=lambda: {A: Load(50, 100), B: Load(50, 900)}).gpu == B


def test_a_gpu_that_is_named_last_is_taken_where_no_other_has_room(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 4, B: 1})
    idle = {A: Load(0, 1000), B: Load(90, 100)}
    other = take(slots, A, B, last={A}, load=lambda: idle)
    assert other.gpu == B
    assert take(slots, A, B, last={A}, load=lambda: idle).gpu == A


def test_nobody_is_asked_about_the_load_of_a_single_gpu(tmp_path: Path):
    assert take(GpuSlots(tmp_path), A, load=lambda: pytest.fail("asked")).gpu == A


def test_no_candidates_is_no_slot(tmp_path: Path):
    assert GpuSlots(tmp_path).acquire((), patience_s=5) is None


def test_nobody_is_asked_about_loads_while_there_is_no_choice(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 1, B: 1})
    with take(slots, A), take(slots, A, B, load=lambda: pytest.fail("asked")) as other:
        assert other.gpu == B
        assert take(slots, A, B, patience_s=0.1, load=lambda: pytest.fail("asked")) is None


def test_names_that_are_no_file_names_are_gpus_too(tmp_path: Path):
    slots = GpuSlots(tmp_path, {"../x*": 1, "\udcff": 1})
    assert take(slots, "../x*").gpu == "../x*"
    assert take(slots, "../x*") is None
    assert take(slots, "\udcff") is not None
    assert {path.parent for path in tmp_path.rglob("*.slot-*")} == {tmp_path}


def test_who_waits_gets_the_slot_when_it_is_free(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 1})
    lease = take(slots)
    threading.Timer(0.3, lease.release).start()
    second = take(slots, patience_s=5)
    assert 0.2 < second.waited_s < 3
    assert not list(tmp_path.glob("ticket-*"))


def test_patience_ends(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 1})
    lease = take(slots)
    started = time.monotonic()
    assert take(slots, patience_s=0.3) is None
    assert 0.25 < time.monotonic() - started < 3
    assert not list(tmp_path.glob("ticket-*"))
    lease.release()


def test_a_wish_to_stop_ends_the_wait(tmp_path: Path):
    slots, cancel = GpuSlots(tmp_path, {A: 1}), CancelToken()
    lease = take(slots)
    threading.Timer(0.2, cancel.cancel).start()
    started = time.monotonic()
    assert take(slots, patience_s=60, cancel=cancel) is None
    assert time.monotonic() - started < 5
    lease.release()
    assert take(slots, cancel=cancel) is None


def test_a_refusal_lowers_the_number_for_everybody_and_time_raises_it_by_one(tmp_path: Path):
    clock = Clock()
    slots, other = (GpuSlots(tmp_path, {A: 6}, clock=clock) for _ in range(2))
    leases = [take(slots) for _ in range(4)]
    assert leases[3].refused() == 3
    leases[3].release()
    assert other.capacity(A) == 3
    assert take(other) is None
    clock.now += RISE_S - 1
    assert other.capacity(A) == 3
    clock.now += 1
    assert other.capacity(A) == 4
    assert take(other).refused() == 3
    clock.now += 100 * RISE_S
    assert other.capacity(A) == 6  # never more than was configured
    clock.now = 0  # set back: nothing rises, nothing breaks
    assert other.capacity(A) == 3
    for lease in leases:
        lease.release()


def test_one_encode_at_a_time_is_always_tried(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 3, B: 0})
    assert take(slots).refused() == 1
    assert slots.lower(A, -5) == 1
    assert slots.capacity(B) == 1


def test_a_torn_cap_is_no_cap(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 3})
    (tmp_path / f"{A}.cap").write_bytes(b'{"sess')
    assert slots.capacity(A) == 3
    replace_value(tmp_path / f"{A}.cap", Cap(sessions=2, at=time.time()))
    assert slots.capacity(A) == 2
    assert read_value(tmp_path / "absent", Cap) is None


# Processes.

CHILD = """
import os, sys, time
from pathlib import Path
from reelpress.run.slots import GpuSlots
slots = GpuSlots(Path(sys.argv[1]), {"GPU-aaaa": int(sys.argv[2])})
"""
HOLD = CHILD + "lease = slots.acquire(('GPU-aaaa',), patience_s=20); print(lease.slot, flush=True); time.sleep(600)"


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def start(children: list, code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    children.append(
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(SRC)})
    )
    return children[-1]


def until(condition, timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_holder_frees_its_slot_at_once(tmp_path: Path, children: list):
    slots = GpuSlots(tmp_path, {A: 1})
    holder = start(children, HOLD, tmp_path, 1)
    assert holder.stdout.readline() == "0\n"
    assert take(slots) is None
    holder.kill()
    holder.wait()
    with take(slots) as lease:
        assert lease.slot == 0


def test_what_a_holder_started_does_not_keep_its_slot(tmp_path: Path, children: list):
    code = HOLD.replace(
        "time.sleep(600)",
        "import subprocess; child = subprocess.Popen(['sleep', '600'], close_fds=False)\n"
        "print(child.pid, flush=True); time.sleep(600)",
    )
    holder = start(children, code, tmp_path, 1)
    assert holder.stdout.readline() == "0\n"
    orphan = int(holder.stdout.readline())
    try:
        holder.kill()
        holder.wait()
        assert take(GpuSlots(tmp_path, {A: 1})) is not None
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_forked_child_neither_keeps_nor_frees_its_parents_slot(tmp_path: Path, children: list):
    code = HOLD.replace(
        "time.sleep(600)",
        "pid = os.fork()\nlease.release() if pid == 0 else print(pid, flush=True)\ntime.sleep(600)",
    )
    holder = start(children, code, tmp_path, 1)
    assert holder.stdout.readline() == "0\n"
    child = int(holder.stdout.readline())
    try:
        slots = GpuSlots(tmp_path, {A: 1})
        time.sleep(0.2)
        assert take(slots) is None
        holder.kill()
        holder.wait()
        assert take(slots) is not None
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_dead_waiter_does_not_hold_up_the_line(tmp_path: Path, children: list):
    slots = GpuSlots(tmp_path, {A: 1})
    lease = take(slots)
    waiter = start(children, HOLD, tmp_path, 1)
    until(lambda: list(tmp_path.glob("ticket-*")))
    waiter.kill()
    waiter.wait()
    lease.release()
    assert take(slots) is not None
    assert not list(tmp_path.glob("ticket-*"))


def test_a_stopped_waiter_is_passed_over_and_keeps_its_place(tmp_path: Path, children: list, monkeypatch):
    monkeypatch.setattr("reelpress.run.slots._STALE_S", 2.0)
    slots = GpuSlots(tmp_path, {A: 1})
    lease = take(slots)
    waiter = start(children, HOLD, tmp_path, 1)
    until(lambda: list(tmp_path.glob("ticket-*")))
    lease.release()
    assert waiter.stdout.readline() == "0\n"  # first in line
    second = start(children, HOLD, tmp_path, 1)
    until(lambda: list(tmp_path.glob("ticket-*")))
    with FileLock.take(tmp_path / "slots.lock", 10):  # one that is stopped with it stops them all
        second.send_signal(signal.SIGSTOP)
        until(lambda: Path(f"/proc/{second.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    waiter.kill()
    waiter.wait()
    assert take(slots) is None  # it may still be alive
    with take(slots, patience_s=10):
        assert list(tmp_path.glob("ticket-*"))
        second.send_signal(signal.SIGCONT)
    assert second.stdout.readline() == "0\n"


def test_first_come_first_served(tmp_path: Path, children: list):
    slots = GpuSlots(tmp_path, {A: 1})
    lease = take(slots)
    code = CHILD + (
        "with slots.acquire(('GPU-aaaa',), patience_s=30) as lease: (Path(sys.argv[1]) / 'order').open('a').write("
        "sys.argv[3]); time.sleep(0.05)"
    )
    for number in range(5):
        start(children, code, tmp_path, 1, number)
        until(lambda: len(list(tmp_path.glob("ticket-*"))) == number + 1)  # noqa: B023
    lease.release()
    for child in children:
        assert child.wait(30) == 0
    assert (tmp_path / "order").read_text() == "01234"


WORK = (
    CHILD
    + """
import fcntl
log = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
worst = 0.0
for n in range(10):
    lease = slots.acquire(("GPU-aaaa",), patience_s=60)
    assert lease is not None
    worst = max(worst, lease.waited_s)
    os.write(log, f"+{lease.slot}\\n".encode())
    time.sleep(0.01 + 0.002 * (n % 5))
    os.write(log, f"-{lease.slot}\\n".encode())
    lease.release()
print(worst)
"""
)


def test_sixty_short_encodes_of_six_processes_never_exceed_the_cap_and_all_get_through(tmp_path: Path, children: list):
    log = tmp_path / "log"
    log.touch()
    workers = [start(children, WORK, tmp_path / "slots", 2, log) for _ in range(6)]
    for worker in workers:
        assert worker.wait(120) == 0
    held: set[str] = set()
    most = 0
    for line in log.read_text().splitlines():
        if line[0] == "+":
            assert line[1:] not in held
            held.add(line[1:])
        else:
            held.remove(line[1:])
        most = max(most, len(held))
    assert most == 2
    assert held == set()
    # each waits for five others, twice over at most; far less than the whole
    assert max(float(worker.stdout.read()) for worker in workers) < 10
    assert GpuSlots(tmp_path / "slots").held(A) == 0


def test_many_killed_holders_leave_nothing_behind(tmp_path: Path, children: list):
    for _ in range(3):
        holders = [start(children, HOLD, tmp_path, 3) for _ in range(3)]
        assert sorted(holder.stdout.readline() for holder in holders) == ["0\n", "1\n", "2\n"]
        for holder in holders:
            holder.kill()
            holder.wait()
    assert GpuSlots(tmp_path).held(A) == 0


def test_threads_do_not_share_a_slot(tmp_path: Path):
    slots = GpuSlots(tmp_path, {A: 2})
    now, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        for _ in range(3):
            with slots.acquire((A,), patience_s=60):
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                time.sleep(0.005)
                with lock:
                    now[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (now, most) == ([0], [2])


def test_programs_we_run_do_not_inherit_the_lock(tmp_path: Path):
    with take(GpuSlots(tmp_path)):
        names = run(["sh", "-c", "readlink /proc/self/fd/*"]).stdout.decode()
    assert "/dev/null" in names or "pipe:" in names
    assert str(tmp_path) not in names


# The folder.


def test_the_folder_is_ours_alone(tmp_path: Path):
    folder = host_folder({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert folder == tmp_path / "reelpress"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    assert host_folder({"XDG_RUNTIME_DIR": str(tmp_path)}) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_runtime_folder_it_is_in_tmp(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    wanted = tmp_path / f"reelpress-{os.geteuid()}"
    assert host_folder({}) == host_folder({"XDG_RUNTIME_DIR": "relative"}) == wanted
    assert host_folder({"XDG_RUNTIME_DIR": "/nonexistent/by/far"}) == wanted


def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path, monkeypatch):
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="not a folder of ours"):
        private_folder(link)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        private_folder(tmp_path / "file")
    (tmp_path / "theirs").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(UsageError) as caught:
        private_folder(tmp_path / "theirs")
    assert caught.value.hint


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path):
    with pytest.raises(OutputError, match="cannot be kept"):
        private_folder(tmp_path / "absent" / "folder")
    slots = GpuSlots(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(OutputError):
        take(slots)


def test_a_file_is_still_the_one_of_its_name_until_it_is_moved_replaced_or_linked_to(tmp_path: Path):
    path, moved = tmp_path / "x", tmp_path / "moved"
    with path.open("w") as file:
        assert is_still(file.fileno(), path)
        path.rename(moved)
        assert not is_still(file.fileno(), path)
        path.symlink_to(moved)
        assert not is_still(file.fileno(), path), "whoever made the link decides where it leads"
        path.unlink()
        path.touch()
        assert not is_still(file.fileno(), path)
        os.link(moved, tmp_path / "second")
        assert is_still(file.fileno(), tmp_path / "second")


def test_a_lock_whose_file_was_removed_is_taken_on_the_new_file(tmp_path: Path):
    path = tmp_path / "x"
    first = FileLock.try_take(path)
    path.unlink()
    second = FileLock.try_take(path)
    assert second is not None
    assert FileLock.take(path, 0.05) is None
    first.release()
    second.release(remove=True)
    assert not path.exists()
