"""What a program says: stdout whole or line by line, stderr as a bounded tail."""

from __future__ import annotations

from collections.abc import Callable

_STDERR_BYTES = 64 * 1024
_LINE_BYTES = 64 * 1024  # a longer line is handed on in pieces


class Output:
    """What a program says: stdout whole or line by line, stderr as a bounded tail."""

    def __init__(self, on_line: Callable[[str], None] | None, max_stdout_bytes: int) -> None:
        self._on_line, self._max_stdout_bytes = on_line, max_stdout_bytes
        self.stdout, self.stdout_truncated, self.bytes_seen = bytearray(), False, 0
        self._line, self._stderr, self._stderr_is_cut = bytearray(), bytearray(), False

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
        """Return the last whole lines, at most 64 KiB, with every line ending made a newline."""
        if len(self._stderr) > _STDERR_BYTES:
            self._trim_stderr()
        text = self._stderr.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        # Half a line could be read as something it does not say.
        return text.partition("\n")[2] if self._stderr_is_cut else text

    def _trim_stderr(self) -> None:
        del self._stderr[:-_STDERR_BYTES]
        self._stderr_is_cut = True
