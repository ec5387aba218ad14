"""The gate that compares commits: its statistics, and that it stops a commit that is slower."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import check_performance_regression as gate  # noqa: E402


def noisy(seconds: float, rounds: int, spread: float, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [seconds * rng.lognormvariate(0, spread) for _ in range(rounds)]


def test_a_clear_difference_fails_and_a_small_one_does_not() -> None:
    base = noisy(10, 7, 0.03, 1)
    assert gate.ratio_of(base, noisy(15, 7, 0.03, 2)).is_slower(1.25)
    assert not gate.ratio_of(base, noisy(11, 7, 0.03, 3)).is_slower(1.25)
    assert not gate.ratio_of(base, noisy(8, 7, 0.03, 4)).is_slower(1.25)


def test_noise_alone_fails_nothing() -> None:
    # on a machine that swings by half, medians differ by a quarter now and then
    ratios = [gate.ratio_of(noisy(10, 5, 0.5, seed), noisy(10, 5, 0.5, seed + 1000)) for seed in range(6)]
    assert any(ratio.value > 1.25 for ratio in ratios)
    assert not any(ratio.is_slower(1.25) for ratio in ratios)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose second commit compresses at twenty times the cost of the first, and whose third fails."""
    folder = tmp_path / "repository"
    package = folder / "src" / "reelpress"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()  # without it a package that is installed comes before this one
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    for name, body in (
        ("fast", "sum(range(10**5))"),
        ("slow", "sum(range(5 * 10**6))"),
        ("broken", "raise SystemExit(3)"),
    ):
        (package / "__main__.py").write_text(f"{body}\n")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", name], check=True)
        subprocess.run([*git, "tag", name], check=True)
    return folder


def test_a_slower_commit_is_stopped_and_the_work_trees_are_gone(repository, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(gate, "make_videos", lambda _folder, _duration_s: {"film": tmp_path})
    asked = ["--repository", str(repository), "--base", "fast", "--rounds", "3"]
    assert gate.main([*asked, "--head", "slow"]) == 1
    assert "slower than 1.25x fast: film" in capsys.readouterr().out
    assert gate.main([*asked, "--head", "broken"]) == 2
    assert "ended with 3" in capsys.readouterr().err
    trees = subprocess.run(
        ["git", "-C", str(repository), "worktree", "list"], check=True, capture_output=True, text=True
    )
    assert len(trees.stdout.splitlines()) == 1
