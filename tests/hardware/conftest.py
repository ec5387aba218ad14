"""A machine with a GPU, examined once; at the end a page of docs/hardware/ says what was seen.

``REELPRESS_TEST_GPU=1`` (``make test-gpu``) asks for a real GPU. ``fake`` lets the fake driver stand in, to test these
tests: small pictures, and the page goes where ``REELPRESS_HARDWARE_DOCS`` says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reelpress.facts.host import HostFacts
from reelpress.probe.gpu_survey import driver_facts, survey
from reelpress.probe.host import probe_host

from record import Record

_DOCS = Path(__file__).resolve().parents[2] / "docs" / "hardware"
_REAL = ("/dev/nvidiactl", "/dev/dxg", "/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Scale:
    """How large the pictures are, how long what is timed takes, and how often it is done."""

    is_real: bool
    size: str
    half: tuple[int, int]
    large: str
    seconds: int
    rounds: int


@pytest.fixture(scope="session")
def scale() -> Scale:
    if os.environ.get("REELPRESS_TEST_GPU") == "fake":
        return Scale(is_real=False, size="320x180", half=(160, 90), large="640x360", seconds=1, rounds=1)
    return Scale(is_real=True, size="1920x1080", half=(1280, 720), large="3840x2160", seconds=10, rounds=3)


@pytest.fixture(scope="session")
def record(scale: Scale, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """What the product found here; without a GPU every test fails, for nothing may pass on the CPU."""
    if scale.is_real and not any(Path(sign).exists() for sign in _REAL):
        pytest.fail("this machine has no NVIDIA device: `make test-gpu` is for machines that have one")
    host: HostFacts = probe_host(cache_dir=tmp_path_factory.mktemp("builds"))
    cache = tmp_path_factory.mktemp("gpus")
    gpus = survey(host, cache_dir=cache, fresh=True, sessions=4)
    if not gpus:
        pytest.fail(f"the driver lists no GPU: {'; '.join(driver_facts(cache_dir=cache).notes)}")
    kept = Record(host=host, gpus=gpus)
    yield kept
    folder = Path(
        os.environ.get("REELPRESS_HARDWARE_DOCS") or (_DOCS if scale.is_real else tmp_path_factory.mktemp("d"))
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / kept.file_name()).write_text(kept.page())
