"""From a URL to a file: never a wrong file under the target's name, and what arrived is not fetched twice.

The first answer says what there is: its size and its ETag. What a broken connection or a killed process left of that
very version is kept beside the target, and only the rest is asked for (``Range`` with ``If-Range``), if the ETag is a
strong one. Without one, a broken download begins again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import httpx

from reelpress.errors import Cancelled, NetError
from reelpress.facts.values import Value
from reelpress.net.addresses import check_url, shown
from reelpress.net.answers import get, refusal
from reelpress.net.client import public_client
from reelpress.net.wire import Patience
from reelpress.storage.keys import safe_name
from reelpress.storage.landing import Landing
from reelpress.storage.waiting import CancelSign

# Bytes done, and bytes in all where the server said.
OnProgress: TypeAlias = Callable[[int, int | None], None]

TRIES = 3  # of a file that changes while it is read
_SETBACKS = 5  # in a row, each before so much had come
_HEADWAY_BYTES = 8 * 2**20
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 20.0
_SLICE_S = 0.1
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


class Fetched(Value, frozen=True, kw_only=True):
    """A file that arrived; ``name`` is safe to use, ``resumed_from`` is how many bytes an earlier call had fetched."""

    path: str
    size_bytes: int
    etag: str | None
    sha256: str
    name: str
    resumed_from: int


def fetch(
    url: str,
    target: Path,
    *,
    max_bytes: int,
    allow_private: bool = False,
    patience: Patience = Patience(),  # noqa: B008 - a frozen value
    on_progress: OnProgress | None = None,
    cancel: CancelSign | None = None,
) -> Fetched:
    """Fetch a file into ``target``, replacing one that is there once the new one is whole and flushed.

    More than ``max_bytes`` are never written, whatever the server says. A body whose end cannot be told from a broken
    connection (neither a length nor chunks) is refused, as is one that is packed.

    Raises :class:`AddressError` for what may not be called, :class:`NetError` with ``retryable``,
    :class:`StorageError` when the disk is full or another call is fetching to this target, and :class:`Cancelled`.
    """
    work = _Fetch(url, target, max_bytes, allow_private, on_progress or (lambda _done, _all: None), cancel)
    with public_client(allow_private=allow_private, patience=patience, is_cancelled=work.is_cancelled) as client:
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                return work.finish(client)
            except NetError as error:
                if error.reason != "changed" or last:
                    raise
    raise AssertionError("the last try returns or raises")


def name_of(url: str) -> str:
    """Return a safe name for the file that a URL points to; never fails for a URL that was accepted."""
    return safe_name(httpx.URL(url).path.rstrip("/"))


class _Version(Value, frozen=True, kw_only=True):
    """What there is to fetch, as its first answer described it."""

    etag: str | None
    size_bytes: int | None

    @property
    def strong_etag(self) -> str | None:
        """The ETag, if it stands for the very bytes and can be sent back."""
        return self.etag if self.etag and self.etag.startswith('"') and self.etag.isascii() else None


class _Fetch:
    def __init__(
        self,
        url: str,
        target: Path,
        max_bytes: int,
        allow_private: bool,
        on_progress: OnProgress,
        cancel: CancelSign | None,
    ) -> None:
        self.url, self.target, self.max_bytes, self.allow_private = url, target, max_bytes, allow_private
        self.on_progress, self.cancel = on_progress, cancel
        self.where = shown(check_url(url, allow_private=allow_private))

    def is_cancelled(self) -> bool:
        return self.cancel is not None and self.cancel.is_cancelled

    def finish(self, client: httpx.Client) -> Fetched:
        with get(client, self.url, allow_private=self.allow_private) as first:
            version = self._version_of(first)
            limit = self.max_bytes if version.size_bytes is None else version.size_bytes
            # Without its query, which holds a new signature each time.
            seen_as = repr((self.where, httpx.URL(self.url).path, version.etag, version.size_bytes))
            keep = version.strong_etag is not None
            with Landing.open(
                self.target, seen_as, limit_bytes=limit, keep=keep, is_over=self.is_cancelled
            ) as landing:  # fmt: skip
                resumed_from = landing.size_bytes
                try:
                    self._fill(client, landing, version, first)
                except NetError as error:
                    if error.reason in {"changed", "too_large"}:
                        landing.discard()
                    raise
                landing.publish()
                return Fetched(
                    path=str(self.target), size_bytes=landing.size_bytes, etag=version.etag, sha256=landing.sha256,
                    name=name_of(self.url), resumed_from=resumed_from,
                )  # fmt: skip

    def _version_of(self, first: httpx.Response) -> _Version:
        if first.status_code != 200:
            raise refusal(first)
        if first.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise self._useless("refused", "the body is packed, which was not asked for")
        length = first.headers.get("Content-Length")
        if length is None and "chunked" not in first.headers.get("Transfer-Encoding", "").lower():
            raise self._useless("refused", "the answer does not say where it ends")
        version = _Version(etag=first.headers.get("ETag"), size_bytes=None if length is None else int(length))
        if version.size_bytes is not None and version.size_bytes > self.max_bytes:
            raise self._useless("too_large", f"{version.size_bytes} bytes, {self.max_bytes} allowed")
        return version

    def _fill(self, client: httpx.Client, landing: Landing, version: _Version, first: httpx.Response) -> None:
        """Write what is missing: from the first answer, or, where there is a beginning, from others."""
        setbacks = 0
        fresh = landing.size_bytes == 0
        while fresh or landing.size_bytes != version.size_bytes:
            before = landing.size_bytes
            try:
                if fresh:
                    self._pour(first, landing, version)
                else:
                    first.close()
                    self._pour_rest(client, landing, version)
            except NetError as error:
                setbacks = 0 if landing.size_bytes - before >= _HEADWAY_BYTES else setbacks + 1
                # Who drips is not asked again here: each time would last as long as the last.
                hopeless = not error.retryable or error.reason in {"changed", "timed_out"}
                if hopeless or version.strong_etag is None or setbacks == _SETBACKS:
                    raise
                fresh = False
                self._pause(max(_PAUSE_S * 2**setbacks, error.retry_after_s or 0.0))
            else:
                return

    def _pour_rest(self, client: httpx.Client, landing: Landing, version: _Version) -> None:
        start = landing.size_bytes
        headers = {"Range": f"bytes={start}-", "If-Range": version.strong_etag or ""}
        with get(client, self.url, headers, allow_private=self.allow_private) as rest:
            if rest.status_code not in {200, 206}:
                raise refusal(rest)
            found = _CONTENT_RANGE.fullmatch(rest.headers.get("Content-Range", ""))
            # The whole once more (200) is what a server says whose file has changed, or that knows no ranges.
            if (
                rest.status_code == 200
                or found is None
                or int(found[1]) != start
                or (version.size_bytes is not None and found[3] not in {"*", str(version.size_bytes)})
                or rest.headers.get("ETag", version.etag) != version.etag
            ):
                raise self._useless("changed", "the rest is not of what was begun")
            self._pour(rest, landing, version)

    def _pour(self, response: httpx.Response, landing: Landing, version: _Version) -> None:
        self.on_progress(landing.size_bytes, version.size_bytes)
        for part in response.iter_raw():
            if landing.size_bytes + len(part) > self.max_bytes:
                raise self._useless("too_large", f"more than the {self.max_bytes} bytes allowed")
            landing.append(part)
            self.on_progress(landing.size_bytes, version.size_bytes)
        if version.size_bytes is not None and landing.size_bytes != version.size_bytes:
            raise NetError(
                f"{self.where} broke off.", reason="truncated",
                evidence=f"{landing.size_bytes} of {version.size_bytes} bytes",
            )  # fmt: skip

    def _useless(self, reason: Literal["refused", "too_large", "changed"], evidence: str) -> NetError:
        return NetError(f"What {self.where} delivers is not accepted.", reason=reason, evidence=evidence)

    def _pause(self, pause_s: float) -> None:
        until = time.monotonic() + min(pause_s, _LONGEST_PAUSE_S)
        while time.monotonic() < until:
            if self.is_cancelled():
                raise Cancelled
            time.sleep(_SLICE_S)
