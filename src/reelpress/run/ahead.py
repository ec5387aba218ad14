"""Starts a program of ours before all that :mod:`reelpress.run.process` needs is imported: as a fork of this process.

Imports take longer than the start, so that whoever needs the program first thing would wait for both; and a fork has
no Python to start. It is for a program that serves a socket and ends with it: nobody reads what else it says, or stops
it for what it uses.
"""

from __future__ import annotations

import _socket
import os
import sys
from _signal import SIGKILL  # type: ignore[import-not-found]  # what wraps these two takes 8 ms more

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

LAUNCHER = os.path.join(os.path.dirname(__file__), "launcher.py")  # noqa: PTH118, PTH120 - pathlib takes 5 ms more
# FFmpeg would write a report file, or colour its messages, because of these.
NOT_PASSED_ON = ("FFREPORT", "AV_LOG_FORCE_COLOR", "AV_LOG_FORCE_256COLOR")
# What tells it apart in a list of processes: a fork of the program has its command line, too.
NAME = b"reelpress-look"
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15


class Ahead:
    """Python code that runs with ``arguments`` in a process started ahead. Raises ``OSError`` where it cannot be.

    To be made before any other thread is: a fork copies the locks of all threads. The kernel kills the process when
    the thread that started it ends.
    """

    def __init__(self, code: str, arguments: Sequence[str]) -> None:
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        parent = os.getpid()
        try:
            self._pid: int | None = os.fork()
            if self._pid == 0:
                _become(code, arguments, (theirs.fileno(), nothing, nothing), parent)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(nothing)
        self._line: int | None = ours.detach()

    def take_line(self) -> int:
        """Hand over the descriptor of the socket whose other end is its stdin, which keeps messages apart; once."""
        if self._line is None:
            raise RuntimeError("the line was taken")
        line, self._line = self._line, None
        return line

    def has_ended(self) -> bool:
        """Tell whether it is over."""
        return self._is_over(os.WNOHANG)

    def end(self) -> None:
        """Kill it unless it is over."""
        if self._line is not None:
            os.close(self._line)
            self._line = None
        if self._pid is not None and not self.has_ended():
            os.kill(self._pid, SIGKILL)  # what it started ends with it, as it does with us
            self._is_over(0)

    def _is_over(self, options: int) -> bool:
        if self._pid is not None:
            try:
                gone, _ = os.waitpid(self._pid, options)
            except ChildProcessError:  # whoever started us has the kernel reap what ends
                gone = self._pid
            if gone:
                self._pid = None
        return self._pid is None


def _become(code: str, arguments: Sequence[str], places: tuple[int, int, int], parent: int) -> NoReturn:
    """Be the process: with these as its stdin, stdout and stderr and no other descriptor, and tied to its parent."""
    try:
        os.setsid()
        for place, descriptor in enumerate(places):
            os.dup2(descriptor, place)
        os.closerange(3, 1 + max(map(int, os.listdir("/proc/self/fd"))))  # noqa: PTH208 - names alone
        for name in NOT_PASSED_ON:
            os.environ.pop(name, None)

        import ctypes
        import resource

        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_NAME, NAME, 0, 0, 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # it lives, and the kernel will tell of its end
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            sys.argv = ["-c", *arguments]
            exec(code, {"__name__": "__main__"})  # noqa: S102 - as -c would
            os._exit(0)
    finally:
        os._exit(1)
