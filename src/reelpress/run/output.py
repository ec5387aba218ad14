"""What a program says: stdout whole or line by line, stderr as a bounded tail."""

from __future__ import annotations

import re
from collections.abc import Callable

_STDERR_BYTES = 64 * 1024
_KEPT_BYTES = 16 * 1024
_FIGURES = re.compile(rb"0x[0-9a-f]+|[0-9]+")
_LINE_BYTES = 64 * 1024  # a longer line is handed on in pieces


class Output:
    """What a program says: stdout whole or line by line, stderr as a bounded tail.

    Of what stands before the tail, the lines that ``keep_stderr`` chooses stay, the first of each kind: lines that
    differ in figures alone are of one.
    """

    def __init__(
        self,
        on_line: Callable[[str], None] | None,
        max_stdout_bytes: int,
        keep_stderr: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._on_line, self._max_stdout_bytes, self._keep_stderr = on_line, max_stdout_bytes, keep_stderr
        self.stdout, self.stdout_truncated, self.bytes_seen = bytearray(), False, 0
        self._line, self._stderr, self._stderr_is_cut = bytearray(), bytearray(), False
        self._kept, self._kinds = bytearray(), set[bytes]()

    def take_stdout(self, chunk: bytes) -> None:
        """Take what was read from stdout; an empty chunk is its end."""
        self.bytes_seen += len(chunk)
        if self._on_line is None:
            room = self._max_stdout_bytes - len(self.stdout)
            self.stdout_truncated |= len(chunk) > room
            self.stdout += chunk[: max(room, 0)]
            return
        *lines, rest = (bytes(self._line) + chunk).split(b"\n")
        if not chunk or len(rest) > _LINE_BYTES:  # the end of the stream ends a line too
            lines, rest = ([*lines, rest] if rest else lines), b""
        self._line = bytearray(rest)
        for line in lines:
            self._on_line(line.rstrip(b"\r").decode("utf-8", "replace"))

    def take_stderr(self, chunk: bytes) -> None:
        """Take what was read from stderr."""
        self.bytes_seen += len(chunk)
        self._stderr += chunk
        if len(self._stderr) > 2 * _STDERR_BYTES:
            self._trim_stderr()

    def stderr_tail(self) -> str:
        """Return the last whole lines, at most 64 KiB, with every line ending made a newline; before them what is kept.

        That is 16 KiB at most.
        """
        if len(self._stderr) > _STDERR_BYTES:
            self._trim_stderr()
        kept, text = (
            said.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
            for said in (self._kept, self._stderr)
        )
        # Half a line could be read as something it does not say.
        return kept + (text.partition("\n")[2] if self._stderr_is_cut else text)

    def _trim_stderr(self) -> None:
        at = len(self._stderr) - _STDERR_BYTES
        end = self._stderr.find(b"\n", at - 1) + 1
        if self._keep_stderr is not None:
            gone = self._stderr[: end or at].split(b"\n")
            self._keep(gone[int(self._stderr_is_cut) : -1], self._keep_stderr)
        del self._stderr[: end or at]
        self._stderr_is_cut = not end

    def _keep(self, lines: list[bytearray], keep: Callable[[bytes], bool]) -> None:
        for line in map(bytes, lines):
            if len(self._kept) + len(line) < _KEPT_BYTES and keep(line):
                kind = _FIGURES.sub(b"0", line)
                if kind not in self._kinds:
                    self._kinds.add(kind)
                    self._kept += line + b"\n"
