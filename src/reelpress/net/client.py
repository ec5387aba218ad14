"""An HTTP client for URLs of strangers: no redirects, no proxies, every wait bounded.

Its transport checks every URL and makes one connection per request (:mod:`reelpress.net.wire`), so that no limit of one
request reaches into the next. All that goes wrong is a :class:`NetError`.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
from collections.abc import Iterator

import httpcore
import httpx

from reelpress.errors import NetError
from reelpress.net.addresses import check_url, shown
from reelpress.net.wire import Clock, IsCancelled, Patience, Resolve, Wire, look_up, slow
from reelpress.version import VERSION


def public_client(
    *,
    allow_private: bool = False,
    patience: Patience = Patience(),  # noqa: B008 - a frozen value
    is_cancelled: IsCancelled = lambda: False,
    resolve: Resolve = look_up,
    network: httpcore.NetworkBackend | None = None,
    tls: ssl.SSLContext | None = None,
    receive_bytes: int | None = None,
) -> httpx.Client:
    """Return a client that connects to public addresses alone; with ``allow_private`` to all, by the same rules else.

    It follows no redirects: :func:`reelpress.net.redirects.get` does. Bodies are read by ``iter_raw``, since what they
    would be unpacked to has no bound. ``resolve``, ``network`` and ``tls`` take the place of the system's resolver, its
    connections and the usual certificates. ``receive_bytes`` bounds what the kernel takes of an answer before we do,
    for who may stop reading in the middle.

    Requests raise :class:`AddressError` for what may not be called, :class:`NetError` and :class:`Cancelled`.
    """
    network = network or httpcore.SyncBackend()
    transport = _Transport(allow_private, patience, is_cancelled, resolve, network, tls, receive_bytes)
    headers = {"User-Agent": f"Reelpress/{VERSION}", "Accept": "*/*", "Accept-Encoding": "identity"}
    headers["Connection"] = "close"
    return httpx.Client(transport=transport, trust_env=False, follow_redirects=False, headers=headers)


def read_at_most(response: httpx.Response, limit_bytes: int) -> bytes:
    """Return the beginning of a streamed body, as it came. Raises :class:`NetError`."""
    read = bytearray()
    for part in response.iter_raw():
        read += part
        if len(read) >= limit_bytes:
            break
    return bytes(read[:limit_bytes])


class _Transport(httpx.BaseTransport):
    def __init__(
        self,
        allow_private: bool,
        patience: Patience,
        is_cancelled: IsCancelled,
        resolve: Resolve,
        network: httpcore.NetworkBackend,
        tls: ssl.SSLContext | None,
        receive_bytes: int | None,
    ) -> None:
        self._options: list[httpcore.SOCKET_OPTION] = (
            [] if receive_bytes is None else [(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)]
        )
        self._allow_private, self._patience, self._is_cancelled = allow_private, patience, is_cancelled
        self._resolve, self._network, self._tls = resolve, network, tls

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = check_url(str(request.url), allow_private=self._allow_private)
        clock = Clock(self._patience, self._is_cancelled)
        wire = Wire(clock, allow_private=self._allow_private, resolve=self._resolve, network=self._network)
        tls = self._tls or (_usual_tls() if url.scheme == "https" else None)
        pool = httpcore.ConnectionPool(ssl_context=tls, network_backend=wire, socket_options=self._options)
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        asked = httpcore.Request(request.method, target, headers=request.headers.raw, content=request.stream)
        try:
            with _explained(url):
                answer = pool.handle_request(asked)
        except BaseException:
            pool.close()
            raise
        clock.answered()
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, pool, url))


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, pool: httpcore.ConnectionPool, url: httpx.URL) -> None:
        self._answer, self._pool, self._url = answer, pool, url

    def __iter__(self) -> Iterator[bytes]:
        with _explained(self._url):
            yield from self._answer.iter_stream()

    def close(self) -> None:
        # A body that was left half read is of no more use than its connection.
        with contextlib.suppress(httpcore.NetworkError, httpcore.ProtocolError):
            self._answer.close()
        self._pool.close()


@functools.cache
def _usual_tls() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise NetError(
            "The certificates that servers are checked with cannot be read.", reason="untrusted",
            evidence=error.strerror, hint="Look at SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from None  # fmt: skip


@contextlib.contextmanager
def _explained(url: httpx.URL) -> Iterator[None]:
    """Turn what httpcore raises into our own errors."""
    where = shown(url)
    try:
        yield
    except httpcore.TimeoutException:
        raise slow(where) from None
    except httpcore.ConnectError as error:
        if isinstance(cause := _cause(error), ssl.SSLError):
            words = getattr(cause, "verify_message", None) or cause.reason
            raise NetError(
                f"{where} has no certificate that proves its name.", reason="untrusted", evidence=words,
            ) from None  # fmt: skip
        raise NetError(f"{where} cannot be reached.", reason="unreachable", evidence=_words(error)) from None
    except httpcore.RemoteProtocolError as error:
        if "complete message body" in str(error):
            raise NetError(f"{where} broke off.", reason="truncated", evidence="the body ended early") from None
        raise NetError(f"{where} does not speak HTTP as it should.", reason="unreachable") from None
    except httpcore.NetworkError as error:
        raise NetError(f"The connection to {where} broke.", reason="unreachable", evidence=_words(error)) from None
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol):
        raise NetError(f"{where} was asked for something that HTTP has no words for.", reason="refused") from None


def _cause(error: Exception) -> object:
    """Return what httpcore made an error of; it drops the chain, but keeps the first as its argument."""
    return error.args[0] if error.args else None


def _words(error: Exception) -> str | None:
    """Return the system's own words for a failed connection; those of a peer are not passed on."""
    cause = _cause(error)
    return cause.strerror if isinstance(cause, OSError) else None
