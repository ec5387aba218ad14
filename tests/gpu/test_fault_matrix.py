"""Every fault, at open and mid-stream, with both FFmpegs, with one GPU and several: what becomes of the job.

By default a part that meets every fault twice and every other choice often; `make fault-matrix` runs all of it and
writes docs/gpu-faults.md from what it saw.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from reelpress.errors import ExitCode

import matrix_page
import world
from faults import FAULTS
from matrix_page import Cell, Seen
from world import REQUEST, Outcome, Worlds

pytestmark = pytest.mark.gpu_fake

PAGE = os.environ.get("REELPRESS_FAULT_MATRIX")  # a file: all cells, written there


def all_cells() -> list[Cell]:
    """Everything; with ``require`` only where the CPU would do it otherwise, the FFmpegs taking turns."""
    choices = itertools.product(FAULTS, matrix_page.WHEN, matrix_page.ORIGINS, matrix_page.GPUS)
    cells = [Cell(*choice, "auto") for choice in choices]
    lost = [cell for cell in cells if cell.rung == "cpu"]
    turns = zip(lost, itertools.cycle((True, False, False, True)), strict=False)
    return [*cells, *(replace(cell, hardware="require") for cell, is_its_turn in turns if is_its_turn)]


def some_cells() -> list[Cell]:
    """Each fault at open and mid-stream; FFmpeg, GPUs and ``require`` take turns, differently for each."""
    found = []
    for number, fault in enumerate(FAULTS):
        for turn, when in enumerate(matrix_page.WHEN):
            origin = matrix_page.ORIGINS[(number + turn) % 2]
            gpus = matrix_page.GPUS[(number // 2 + turn) % 2]
            required = (number // 4 + turn) % 2 == 1
            found.append(Cell(fault, when, origin, gpus, "require" if required else "auto"))
    return found


CELLS = all_cells() if PAGE else some_cells()


class Matrix:
    """The cells of this run, begun all at once."""

    def __init__(self, pool: Executor, worlds: Worlds, cells: list[Cell], folder: Path) -> None:
        self.seen: dict[Cell, Seen] = {}
        self._running: dict[Cell, Future[Outcome]] = {}
        for number, cell in enumerate(cells):
            request = msgspec.structs.replace(REQUEST, hardware=cell.hardware)
            strike = cell.strike
            self._running[cell] = pool.submit(
                world.job, worlds(cell.origin, cell.gpus), folder / str(number), strike.faults, request,
                is_new=strike.is_new,
            )  # fmt: skip

    def outcome(self, cell: Cell) -> Outcome:
        return self._running[cell].result()


@pytest.fixture(scope="module")
def matrix(
    request: pytest.FixtureRequest, pool: Executor, worlds: Worlds, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Matrix]:
    wanted = [item.callspec.params["cell"] for item in request.session.items if "matrix" in item.fixturenames]
    made = Matrix(pool, worlds, wanted, tmp_path_factory.mktemp("matrix"))
    yield made
    if PAGE and set(made.seen) == set(CELLS):
        Path(PAGE).write_text(matrix_page.page(made.seen, worlds))


# A whole run takes each fault once, at open or mid-stream by turns.
LATER = {cell for number, cell in enumerate(CELLS) if not PAGE and number % 4 in (1, 2)}


@pytest.mark.parametrize(
    "cell", [pytest.param(c, marks=pytest.mark.thorough) if c in LATER else c for c in CELLS], ids=str
)
def test_every_fault_ends_well(cell: Cell, matrix: Matrix) -> None:
    outcome = matrix.outcome(cell)
    receipt, strike = outcome.receipt, cell.strike
    told = [(a.rung, a.failure, a.evidence) for a in receipt.attempts]
    matrix.seen[cell] = Seen(outcome, is_right=False)
    assert outcome.first_rung == "gpu"  # nothing was known of the fault when it was planned
    assert outcome.faults_seen or strike.is_silent, "the fault never struck"
    assert tuple(kind for kind, _ in itertools.groupby(outcome.kinds)) == strike.kinds, told
    assert outcome.complaints == ()
    if cell.hardware == "require" and cell.rung == "cpu":
        assert not outcome.delivered
        assert (receipt.status, receipt.exit_code) == ("failed", ExitCode.HARDWARE_ABSENT)
        assert receipt.error_code == "hardware_absent"
        assert str(strike.kinds[-1]) in (receipt.evidence or "")
    else:
        assert (receipt.status, receipt.exit_code) == ("encoded", ExitCode.DONE), (receipt.error, told)
        assert outcome.rung == cell.rung, told
        on_gpu = cell.rung != "cpu"
        assert (receipt.device, receipt.gpu is not None) == ("nvidia" if on_gpu else "cpu", on_gpu)
        fell_back = [reason.text for reason in receipt.reasons if reason.code == "fell_back"]
        assert bool(fell_back) == bool(strike.kinds), receipt.reasons
    matrix.seen[cell] = Seen(outcome, is_right=True)


def test_the_part_meets_every_choice_often() -> None:
    for fault in FAULTS:
        assert {c.when for c in some_cells() if c.fault is fault} == set(matrix_page.WHEN)
    part = [(c.when, c.origin, c.gpus, c.hardware) for c in some_cells()]
    everything = itertools.product(matrix_page.WHEN, matrix_page.ORIGINS, matrix_page.GPUS, ("auto", "require"))
    assert min(part.count(choice) for choice in everything) >= 3


def test_there_are_at_least_forty_faults_of_different_names() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40


def test_the_document_is_of_these_faults() -> None:
    page = (Path(__file__).parents[2] / "docs" / "gpu-faults.md").read_text()
    assert matrix_page.rows_of(page) == [matrix_page.promise(f, when) for f in FAULTS for when in matrix_page.WHEN]
    assert "**wrong**" not in page
