"""One file of an HTTP(S) server, read in parts by ranged requests; every answer must be of the file that was opened.

What a file is, is told by its size, its ETag and its Last-Modified, as far as the server gives them. The server must
deliver ranges: nothing here fetches a whole file in place of a part. Where an address leads on to another (a signed
one, as a rule), that one is asked directly until it is refused.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import httpx

from reelpress.errors import InputError, NetError
from reelpress.net.addresses import check_url, shown
from reelpress.net.answers import get, refusal
from reelpress.net.client import public_client
from reelpress.net.wire import IsCancelled, Patience

# Of an answer that is not read to its end, about so much may have crossed the network in vain.
_RECEIVE_BYTES = 128 * 1024
_NO_LONGER = {400, 401, 403}  # what signed addresses answer once they have expired; Google's say 400
_GONE = {404, 410}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_DOWNLOAD_FIRST = "Download the video first, and name the file."


# Returns an address of the same file that was signed just now.
Renew: TypeAlias = Callable[[], str]


class Version(NamedTuple):
    """What tells one content of an address from the next."""

    size_bytes: int
    etag: str | None
    last_modified: str | None


class Part:
    """The answer to one request: bytes from ``position`` to ``end``, read as they are wanted, by one thread at a time.

    ``used_at`` is the monotonic time of the last reading. ``run_began`` is where reading began that came to it without
    a gap; it is for who asks to set.
    """

    def __init__(self, position: int, end: int, body: Iterator[bytes], request: contextlib.ExitStack) -> None:
        self.position, self.end, self.run_began = position, end, position
        self.used_at = time.monotonic()
        self._body, self._request = body, request
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer only at the part's end. Raises :class:`NetError` and others."""
        wanted = min(size, self.end - self.position)
        pieces, have = [self._rest], len(self._rest)
        while have < wanted:
            piece = next(self._body, b"")
            if not piece:
                raise NetError("A server broke off.", reason="truncated", evidence="the body ended early")
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self._rest = data[wanted:]
        self.position += wanted
        self.used_at = time.monotonic()
        return data[:wanted]

    def close(self) -> None:
        """Hang up."""
        self._request.close()


class Remote:
    """A file behind an address; threads may share it.

    ``version`` is known once the first part was asked for; ``read_bytes`` counts what came of all bodies. ``renew``
    gives the file's address anew, once one that was good has expired.

    Raises :class:`AddressError` for an address that may not be called.
    """

    def __init__(
        self,
        url: str,
        *,
        allow_private: bool,
        is_cancelled: IsCancelled,
        renew: Renew | None = None,
        patience: Patience = Patience(),  # noqa: B008 - a frozen value
    ) -> None:
        read = check_url(url, allow_private=allow_private)
        self.where = shown(read)
        self.name = f"{self.where}{read.path}"
        self.version: Version | None = None
        self.over: InputError | None = None
        self._url, self._now_at, self._renew = url, url, renew
        self._allow_private = allow_private
        self._counting = threading.Lock()
        self.read_bytes = 0
        self._client = public_client(
            allow_private=allow_private, patience=patience, is_cancelled=is_cancelled, receive_bytes=_RECEIVE_BYTES
        )

    def part(self, start: int, length: int) -> Part:
        """Ask once for ``length`` bytes from ``start`` on; the server may give fewer, never none.

        Raises :class:`InputError` when the server gives no parts, or the file is not the one that was opened or may no
        longer be read, which is so from then on; :class:`NetError`, :class:`AddressError` and :class:`Cancelled`.
        """
        if self.over is not None:
            raise self.over
        now_at = self._now_at
        try:
            return self._ask(now_at, start, length)
        except NetError as error:
            if (fresh := self._in_place_of(now_at, error)) is None:
                raise self._explained(error) from None
        self._now_at = fresh
        try:
            return self._ask(fresh, start, length)
        except NetError as error:
            raise self._explained(error) from None

    def _in_place_of(self, refused: str, error: NetError) -> str | None:
        """Return another address to ask: the one that led to this, which may lead to something fresh, or a new one."""
        if error.status not in _NO_LONGER | _GONE:
            return None
        if refused == self._url:
            if self._renew is None or self.version is None or error.status in _GONE:
                return None
            self._url = self._renew()
        return self._url

    def close(self) -> None:
        """Let go of the client; parts are closed by who asked for them."""
        self._client.close()

    def _ask(self, url: str, start: int, length: int) -> Part:
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        if self.version and self.version.etag and self.version.etag.startswith('"') and self.version.etag.isascii():
            headers["If-Range"] = self.version.etag
        with contextlib.ExitStack() as request:
            response = request.enter_context(get(self._client, url, headers, allow_private=self._allow_private))
            end = self._checked(response, start, start + length)
            self._now_at = str(response.request.url)
            return Part(start, end, self._counted(response.iter_raw()), request.pop_all())
        raise AssertionError("nothing is suppressed")

    def _counted(self, body: Iterator[bytes]) -> Iterator[bytes]:
        for piece in body:
            with self._counting:
                self.read_bytes += len(piece)
            yield piece

    def _checked(self, response: httpx.Response, start: int, end: int) -> int:
        """Return where this answer ends, if it is a part of the file that was opened, or of one to be opened now."""
        known = self.version
        if response.status_code == 200:
            if known is not None:
                raise self._changed("the server sends the whole instead of a part")
            if response.headers.get("Content-Length") == "0":
                raise InputError(f"{self.name} is empty.", evidence="0 bytes", reason="empty")
            raise InputError(
                f"{self.where} does not deliver parts of this file.", evidence="HTTP 200 to a request for a range",
                hint=_DOWNLOAD_FIRST, reason="no_ranges",
            )  # fmt: skip
        if response.status_code == 416 and response.headers.get("Content-Range") == "bytes */0":
            raise InputError(f"{self.name} is empty.", evidence="0 bytes", reason="empty")
        if response.status_code == 416 and known is not None:
            raise self._changed("it is shorter than the server said")
        if response.status_code != 206:
            raise refusal(response)
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        packed = response.headers.get("Content-Encoding", "identity").strip().lower() != "identity"
        if (
            found is None
            or found[3] == "*"
            or int(found[1]) != start
            or not start <= int(found[2]) < int(found[3])
            or packed
        ):
            raise InputError(
                f"{self.where} does not deliver parts as it should.",
                evidence="the part is packed" if packed else "Content-Range is not what was asked for, or lacks a size",
                hint=_DOWNLOAD_FIRST, reason="no_ranges",
            )  # fmt: skip
        version = Version(int(found[3]), response.headers.get("ETag"), response.headers.get("Last-Modified"))
        if known is None:
            self.version = version
        elif version != known:
            names = ("size", "ETag", "Last-Modified")
            other = [name for name, is_now, was in zip(names, version, known, strict=True) if is_now != was]
            raise self._changed(f"another {' and '.join(other)}")
        return min(int(found[2]) + 1, end)

    def _changed(self, evidence: str) -> InputError:
        self.over = InputError(
            f"{self.name} changed while it was read.", evidence=evidence, hint="Wait until it is complete.",
            reason="changed",
        )  # fmt: skip
        return self.over

    def _explained(self, error: NetError) -> NetError | InputError:
        """Return what a refusal means once the file could be read before; a first one means what it says."""
        if self.version is None or error.status not in _NO_LONGER | _GONE:
            return error
        gone = error.status in _GONE
        self.over = InputError(
            f"{self.name} {'is no longer there' if gone else 'may no longer be read: its address has expired'}.",
            evidence=error.evidence, hint="Begin again with a fresh address." if not gone else None,
            reason="missing" if gone else "expired",
        )  # fmt: skip
        return self.over
