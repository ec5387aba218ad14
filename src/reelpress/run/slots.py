"""How many encodes run on each GPU at once, over all processes of a user on a host.

A slot is a locked file: a holder that dies frees it at once. Who finds no slot waits in line by a ticket, a locked file
as well; a slot goes to the first in line that can use it. A ticket that shows no sign of life, since its process is
stopped or hangs, is passed over and keeps its place.

How many sessions a GPU takes is known only by trying. Where nothing was measured it starts with :data:`UNMEASURED`, a
starting value and no measurement; every refusal by the driver lowers it, and every ten minutes it may rise by one
again, up to where it started. Processes of other users, and of containers with folders of their own, do not see each
other's slots: there only the driver's refusals speak.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from reelpress.facts.values import Value, to_json
from reelpress.run.host_state import FileLock, explained, private_folder, read_value, replace_value
from reelpress.run.process import CancelToken

UNMEASURED = 4
RISE_S = 600.0
_STALE_S = 5.0  # several times the longest nap of a waiting process
_FIRST_NAP_S, _LONGEST_NAP_S, _LOAD_S = 0.01, 0.25, 1.0
_MUTEX_S, _LEAST_MUTEX_S = 5.0, 1.0  # it is held for about a millisecond, unless its holder is stopped


class Load(NamedTuple):
    """How busy a GPU is besides our slots: its encoder in percent, and its free memory in MiB."""

    encoder_percent: float
    free_mb: float


_IDLE = Load(0.0, 0.0)


class _Room(NamedTuple):
    """A GPU with a free slot, and the share of its slots that are held."""

    gpu: str
    slot: int
    share: float


class Cap(Value, frozen=True, kw_only=True):
    """What a refusal taught: at ``at`` (Unix time) no more than ``sessions`` could be had."""

    sessions: int
    at: float


class Ticket(Value, frozen=True, kw_only=True):
    """What stands in a ticket: the GPUs its holder would take."""

    gpus: tuple[str, ...]


class Lease:
    """A slot that is ours until released; a context manager."""

    def __init__(self, slots: GpuSlots, gpu: str, slot: int, waited_s: float, lock: FileLock) -> None:
        self.gpu, self.slot, self.waited_s = gpu, slot, waited_s
        self._slots, self._lock = slots, lock

    def refused(self) -> int:
        """Note that the driver refused this encode a session, all others held; return the sessions allowed now."""
        return self._slots.lower(self.gpu, self._slots.held(self.gpu) - 1)

    def release(self) -> None:
        """Give the slot back; a second time changes nothing."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class GpuSlots:
    """The slots of a host's GPUs, by UUID. ``capacity`` are measured sessions; ``folder`` is where processes meet.

    Methods raise :class:`OutputError` when the folder cannot be used. Threads may share one object.
    """

    def __init__(
        self, folder: Path, capacity: Mapping[str, int] | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = private_folder(folder)
        self._configured = dict(capacity or {})
        self._clock = clock

    def acquire(
        self,
        candidates: Sequence[str],
        *,
        patience_s: float,
        last: Collection[str] = (),
        cancel: CancelToken | None = None,
        load: Callable[[], Mapping[str, Load]] | None = None,
    ) -> Lease | None:
        """Take a slot on one of these GPUs, waiting in line at most ``patience_s`` seconds; else ``None``.

        Of several with room the one with the smallest share of its slots held is taken, then the one whose encoder is
        less busy, then the one with more free memory, then the first; but one named in ``last`` only where no other
        has room. ``load`` is asked where several have, at most once a second. ``cancel`` ends the wait, with ``None``.
        """
        started = time.monotonic()
        asked: float | None = None
        loads: Mapping[str, Load] = {}
        ticket: FileLock | None = None
        nap_s = _FIRST_NAP_S
        cancel = cancel or CancelToken()
        try:
            while candidates and not cancel.is_cancelled:
                now = time.monotonic()
                left_s = patience_s - (now - started)
                knows_load = load is None or (asked is not None and now - asked <= _LOAD_S)
                has_choice = False
                with self._alone(max(_LEAST_MUTEX_S, min(left_s, _MUTEX_S))) as is_alone:
                    if is_alone:
                        room = self._room(candidates, ticket)
                        # asking costs a process: only where the answer decides, and never while others wait for us
                        has_choice = len(room) > 1 and not knows_load
                        if not has_choice and (taken := self._take(room, last, loads)) is not None:
                            return Lease(self, *taken[:2], time.monotonic() - started, taken[2])
                        ticket = ticket or (self._queue_up(candidates) if left_s > 0 else None)
                    if ticket is not None:
                        ticket.touch()
                if has_choice and load is not None:
                    loads, asked = load(), time.monotonic()
                    continue
                if left_s <= 0 or cancel.wait(min(nap_s, left_s)):
                    return None
                nap_s = min(1.5 * nap_s, _LONGEST_NAP_S)
            return None
        finally:
            if ticket is not None:
                ticket.release(remove=True)

    def held(self, gpu: str) -> int:
        """Return how many slots of a GPU are held, by this process and others."""
        with self._alone(_MUTEX_S):
            return sum(not is_free for is_free in self._slot_states(gpu).values())

    def capacity(self, gpu: str) -> int:
        """Return how many may be held now: what was configured, or less where the driver refused more lately."""
        most = max(1, self._configured.get(gpu, UNMEASURED))
        with explained(self._folder):
            cap = read_value(self._path(gpu, "cap"), Cap)
        if cap is None:
            return most
        risen = int(max(0.0, self._clock() - cap.at) // RISE_S)
        return max(1, min(most, cap.sessions + risen))

    def lower(self, gpu: str, to: int) -> int:
        """Note for all processes that the driver refused more than ``to`` sessions; return how many are allowed now.

        Never fewer than one: a GPU whose sessions other programs hold is asked again, one encode at a time.
        """
        with self._alone(_MUTEX_S):
            sessions = max(1, min(to, self.capacity(gpu)))
            replace_value(self._path(gpu, "cap"), Cap(sessions=sessions, at=self._clock()))
        return self.capacity(gpu)

    @contextlib.contextmanager
    def _alone(self, patience_s: float) -> Iterator[bool]:
        """Be the only one, of all threads and processes, to look at slots and tickets; ``False`` if that failed."""
        with explained(self._folder):
            lock = FileLock.take(self._folder / "slots.lock", patience_s)
            try:
                yield lock is not None
            finally:
                if lock is not None:
                    lock.release()

    def _room(self, candidates: Sequence[str], ticket: FileLock | None) -> list[_Room]:
        """Return the GPUs that have a slot for us, behind those who were here before."""
        ahead = self._wanted_by_those_ahead(ticket)
        found = []
        for gpu in candidates:
            states = self._slot_states(gpu)
            held, capacity = sum(not is_free for is_free in states.values()), self.capacity(gpu)
            if capacity - held > ahead[gpu]:
                slot = next(n for n in range(capacity) if states.get(n, True))
                found.append(_Room(gpu, slot, held / capacity))
        return found

    def _take(
        self, room: Sequence[_Room], last: Collection[str], loads: Mapping[str, Load]
    ) -> tuple[str, int, FileLock] | None:
        def rank(each: _Room) -> tuple[bool, float, float, float]:
            load = loads.get(each.gpu, _IDLE)
            return each.gpu in last, each.share, load.encoder_percent, -load.free_mb

        if not room:
            return None
        gpu, slot, _ = min(room, key=rank)
        lock = FileLock.try_take(self._path(gpu, f"slot-{slot}"))
        if lock is None:
            return None
        lock.touch()  # what cleans up /tmp goes by age
        return gpu, slot, lock

    def _slot_states(self, gpu: str) -> dict[int, bool]:
        """Return which slots there ever were, and whether each is free."""
        found = {}
        for path in self._folder.glob(f"{_name(gpu)}.slot-*"):
            with FileLock.try_take(path) or contextlib.nullcontext() as lock:
                found[int(path.name.rpartition("-")[2])] = lock is not None
        return found

    def _queue_up(self, candidates: Sequence[str]) -> FileLock | None:
        number = max((int(path.name.rpartition("-")[2]) for path in self._tickets()), default=0) + 1
        ticket = FileLock.try_take(self._folder / f"ticket-{number:012d}")
        if ticket is not None:
            ticket.write(to_json(Ticket(gpus=tuple(candidates))))
        return ticket

    def _wanted_by_those_ahead(self, ticket: FileLock | None) -> Counter[str]:
        """Count per GPU the living tickets before ours, or all while we have none; sweep away those of the dead."""
        ahead: Counter[str] = Counter()
        for path in self._tickets():
            if ticket is not None and path.name >= ticket.path.name:
                break
            if (dead := FileLock.try_take(path)) is not None:
                dead.release(remove=True)
                continue
            with contextlib.suppress(FileNotFoundError):
                # either sign: the clock may have been set back
                is_alive = abs(time.time() - path.stat().st_mtime) < _STALE_S
                waiting = read_value(path, Ticket)
                if is_alive and waiting is not None:
                    ahead.update(set(waiting.gpus))
        return ahead

    def _tickets(self) -> list[Path]:
        return sorted(self._folder.glob("ticket-*"))

    def _path(self, gpu: str, what: str) -> Path:
        return self._folder / f"{_name(gpu)}.{what}"


def _name(gpu: str) -> str:
    """Return a UUID as it can stand in a file name, and in a pattern of file names."""
    if re.fullmatch(r"[A-Za-z0-9-]{1,80}", gpu):
        return gpu
    return "gpu-" + hashlib.sha256(gpu.encode("utf-8", "surrogateescape")).hexdigest()[:32]
