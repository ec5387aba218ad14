"""Where the clips of a worker read their video: opened once for all that need it at the same time.

An object of a store that signs addresses is read by ranges, so that a clip costs its own bytes; of a store in a folder
it is a file. From any other store it is brought here once.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from reelpress.errors import Cancelled, InputError
from reelpress.jobs.clip_model import VideoSource
from reelpress.jobs.local_paths import check_path
from reelpress.jobs.private_folder import PrivateFolder
from reelpress.run.process import CancelToken
from reelpress.service_settings import ServiceSettings
from reelpress.source.opening import OpenSource, open_source
from reelpress.storage.download import Wanted, download
from reelpress.storage.scratch import Need, Scratch
from reelpress.storage.signing import can_sign, sign_download
from reelpress.storage.store import Store
from reelpress.storage.waiting import CancelSign

_SIGNED_S = 24 * 3600
# A source that was opened longer ago is not given to more clips, lest its address end while they read.
_GIVEN_FOR_S = 12 * 3600.0
_POLL_S = 0.1


def version_of_file(path: Path) -> tuple[str, int]:
    """Return what changes when a file does, and its size in bytes. Raises :class:`InputError`."""
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError("The video cannot be read.", evidence=type(error).__name__, reason="missing") from None
    return f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}", stat.st_size


def version_of_object(store: Store, key: str, *, cancel: CancelSign | None = None) -> str:
    """Return what changes when an object does. Raises :class:`InputError` when it is gone, :class:`StorageError`."""
    found = store.find(key, cancel=cancel)
    if found is None:
        raise InputError("The video is not in the store any more.", evidence=key, reason="missing")
    return found.etag or f"{found.size_bytes}-{found.modified.isoformat()}"


class _Shared:
    def __init__(self) -> None:
        self.users = 0
        self.began = time.monotonic()
        self.opening = threading.Lock()
        self.source: OpenSource | None = None
        self.held = contextlib.ExitStack()


class Sources:
    """The videos that are open in this process; safe to use from several threads."""

    def __init__(self, settings: ServiceSettings, store: Store, scratch: Scratch, folder: PrivateFolder) -> None:
        self._settings, self._store, self._scratch, self._folder = settings, store, scratch, folder
        self._lock = threading.Lock()
        self._shared: dict[str, _Shared] = {}

    @contextlib.contextmanager
    def opened(self, video_id: str, source: VideoSource, *, cancel: CancelToken) -> Iterator[OpenSource]:
        """Hold a video open while the context lasts.

        Raises :class:`InputError` when it is gone, or is not what was made ready, :class:`StorageError`,
        :class:`Cancelled`.
        """
        shared = self._join(video_id)
        try:
            while not shared.opening.acquire(timeout=_POLL_S):  # another clip is bringing it
                if cancel.is_cancelled:
                    raise Cancelled("Stopped while the video was being opened.")
            try:
                if shared.source is None:
                    shared.source = self._open(source, shared.held, cancel)
                opened = shared.source
            finally:
                shared.opening.release()
            yield opened
        finally:
            self._leave(video_id, shared)

    def _join(self, video_id: str) -> _Shared:
        with self._lock:
            shared = self._shared.get(video_id)
            if shared is None or time.monotonic() - shared.began > _GIVEN_FOR_S:
                shared = self._shared[video_id] = _Shared()
            shared.users += 1
            return shared

    def _leave(self, video_id: str, shared: _Shared) -> None:
        with self._lock:
            shared.users -= 1
            is_last = shared.users == 0
            if is_last and self._shared.get(video_id) is shared:
                del self._shared[video_id]
        if is_last:
            shared.held.close()

    # a source is not told of its first reader's wish to stop: it is the others', too
    def _open(self, source: VideoSource, held: contextlib.ExitStack, cancel: CancelToken) -> OpenSource:
        if source.kind == "path":
            path = check_path(source.value, self._settings.local_paths)
            _refuse_change(source, version_of_file(path)[0])
            return held.enter_context(open_source(path))
        _refuse_change(source, version_of_object(self._store, source.value, cancel=cancel))
        if can_sign(self._store, source.value):

            def sign() -> str:  # again where passing credentials end before what they signed
                return sign_download(self._store, source.value, expires_s=_SIGNED_S).url

            # the operator's own store may well be in a private network
            return held.enter_context(
                open_source(sign(), allow_private=True, cache_dir=self._folder.path, renew=sign)
            )  # fmt: skip
        local = self._store.path_of(source.value)
        return held.enter_context(open_source(local or self._bring(source, held, cancel)))

    def _bring(self, source: VideoSource, held: contextlib.ExitStack, cancel: CancelToken) -> Path:
        folder = self._folder.path / secrets.token_hex(8)
        path = folder / f"source{Path(source.value).suffix}"
        with contextlib.ExitStack() as until_brought:
            until_brought.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            need = Need(input_bytes=source.size_bytes, output_bytes=0)
            # once it is here the disk itself says what it takes: a promise beside that would count it twice
            with self._scratch.reserve(need, job_folder=folder):
                download(self._store, source.value, path, wanted=Wanted(size_bytes=source.size_bytes), cancel=cancel)
            held.push(until_brought.pop_all())
        return path


def _refuse_change(source: VideoSource, version: str) -> None:
    if version != source.version:
        raise InputError(
            "The video is not the one any more that was made ready.", evidence=source.name, reason="changed",
            hint="Make it ready again, and export from that.",
        )  # fmt: skip
