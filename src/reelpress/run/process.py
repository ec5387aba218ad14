"""The one door to other programs: starts one from an argument list, watches it, leaves nothing of it behind.

A program runs in its own session, through :mod:`reelpress.run.launcher`, which has the kernel kill it when
the thread that started it ends, however that happens (also by ``kill -9`` of the whole process). Hence
:func:`run` starts and waits in one thread: the caller's. Descendants that leave the process group are out of
reach.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from reelpress.facts.values import Value
from reelpress.run.child import TICK_S, Child, find_program
from reelpress.run.output import Output

Stopped = Literal["cancelled", "wall_clock", "stalled", "caller", "cpu_limit", "memory"]

_CPU_GRACE_S = 1  # the kernel's own limit lies this much higher: FFmpeg answers SIGXCPU with a mere exit code 255


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
    which CUDA reserves far more than it uses; ``resident_bytes`` is what it really uses, looked at now and then.
    ``cpu_s`` counts the program itself, not what it starts. A program that
    writes a file beyond ``file_size_bytes`` dies of SIGXFSZ.
    """

    wall_s: float | None = None
    stall_s: float | None = None
    memory_bytes: int | None = None
    resident_bytes: int | None = None
    cpu_s: int | None = None
    file_size_bytes: int | None = None


class Finished(Value, frozen=True, kw_only=True):
    """How a program ended.

    ``returncode`` is negative when a signal of that number killed it. ``stopped`` says that we did, and why; it is
    ``None`` for a program that ended by itself. ``stdout`` is empty when ``on_line`` took it. ``stderr_tail`` is the
    last 64 KiB in whole lines, after what was kept of earlier ones. ``cpu_s`` includes about 0.01 s of the launcher.
    ``peak_memory_bytes`` is exact for a program larger than this process, else sampled every 0.05 s, and too high when
    it ended before a sample. ``lives_on``: it was stopped and yet did not die within 30 s.
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
    lives_on: bool = False

    @property
    def last_line(self) -> str:
        """The last that it said on stderr, in one line; empty where it said nothing."""
        return next(reversed(self.stderr_tail.strip().splitlines()), "").strip()

    @property
    def how_it_ended(self) -> str:
        """Its exit code or the name of the signal that killed it, and the last that it said."""
        how = f"exit code {self.returncode}"
        if self.returncode < 0:
            how = f"killed by {signal.Signals(-self.returncode).name}"
        return f"{how}: {self.last_line}" if self.last_line else how

    def last_words(self, otherwise: str | None = None) -> str:
        """Return why it was stopped, or else the last that it said.

        Of one that said nothing it is ``otherwise``, by default the exit code.
        """
        return self.stop_reason or self.last_line or otherwise or f"exit code {self.returncode}"


_NO_LIMITS = Limits()


def run(
    argv: Sequence[str],
    *,
    limits: Limits = _NO_LIMITS,
    cancel: CancelToken | None = None,
    on_line: Callable[[str], None] | None = None,
    activity: Callable[[], object] | None = None,
    stop_if: Callable[[], str | None] | None = None,
    stdin: bytes | int | None = None,
    env: Mapping[str, str] | None = None,
    max_stdout_bytes: int = 16 * 1024 * 1024,
    keep_stderr: Callable[[bytes], bool] | None = None,
) -> Finished:
    """Run a program to its end, in this thread, and return how it ended; a non-zero exit is no error here.

    ``argv[0]`` is a path, or a name looked up on PATH. The program reads ``stdin``, bytes or a
    descriptor, by default nothing.
    ``env`` is added to our own environment.
    ``on_line`` gets each line of stdout without its end. ``activity`` returns a value that changes while the
    program makes headway; without it any byte of output counts. ``stop_if`` returns a reason to stop, or
    ``None``. The callbacks run in this thread, so a slow one delays every check; what they raise is raised
    here, once the program is dead. Of a longer stdout the first ``max_stdout_bytes`` are kept and
    ``stdout_truncated`` is set. Lines of stderr that ``keep_stderr`` chooses are kept from before its tail, too: the
    first of each kind, 16 KiB at most.

    Raises :class:`UsageError` when there is no such program or it cannot be executed, :class:`ReelpressError`
    when it could not be prepared, or its exit status was taken by somebody else.
    """
    program = find_program(argv)
    if cancel is not None and cancel.is_cancelled:
        return Finished(
            argv=tuple(argv), returncode=-signal.SIGKILL, stdout=b"", stderr_tail="", wall_s=0.0, cpu_s=0.0,
            peak_memory_bytes=0, stopped="cancelled", stop_reason="cancelled before it started",
        )  # fmt: skip
    output = Output(on_line, max_stdout_bytes, keep_stderr)
    watch = _Watch(limits, cancel, activity or (lambda: output.bytes_seen), stop_if)
    child = Child(output)
    cpu_s = None if limits.cpu_s is None else limits.cpu_s + _CPU_GRACE_S
    stop: tuple[Stopped, str] | None = None
    try:
        child.start([program, *argv], (limits.memory_bytes, cpu_s, limits.file_size_bytes), stdin, env or {})
        nap_s = 0.0005
        while stop is None and not child.has_exited():
            if child.has_open_pipes:
                child.pump(TICK_S)
            else:  # closed pipes mean a program about to exit: look often, then ever less so
                time.sleep(nap_s)
                nap_s = min(2 * nap_s, TICK_S)
            if watch.is_due():
                child.sample()
                stop = watch.reason_to_stop(child.cpu_s, child.sampled_bytes)
        child.end()
        child.drain()
    finally:
        child.close()
    if stop is not None and child.lives_on is not None:
        stop = stop[0], f"{stop[1]}, and process {child.lives_on} does not die: it hangs inside the kernel"
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
        lives_on=child.lives_on is not None,
    )


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
        return time.monotonic() - self._last_look >= TICK_S

    def reason_to_stop(self, used_cpu_s: float, used_bytes: int) -> tuple[Stopped, str] | None:
        self._last_look = now = time.monotonic()
        if self._cancel is not None and self._cancel.is_cancelled:
            return "cancelled", "cancelled while it ran"
        wall_s, stall_s = self._limits.wall_s, self._limits.stall_s
        if (spent := self._spent(used_cpu_s, used_bytes)) is not None:
            return spent
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

    def _spent(self, used_cpu_s: float, used_bytes: int) -> tuple[Stopped, str] | None:
        cpu_s, resident_bytes = self._limits.cpu_s, self._limits.resident_bytes
        if cpu_s is not None and used_cpu_s >= cpu_s:
            return "cpu_limit", f"used {cpu_s} s of CPU"
        if resident_bytes is not None and used_bytes > resident_bytes:
            return "memory", f"used {used_bytes} bytes of memory"
        return None
