"""Addresses that let a browser send or fetch one object by itself, for a while.

obstore signs a method, a path and a time, and nothing else: no headers, so the size of what is sent is not bound, and
no query, so parts of a multipart upload cannot be signed. A large upload that can be resumed is therefore made of
segments, each an object and an address of its own (:mod:`reelpress.storage.segments`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

import obstore

from reelpress.errors import StorageError, UsageError
from reelpress.facts.values import Value
from reelpress.storage.failures import explain
from reelpress.storage.keys import check_key
from reelpress.storage.store import Store

if TYPE_CHECKING:
    from obstore import SignCapableStore

# S3 and GCS take no longer one. With passing credentials, as instances have them, it ends when those do.
LONGEST_S = 7 * 24 * 3600
# One PUT: S3 takes 5 GiB, Azure 5000 MiB.
MOST_BYTES_OF_PUT = 5000 * 2**20


class SignedUrl(Value, frozen=True, kw_only=True):
    """An address that is a permission: whoever has it may use it until ``expires_at``.

    ``headers`` must be sent with the request. It is a secret, and left out of ``repr``.
    """

    method: Literal["GET", "PUT"]
    url: str
    headers: dict[str, str]
    expires_at: datetime

    def __repr__(self) -> str:
        return f"SignedUrl(method={self.method!r}, expires_at={self.expires_at.isoformat()!r})"


# Google encodes these in the path that it compares with the signature, and obstore leaves them as they are.
_NOT_SIGNED_BY_GCS = frozenset("!$&'()*+,:;=@")


def can_sign(store: Store, key: str = "") -> bool:
    """Tell whether addresses of this store, and of this object, can be signed; else the service needs its own route.

    A folder and memory have none, nor has who may use a store without a key to it (a public bucket, a shared access
    signature), and Google Cloud Storage none for keys with some signs, as ``talk (1).mp4``.
    """
    if store.kind == "gcs":
        prefix = store.url.removeprefix("gs://").partition("/")[2]
        return _NOT_SIGNED_BY_GCS.isdisjoint(prefix + key)
    return store.has_key and store.kind in {"s3", "azure"}


def sign_download(store: Store, key: str, *, expires_s: int = 3600) -> SignedUrl:
    """Return an address to fetch an object from, by GET, with ranges. The object need not exist.

    Raises :class:`UsageError` for a bad key or time (1 second to 7 days), :class:`StorageError`: ``unsupported`` where
    :func:`can_sign` says no, ``denied`` without credentials that can sign.
    """
    return _sign(store, "GET", check_key(key), expires_s)


def sign_upload(store: Store, key: str, *, size_bytes: int, expires_s: int = 3600) -> SignedUrl:
    """Return an address to send an object to, by one PUT of at most ``MOST_BYTES_OF_PUT``.

    It overwrites what has the key, and the size is not part of the signature: use a key that nobody else knows, and
    check the object when it is there. A transfer that breaks off begins anew. Raises as :func:`sign_download`.
    """
    return sign_raw_upload(store, check_key(key), size_bytes=size_bytes, expires_s=expires_s)


def signed_place(store: Store) -> str | None:
    """Return how every signed address of this store begins, with a slash at the end; ``None`` where there are none.

    A source for a content security policy, narrower than the host, which may be one for the buckets of everybody.
    Raises :class:`StorageError`.
    """
    if not can_sign(store):
        return None
    parts = urlsplit(sign_download(store, "x").url)
    path = parts.path.removesuffix("x").replace(";", "%3B").replace(",", "%2C")  # the policy's own signs
    return f"{parts.scheme}://{parts.netloc}{path}"


def sign_raw_upload(store: Store, key: str, *, size_bytes: int, expires_s: int) -> SignedUrl:
    """Do as :func:`sign_upload` for keys of our own, which are not checked."""
    if not 0 <= size_bytes <= MOST_BYTES_OF_PUT:
        raise UsageError(
            "An upload by one address is too large.", evidence=f"{size_bytes} bytes, {MOST_BYTES_OF_PUT} possible",
            hint="send it in segments",
        )  # fmt: skip
    return _sign(store, "PUT", key, expires_s)


def _sign(store: Store, method: Literal["GET", "PUT"], key: str, expires_s: int) -> SignedUrl:
    if not 1 <= expires_s <= LONGEST_S:
        raise UsageError("An address can be signed for 1 second to 7 days.", evidence=f"{expires_s} s")
    if not can_sign(store, key):
        raise StorageError(
            f"This {store.kind} store has no address for {key} that could be signed.", reason="unsupported",
            hint="serve and take files by a route of the service",
        )  # fmt: skip
    expires_at = datetime.now(UTC) + timedelta(seconds=expires_s)
    failed: StorageError
    try:
        handle = cast("SignCapableStore", store.calls.handle())
        url = obstore.sign(handle, method, key, timedelta(seconds=expires_s))
    except (obstore.exceptions.BaseError, OSError, ValueError, NotImplementedError) as error:
        failed = explain(error, f"sign an address for {key}")
    else:
        headers = {"x-ms-blob-type": "BlockBlob"} if store.kind == "azure" and method == "PUT" else {}
        return SignedUrl(method=method, url=url, headers=headers, expires_at=expires_at)
    raise failed
