"""Brings the input of a job onto this machine, from wherever the caller said it is."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from reelpress.errors import Cancelled, InputError, UsageError
from reelpress.facts.values import Value
from reelpress.jobs.house import House
from reelpress.jobs.local_paths import check_path
from reelpress.jobs.model import JobInput
from reelpress.net.fetch import fetch
from reelpress.run.process import CancelToken
from reelpress.source.snapshot import Snapshot
from reelpress.storage.download import Wanted, download
from reelpress.storage.keys import safe_name
from reelpress.storage.scratch import Need
from reelpress.storage.segments import UploadPlan, collect

_BLOCK_BYTES = 4 * 2**20
# Names of containers only: a video is known by its content, and others would only confuse who reads the receipt.
_ENDINGS = frozenset({".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".ts", ".webm", ".wmv"})


class Fetched(Value, frozen=True, kw_only=True):
    """An input that is here. ``path`` is a name in the job's folder, or, if ``is_foreign``, a file of somebody else's.

    ``key`` is its object in the store, where it is one, and ``etag`` the object's, where the store has such a thing;
    ``name`` what people call it.
    """

    path: str
    is_foreign: bool
    size_bytes: int
    sha256: str
    key: str | None
    name: str
    etag: str | None = None


def fetch_input(
    house: House,
    wanted: JobInput,
    folder: Path,
    *,
    cancel: CancelToken,
    max_bytes: int,
    on_share: Callable[[float], None],
) -> Fetched:
    """Bring an input into ``folder``; a part that an earlier attempt brought is not brought again.

    Raises :class:`InputError`, :class:`StorageError`, :class:`NetError`, :class:`AddressError`, :class:`Cancelled`.
    """

    def on_progress(done: int, of: int | None) -> None:
        on_share(done / of if of else 0.0)

    if wanted.kind == "path":
        return _at_path(house, wanted, max_bytes=max_bytes, cancel=cancel)
    name = wanted.name or PurePosixPath(wanted.value).name
    ending = Path(name).suffix.lower()
    target = folder / f"input{ending if ending in _ENDINGS else ''}"
    if wanted.kind == "url":
        with contextlib.ExitStack() as room:
            promised = False

            def on_bytes(done: int, of: int | None) -> None:
                nonlocal promised
                if not promised:  # the size is known once the server has answered, before the first byte is written
                    promised = True
                    need = Need(input_bytes=min(of or max_bytes, max_bytes), output_bytes=0)
                    room.enter_context(house.scratch.reserve(need, job_folder=folder))
                on_progress(done, of)

            got = fetch(
                wanted.value, target, max_bytes=max_bytes, allow_private=house.settings.allow_private_urls,
                on_progress=on_bytes, cancel=cancel,
            )  # fmt: skip
        _check_promise(wanted, got.size_bytes, got.sha256)
        return _fetched(target, got.size_bytes, got.sha256, None, wanted.name or got.name)
    if wanted.kind == "upload":
        if wanted.size_bytes is None or wanted.segment_bytes is None:
            raise UsageError("The upload's size is missing.")
        plan = UploadPlan(
            upload_id=wanted.value, size_bytes=wanted.size_bytes, segment_bytes=wanted.segment_bytes
        )  # fmt: skip
        with house.scratch.reserve(Need(input_bytes=plan.size_bytes, output_bytes=0), job_folder=folder):
            down = collect(house.store, plan, target, sha256=wanted.sha256, on_progress=on_progress, cancel=cancel)
        return _fetched(target, down.size_bytes, down.sha256, None, name)
    found = house.store.find(wanted.value, cancel=cancel)
    size = found.size_bytes if found is not None else 0
    with house.scratch.reserve(Need(input_bytes=min(size, max_bytes), output_bytes=0), job_folder=folder):
        conditions = Wanted(max_bytes=max_bytes, size_bytes=wanted.size_bytes, sha256=wanted.sha256)
        down = download(
            house.store, wanted.value, target, wanted=conditions, on_progress=on_progress, cancel=cancel
        )  # fmt: skip
    return _fetched(target, down.size_bytes, down.sha256, wanted.value, name, down.etag)


def _at_path(house: House, wanted: JobInput, *, max_bytes: int, cancel: CancelToken) -> Fetched:
    path = check_path(wanted.value, house.settings.local_paths)
    try:
        digest = hashlib.sha256()
        # not waiting for the other end of a pipe that lies in its place
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with _regular(number) as file:
            before = Snapshot.of(os.fstat(number))
            size = before.size_bytes
            if size > max_bytes:
                raise InputError("The input is too large.", evidence=f"{size} bytes, {max_bytes} allowed")
            while (left := size - file.tell()) > 0 and (block := file.read(min(_BLOCK_BYTES, left))):
                if cancel.is_cancelled:
                    raise Cancelled("Stopped while reading the input.")
                digest.update(block)
            after = Snapshot.of(os.fstat(number))
    except OSError as error:
        raise InputError("The input cannot be read.", evidence=type(error).__name__) from None
    before.refuse_change(after)
    _check_promise(wanted, size, digest.hexdigest())
    return Fetched(
        path=str(path), is_foreign=True, size_bytes=size, sha256=digest.hexdigest(), key=None, name=path.name
    )  # fmt: skip


def _regular(number: int) -> io.FileIO:
    """Return what reads an open file. Raises :class:`InputError`, and closes it, where it is none but a folder, say."""
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise InputError("The input is not a regular file.", evidence=stat.filemode(mode), reason="not_a_file")
    return io.FileIO(number)


def _check_promise(wanted: JobInput, size_bytes: int, sha256: str) -> None:
    if wanted.size_bytes not in (None, size_bytes) or (wanted.sha256 or sha256).lower() != sha256:
        raise InputError("The input is not what was promised.", evidence=f"{size_bytes} bytes, SHA-256 {sha256}")


def _fetched(
    target: Path, size_bytes: int, sha256: str, key: str | None, name: str, etag: str | None = None
) -> Fetched:
    return Fetched(
        path=target.name, is_foreign=False, size_bytes=size_bytes, sha256=sha256, key=key, name=safe_name(name),
        etag=etag,
    )  # fmt: skip
