"""From an address to a store: ``s3://``, ``gs://``, ``az://``, ``file:///`` and ``memory://``.

Credentials come from where each provider's own tools look in the environment (docs/storage.md), or are handed in as
options; never in the address, which ends up in logs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from reelpress.errors import UsageError
from reelpress.storage.keys import check_prefix

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

    from reelpress.storage.calls import Patience
    from reelpress.storage.store import Store

# With a key of the longest kind and a slash, what S3 and GCS take.
MAX_PREFIX_BYTES = 120
S3_COPY_LIMIT_BYTES = 5 * 2**30

_YES = {"1", "true", "on", "yes", "y"}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
_OPTIONS: dict[str, frozenset[str]] = {
    "s3": frozenset(
        {"endpoint", "region", "access_key_id", "secret_access_key", "session_token", "skip_signature",
         "virtual_hosted_style_request", "copy_if_not_exists", "root_certificate"}
    ),
    "gs": frozenset(
        {"endpoint", "service_account", "service_account_key", "application_credentials", "root_certificate"}
    ),
    "az": frozenset({"account_name", "account_key", "sas_key", "endpoint", "root_certificate"}),
    "file": frozenset(),
    "memory": frozenset(),
}  # fmt: skip


def open_store(url: str, *, patience: Patience | None = None, **options: str | bool) -> Store:
    """Return the store at an address; nothing is asked of it yet.

    ``s3://BUCKET[/PREFIX]`` takes ``endpoint`` (R2, MinIO), ``region``, ``access_key_id``, ``secret_access_key``,
    ``session_token`` and more (docs/storage.md); ``gs://BUCKET[/PREFIX]``; ``az://CONTAINER[/PREFIX]`` takes
    ``account_name``; ``file:///FOLDER`` must exist; ``memory://`` is new and empty each time.

    Raises :class:`UsageError` for what cannot be meant. Values of options and what an address holds beside its bucket
    and prefix are never quoted.
    """
    try:
        from reelpress.storage.calls import Patience
    except ModuleNotFoundError as error:
        raise UsageError(
            "Object stores need obstore.",
            evidence=f"{error.name} is not installed",
            hint="pip install 'reelpress[service]'",
        ) from None
    parts = _split(url)
    _check_options(parts.scheme, options)
    patience = patience or Patience()
    if parts.scheme == "memory":
        return _memory(parts, patience)
    if parts.scheme == "file":
        return _local(parts, patience)
    return _remote(parts, patience, options)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError("The address of the store is not one.", hint="for example s3://bucket/prefix") from None
    if parts.scheme not in _OPTIONS:
        known = ", ".join(f"{scheme}://" for scheme in _OPTIONS)
        raise UsageError("The address of the store has no scheme that is known.", hint=f"one of {known}")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(
            "The address of the store holds more than bucket and prefix.",
            evidence="a name with @, a query or a fragment; not repeated here, for it may be a secret",
            hint="hand credentials in by the environment",
        )
    return parts


def _check_options(scheme: str, options: dict[str, str | bool]) -> None:
    unknown = sorted(set(options) - _OPTIONS[scheme])
    if unknown:
        raise UsageError(
            f"{scheme}:// has no option {', '.join(map(ascii, unknown))}.",
            hint=f"known are: {', '.join(sorted(_OPTIONS[scheme])) or 'none'}",
        )


def _memory(parts: SplitResult, patience: Patience) -> Store:
    from obstore.store import MemoryStore

    from reelpress.storage.calls import Calls
    from reelpress.storage.store import Store

    if parts.netloc or parts.path.strip("/"):
        raise UsageError("memory:// has neither bucket nor prefix.")
    memory = MemoryStore()
    return Store("memory://", Calls("memory", lambda _timeout, _kind: memory, patience, None))


def _local(parts: SplitResult, patience: Patience) -> Store:
    from obstore.store import LocalStore

    from reelpress.storage.calls import Calls
    from reelpress.storage.store import Store

    folder = Path(unquote(parts.path))
    if parts.netloc or not folder.is_absolute() or ".." in folder.parts:
        raise UsageError("A local store is named by an absolute path.", hint="file:///srv/videos")
    if not folder.is_dir():
        # Not made: a disk that is not mounted would become a folder on the wrong one.
        raise UsageError("The folder of the store does not exist.", evidence=ascii(str(folder)), hint="make it first")
    local = LocalStore(folder.resolve())
    return Store(f"file://{parts.path}", Calls("local", lambda _timeout, _kind: local, patience, folder.resolve()))


def _remote(parts: SplitResult, patience: Patience, options: dict[str, str | bool]) -> Store:
    from reelpress.storage.calls import Calls
    from reelpress.storage.store import Store

    bucket, prefix = parts.netloc, check_prefix(unquote(parts.path).strip("/"))
    if _BUCKET.fullmatch(bucket) is None:
        raise UsageError("The address of the store names no bucket.", hint=f"{parts.scheme}://BUCKET/PREFIX")
    if len(prefix.encode()) > MAX_PREFIX_BYTES:
        raise UsageError("The prefix of the store is too long.", evidence=f"more than {MAX_PREFIX_BYTES} bytes")
    settings: dict[str, Any] = dict(options)
    root_certificate = settings.pop("root_certificate", None)
    endpoint = _endpoint(parts.scheme, settings)
    if parts.scheme == "gs" and "endpoint" in settings:
        settings["base_url"] = settings.pop("endpoint")
    if parts.scheme == "s3":
        settings["disable_bulk_delete"] = True  # objects go one at a time, which every S3-compatible store understands
        settings.setdefault("copy_if_not_exists", os.environ.get("AWS_COPY_IF_NOT_EXISTS") or _copies(endpoint))
    retries = _retries(patience)

    def make(timeout_s: float, content_type: str | None) -> ObjectStore:
        client = _client(patience, timeout_s)
        if endpoint.startswith("http://"):
            client["allow_http"] = True
        if root_certificate is not None:
            client["root_certificate"] = root_certificate
        if content_type is not None:
            client["default_content_type"] = content_type
        return _BUILDERS[parts.scheme](bucket, prefix or None, settings, client, retries)

    kind = {"s3": "s3", "gs": "gcs", "az": "azure"}[parts.scheme]
    calls = Calls(kind, make, patience, None)  # type: ignore[arg-type]
    _refuse_bad_settings(calls.handle)
    limit = S3_COPY_LIMIT_BYTES if kind == "s3" else None
    url = f"{parts.scheme}://{bucket}{'/' if prefix else ''}{prefix}"
    return Store(url, calls, copy_limit_bytes=limit, has_key=_has_key(parts.scheme, options))


def _has_key(scheme: str, options: dict[str, str | bool]) -> bool:
    """Tell whether there is a key that signs: not for who comes without one, nor for who was given a signature."""
    given = {**os.environ, **{name: str(value) for name, value in options.items() if value}}
    if scheme == "s3":
        return (given.get("skip_signature") or given.get("AWS_SKIP_SIGNATURE", "")).lower() not in _YES
    has_sas = not {"sas_key", "AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN"}.isdisjoint(given)
    return scheme != "az" or not has_sas or not {"account_key", "AZURE_STORAGE_ACCOUNT_KEY"}.isdisjoint(given)


def _endpoint(scheme: str, settings: dict[str, Any]) -> str:
    names = {
        "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        "gs": ("GOOGLE_BASE_URL",),
        "az": ("AZURE_STORAGE_ENDPOINT",),
    }
    from_environment = next((os.environ[name] for name in names.get(scheme, ()) if os.environ.get(name)), "")
    endpoint = str(settings.get("endpoint") or from_environment)
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        is_plain = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc and not parts.query
    except ValueError:  # a port that is none, or an address of IPv6 without its end
        is_plain = False
    if not is_plain or parts.scheme not in {"http", "https"}:
        raise UsageError("The endpoint of the store is no plain http or https address.", hint="https://HOST[:PORT]")
    return endpoint


def _copies(endpoint: str) -> str:
    """Return how to copy without overwriting, in obstore's words: S3 itself knows no other way than parts.

    A header on a plain copy would be quicker, and stores that do not know it overwrite without a word (moto does). R2
    has had one of its own from the start.
    """
    is_r2 = (urlsplit(endpoint).hostname or "").endswith(".r2.cloudflarestorage.com")
    return "header:cf-copy-destination-if-none-match:*" if is_r2 else "multipart"


def _refuse_bad_settings(handle: Callable[[], ObjectStore]) -> None:
    from obstore.exceptions import BaseError

    refused = ""
    try:
        handle()
    except (BaseError, ValueError, OSError) as error:
        refused = type(error).__name__
    if refused:
        raise UsageError(
            "The settings of the store do not fit together.", evidence=refused,
            hint="account, region and credentials come from options or the environment; see docs/storage.md",
        )  # fmt: skip


def _client(patience: Patience, timeout_s: float) -> ClientConfig:
    return {
        "connect_timeout": timedelta(seconds=patience.connect_s),
        # A copy is silent until it is done.
        "read_timeout": timedelta(seconds=patience.stall_s if timeout_s <= patience.request_s else timeout_s),
        "timeout": timedelta(seconds=timeout_s),
        "user_agent": "reelpress",
    }


def _retries(patience: Patience) -> RetryConfig:
    return {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.retry_s),
        "backoff": {
            "init_backoff": timedelta(seconds=patience.backoff_s),
            "max_backoff": timedelta(seconds=patience.max_backoff_s),
            "base": 2,
        },
    }


def _s3(bucket: str, prefix: str | None, settings: dict[str, Any], client: Any, retries: Any) -> ObjectStore:  # noqa: ANN401
    from obstore.store import S3Store

    return S3Store(bucket, prefix=prefix, config=settings, client_options=client, retry_config=retries)  # type: ignore[arg-type]


def _gcs(bucket: str, prefix: str | None, settings: dict[str, Any], client: Any, retries: Any) -> ObjectStore:  # noqa: ANN401
    from obstore.store import GCSStore

    return GCSStore(bucket, prefix=prefix, config=settings, client_options=client, retry_config=retries)  # type: ignore[arg-type]


def _azure(bucket: str, prefix: str | None, settings: dict[str, Any], client: Any, retries: Any) -> ObjectStore:  # noqa: ANN401
    from obstore.store import AzureStore

    return AzureStore(bucket, prefix=prefix, config=settings, client_options=client, retry_config=retries)  # type: ignore[arg-type]


_BUILDERS = {"s3": _s3, "gs": _gcs, "az": _azure}
