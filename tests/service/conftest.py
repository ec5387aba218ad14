"""A service on a SQLite file and a folder, asked over its real application."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from reelpress.jobs.encoding import Encoding
from reelpress.jobs.house import House
from reelpress.service.app import create_app
from reelpress.service.keys import create_key
from reelpress.service_settings import load_service
from reelpress.settings import load

from job_table import enlist

LOCAL = "http://127.0.0.1:8001"
MakeKey = Callable[..., dict[str, str]]


def open_house(folder: Path, **settings: str) -> House:
    return House.open(load_service({"data_dir": str(folder), **settings}, environ={}, env_file=None))


@pytest.fixture(scope="session")
def encoding() -> Encoding:
    return Encoding.here(load(environ={}, env_file=None))


@pytest.fixture
def houses(tmp_path: Path) -> Iterator[list[House]]:
    """Two machines with one database and one store, and scratch folders of their own."""
    (tmp_path / "objects").mkdir()
    shared = {"storage_url": f"file://{tmp_path}/objects", "local_paths": str(tmp_path)}
    opened = [open_house(tmp_path / "data", **shared, scratch_dir=f"{tmp_path}/{name}") for name in ("one", "two")]
    enlist(opened[0].database, "w1", "w2")
    yield opened
    for house in opened:
        house.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """What a server on this machine alone has open."""
    opened = open_house(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def public_house(tmp_path: Path) -> Iterator[House]:
    """What a server has open that others can reach."""
    opened = open_house(tmp_path / "data", host="0.0.0.0")
    yield opened
    opened.close()


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    """Somebody on this machine."""
    with TestClient(create_app(house), base_url=LOCAL) as opened:
        yield opened


@pytest.fixture
def public(public_house: House) -> Iterator[TestClient]:
    """Somebody elsewhere."""
    with TestClient(create_app(public_house), base_url="http://video.example") as opened:
        yield opened


@pytest.fixture
def key_of(public_house: House) -> MakeKey:
    """Headers with a new key of a user."""

    def make(user_id: str, *scopes: str) -> dict[str, str]:
        _key, text = create_key(public_house.database, user_id, now=time.time(), scopes=scopes or ("read", "write"))
        return {"Authorization": f"Bearer {text}"}

    return make
