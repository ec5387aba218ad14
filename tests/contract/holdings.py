"""Looking into a store, past the code under test, and making things to put there."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import obstore

from reelpress.storage.store import Store


def put(store: Store, key: str, content: bytes) -> None:
    obstore.put(store.calls.handle(), key, content)


def get(store: Store, key: str) -> bytes:
    return bytes(obstore.get(store.calls.handle(), key).bytes())


def keys(store: Store) -> list[str]:
    return sorted(meta["path"] for meta in obstore.list(store.calls.handle()).collect())


def noise(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


def file(folder: Path, content: bytes, name: str = "out.mp4") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
