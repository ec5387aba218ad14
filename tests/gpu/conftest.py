"""Machines that were found healthy, and processes of their own in which jobs meet what breaks on them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import pytest

from reelpress.facts.host import HostFacts
from reelpress.probe.host import probe_host

import driver
import world
from world import Origin, World, Worlds


@pytest.fixture(scope="session")
def real_host(tmp_path_factory: pytest.TempPathFactory) -> HostFacts:
    return probe_host(cache_dir=tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="session")
def pool() -> Iterator[Executor]:
    """Processes that may change their environment; more than cores, since who waits for a GPU needs none."""
    spawn = multiprocessing.get_context("spawn")
    made = ProcessPoolExecutor(2 * (os.cpu_count() or 1), mp_context=spawn)
    yield made
    made.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.clip(tmp_path_factory.mktemp("source") / "source.mp4")


@pytest.fixture(scope="session")
def worlds(
    fake_nvidia: driver.FakeNvidia,
    real_host: HostFacts,
    pool: Executor,
    source: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Worlds:
    """One machine for each FFmpeg and number of GPUs, surveyed once."""
    made: dict[tuple[Origin, int], World] = {}

    def get(origin: Origin, gpus: int) -> World:
        host = world.only(real_host, origin)
        if host is None:
            pytest.skip(f"no FFmpeg with NVENC: {origin}")
        if (origin, gpus) not in made:
            folder = tmp_path_factory.mktemp(f"{origin}-{gpus}")
            machine = fake_nvidia.machine(gpus=gpus)
            made[origin, gpus] = pool.submit(World.survey, machine, host, source, folder).result()
        return made[origin, gpus]

    return get
