"""The one door to other programs: starts one from an argument list, watches it, leaves nothing of it behind.

A program runs in its own session, through :mod:`reelpress.run.launcher`, which has the kernel kill it when
the thread that started it ends, however that happens (also by ``kill -9`` of the whole process). Hence
:func:`run` starts and waits in one thread: the caller's. Descendants that leave the process group are out of
reach.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from reelpress.errors import ReelpressError, UsageError
from reelpress.facts.values import Value

Stopped = Literal["cancelled", "wall_clock", "stalled", "caller", "cpu_limit"]

_LAUNCHER = Path(__file__).with_name("launcher.py")
_TICK_S = 0.05  # the longest time between two looks at cancel, clocks and callbacks
_DEATH_S = 30.0  # the longest time SIGKILL may take; longer means a process that hangs inside the kernel
_STRAGGLER_S = 1.0  # the same for what the program itself started, and for emptying its pipes
_CPU_GRACE_S = 1  # the kernel's own limit lies this much higher: FFmpeg answers SIGXCPU with a mere exit code 255
_STDERR_BYTES = 64 * 1024
_LINE_BYTES = 64 * 1024  # a longer line is handed on in pieces
_CHUNK_BYTES = 256 * 1024
# FFmpeg would write a report file, or colour its messages, because of these.
_NOT_PASSED_ON = ("FFREPORT", "AV_LOG_FORCE_COLOR", "AV_LOG_FORCE_256COLOR")
_CANNOT_EXECUTE = {
    errno.ENOENT: "the file, or the interpreter or loader that it names, does not exist",
    errno.EACCES: "it may not be executed: check its permissions, and for a file system mounted noexec",
    errno.ENOEXEC: "it is not a program for this machine",
    errno.E2BIG: "the arguments are too long",
}


class CancelToken:
    """A wish to stop that any thread may utter, once and for all."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask for everything that holds this token to stop; a second time changes nothing."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """True once :meth:`cancel` was called."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` seconds for the wish; tell whether it came."""
        return self._event.wait(timeout_s)


class Limits(Value, frozen=True, kw_only=True):
    """What a program may use; ``None`` is no limit.

    ``stall_s`` is how long it may go without a sign of activity. ``memory_bytes`` is address space (RLIMIT_AS), of
    which CUDA reserves far more than it uses. ``cpu_s`` counts the program itself, not what it starts. A program that
    writes a file beyond ``file_size_bytes`` dies of SIGXFSZ.
    """

    wall_s: float | None = None
    stall_s: float | None = None
    memory_bytes: int | None = None
    cpu_s: int | None = None
    file_size_bytes: int | None = None


class Finished(Value, frozen=True, kw_only=True):
    """How a program ended.

    ``returncode`` is negative when a signal of that number killed it. ``stopped`` says that we did, and why; it is
    ``None`` for a program that ended by itself. ``stdout`` is empty when ``on_line`` took it. ``stderr_tail`` is the
    last 64 KiB in whole lines. ``cpu_s`` includes about 0.01 s of the launcher. ``peak_memory_bytes`` is exact for a
    program larger than this process, else sampled every 0.05 s, and too high when it ended before a sample.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stdout_truncated: bool = False
    stderr_tail: str
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    stopped: Stopped | None = None
    stop_reason: str | None = None


_NO_LIMITS = Limits()


def run(
    argv: Sequence[str],
    *,
    limits: Limits = _NO_LIMITS,
    cancel: CancelToken | None = None,
    on_line: Callable[[str], None] | None = None,
    activity: Callable[[], object] | None = None,
    stop_if: Callable[[], str | None] | None = None,
    stdin: bytes | None = None,
    max_stdout_bytes: int = 16 * 1024 * 1024,
) -> Finished:
    """Run a program to its end, in this thread, and return how it ended; a non-zero exit is no error here.

    ``argv[0]`` is a path, or a name looked up on PATH. The program reads ``stdin``, by default nothing.
    ``on_line`` gets each line of stdout without its end. ``activity`` returns a value that changes while the
    program makes headway; without it any byte of output counts. ``stop_if`` returns a reason to stop, or
    ``None``. The callbacks run in this thread, so a slow one delays every check; what they raise is raised
    here, once the program is dead. Of a longer stdout the first ``max_stdout_bytes`` are kept and
    ``stdout_truncated`` is set.

    Raises :class:`UsageError` when there is no such program or it cannot be executed, :class:`ReelpressError`
    when it could not be prepared, does not die, or its exit status was taken by somebody else.
    """
    program = _find(argv)
    if cancel is not None and cancel.is_cancelled:
        return Finished(
            argv=tuple(argv), returncode=-signal.SIGKILL, stdout=b"", stderr_tail="", wall_s=0.0, cpu_s=0.0,
            peak_memory_bytes=0, stopped="cancelled", stop_reason="cancelled before it started",
        )  # fmt: skip
    output = _Output(on_line, max_stdout_bytes)
    watch = _Watch(limits, cancel, activity or (lambda: output.bytes_seen), stop_if)
    child = _Child(output)
    stop: tuple[Stopped, str] | None = None
    try:
        child.start([program, *argv], limits, stdin)
        nap_s = 0.0005
        while stop is None and not child.has_exited():
            if child.has_open_pipes:
                child.pump(_TICK_S)
            else:  # closed pipes mean a program about to exit: look often, then ever less so
                time.sleep(nap_s)
                nap_s = min(2 * nap_s, _TICK_S)
            if watch.is_due():
                child.sample()
                stop = watch.reason_to_stop(child.cpu_s)
        child.end()
        child.drain()
    finally:
        child.close()
    if child.returncode != -signal.SIGKILL:
        stop = None  # it ended by itself before the signal came
    if stop is None:
        child.raise_if_never_started()
    return Finished(
        argv=tuple(argv),
        returncode=child.returncode,
        stdout=bytes(output.stdout),
        stdout_truncated=output.stdout_truncated,
        stderr_tail=output.stderr_tail(),
        wall_s=time.monotonic() - watch.started_at,
        cpu_s=child.cpu_s,
        peak_memory_bytes=child.peak_memory_bytes,
        stopped=None if stop is None else stop[0],
        stop_reason=None if stop is None else stop[1],
    )


def _find(argv: Sequence[str]) -> str:
    if isinstance(argv, str) or not argv or not argv[0]:
        raise UsageError("a program is started from a list that begins with its name", evidence=repr(argv))
    try:
        if any(b"\0" in os.fsencode(argument) for argument in argv):
            raise UsageError("an argument contains a NUL character", evidence=repr(list(argv))[:300])
    except UnicodeEncodeError as error:
        raise UsageError("an argument cannot be encoded", evidence=str(error)) from error
    program = shutil.which(argv[0])
    if program is None:
        raise UsageError(
            f"cannot start {argv[0]}: no such program, or it is not executable",
            hint="check the path, its execute permission, and PATH",
        )
    return program


def _cannot_execute(program: str, number: int) -> ReelpressError:
    kind = UsageError if number in _CANNOT_EXECUTE else ReelpressError
    return kind(f"cannot execute {program}", evidence=os.strerror(number), hint=_CANNOT_EXECUTE.get(number))


class _Watch:
    """The reasons to stop a running program, asked once a tick."""

    def __init__(
        self,
        limits: Limits,
        cancel: CancelToken | None,
        activity: Callable[[], object],
        stop_if: Callable[[], str | None] | None,
    ) -> None:
        self._limits, self._cancel, self._activity, self._stop_if = limits, cancel, activity, stop_if
        self._last_activity = activity() if limits.stall_s is not None else None
        self.started_at = self._last_change = self._last_look = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._last_look >= _TICK_S

    def reason_to_stop(self, used_cpu_s: float) -> tuple[Stopped, str] | None:
        self._last_look = now = time.monotonic()
        if self._cancel is not None and self._cancel.is_cancelled:
            return "cancelled", "cancelled while it ran"
        wall_s, stall_s, cpu_s = self._limits.wall_s, self._limits.stall_s, self._limits.cpu_s
        if cpu_s is not None and used_cpu_s >= cpu_s:
            return "cpu_limit", f"used {cpu_s} s of CPU"
        if wall_s is not None and now - self.started_at >= wall_s:
            return "wall_clock", f"ran longer than {wall_s:g} s"
        if stall_s is not None:
            current = self._activity()
            if current != self._last_activity:
                self._last_activity, self._last_change = current, now
            elif now - self._last_change >= stall_s:
                return "stalled", f"made no headway for {stall_s:g} s"
        if self._stop_if is not None and (reason := self._stop_if()) is not None:
            return "caller", reason
        return None


class _Output:
    """What a program says: stdout whole or line by line, stderr as a bounded tail."""

    def __init__(self, on_line: Callable[[str], None] | None, max_stdout_bytes: int) -> None:
        self._on_line, self._max_stdout_bytes = on_line, max_stdout_bytes
        self.stdout, self.stdout_truncated, self.bytes_seen = bytearray(), False, 0
        self._line, self._stderr, self._stderr_is_cut = bytearray(), bytearray(), False

    def take_stdout(self, chunk: bytes) -> None:
        self.bytes_seen += len(chunk)
        if self._on_line is None:
            room = self._max_stdout_bytes - len(self.stdout)
            self.stdout_truncated |= len(chunk) > room
            self.stdout += chunk[: max(room, 0)]
            return
        *lines, rest = (bytes(self._line) + chunk).split(b"\n")
        if not chunk or len(rest) > _LINE_BYTES:  # the end of the stream ends a line too
            lines, rest = ([*lines, rest] if rest else lines), b""
        self._line = bytearray(rest)
        for line in lines:
            self._on_line(line.rstrip(b"\r").decode("utf-8", "replace"))

    def take_stderr(self, chunk: bytes) -> None:
        self.bytes_seen += len(chunk)
        self._stderr += chunk
        if len(self._stderr) > 2 * _STDERR_BYTES:
            self._trim_stderr()

    def stderr_tail(self) -> str:
        if len(self._stderr) > _STDERR_BYTES:
            self._trim_stderr()
        text = self._stderr.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        # Half a line could be read as something it does not say.
        return text.partition("\n")[2] if self._stderr_is_cut else text

    def _trim_stderr(self) -> None:
        del self._stderr[:-_STDERR_BYTES]
        self._stderr_is_cut = True


class _Child:
    """One program: its pipes, its end, and what it cost."""

    def __init__(self, output: _Output) -> None:
        self.returncode, self.cpu_s, self.peak_memory_bytes = 0, 0.0, 0
        self._output = output
        self._command: Sequence[str] = ()
        self._unsent = memoryview(b"")
        self._popen: subprocess.Popen[bytes] | None = None
        self._is_reaped = False
        self._status, self._has_execed, self._own_peak_bytes, self._sampled_bytes = b"", False, 0, 0
        self._selector = selectors.DefaultSelector()
        self._resources = contextlib.ExitStack()
        self._resources.callback(self._selector.close)

    def start(self, command: Sequence[str], limits: Limits, stdin: bytes | None) -> None:
        """Start ``command``: the file to execute, then its whole argv."""
        self._command = command
        status_read, status_write = os.pipe()
        self._resources.callback(os.close, status_read)
        cpu_s = None if limits.cpu_s is None else limits.cpu_s + _CPU_GRACE_S
        limited = (limits.memory_bytes, cpu_s, limits.file_size_bytes)
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(status_write), str(os.getpid())]
        launcher += ["-" if limit is None else str(limit) for limit in limited]
        try:
            self._popen = popen = subprocess.Popen(
                [*launcher, *command],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(status_write,),
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON},
            )
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise _cannot_execute(command[0], errno.E2BIG) from error
            raise ReelpressError(f"cannot start the launcher of {command[0]}", evidence=str(error)) from error
        finally:
            os.close(status_write)
        self._own_peak_bytes = _peak_bytes("self")
        self._read(status_read, self._take_status)
        output = self._output
        for pipe, take in ((popen.stdout, output.take_stdout), (popen.stderr, output.take_stderr)):
            if pipe is not None:
                self._resources.callback(pipe.close)
                self._read(pipe.fileno(), take)
        if popen.stdin is not None:
            self._resources.callback(popen.stdin.close)
            os.set_blocking(popen.stdin.fileno(), False)
            self._unsent = memoryview(stdin or b"")
            self._selector.register(popen.stdin, selectors.EVENT_WRITE)

    @property
    def has_open_pipes(self) -> bool:
        return bool(self._selector.get_map())

    def has_exited(self) -> bool:
        """Tell whether the program is over, without reaping it: a zombie keeps its group's number taken."""
        if self._is_reaped or self._popen is None:
            return True
        try:
            return os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError as error:
            self._is_reaped, self._popen.returncode = True, -signal.SIGKILL
            raise ReelpressError(
                "a program ended and its exit status was lost",
                evidence=str(error),
                hint="something in this process reaps all children, or ignores SIGCHLD",
            ) from error

    def pump(self, timeout_s: float) -> bool:
        """Move what is ready through the pipes, waiting at most ``timeout_s``; tell whether something was."""
        ready = self._selector.select(timeout_s)
        for key, events in ready:
            if events & selectors.EVENT_WRITE:
                self._send_stdin()
                continue
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if not chunk:
                    self._selector.unregister(key.fd)
                key.data(chunk)
        return bool(ready)

    def drain(self) -> None:
        """Take what a dead program left in its pipes; never wait for a stranger that holds the other end."""
        deadline = time.monotonic() + _STRAGGLER_S
        while self.has_open_pipes and self.pump(0) and time.monotonic() < deadline:
            pass

    def end(self) -> None:
        """Kill the whole group, reap the program and note what it cost; nothing when that was done."""
        if self._is_reaped or self._popen is None:
            return
        pid = self._popen.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if not _comes_true(self.has_exited, _DEATH_S):
            self._is_reaped = True  # in vain; Popen reaps it if it ever ends
            raise ReelpressError(
                f"process {pid} does not die",
                evidence=f"{self._command[0]} was sent SIGKILL {_DEATH_S:g} s ago",
                hint="it hangs inside the kernel, as a failed driver or disk makes it; restart the machine",
            )
        _, status, usage = os.wait4(pid, 0)
        self._is_reaped = True
        self.returncode = self._popen.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        # The kernel's maximum begins with what this process had at the fork; a larger one is the program's.
        measured = usage.ru_maxrss * 1024
        is_its_own = measured > self._own_peak_bytes or not self._sampled_bytes
        self.peak_memory_bytes = measured if is_its_own else self._sampled_bytes
        _comes_true(lambda: _is_group_gone(pid), _STRAGGLER_S)

    def close(self) -> None:
        """Leave nothing behind: no process, no descriptor."""
        with self._resources:
            self.end()

    def sample(self) -> None:
        """Note what the program has used so far."""
        if self._has_execed and self._popen is not None:
            self._sampled_bytes = max(self._sampled_bytes, _peak_bytes(str(self._popen.pid)))
            self.cpu_s = _cpu_s(self._popen.pid)

    def raise_if_never_started(self) -> None:
        """Raise when what ended was the launcher, not the program."""
        if self._status == b"x":
            return
        command = self._command[0]
        if self._status.startswith(b"x:"):
            raise _cannot_execute(command, int(self._status[2:] or b"0"))
        raise ReelpressError(
            f"the launcher failed before {command} could start",
            evidence=f"exit status {self.returncode}; {self._output.stderr_tail().strip()[-300:]}",
            hint=f"try: {sys.executable} -I -S -c 'import ctypes, resource'",
        )

    def _read(self, fd: int, take: Callable[[bytes], None]) -> None:
        os.set_blocking(fd, False)
        self._selector.register(fd, selectors.EVENT_READ, take)

    def _take_status(self, chunk: bytes) -> None:
        self._status += chunk
        self._has_execed |= not chunk  # the end of this pipe is the exec, or the end of it all

    def _send_stdin(self) -> None:
        pipe = self._popen.stdin if self._popen is not None else None
        if pipe is None:
            return
        try:
            if self._unsent:
                self._unsent = self._unsent[os.write(pipe.fileno(), self._unsent[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # the program has read all it wants
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._selector.unregister(pipe)
            pipe.close()


def _comes_true(claim: Callable[[], bool], within_s: float) -> bool:
    deadline, pause_s = time.monotonic() + within_s, 0.0005
    while not claim():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _TICK_S)
    return True


def _is_group_gone(group: int) -> bool:
    """Tell whether nobody of a group is alive; the dead may wait long for an init that reaps slowly."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, member_of, *_ = stat.read_bytes().rpartition(b")")[2].split()
            if int(member_of) == group and state not in (b"Z", b"X"):
                return False
    return True


def _peak_bytes(pid: str) -> int:
    """Return the peak resident memory of a process since its last exec; 0 where the kernel does not say."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used, without its children's; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
