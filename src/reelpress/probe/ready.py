"""A probe that stands ready: its child has imported everything and waits to be told which file to look at.

Looking at an output is on the critical path of every job, and half of it was Python starting up.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

import msgspec

from reelpress.facts.media import Decoded, MediaFacts
from reelpress.facts.values import to_json
from reelpress.probe import nursery
from reelpress.probe.media import both, look_at_output, output_limits, read_answer, request_for_output
from reelpress.probe.media_request import Decoding
from reelpress.probe.start import child_argv
from reelpress.run.process import CancelToken, Finished, run


class ReadyProbe:
    """Looks at files we wrote ourselves; :meth:`start` is worth calling a little before the first of them is done.

    ``duration_s`` is how long they are: the longer, the longer a look may take.
    """

    def __init__(self, cancel: CancelToken, duration_s: float | None) -> None:
        self._cancel, self._duration_s, self._limits = cancel, duration_s, output_limits(duration_s)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reelpress-probe")
        self._waiting: tuple[int, Future[Finished]] | None = None
        self._asked_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._waiting is not None:
            write, _ = self._waiting
            os.close(write)  # a child that was never asked anything ends
        self._pool.shutdown()

    def start(self) -> None:
        """Start the child unless one is waiting, or can be had at once."""
        if (kept := nursery.kept()) is not None:
            kept.start()
        elif self._waiting is None:
            self._waiting = self._started()

    def look(self, path: Path, decoding: Decoding, spend: Callable[[float], None]) -> tuple[MediaFacts, Decoded]:
        """Return the facts of a file, and what a software decoder made of it.

        ``spend`` is told the CPU seconds. Raises as :func:`reelpress.probe.media.probe` does.
        """
        if nursery.kept() is not None and self._waiting is None:
            return look_at_output(path, decoding, duration_s=self._duration_s, cancel=self._cancel, spend=spend)
        request = request_for_output(path, decoding)
        write, child = self._waiting or self._started()
        self._waiting = None
        self._asked_at = time.monotonic()
        with contextlib.suppress(BrokenPipeError), open(write, "wb", closefd=True) as pipe:  # noqa: PTH123 - a descriptor
            pipe.write(to_json(request))
        finished = child.result()
        spend(finished.cpu_s)
        return both(read_answer(finished, self._limits))

    def _started(self) -> tuple[int, Future[Finished]]:
        self._asked_at = None
        read, write = os.pipe()
        return write, self._pool.submit(self._run, read)

    def _run(self, read: int) -> Finished:
        # the clock starts with the question, not with the waiting
        limits = msgspec.structs.replace(self._limits.of_child(), wall_s=None)
        try:
            return run(child_argv(), limits=limits, cancel=self._cancel, stdin=read, stop_if=self._too_long)
        finally:
            os.close(read)

    def _too_long(self) -> str | None:
        asked_at = self._asked_at
        if asked_at is not None and time.monotonic() - asked_at > self._limits.wall_s:
            return f"looked for longer than {self._limits.wall_s:g} s"
        return None
