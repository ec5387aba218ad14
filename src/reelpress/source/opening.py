"""Opens a file, or an address, for programs that read parts of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Self

from reelpress.errors import InputError, ReelpressError, UsageError
from reelpress.facts.formats import protocol_whitelist
from reelpress.run.process import CancelToken
from reelpress.source import fingerprint
from reelpress.source.snapshot import Snapshot

if TYPE_CHECKING:
    from reelpress.source.blocks import Blocks
    from reelpress.source.remote import Renew

NETWORK_PROTOCOLS = "http,tcp"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WEB = re.compile(r"https?://", re.IGNORECASE)


class OpenSource:
    """A source that is open: a context manager that threads may share.

    ``name`` is what people call it: a file's name, or an address without its query. ``url`` is what FFmpeg opens,
    with ``protocols`` as its ``-protocol_whitelist`` and :attr:`input_options` before its ``-i``; it is nothing to
    write down, since who knows it can read the source. ``fingerprint`` is 64 hex digits of the content, never of the
    name: what was found out about the source is kept under it. ``path`` is the file, if it is one here.
    """

    protocols = protocol_whitelist()
    input_options: tuple[str, ...] = ()

    def __init__(self, *, name: str, url: str, size_bytes: int, content: str, path: Path | None = None) -> None:
        self.name, self.url, self.size_bytes, self.fingerprint, self.path = name, url, size_bytes, content, path

    @property
    def input_name(self) -> str:
        """How events and receipts name it: a file by its path, an address without its query."""
        return self.name if self.path is None else os.fspath(self.path)

    @property
    def read_bytes(self) -> int:
        """How many bytes came over the network so far; 0 for a file here."""
        return 0

    @property
    def failure(self) -> ReelpressError | None:
        """What kept a part of the source from being read, if it was not read later: why FFmpeg may have failed."""
        return None

    def expect(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Say which bytes are going to be read, from and to, so that less is fetched in vain; others may be, too."""

    def check_unchanged(self) -> None:
        """Raise :class:`InputError` if the source is not what it was when it was opened, or may no longer be read.

        To be called before an output is delivered, and where FFmpeg failed: FFmpeg takes what it could not read for
        the end of the file.
        """

    def close(self) -> None:
        """Let go of the source; a second time changes nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(
    named: str | os.PathLike[str],
    *,
    allow_private: bool = False,
    cache_dir: Path | None = None,
    cancel: CancelToken | None = None,
    renew: Renew | None = None,
) -> OpenSource:
    """Open a file, or a file behind ``http://`` or ``https://``, of which only what is read is fetched.

    The server must deliver ranges. Its address must be public unless ``allow_private``; what was fetched is kept in a
    nameless file in ``cache_dir``, or the system's folder for such, until the source is closed. ``cancel`` ends all
    reading. ``renew`` is asked for the address anew where it is a signed one that has expired.

    Raises :class:`InputError`, :class:`UsageError`, :class:`AddressError`, :class:`NetError`, :class:`OutputError` for
    that folder, and :class:`Cancelled`.
    """
    cancel = cancel or CancelToken()
    if isinstance(named, str) and _WEB.match(named):
        return _RemoteSource(named, allow_private=allow_private, cache_dir=cache_dir, cancel=cancel, renew=renew)
    if isinstance(named, str) and _SCHEME.match(named):
        raise InputError(
            "Only files, and addresses of http and https, can be opened.", evidence=ascii(named.partition(":")[0][:20])
        )
    return _LocalSource(Path(named).absolute(), cancel)


class _LocalSource(OpenSource):
    def __init__(self, path: Path, cancel: CancelToken) -> None:
        self._snapshot = snapshot = Snapshot.take(path)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise InputError(f"{path} is not a regular file.", hint="Give the video itself.", reason="not_a_file")
            if snapshot.size_bytes == 0:
                raise InputError(f"{path} is empty.", evidence="0 bytes", reason="empty")
            content = fingerprint.of_file(path, snapshot.size_bytes, cancel)
        except OSError as error:
            raise InputError(f"{path} cannot be read.", evidence=error.strerror, reason="unreadable") from error
        super().__init__(
            name=path.name, url=f"file:{path}", size_bytes=snapshot.size_bytes, content=content, path=path
        )  # fmt: skip
        self.check_unchanged()

    def check_unchanged(self) -> None:
        assert self.path is not None  # noqa: S101 - a local source has one
        self._snapshot.refuse_change(Snapshot.take(self.path))


class _RemoteSource(OpenSource):
    protocols = NETWORK_PROTOCOLS
    # No proxy of the environment's for what is on this very machine; and what waits in a socket may never be read.
    input_options = ("-http_proxy", "none", "-recv_buffer_size", "8192")

    def __init__(
        self, address: str, *, allow_private: bool, cache_dir: Path | None, cancel: CancelToken, renew: Renew | None
    ) -> None:
        try:
            from reelpress.source.blocks import Blocks
            from reelpress.source.gateway import Gateway
            from reelpress.source.remote import Remote
            from reelpress.storage.keys import safe_name
        except ModuleNotFoundError as error:
            raise UsageError(
                "Reading from addresses needs more than is installed.", evidence=f"{error.name} is not installed",
                hint="pip install 'reelpress[service]'",
            ) from None  # fmt: skip
        self._closing = CancelToken()

        def is_cancelled() -> bool:
            return self._closing.is_cancelled or cancel.is_cancelled

        with contextlib.ExitStack() as resources:
            self._remote = remote = Remote(
                address, allow_private=allow_private, is_cancelled=is_cancelled, renew=renew
            )  # fmt: skip
            resources.callback(remote.close)
            self._blocks: Blocks = Blocks(remote, folder=cache_dir, is_cancelled=is_cancelled)
            resources.callback(self._blocks.close)
            first = self._blocks.read(0)
            version = remote.version
            assert version is not None  # noqa: S101 - there was an answer
            gateway = Gateway(
                self._blocks, size_bytes=version.size_bytes, name=safe_name(PurePosixPath(remote.name).name)
            )  # fmt: skip
            resources.callback(gateway.close)
            # The scheme and the host are part of what an ETag is unique within.
            seen_as = repr((remote.name, *version)).encode() + first
            super().__init__(
                name=remote.name, url=gateway.url, size_bytes=version.size_bytes,
                content=hashlib.sha256(seen_as).hexdigest(),
            )  # fmt: skip
            self._resources = resources.pop_all()

    @property
    def read_bytes(self) -> int:
        return self._remote.read_bytes

    @property
    def failure(self) -> ReelpressError | None:
        return self._blocks.failure

    def expect(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._blocks.expect(ranges)

    def check_unchanged(self) -> None:
        if self._remote.over is not None:
            raise self._remote.over

    def close(self) -> None:
        self._closing.cancel()
        self._resources.close()
