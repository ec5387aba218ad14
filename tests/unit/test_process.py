import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from reelpress.errors import ReelpressError, UsageError
from reelpress.run import child
from reelpress.run.process import CancelToken, Finished, Limits, run

MIB = 2**20


def python(script: str, *arguments: str, **options: object) -> Finished:
    return run([sys.executable, "-I", "-S", "-c", textwrap.dedent(script), *arguments], **options)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def comes_true(claim, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def children() -> set[str]:
    """Processes of ours, the dead that nobody reaped among them."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(stat.parent.name)
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(no_descriptor_left):
    known = children()
    yield
    assert children() <= known


def test_a_program_that_succeeds():
    done = run(["sh", "-c", "echo out; echo talk >&2"])
    assert (done.returncode, done.stdout, done.stderr_tail, done.stopped) == (0, b"out\n", "talk\n", None)
    assert done.argv == ("sh", "-c", "echo out; echo talk >&2")
    assert done.wall_s > 0


def test_an_exit_code_is_a_result_and_not_an_error():
    assert run(["sh", "-c", "exit 69"]).returncode == 69


def test_a_signal_is_a_negative_returncode_and_not_our_stop():
    done = run(["sh", "-c", "kill -SEGV $$"])
    assert (done.returncode, done.stopped) == (-signal.SIGSEGV, None)
    assert run(["sh", "-c", "kill -KILL $$"]).stopped is None


def test_arguments_arrive_as_they_are_and_no_shell_reads_them():
    strange = ["$HOME", "a b", "", "'\"", "*", "ж🎬", os.fsdecode(b"\xff\xfe"), "\n"]
    done = python("import os, sys; os.write(1, b'|'.join(map(os.fsencode, sys.argv[1:])))", *strange)
    assert done.stdout == b"|".join(map(os.fsencode, strange))


def test_stdin_is_empty_unless_given():
    assert run(["cat"]).stdout == b""
    assert run(["cat"], stdin=b"\0" * 3 * MIB).stdout == b"\0" * 3 * MIB


def test_variables_are_added_to_the_environment(monkeypatch):
    monkeypatch.setenv("REELPRESS_TEST_KEPT", "kept")
    done = run(["sh", "-c", "echo $REELPRESS_TEST_KEPT $ADDED"], env={"ADDED": "x"})
    assert done.stdout == b"kept x\n"


def test_a_program_that_does_not_read_its_stdin():
    assert run(["sh", "-c", "exec <&-; exit 3"], stdin=b"x" * 4 * MIB).returncode == 3


def test_much_output_on_both_pipes_does_not_deadlock():
    done = python(
        """
        import os
        for _ in range(200):
            os.write(2, b"e" * 9999 + b"\\n")
            os.write(1, b"o" * 10000)
        """
    )
    assert (done.returncode, len(done.stdout)) == (0, 2_000_000)


def test_stderr_is_a_bounded_tail_in_whole_lines():
    done = python("import sys\nfor n in range(50_000): print('line', n, file=sys.stderr)")
    lines = done.stderr_tail.splitlines()
    assert 60_000 < len(done.stderr_tail) <= 64 * 1024
    assert lines[-1] == "line 49999"
    first = int(lines[0].removeprefix("line "))
    assert lines == [f"line {n}" for n in range(first, 50_000)]


def test_lines_that_matter_are_kept_from_before_the_tail_once_for_each_kind():
    done = python(
        """
        import sys
        for n in range(50_000):
            print(f"[error] no frame {n}" if n % 7 == 0 else f"line {n}", file=sys.stderr)
            if n in (100, 30_000):
                print(f"[error] GPU {n} is gone", file=sys.stderr)
        """,
        keep_stderr=lambda line: line.startswith(b"[error]"),
    )
    lines = done.stderr_tail.splitlines()
    assert lines[:2] == ["[error] no frame 0", "[error] GPU 100 is gone"]
    assert lines[-1] == "line 49999"
    first = int(lines[2].split()[-1])
    assert lines[2:] == [f"[error] no frame {n}" if n % 7 == 0 else f"line {n}" for n in range(first, 50_000)]


def test_what_is_kept_from_before_the_tail_is_bounded_too():
    done = python(
        "import sys\nfor n in range(40_000): print('kind', 'x' * (n % 9_000), file=sys.stderr)",
        keep_stderr=lambda _line: True,
    )
    assert len(done.stderr_tail) <= 80 * 1024


def test_stderr_that_is_not_text_and_carriage_returns():
    done = run(["printf", ""])
    assert done.stderr_tail == ""
    done = python(r"import os; os.write(2, b'frame=1\rframe=2\r\nbad \xff\n')")
    assert done.stderr_tail == "frame=1\nframe=2\nbad \ufffd\n"


def test_a_long_stdout_is_cut_and_says_so():
    done = run(["head", "-c", "100000", "/dev/zero"], max_stdout_bytes=1000)
    assert (len(done.stdout), done.stdout_truncated, done.returncode) == (1000, True, 0)
    assert run(["head", "-c", "1000", "/dev/zero"], max_stdout_bytes=1000).stdout_truncated is False


def test_lines_are_handed_on_and_not_kept():
    lines: list[str] = []
    done = run(["printf", "a=1\\nb=2\\r\\n\\nlast"], on_line=lines.append)
    assert (lines, done.stdout) == (["a=1", "b=2", "", "last"], b"")


def test_a_line_comes_while_the_program_still_runs():
    token = CancelToken()
    done = run(["sh", "-c", "echo ready; sleep 60"], on_line=lambda _: token.cancel(), cancel=token)
    assert done.stopped == "cancelled"


def test_a_line_without_an_end_is_handed_on_in_pieces():
    lines: list[str] = []
    run(["head", "-c", "1000000", "/dev/zero"], on_line=lines.append)
    assert sum(map(len, lines)) == 1_000_000
    assert len(lines) > 1


def test_cancel_kills_the_whole_group_quickly():
    token, pids = CancelToken(), []
    timer = threading.Timer(0.3, token.cancel)

    def note(line: str) -> None:
        pids.append(int(line))
        if len(pids) == 2:
            timer.start()

    done = run(["sh", "-c", "sleep 60 & echo $!; echo $$; wait"], cancel=token, on_line=note)
    assert (done.returncode, done.stopped) == (-signal.SIGKILL, "cancelled")
    assert done.wall_s < 5
    assert not any(is_alive(pid) for pid in pids)
    timer.join()


def test_a_token_cancelled_before_starts_nothing(tmp_path: Path):
    token = CancelToken()
    assert not token.is_cancelled
    assert not token.wait(0)
    token.cancel()
    token.cancel()
    assert token.wait(0)
    done = run(["touch", str(tmp_path / "x")], cancel=token)
    assert done.stopped == "cancelled"
    assert not (tmp_path / "x").exists()


def test_a_program_that_ignores_signals_is_killed_at_the_wall_clock():
    done = run(["sh", "-c", "trap '' TERM INT HUP; while :; do sleep 0.05; done"], limits=Limits(wall_s=0.3))
    assert (done.stopped, done.returncode) == ("wall_clock", -signal.SIGKILL)
    assert 0.3 <= done.wall_s < 5
    assert "0.3 s" in done.stop_reason


def test_silence_is_a_stall():
    assert run(["sleep", "60"], limits=Limits(stall_s=0.3)).stopped == "stalled"


def test_a_talking_program_is_no_stall():
    done = run(["sh", "-c", "for i in 1 2 3 4 5 6; do echo x >&2; sleep 0.1; done"], limits=Limits(stall_s=0.4))
    assert (done.stopped, done.returncode) == (None, 0)


def test_talk_without_headway_is_a_stall_when_the_caller_says_what_headway_is():
    script = "while :; do echo frame=7; sleep 0.02; done"
    seen: set[str] = set()
    done = run(["sh", "-c", script], limits=Limits(stall_s=0.4), on_line=seen.add, activity=lambda: len(seen))
    assert done.stopped == "stalled"
    assert seen == {"frame=7"}


def test_headway_without_talk_is_no_stall():
    ticks = iter(range(10**6))
    done = run(["sleep", "0.8"], limits=Limits(stall_s=0.3), activity=lambda: next(ticks))
    assert (done.stopped, done.returncode) == (None, 0)


def test_the_caller_may_stop_it_and_say_why():
    done = run(["sleep", "60"], stop_if=iter([None, None, "too big"]).__next__)
    assert (done.stopped, done.stop_reason) == ("caller", "too big")


def test_a_program_that_ended_by_itself_was_not_stopped():
    done = run(["sh", "-c", "exit 0"], stop_if=lambda: None, limits=Limits(wall_s=60, stall_s=60))
    assert (done.stopped, done.stop_reason) == (None, None)


class CallbackError(Exception):
    pass


@pytest.mark.parametrize("callback", ["on_line", "activity", "stop_if"])
def test_what_a_callback_raises_is_raised_once_the_program_is_dead(callback: str):
    pids: list[int] = []

    def fail(*line: str) -> None:
        pids.extend(map(int, line))
        if callback == "on_line" or pids:
            raise CallbackError

    options = {"on_line": lambda line: pids.append(int(line)), callback: fail}
    with pytest.raises(CallbackError):
        run(["sh", "-c", "echo $$; sleep 60"], limits=Limits(stall_s=60), **options)
    assert pids
    assert not any(is_alive(pid) for pid in pids)


def test_a_keyboard_interrupt_leaves_nothing():
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "echo $$; sleep 60"], on_line=interrupt)
    assert not is_alive(pids[0])


def test_what_a_program_leaves_in_its_group_ends_with_it():
    done = run(["sh", "-c", "sleep 60 & echo $!"])
    assert done.returncode == 0
    assert done.wall_s < 10
    assert not is_alive(int(done.stdout))


def test_a_stranger_that_holds_the_pipes_is_not_waited_for():
    done = run(["sh", "-c", "setsid sleep 20 & echo $!; exit 4"])
    pid = int(done.stdout)
    try:
        assert (done.returncode, done.wall_s < 10) == (4, True)
    finally:
        os.kill(pid, signal.SIGKILL)


PARENT = """
import sys, threading
from reelpress.run.process import run
def work(): run([sys.executable, "-I", "-S", "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"],
                on_line=lambda line: print(line, flush=True))
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_a_child_dies_with_a_parent_that_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    assert comes_true(lambda: not is_alive(child), within_s=2.0)


def test_a_parent_that_died_before_the_launcher_looked_is_noticed():
    status = os.pipe()
    try:
        command = [sys.executable, "-I", "-S", str(child.LAUNCHER), str(status[1]), "1", "-", "-", "-"]
        done = subprocess.run([*command, "/bin/true", "true"], pass_fds=[status[1]], check=False)
        assert done.returncode == -signal.SIGKILL
    finally:
        os.close(status[0])
        os.close(status[1])


def test_no_descriptor_and_no_terminal_is_inherited(tmp_path: Path):
    with (tmp_path / "secret").open("wb") as secret:
        os.set_inheritable(secret.fileno(), True)
        done = python(
            "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:3],"
            " len(os.listdir('/proc/self/fd')), os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid())"
        )
    assert done.stdout == b"[0, 1, 2] 4 True True\n"  # the fourth is the listing's own


def test_signals_and_core_size_are_as_a_program_expects_them():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        done = run(["cat", "/proc/self/status", "/proc/self/limits"])  # a shell would clear the mask by itself
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    said = {line.split()[0]: line.split() for line in done.stdout.decode().splitlines() if line.startswith("Sig")}
    assert int(said["SigBlk:"][1], 16) == 0
    known = (1 << 31) - 1  # 32 and up are the C library's own and not to be had by a program
    assert int(said["SigIgn:"][1], 16) & known == 0
    assert any(line.split()[:6] == [b"Max", b"core", b"file", b"size", b"0", b"0"] for line in done.stdout.splitlines())


def test_variables_that_change_what_ffmpeg_says_are_not_passed_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FFREPORT", "file=x")
    monkeypatch.setenv("AV_LOG_FORCE_COLOR", "1")
    monkeypatch.setenv("PYTHONPATH", "/kept")
    names = {line.partition(b"=")[0] for line in run(["env"]).stdout.splitlines()}
    assert b"FFREPORT" not in names
    assert b"AV_LOG_FORCE_COLOR" not in names
    assert b"PYTHONPATH" in names


def test_resident_memory_is_limited_and_address_space_is_not():
    # 16 GiB that are never touched, as CUDA does (MAP_NORESERVE)
    reserve = "import mmap, time; room = mmap.mmap(-1, 2**34, flags=mmap.MAP_PRIVATE | 0x4000); "
    limits = Limits(resident_bytes=200 * MIB, wall_s=30)
    assert python(f"{reserve}time.sleep(0.3)", limits=limits).returncode == 0
    done = python(f"{reserve}room.write(b'x' * (400 * 2**20)); time.sleep(60)", limits=limits)
    assert done.stopped == "memory"
    used = int(done.stop_reason.removeprefix("used ").removesuffix(" bytes of memory"))
    assert 200 * MIB < used < 1000 * MIB


def test_memory_is_limited():
    done = python("bytearray(400 * 2**20)", limits=Limits(memory_bytes=200 * MIB))
    assert done.returncode == 1
    assert "MemoryError" in done.stderr_tail


def test_file_size_is_limited(tmp_path: Path):
    target = tmp_path / "big"
    done = run(["dd", "if=/dev/zero", f"of={target}", "bs=64k", "count=100"], limits=Limits(file_size_bytes=MIB))
    assert done.returncode == -signal.SIGXFSZ
    assert target.stat().st_size == MIB


@pytest.mark.parametrize("script", ["while :; do :; done", "trap 'exit 255' XCPU; while :; do :; done"])
def test_cpu_is_limited(script: str):
    done = run(["sh", "-c", script], limits=Limits(cpu_s=1, wall_s=60))
    assert (done.returncode, done.stopped) == (-signal.SIGKILL, "cpu_limit")
    assert done.cpu_s < 3


def test_the_kernel_limits_cpu_too_should_we_be_busy():
    done = run(["sh", "-c", "ulimit -t"], limits=Limits(cpu_s=7))
    assert done.stdout == b"8\n"


def test_a_limit_above_the_hard_limit_is_the_hard_limit():
    done = run(["sh", "-c", f"ulimit -f 8; exec {sys.executable} -c '{NESTED}'"])
    assert (done.returncode, done.stdout) == (0, b"[b'8\\n']\n"), done.stderr_tail


NESTED = (
    "from reelpress.run.process import Limits, run; "
    'print([run(["sh", "-c", "ulimit -f"], limits=Limits(file_size_bytes=10**9)).stdout])'
)


def test_cpu_seconds_are_the_programs_own():
    busy = python("import time\nwhile time.process_time() < 0.3: pass")
    idle = run(["sleep", "0.3"])
    assert 0.3 <= busy.cpu_s < 3
    assert idle.cpu_s < 0.2


def test_peak_memory_of_a_large_and_of_a_small_program():
    ballast = bytearray(128 * MIB)
    ballast[::4096] = b"x" * len(ballast[::4096])
    large = python("x = bytearray(300 * 2**20); x[::4096] = bytes(len(x[::4096])); import time; time.sleep(0.3)")
    assert 300 * MIB < large.peak_memory_bytes < 500 * MIB
    small = run(["sleep", "0.4"])  # the kernel reports our own 128 MiB for it
    assert 0 < small.peak_memory_bytes < 64 * MIB
    assert len(ballast) == 128 * MIB


@pytest.mark.parametrize("argv", [["reelpress-no-such-program"], ["/nowhere/ffmpeg"], ["/etc/passwd"], ["/tmp"]])
def test_a_missing_program_is_a_usage_error_with_a_hint(argv: list[str]):
    with pytest.raises(UsageError) as caught:
        run(argv)
    assert argv[0] in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("argv", [[], [""], "ls", ["ls", "a\0b"], ["ls", "\ud800"]])
def test_arguments_that_cannot_be(argv: list[str]):
    with pytest.raises(UsageError):
        run(argv)


def test_a_program_that_cannot_be_executed_is_a_usage_error(tmp_path: Path):
    for name, content in (("script", "#!/nowhere/interpreter\n"), ("noise", "\x01\x02\x03")):
        path = tmp_path / name
        path.write_text(content)
        path.chmod(0o755)
        with pytest.raises(UsageError, match="cannot execute") as caught:
            run([str(path)])
        assert caught.value.hint


def test_too_many_arguments_is_a_usage_error():
    with pytest.raises(UsageError, match="cannot execute"):
        run(["true", *["x" * 100_000] * 100])


def test_an_exit_code_127_of_a_program_is_not_mistaken_for_ours():
    assert run(["sh", "-c", "exit 127"]).returncode == 127


def test_a_launcher_that_fails_is_our_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    broken = tmp_path / "launcher.py"
    broken.write_text("raise SystemExit('no ctypes here')")
    monkeypatch.setattr(child, "LAUNCHER", broken)
    with pytest.raises(ReelpressError, match="launcher") as caught:
        run(["true"])
    assert not isinstance(caught.value, UsageError)
    assert "no ctypes here" in caught.value.evidence


def test_an_exit_status_taken_by_somebody_else_is_never_success():
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(ReelpressError, match="exit status was lost"):
            run(["true"])
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.filterwarnings("ignore:subprocess")
def test_a_process_that_does_not_die_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(child, "_DEATH_S", 0.2)
    monkeypatch.setattr(child.os, "killpg", lambda *_: None)
    pids: list[int] = []
    done = run(["sh", "-c", "echo $$; sleep 1"], limits=Limits(wall_s=0.2), on_line=lambda line: pids.append(int(line)))
    assert (done.stopped, done.lives_on, done.returncode) == ("wall_clock", True, -signal.SIGKILL)
    assert done.stop_reason == f"ran longer than 0.2 s, and process {pids[0]} does not die: it hangs inside the kernel"
    os.waitpid(pids[0], 0)


def test_many_threads_at_once_get_their_own_results():
    results: dict[int, Finished] = {}

    def work(number: int) -> None:
        script = f"echo {number}; exit {number}" if number % 2 else f"echo {number}; sleep 60"
        results[number] = run(["sh", "-c", script], limits=Limits(wall_s=1.5))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: done.stdout for n, done in results.items()} == {n: b"%d\n" % n for n in range(16)}
    assert {n: done.returncode for n, done in results.items()} == {n: n if n % 2 else -9 for n in range(16)}
    assert {done.stopped for n, done in results.items() if n % 2 == 0} == {"wall_clock"}


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_an_unprivileged_user_can_run_programs():
    script = (
        "import os; from reelpress.run.process import Limits, run; os.setuid(65534);"
        'print(run(["id", "-u"], limits=Limits(cpu_s=9, memory_bytes=2**30)).stdout)'
    )
    try:
        subprocess.run([sys.executable, "-c", ""], check=True, user=65534)
    except PermissionError:
        pytest.skip("this Python is closed to other users")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "b'65534\\n'\n", done.stderr


@pytest.mark.parametrize(
    ("script", "how", "words"),
    [
        ("raise SystemExit(3)", "exit code 3", "exit code 3"),
        ("print('first', file=sys.stderr); print('  last ', file=sys.stderr); print(file=sys.stderr); sys.exit(3)",
         "exit code 3: last", "last"),
        ("os.kill(os.getpid(), 6)", "killed by SIGABRT", "exit code -6"),
    ],
)  # fmt: skip
def test_a_program_is_told_by_its_last_words(script: str, how: str, words: str) -> None:
    done = python(f"import os, sys; {script}")
    assert (done.how_it_ended, done.last_words()) == (how, words)
    assert done.last_words("no picture") == (done.last_line or "no picture")


def test_one_that_was_stopped_is_told_by_the_reason() -> None:
    done = python("import sys, time; print('slow', file=sys.stderr, flush=True); time.sleep(9)",
                  limits=Limits(wall_s=0.5))  # fmt: skip
    assert done.stopped == "wall_clock"
    assert done.last_words("no picture") == done.stop_reason
