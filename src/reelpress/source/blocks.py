"""What was fetched of a remote file, kept in blocks on disk for all who read it; nothing is fetched twice at once.

Readers pull: a request is read on only as far as blocks are wanted, and whoever reads on where another stopped takes
over its request. What the network brings beyond that is lost, so requests grow only while reading goes on in one
stretch, faster where that is known to be wanted, and end where it ends. The blocks are in a file without a name, which
ends with the process whatever happens.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from reelpress.errors import Cancelled, NetError, OutputError, ReelpressError
from reelpress.net.wire import IsCancelled
from reelpress.source.remote import Part, Remote

BLOCK_BYTES = 32 * 1024
MAX_KEPT_BYTES = 2 * 2**30  # six clips of a minute at 45 Mbit/s; what was used least lately goes first
# Where all of a stretch is known to be wanted requests become as long as what was read before them in it. Elsewhere it
# is half as long at most, up to _SOME_BLOCKS or a small part of what was read, or, once it is known what is wanted, a
# part of the longest of that: what comes in vain stays little.
_FIRST_BLOCKS, _SOME_BLOCKS, _WANTED_BLOCKS, _MOST_BLOCKS = 2, 4, 8, 256
_UNKNOWN, _OUTSIDE = 6, 64
_MOST_WAITING = 8  # requests that nobody reads for the moment
FRESH_S = 10.0  # after such a rest a connection may be dead without anybody having noticed
_TRIES = 5  # in a row, without a byte between them
_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0
_SLICE_S = 0.1


class Blocks:
    """The blocks of one remote file; threads share it.

    At most ``max_bytes`` are kept in ``folder``, fewer where the disk is full; what is not kept is fetched again.
    Raises :class:`OutputError` where no file can be made in it.
    """

    def __init__(
        self, remote: Remote, *, folder: Path | None, is_cancelled: IsCancelled, max_bytes: int = MAX_KEPT_BYTES
    ) -> None:
        self._remote, self._is_cancelled = remote, is_cancelled
        self._file = _nameless(folder)
        self._changing = threading.Condition()
        self._slots: OrderedDict[int, tuple[int, int]] = OrderedDict()  # block: place in the file, and length
        self._most, self._made = max_bytes // BLOCK_BYTES, 0
        self._free: list[int] = []
        self._coming: set[int] = set()
        self._waiting: OrderedDict[int, Part] = OrderedDict()  # by the byte they go on at
        self._runs: OrderedDict[int, int] = OrderedDict()  # where the stretch began that was read up to this byte
        self._ranges: list[tuple[int, int]] = []  # that are known to be wanted
        self._failed: dict[int, ReelpressError] = {}
        self._is_closed = False

    @property
    def failure(self) -> ReelpressError | None:
        """What kept a block from being read, unless it was read later."""
        with self._changing:
            return self._remote.over or next(reversed(self._failed.values()), None)

    def read(self, index: int) -> bytes:
        """Return a block, of ``BLOCK_BYTES`` except for the last; fetched unless it is kept.

        Raises what :meth:`Remote.part` raises, once trying again is of no use.
        """
        with self._changing:
            while True:
                self._stop_if_cancelled()
                if (data := self._kept(index)) is not None:
                    return data
                if index not in self._coming:
                    break
                self._changing.wait(0.25)
            self._coming.add(index)
        try:
            data = self._fetch(index)
            with self._changing:
                self._keep(index, data)
                self._failed.pop(index, None)
        except Cancelled:
            raise
        except ReelpressError as error:
            with self._changing:
                self._failed[index] = error
            raise
        else:
            return data
        finally:
            with self._changing:
                self._coming.discard(index)
                self._changing.notify_all()

    def expect(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Say which bytes are going to be read: requests then end where these do, and are short elsewhere.

        What is read is nobody's choice but the readers'.
        """
        with self._changing:
            self._ranges += [(begin, end) for begin, end in ranges if begin < end]

    def hang_up(self) -> None:
        """End the requests that nobody reads."""
        with self._changing:
            idle = list(self._waiting.values())
            self._waiting.clear()
        for part in idle:
            part.close()

    def close(self) -> None:
        """Forget everything. Readers that wait are sent away with :class:`Cancelled`."""
        with self._changing:
            self._is_closed = True
            self._changing.notify_all()
        self.hang_up()
        self._file.close()

    def _fetch(self, index: int) -> bytes:
        data, setbacks = b"", 0
        wanted = BLOCK_BYTES
        while len(data) < wanted:
            part: Part | None = None
            try:
                part = self._part_at(index * BLOCK_BYTES + len(data))
                if self._remote.version is not None:
                    wanted = min(BLOCK_BYTES, self._remote.version.size_bytes - index * BLOCK_BYTES)
                data += part.read(wanted - len(data))
            except NetError as error:
                if part is not None:
                    part.close()
                setbacks += 1
                if not error.retryable or setbacks == _TRIES:
                    raise
                self._pause(max(_PAUSE_S * 2 ** (setbacks - 1), error.retry_after_s or 0.0))
            except BaseException:
                if part is not None:
                    part.close()
                raise
            else:
                setbacks = 0
                self._put_back(part)
        return data

    def _part_at(self, position: int) -> Part:
        """Return a request that goes on here: one that another reader left, or a new one."""
        with self._changing:
            self._stop_if_cancelled()
            part = self._waiting.pop(position, None)
            began = self._runs.pop(position, position)
            blocks = self._blocks_at(position, (position - began) // BLOCK_BYTES)
            first = position // BLOCK_BYTES
            # up to what is kept, or on its way, already
            last = next(
                (i for i in range(first + 1, first + blocks) if i in self._slots or i in self._coming), first + blocks
            )
        if part is not None:
            if time.monotonic() - part.used_at < FRESH_S:
                return part
            part.close()
        part = self._remote.part(position, last * BLOCK_BYTES - position)
        part.run_began = began
        return part

    def _blocks_at(self, position: int, run: int) -> int:
        """Return how many blocks to ask for where so many before them were read in one stretch."""
        ends = [end for begin, end in self._ranges if begin <= position < end]
        if ends:
            to_end = -(-max(ends) // BLOCK_BYTES) - position // BLOCK_BYTES
            return min(max(_WANTED_BLOCKS, run), _MOST_BLOCKS, to_end)
        longest = max((end - begin for begin, end in self._ranges), default=0)
        most = longest // _OUTSIDE // BLOCK_BYTES if longest else max(_SOME_BLOCKS, run // _UNKNOWN)
        return max(_FIRST_BLOCKS, min(run // 2, most, _MOST_BLOCKS))

    def _put_back(self, part: Part) -> None:
        """Keep a request for who reads on, unless it is at its end or leads to what is there already."""
        surplus: list[Part] = []
        with self._changing:
            if part.position >= part.end:
                self._runs[part.position] = part.run_began
                if len(self._runs) > 1000:
                    self._runs.popitem(last=False)
                surplus.append(part)
            elif self._is_closed or part.position // BLOCK_BYTES in self._slots:
                surplus.append(part)
            else:
                if (other := self._waiting.pop(part.position, None)) is not None:
                    surplus.append(other)
                self._waiting[part.position] = part
                while len(self._waiting) > _MOST_WAITING:
                    surplus.append(self._waiting.popitem(last=False)[1])
        for each in surplus:
            each.close()

    def _kept(self, index: int) -> bytes | None:
        place = self._slots.get(index)
        if place is None:
            return None
        self._slots.move_to_end(index)
        return os.pread(self._file.fileno(), place[1], place[0] * BLOCK_BYTES)

    def _keep(self, index: int, data: bytes) -> None:
        if self._is_closed or self._most < 1:
            return
        if self._free:
            slot = self._free.pop()
        elif self._made < self._most:
            slot, self._made = self._made, self._made + 1
        else:
            slot = self._slots.popitem(last=False)[1][0]
        try:
            is_whole = os.pwrite(self._file.fileno(), data, slot * BLOCK_BYTES) == len(data)
        except OSError:
            is_whole = False
        if is_whole:
            self._slots[index] = (slot, len(data))
        elif slot + 1 == self._made:  # a full disk: make do with what there is
            self._made = self._most = slot
        else:
            self._free.append(slot)

    def _stop_if_cancelled(self) -> None:
        if self._is_closed or self._is_cancelled():
            raise Cancelled

    def _pause(self, pause_s: float) -> None:
        until = time.monotonic() + min(pause_s, _LONGEST_PAUSE_S)
        while time.monotonic() < until:
            self._stop_if_cancelled()
            time.sleep(_SLICE_S)


def _nameless(folder: Path | None) -> BinaryIO:
    try:
        return tempfile.TemporaryFile(prefix="reelpress-source-", dir=folder)
    except OSError as error:
        where = folder or "the system's folder for temporary files"
        raise OutputError(
            f"What is fetched cannot be kept in {where}.", evidence=error.strerror,
            hint="free some space, or set TMPDIR to a folder that can be written",
        ) from error  # fmt: skip
