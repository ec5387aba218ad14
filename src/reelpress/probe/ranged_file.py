"""A file behind the gateway on this machine, of which a few bytes are read."""

from __future__ import annotations

import http.client
import io
from typing import Self
from urllib.parse import urlsplit

_AHEAD_BYTES = 32 * 1024
_WAIT_S = 120.0


class RangedFile(io.RawIOBase):
    """``size`` bytes at ``url``, on one connection; use :meth:`buffered`. Reading raises :class:`OSError`."""

    def __init__(self, url: str, size: int) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=_WAIT_S)
        self._path, self._size, self._at = parts.path, size, 0

    @classmethod
    def buffered(cls, url: str, size: int) -> io.BufferedReader:
        """Return the file as one that reads no more than it must."""
        return io.BufferedReader(cls(url, size), _AHEAD_BYTES)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, which may be beyond the end."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill what is wanted, as far as the file goes."""
        last = min(self._at + len(buffer), self._size) - 1
        if last < self._at:
            return 0
        try:
            self._connection.request("GET", self._path, headers={"Range": f"bytes={self._at}-{last}"})
            answer = self._connection.getresponse()
            data = answer.read() if answer.status == 206 else b""
        except http.client.HTTPException as error:
            raise OSError(f"the gateway broke off: {type(error).__name__}") from None
        if len(data) != last + 1 - self._at:
            raise OSError(f"HTTP {answer.status}")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
        super().close()

    def __enter__(self) -> Self:
        return self
