"""One program from start to end: its pipes, its death, and what it cost. For :mod:`reelpress.run.process` alone."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reelpress.errors import ReelpressError, UsageError
from reelpress.run.ahead import LAUNCHER, NOT_PASSED_ON
from reelpress.run.output import Output

TICK_S = 0.05  # the longest time between two looks at cancel, clocks and callbacks
_DEATH_S = 30.0  # the longest time SIGKILL may take; longer means a process that hangs inside the kernel
_STRAGGLER_S = 1.0  # the same for what the program itself started, and for emptying its pipes
_CHUNK_BYTES = 256 * 1024
_CANNOT_EXECUTE = {
    errno.ENOENT: "the file, or the interpreter or loader that it names, does not exist",
    errno.EACCES: "it may not be executed: check its permissions, and for a file system mounted noexec",
    errno.ENOEXEC: "it is not a program for this machine",
    errno.E2BIG: "the arguments are too long",
}


def find_program(argv: Sequence[str]) -> str:
    """Return the file that ``argv[0]`` names.

    Raises :class:`UsageError` when there is none, or when the arguments cannot be passed to a program.
    """
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


class Child:
    """One program: its pipes, its end, and what it cost."""

    def __init__(self, output: Output) -> None:
        self.returncode, self.cpu_s, self.peak_memory_bytes = 0, 0.0, 0
        self.lives_on: int | None = None  # the number of a process that SIGKILL does not end
        self._output = output
        self._command: Sequence[str] = ()
        self._unsent = memoryview(b"")
        self._popen: subprocess.Popen[bytes] | None = None
        self._is_reaped = False
        self._status, self._has_execed, self._own_peak_bytes, self.sampled_bytes = b"", False, 0, 0
        self._selector = selectors.DefaultSelector()
        self._resources = contextlib.ExitStack()
        self._resources.callback(self._selector.close)

    def start(
        self,
        command: Sequence[str],
        limited: tuple[int | None, int | None, int | None],
        stdin: bytes | int | None,
        env: Mapping[str, str],
    ) -> None:
        """Start ``command``: the file to execute, then its whole argv; ``env`` is added to our own environment."""
        self._command = command
        status_read, status_write = os.pipe()
        self._resources.callback(os.close, status_read)
        launcher = [sys.executable, "-I", "-S", LAUNCHER, str(status_write), str(os.getpid())]
        launcher += ["-" if limit is None else str(limit) for limit in limited]
        try:
            self._popen = popen = subprocess.Popen(
                [*launcher, *command],
                stdin=subprocess.PIPE if isinstance(stdin, bytes) else subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(status_write,),
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON} | dict(env),
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
            self._unsent = memoryview(stdin if isinstance(stdin, bytes) else b"")
            self._selector.register(popen.stdin, selectors.EVENT_WRITE)

    @property
    def has_open_pipes(self) -> bool:
        """True while the program, or somebody it started, may still say something."""
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
        """Kill the whole group, reap the program and note what it cost; nothing when that was done.

        One that hangs inside the kernel, as a failed driver or disk makes it, does not die and is left.
        """
        if self._is_reaped or self._popen is None:
            return
        pid = self._popen.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if not _comes_true(self.has_exited, _DEATH_S):
            self._is_reaped = True  # in vain; Popen reaps it if it ever ends
            self.returncode, self.lives_on = -signal.SIGKILL, pid
            return
        _, status, usage = os.wait4(pid, 0)
        self._is_reaped = True
        self.returncode = self._popen.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        # The kernel's maximum begins with what this process had at the fork; a larger one is the program's.
        measured = usage.ru_maxrss * 1024
        is_its_own = measured > self._own_peak_bytes or not self.sampled_bytes
        self.peak_memory_bytes = measured if is_its_own else self.sampled_bytes
        _comes_true(lambda: _is_group_gone(pid), _STRAGGLER_S)

    def close(self) -> None:
        """Leave nothing behind: no process, no descriptor."""
        with self._resources:
            self.end()

    def sample(self) -> None:
        """Note what the program has used so far."""
        if self._has_execed and self._popen is not None:
            self.sampled_bytes = max(self.sampled_bytes, _peak_bytes(str(self._popen.pid)))
            self.cpu_s = _used_cpu_s(self._popen.pid)

    def raise_if_never_started(self) -> None:
        """Raise when what ended was the launcher, not the program."""
        if self._status == b"x" or self.returncode < 0:  # a signal from outside is no failure of the launcher's
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
        pause_s = min(2 * pause_s, TICK_S)
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


def _used_cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used, without its children's; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
