"""Begins the look at the first input before the rest of the engine is imported: another process does the looking."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from reelpress.look import Look, look_at
from reelpress.run.process import CancelToken


@contextlib.contextmanager
def first_look(inputs: Sequence[str], cancel: CancelToken) -> Iterator[Future[Look] | None]:
    """Look at the first input in a thread; ``None`` where it is a folder. An error in the body cancels the look."""
    if not inputs[0] or os.path.isdir(inputs[0]):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        yield None
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        look = pool.submit(look_at, inputs[0], cancel)
        try:
            yield look
        except BaseException:
            cancel.cancel()
            raise
