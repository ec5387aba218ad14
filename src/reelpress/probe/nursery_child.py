"""A process that has imported what probing takes, and forks itself for every file: a probe without a start of Python.

Run by :mod:`reelpress.probe.nursery`. It never looks at a file itself. Each file is looked at by a process of its own,
under its own limits and with no descriptor but its own, which ends with its answer: a file that crashes, stalls or
exhausts what reads it takes nothing else with it, and what one file did to a process is no matter for the next.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import selectors
import signal
import socket
import traceback

from reelpress.facts.values import from_json, to_json
from reelpress.probe.media_child import answer
from reelpress.probe.media_request import Begun, Ended, Order
from reelpress.run.ahead import NAME, PR_SET_NAME, PR_SET_PDEATHSIG

# Without an order for so long, and nobody at work, it goes; who has a file then starts another.
IDLE_S = 30.0
MAX_ORDER_BYTES = 128 * 1024
_DESCRIPTORS = 3  # of an order: the answer's pipe, that of complaints, and a socket to whoever asked
_CPU_GRACE_S = 1  # SIGXCPU first; SIGKILL this much later


class Nursery:
    """Forks a process for every order that comes over ``orders``, and says how it ended."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders, self._me = orders, os.getpid()
        self._askers: dict[int, socket.socket] = {}  # by the process that works for them
        # poll, not epoll: a child shares the latter until it has closed it
        self._selector = selectors.PollSelector()
        self._selector.register(orders, selectors.EVENT_READ)
        self._ended, wakes = socket.socketpair()
        for end in (self._ended, wakes):
            end.setblocking(False)
        self._selector.register(self._ended, selectors.EVENT_READ)
        self._wakes = wakes
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl(PR_SET_NAME, NAME, 0, 0, 0)

    def serve(self) -> None:
        """Work until whoever started this is gone, or nothing was asked for long."""
        while True:
            ready = self._selector.select(None if self._askers else IDLE_S)
            if not ready and not self._askers:
                return
            for key, _ in ready:
                if key.fileobj is self._ended:
                    self._tell_ended()
                elif key.fileobj is not self._orders:
                    self._give_up(key.data)
                elif not self._take():
                    return

    def _take(self) -> bool:
        """Begin what was ordered; return ``False`` at the end of orders."""
        message, descriptors, _, _ = socket.recv_fds(self._orders, MAX_ORDER_BYTES, _DESCRIPTORS)
        if not message:
            return False
        answers, complaints, line = descriptors
        asker = socket.socket(fileno=line)
        try:
            pid = os.fork()
        except OSError as error:
            self._say(asker, Begun(failed=str(error)))
            asker.close()
        else:
            if pid == 0:
                self._look(message, answers, complaints)
            self._askers[pid] = asker
            self._selector.register(asker, selectors.EVENT_READ, pid)
            self._say(asker, Begun())
        os.close(answers)
        os.close(complaints)
        return True

    def _look(self, message: bytes, answers: int, complaints: int) -> None:
        """Be the process of one file; never return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() == self._me:  # it lives, and the kernel will tell of its end
                _take_places(answers, complaints)
                order = from_json(message, Order)
                _limit(resource.RLIMIT_CPU, order.cpu_s, _CPU_GRACE_S)
                _limit(resource.RLIMIT_FSIZE, order.file_size_bytes)
                _limit(resource.RLIMIT_AS, order.memory_bytes)
                said = memoryview(to_json(answer(order.request)))
                while said:
                    said = said[os.write(1, said) :]
                code = 0
        except BaseException:  # noqa: BLE001 - whatever it was ends this process, and nothing of it may go on
            os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
        finally:
            os._exit(code)

    def _tell_ended(self) -> None:
        while self._ended.recv(4096, socket.MSG_DONTWAIT) == b"\0" * 4096:
            pass
        while self._askers:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            asker = self._askers.pop(pid)
            if asker.fileno() >= 0:
                self._selector.unregister(asker)
                cpu_s, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
                code = os.waitstatus_to_exitcode(status)
                self._say(asker, Ended(returncode=code, cpu_s=cpu_s, peak_memory_bytes=peak))
                asker.close()

    def _give_up(self, pid: int) -> None:
        """End the work for one who went away; they have nothing to say."""
        asker = self._askers[pid]
        self._selector.unregister(asker)
        asker.close()
        os.kill(pid, signal.SIGKILL)  # it was not reaped yet, so the number is still its own

    @staticmethod
    def _say(asker: socket.socket, what: Begun | Ended) -> None:
        try:
            asker.send(to_json(what), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return  # who asked went away


def _take_places(answers: int, complaints: int) -> None:
    """Have stdin empty, stdout and stderr lead to whoever asked, and hold nothing else."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, descriptor in enumerate((nothing, answers, complaints)):
        os.dup2(descriptor, place)
    os.closerange(3, 1 + max(int(name) for name in os.listdir("/proc/self/fd")))  # noqa: PTH208 - names alone


def _limit(kind: int, wanted: int | None, extra: int = 0) -> None:
    if wanted is None:
        return
    _, ceiling = resource.getrlimit(kind)
    soft, hard = (n if ceiling == resource.RLIM_INFINITY else min(n, ceiling) for n in (wanted, wanted + extra))
    resource.setrlimit(kind, (soft, hard))


def main() -> None:
    """Serve the socket that is our stdin."""
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - a fork copies one thread, and the locks of all
        raise SystemExit("an import started a thread")
    gc.freeze()  # or collecting in a child would touch, and so copy, every page
    gc.enable()
    Nursery(socket.socket(fileno=0)).serve()
    os._exit(0)
