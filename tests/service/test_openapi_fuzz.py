"""The whole document, fuzzed: nothing makes a 5xx, and every answer is one that the document names."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as conformance

from reelpress.jobs.house import House
from reelpress.service.app import create_app
from reelpress.service.keys import create_key
from reelpress.service_settings import load_service

_CHECKS = [
    not_a_server_error, conformance.status_code_conformance, conformance.content_type_conformance,
    conformance.response_schema_conformance,
]  # fmt: skip
# What may be sent and what may not, each on one of the databases; in a thorough run each on both.
PAIRS, CASES = list(itertools.product(("sqlite", "postgres"), GenerationMode)), 12  # cases of each operation
if not os.environ.get("REELPRESS_THOROUGH"):
    PAIRS, CASES = [("sqlite", GenerationMode.NEGATIVE), ("postgres", GenerationMode.POSITIVE)], 4
_key: dict[str, str] = {}


@pytest.fixture
def fuzzed(database_url: str, tmp_path: Path) -> Iterator[object]:
    flags = {"data_dir": str(tmp_path / "data"), "host": "0.0.0.0"}
    if database_url.startswith("postgresql"):
        flags["database_url"] = database_url
    house = House.open(load_service(flags, environ={}, env_file=None))
    _, text = create_key(house.database, "root", now=time.time(), scopes=["admin"])
    _key["Authorization"] = f"Bearer {text}"
    yield schemathesis.openapi.from_asgi("/openapi.json", create_app(house))
    house.close()


@pytest.mark.parametrize(("database_url", "mode"), PAIRS, indirect=["database_url"])
def test_no_request_breaks_the_service(fuzzed: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    asked = 0
    for operation in (found.ok() for found in fuzzed.get_all_operations()):

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=CASES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case) -> None:
            nonlocal asked
            if case.path.endswith("/events") and case.method == "GET":  # a stream would have no end
                case.query = {**(case.query or {}), "poll": 0}
            case.call_and_validate(headers=_key, checks=_CHECKS)
            asked += 1

        with contextlib.suppress(Unsatisfiable):  # nothing about it can be wrong
            ask()
    assert asked > 100
