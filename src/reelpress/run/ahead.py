"""Starts a program of ours before all that :mod:`reelpress.run.process` needs is imported, by the same launcher.

Imports take longer than the start, so that whoever needs the program first thing would wait for both. It is for a
program that serves a socket and ends with it: nobody reads what else it says, or stops it for what it uses.
"""

from __future__ import annotations

import _socket
import os
import sys
from _signal import SIGKILL  # type: ignore[import-not-found]  # what wraps these two takes 8 ms more

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LAUNCHER = os.path.join(os.path.dirname(__file__), "launcher.py")  # noqa: PTH118, PTH120 - pathlib takes 5 ms more
# FFmpeg would write a report file, or colour its messages, because of these.
NOT_PASSED_ON = ("FFREPORT", "AV_LOG_FORCE_COLOR", "AV_LOG_FORCE_256COLOR")


class Ahead:
    """A program that was started ahead. Raises ``OSError`` where it cannot be started.

    The kernel kills it when the thread that started it ends.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        told = 1 + max(nothing, theirs.fileno(), 2)  # where the launcher says how it went
        launcher = [sys.executable, "-I", "-S", LAUNCHER, str(told), str(os.getpid()), "-", "-", "-"]
        places: list[tuple[int, ...]] = [(os.POSIX_SPAWN_CLOSE, strange) for strange in _left_open()]
        places += [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
        places += [(os.POSIX_SPAWN_DUP2, nothing, place) for place in (1, 2, told)]
        env = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        try:
            self._pid: int | None = os.posix_spawn(
                sys.executable, [*launcher, argv[0], *argv], env, file_actions=places, setsid=True
            )
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
            os.killpg(self._pid, SIGKILL)
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


def _left_open() -> list[int]:
    """Return the descriptors that whoever started this process left to its children."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names alone
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # the one that lists them is gone
            continue
    return found
