"""How a GPU's output is held to the CPU's: every limit from both sides, and what is not known passes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from reelpress.facts.parity import Parity, ParitySide, ParityVerdict, judge, verdict_of
from reelpress.facts.values import from_json
from reelpress.run.process import CancelToken


def side(vmaf: float | None, size_bytes: int, device: str = "cpu") -> ParitySide:
    return ParitySide(
        encoder="x", device=device, gpu=None, rung="cpu", setting=23, size_bytes=size_bytes,  # type: ignore[arg-type]
        wall_s=1, cpu_s=1, vmaf=vmaf, worst_vmaf=vmaf, frames=100, cause=None if vmaf is not None else "why",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cpu", "gpu", "want"),
    [
        ((95, 1000), (95, 1000), ("passed", "passed", "passed", "passed")),
        ((90, 1000), (90, 1050), ("passed", "passed", "passed", "passed")),
        ((89.9, 1000), (95, 950), ("failed", "passed", "passed", "passed")),
        ((95, 1000), (89.9, 1000), ("passed", "failed", "failed", "passed")),
        ((95, 1000), (93.11, 1000), ("passed", "passed", "passed", "passed")),
        ((95, 1000), (93.09, 1000), ("passed", "passed", "failed", "passed")),  # 2.01 % less
        ((95, 1000), (99, 1051), ("passed", "passed", "passed", "warned")),  # better is no fault, larger is one
        ((95, 1000), (95, 949), ("passed", "passed", "passed", "warned")),
        ((95, 1000), (95, 900), ("passed", "passed", "passed", "warned")),
        ((95, 1000), (95, 899), ("passed", "passed", "passed", "failed")),
        ((95, 1000), (95, 1101), ("passed", "passed", "passed", "failed")),
        ((None, 1000), (95, 1000), ("unmeasured", "passed", "unmeasured", "passed")),
        ((95, 1000), (None, 2000), ("passed", "unmeasured", "unmeasured", "failed")),
        ((95, 0), (95, 10), ("passed", "passed", "passed", "unmeasured")),
    ],
)
def test_every_limit(cpu: tuple[float | None, int], gpu: tuple[float | None, int], want: tuple[str, ...]) -> None:
    gates = judge(side(*cpu), side(*gpu, device="nvidia"))
    assert tuple(gate.verdict for gate in gates) == want
    order: tuple[ParityVerdict, ...] = ("failed", "unmeasured", "warned", "passed")
    assert verdict_of(gates) == next(v for v in order if v in want)


@given(vmaf=st.floats(1, 100), loss=st.floats(0, 1), size=st.integers(1, 10**12), factor=st.floats(0.01, 100))
def test_worse_is_never_judged_better(vmaf: float, loss: float, size: int, factor: float) -> None:
    order = ["failed", "unmeasured", "warned", "passed"]
    good = verdict_of(judge(side(vmaf, size), side(vmaf, size)))
    bad = verdict_of(judge(side(vmaf, size), side(vmaf * (1 - loss), max(1, round(size * factor)))))
    assert order.index(bad) <= order.index(good)


def test_without_a_gpu_it_ends_with_four_and_nothing_is_encoded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from reelpress import parity as module
    from reelpress.cli.app import app

    import clips

    source = clips.plain(tmp_path / "in.mp4")
    ran: list[object] = []
    monkeypatch.setattr(module, "measure", lambda *a, **k: ran.append(a))
    result = CliRunner().invoke(app, ["parity", "--json", str(source), str(source)])
    if result.exit_code in (0, 1):
        pytest.skip("this machine has a GPU")
    assert result.exit_code == 4
    [line] = result.stdout.splitlines()  # the second would end as the first did
    one = from_json(line, Parity)
    assert (one.verdict, one.exit_code, one.error_code) == ("unmeasured", 4, "hardware_absent")
    assert ran == []


def test_an_input_that_is_none_ends_with_three(tmp_path: Path) -> None:
    from reelpress.cli.app import app

    result = CliRunner().invoke(app, ["parity", str(tmp_path / "none.mp4")])
    assert result.exit_code == 3
    assert "no such file" in result.stdout


def test_a_bug_is_no_file_that_passed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from reelpress.cli import parity as command
    from reelpress.cli.app import app

    def bug(*_given: object, **_named: object) -> Parity:
        raise RuntimeError("a bug")

    monkeypatch.setattr(command, "check_parity", bug)
    result = CliRunner().invoke(app, ["parity", str(tmp_path / "a.mp4")])
    assert isinstance(result.exception, RuntimeError)


def test_a_stdout_that_takes_nothing_ends_with_five(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reelpress", "parity", "none.mp4", "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 5
    assert "could not be printed" in done.stderr


def test_files_that_were_not_looked_at_for_a_stop_end_with_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from reelpress.cli import parity as command
    from reelpress.cli.app import app

    import clips

    source = clips.plain(tmp_path / "in.mp4")
    honest, seen = command.check_parity, list[Path]()

    def check(file: Path, *, cancel: CancelToken, **more: Any) -> Parity:
        seen.append(file)
        if len(seen) > 1:
            return honest(file, cancel=cancel, **more)
        os.kill(os.getpid(), signal.SIGTERM)
        cancel.wait(30)
        return Parity(input="first", verdict="passed", exit_code=0)

    monkeypatch.setattr(command, "check_parity", check)
    result = CliRunner().invoke(app, ["parity", "--json", *[str(source)] * 3])
    assert result.exit_code == 130
    assert len(seen) == 2
