"""Inputs of jobs: a file of this machine goes up in segments, and a second run goes on where the first broke off."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from reelpress.cli.refusals import ServiceRefused, StoreRefused
from reelpress.cli.remote import Service
from reelpress.errors import InputError
from reelpress.facts.values import Value
from reelpress.probe.host import default_cache_dir, remember

OnSent = Callable[[int, int], None]


class Begun(Value, frozen=True, kw_only=True):
    """An upload that was begun, remembered on this machine until it is complete."""

    upload_id: str


def input_of(service: Service, text: str, on_sent: OnSent) -> tuple[dict[str, Any], Path | None]:
    """Return an input as the API takes it: ``key:…`` and addresses as they are, a file after it was uploaded.

    Beside it stands what remembers the upload, to be deleted when a job has it. ``on_sent`` hears how many bytes of how
    many are there. Raises :class:`InputError` for files that cannot be read.
    """
    if text.startswith("key:"):
        return {"object": text.removeprefix("key:")}, None
    if text.startswith(("http://", "https://")):
        return {"url": text}, None
    upload_id, memory = upload(service, Path(text), on_sent)
    return {"upload": upload_id}, memory


def upload(service: Service, path: Path, on_sent: OnSent) -> tuple[str, Path]:
    """Upload a file, or what is missing of it; return the upload's id and what remembers it."""
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size == 0:
                raise InputError(f"{path} is not a file with something in it.", hint="Name a video file.")
            memory = _memory_of(service, path, facts)
            begun, state = _go_on(service, memory)
            if begun is None:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                asked = {"name": path.name, "size_bytes": facts.st_size, "sha256": sha256}
                state = json.loads(service.ask("POST", "/v1/uploads", body=asked))
                begun = Begun(upload_id=state["id"])
                remember(memory, begun)
            _send_missing(service, file.fileno(), state, on_sent)
    except OSError as error:
        raise InputError(f"{path} cannot be read.", evidence=error.strerror) from None
    if not state["is_complete"]:
        service.ask("POST", f"/v1/uploads/{begun.upload_id}/complete")
    return begun.upload_id, memory


def _send_missing(service: Service, fd: int, state: dict[str, Any], on_sent: OnSent) -> None:
    size, step = state["size_bytes"], state["segment_bytes"]
    sent = size - sum(min(step, size - number * step) for number in state["missing"])
    on_sent(sent, size)
    while wanted := state["send"]:  # the first hundred
        last = None
        for one in wanted:
            content = os.pread(fd, one["size_bytes"], one["number"] * step)
            if len(content) != one["size_bytes"]:
                raise InputError("The file became shorter while it was uploaded.", hint="Submit it again.")
            try:
                service.send(one["url"], content, one["headers"])
            except StoreRefused:
                if last is None:  # a fresh address, too
                    raise
                break  # it has expired by now
            last = one["number"]
            sent += len(content)
            on_sent(sent, size)
        path = f"/v1/uploads/{state['id']}"
        state = json.loads(service.ask("GET", path, params={"after": last}))


def _go_on(service: Service, memory: Path) -> tuple[Begun | None, dict[str, Any]]:
    """Return the upload that was begun for this very file, if the service still knows it."""
    try:
        begun = msgspec.json.decode(memory.read_bytes(), type=Begun)
        return begun, json.loads(service.ask("GET", f"/v1/uploads/{quote(begun.upload_id, safe='')}"))
    except (OSError, msgspec.DecodeError):
        return None, {}
    except ServiceRefused as error:
        if error.status not in (404, 410):
            raise
        forget(memory)
        return None, {}


def forget(memory: Path) -> None:
    """Take away what remembers an upload; what stays in spite of it does no harm, for the service knows better."""
    with contextlib.suppress(OSError):
        memory.unlink()


def _memory_of(service: Service, path: Path, facts: os.stat_result) -> Path:
    same = (service.url, str(path.resolve()), facts.st_size, facts.st_mtime_ns, facts.st_ino)
    name = hashlib.sha256(repr(same).encode()).hexdigest()[:32]
    return default_cache_dir() / "uploads" / f"{name}.json"


def say_sent(name: str) -> OnSent:
    """Return a reader of an upload's progress that speaks on a terminal only."""

    def on_sent(sent: int, size: int) -> None:
        if sys.stderr.isatty():
            end = "\r\x1b[K" if sent == size else ""
            print(f"\r\x1b[Kuploading {name}: {sent * 100 // size} %{end}", end="", file=sys.stderr, flush=True)  # noqa: T201

    return on_sent
