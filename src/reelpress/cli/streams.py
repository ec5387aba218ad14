"""Standard streams that are closed, full, or read by nobody: what is said there never changes what is done."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # importing typing takes 10 ms, and everything waits for this
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Talk(io.FileIO):
    """Standard error, which takes everything: what nobody can be told is left out."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            written = super().write(data)
        except OSError:
            written = None
        # of a reader that takes nothing now FileIO says None
        return memoryview(data).nbytes if written is None else written


def ready_streams() -> None:
    """Have closed standard streams lead to ``/dev/null``, and standard error never fail; to be called first of all.

    The number of a closed stream would go to the next file that is opened, and child processes would talk into that.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:  # the lowest number that is free is this one
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - it stays open
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        talk = io.BufferedWriter(_Talk(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(talk, encoding=sys.stderr.encoding, errors=sys.stderr.errors, line_buffering=True)
