"""`reelpress quote` and `compress --quote`, as people and programs see them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import forked_program
import reelpress

import clips

pytestmark = pytest.mark.media


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {n: t for n, t in os.environ.items() if not n.startswith(("REELPRESS", "COMPRESSION", "GPU"))}
    environ |= {"PYTHONPATH": str(Path(reelpress.__file__).parents[1]), "COLUMNS": "80"}
    return forked_program.run_text(arguments, cwd=folder, env=environ, patience_s=120)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.with_sound(tmp_path_factory.mktemp("clip") / "clip.mp4", "-crf", "4")


def test_text_fits_80_columns_and_bad_files_cost_the_exit_code(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "evil\x1b[31m.mp4").write_text("no video")
    done = run(tmp_path, "quote", clip, "evil\x1b[31m.mp4", "--hardware", "auto")
    assert done.returncode == 3, done.stderr
    assert "libx264" in done.stdout
    assert "80% of jobs" in done.stdout
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80
    assert "\x1b[31m" not in done.stdout + done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil\x1b[31m.mp4"]


def test_json_has_an_offer_for_each_codec(clip: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "quote", clip, "--encoders", "all", "--quick", "--hardware", "off", "--json")
    assert done.returncode == 0, done.stderr
    quote = json.loads(done.stdout)
    assert quote["event"] == "quote"
    assert [offer["codec"] for offer in quote["offers"]] == ["h264", "hevc", "av1"]
    assert {offer["device"] for offer in quote["offers"]} == {"cpu"}
    for offer in quote["offers"]:
        size = offer["predicted"]["size_bytes"]
        assert size["low"] < size["likely"] < size["high"]


@pytest.mark.parametrize(
    "arguments", [("--encoders", "vp9"), ("--encoders", ","), ("--budget", "soon"), ("--budget", "-1")]
)
def test_what_cannot_be_meant_is_refused(clip: Path, tmp_path: Path, arguments: tuple[str, str]) -> None:
    done = run(tmp_path, "quote", clip, *arguments)
    assert done.returncode == 2
    assert "accepted" in done.stderr


def test_a_quoted_job_is_held_to_its_quote(clip: Path, tmp_path: Path) -> None:
    flags = ("--hardware", "off", "--quote", "--receipt", "receipt.json")
    done = run(tmp_path, "compress", clip, "-o", "out.mp4", *flags)
    assert done.returncode == 0, done.stderr
    assert "\nquoted " in done.stdout
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    said = receipt["predicted"]
    assert said["basis"] == "rehearsed"
    assert said["size_bytes"]["likely"] == receipt["result"]["size_bytes"]
    perf = run(tmp_path, "perf", "predictions", "--receipts", "receipt.json")
    assert "rehearsed    libx264       1       1  size    0.0%" in perf.stdout
    assert max(map(len, perf.stdout.splitlines())) <= 80
    [line] = run(tmp_path, "perf", "predictions", "--receipts", "receipt.json", "--json").stdout.splitlines()
    assert json.loads(line)["size"]["inside"] == 1.0


def test_a_job_nobody_quoted_has_a_rough_prediction_all_the_same(clip: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "compress", clip, "-o", "out.mp4", "--hardware", "off", "--receipt", "receipt.json")
    assert done.returncode == 0, done.stderr
    assert "\nquoted " not in done.stdout
    said = json.loads((tmp_path / "receipt.json").read_text())["predicted"]
    assert (said["basis"], said["quote"]) == ("facts", None)
    assert said["usd"]["likely"] > 0
