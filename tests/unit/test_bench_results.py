"""What measurements of the benchmark come to, and what becomes of them on a page: no machine is needed for that."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from reelpress.bench.model import (
    BenchGpu,
    BenchRun,
    Choice,
    Encodes,
    Machine,
    Material,
    Measurement,
    Score,
)
from reelpress.bench.page import BEGIN, END, cells_of, page, put_into
from reelpress.bench.results import changes, promises, rows, speedups
from reelpress.bench.runner import drawn_j, measured, public
from reelpress.bench.saved import impossible
from reelpress.cli.bench_screen import print_run
from reelpress.errors import UsageError
from reelpress.plan.model import Rung
from reelpress.receipt import CostParts

from receipts import receipt

L4 = BenchGpu(
    name="NVIDIA L4", memory_mb=23034, driver_version="535.216.03", compute_capability="8.9", nvenc_api="12.1",
    encodes=(Encodes(encoder="h264_nvenc", features=("b_ref",)),),
)  # fmt: skip


def took(rung: Rung, wall_s: float, number: int = 1, material: str = "300 MB", **changed: object) -> Measurement:
    base = Measurement(
        material=material, rung=rung, round=number, encoder="libx264" if rung == "cpu" else "h264_nvenc",
        gpu=None if rung == "cpu" else "NVIDIA L4", wall_s=wall_s, encode_s=wall_s - 1, cpu_s=2 * wall_s,
        size_bytes=90_000_000, usd=0.001, peak_memory_bytes=300_000_000,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changed)


def run_of(*measurements: Measurement, gpus: tuple[BenchGpu, ...] = (L4,), **changed: object) -> BenchRun:
    names = dict.fromkeys(one.material for one in measurements) or {"300 MB": None}
    base = BenchRun(
        made_at="2026-11-22T06:00:00+00:00", reelpress_version="0.1.0", tariff="", rounds=2,
        machine=Machine(
            cpu="AMD EPYC", cores=2, memory_mb=24105, system="Linux", gpus=gpus, ffmpegs=("9.0",),
            gpu_note=None, load=0.5,
        ),
        choice=Choice(codec="h264", crf=None, preset=None, gpu_preset="fast", max_width=1280, max_height=720),
        materials=tuple(
            Material(
                name=name, generated=True, size_bytes=round(float(name.split()[0]) * 1e6), duration_s=120.0,
                video="h264 1920x1080 30 fps yuv420p",
            )
            for name in names
        ),
        measurements=measurements, scores=(),
    )  # fmt: skip
    return msgspec.structs.replace(base, **changed)


def test_the_fastest_round_counts_and_the_spread_is_told() -> None:
    (row,) = rows(run_of(took("cpu", 120.0), took("cpu", 100.0, 2)))
    assert (row.wall_s, row.spread, row.realtime, row.rounds) == (100.0, 0.2, 1.2, 2)
    assert (row.size_ratio, row.vmaf) == (0.3, None)


def test_a_way_that_failed_is_a_row_without_figures() -> None:
    run = run_of(took("cpu", 100.0), took("gpu", 3.0, failure="session_limit", size_bytes=None))
    good, bad = rows(run)
    assert (good.failure, bad.failure, bad.wall_s, bad.rounds) == (None, "session_limit", None, 0)
    assert "failed: session\\_limit" in page([run])


def test_a_way_that_failed_once_counts_what_it_delivered_and_says_so() -> None:
    run = run_of(took("gpu", 30.0), took("gpu", 1.0, 2, failure="device_lost"))
    (row,) = rows(run)
    assert (row.wall_s, row.rounds, row.failed_rounds, row.failure) == (30.0, 1, 1, "device_lost")
    told = "failed in 1 of 2 rounds: device_lost; its figures are of the others"
    assert f"- The way all on the GPU, 300 MB: {told}\n".replace("_", "\\_") in page([run])
    screen = io.StringIO()
    print_run(run, [], Console(file=screen, width=80))
    assert f"300 MB gpu: {told}" in " ".join(screen.getvalue().split())
    healthy = [took("gpu", 30.0), took("gpu", 31.0, 2), took("cpu", 1.0, failure="x")]
    assert "rounds:" not in page([run_of(*healthy)]).replace("2 rounds,", "")


def test_rounds_are_compared_with_themselves() -> None:
    """The machine was twice as busy in the second round: the ratio does not care."""
    run = run_of(took("cpu", 100.0), took("gpu", 20.0), took("gpu", 40.0, 2), took("cpu", 200.0, 2))
    assert speedups(run) == {("300 MB", "gpu"): 5.0}
    assert speedups(run_of(took("gpu", 20.0))) == {}


@pytest.mark.parametrize(
    ("measured", "gpus", "kept"),
    [
        ([took("gpu", 59.9), took("cpu", 299.0)], (L4,), ["met", "met"]),
        ([took("gpu", 60.0), took("cpu", 301.0)], (L4,), ["not met", "not met"]),
        ([took("gpu", 90.0), took("gpu_encode", 50.0)], (L4,), ["met", "not measured in this run"]),
        ([took("gpu", 1.0, failure="x"), took("cpu", 1.0)], (L4,), ["not met", "met"]),
        ([took("cpu", 1.0)], (), ["not yet measured on hardware", "met"]),
        ([took("cpu", 1.0, material="100 MB"), took("gpu", 1.0, material="100 MB")], (L4,),
         ["not measured in this run", "not measured in this run"]),
        ([took("cpu", 1.0)], (msgspec.structs.replace(L4, encodes=()),), ["not yet measured on hardware", "met"]),
        ([took("cpu", 301.0), took("gpu_decode", 50.0, encoder="libx264")],
         (msgspec.structs.replace(L4, encodes=()),), ["not yet measured on hardware", "not met"]),
        ([took("gpu_decode", 50.0, encoder="libx264")], (L4,),
         ["not measured in this run", "not measured in this run"]),
    ],
)  # fmt: skip
def test_promises(measured: list[Measurement], gpus: tuple[BenchGpu, ...], kept: list[str]) -> None:
    assert [answer.kept for answer in promises(run_of(*measured, gpus=gpus))] == kept


def test_a_run_without_hardware_says_nothing_about_the_machines_gpus() -> None:
    run = run_of(took("cpu", 1.0), gpus=(), hardware="off")
    assert [answer.kept for answer in promises(run)] == ["not measured in this run", "met"]
    assert "24 GiB; GPUs left out; load 0.5" in page([run])
    assert "24 GiB; no GPU; load 0.5" in page([run_of(took("cpu", 1.0), gpus=())])


def test_an_earlier_run_is_compared_row_by_row() -> None:
    score = Score(material="300 MB", rung="cpu", vmaf=92.0)
    before = run_of(took("cpu", 100.0), took("gpu", 50.0), scores=(score,))
    now = run_of(took("cpu", 150.0), scores=(msgspec.structs.replace(score, vmaf=91.5),))
    (change,) = changes(now, before)
    assert (change.rung, change.seconds_ratio, change.vmaf_gain) == ("cpu", 1.5, -0.5)


def test_what_is_not_alike_is_not_compared() -> None:
    now = run_of(took("cpu", 100.0))
    elsewhere = msgspec.structs.replace(now.machine, cpu="Intel Xeon")
    assert changes(now, msgspec.structs.replace(now, machine=elsewhere)) == ()
    assert changes(now, msgspec.structs.replace(now, choice=msgspec.structs.replace(now.choice, codec="av1"))) == ()
    longer = (msgspec.structs.replace(now.materials[0], duration_s=300.0),)
    assert changes(now, msgspec.structs.replace(now, materials=longer)) == ()
    assert changes(run_of(took("gpu", 1.0)), run_of(took("gpu", 1.0, gpu="Tesla T4"))) == ()


def test_the_table_stands_between_its_comments_and_the_rest_of_the_page_stays() -> None:
    run = run_of(
        took("cpu", 100.0),
        took("gpu", 20.0, energy_j=1500.0),
        scores=(Score(material="300 MB", rung="gpu", vmaf=93.1),),
    )
    before = f"# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n"
    after = put_into(before, page([run]))
    assert after.startswith(
        f"# Title\n\n{BEGIN}\nOn AMD EPYC, 2 cores, 24 GiB; NVIDIA L4 (driver 535.216.03, 22 GiB); load 0.5"
    )
    assert after.endswith(f"{END}\n\nrest\n")
    assert "old" not in after
    assert "| all on the GPU | h264\\_nvenc | 20.0 | 6.0 | 5.0 | 93.1 | 30% | 1.50 kJ | $0.00100 | 300 MB |" in after
    assert "- 300 MB on the GPU in less than 60 s: met (20.0 s)" in after
    assert put_into(after, page([run])) == after


def test_numbers_that_nothing_can_have_had_are_found() -> None:
    good = run_of(took("cpu", 1.0, energy_j=0.0), took("gpu", 0.0, failure="x", size_bytes=None, encode_s=0.0))
    assert impossible(good) is None
    assert impossible(run_of(took("cpu", 1.0, energy_j=-1.0))) == "measurements.energy_j is -1.0"
    assert impossible(run_of(took("cpu", float("nan")))) == "measurements.wall_s is nan"
    assert impossible(run_of(took("cpu", 1.0), rounds=0)) == "rounds is 0"
    assert impossible(run_of(scores=(Score(material="300 MB", rung="cpu", vmaf=-1.0),))) == "scores.vmaf is -1.0"


def test_reasons_are_told_without_paths_and_uuids() -> None:
    text = "L4: left alone for 3 s more, after GPU-01234567-89ab-cdef (/home/ann/ffmpeg: 9/10 failed); see /dev/nvidia0"
    told = "L4: left alone for 3 s more, after [left out] ([left out]: 9/10 failed); see [left out]"
    assert public(text) == told
    plain = "no NVIDIA device on this machine; driver 535.216.03, 1/2 sessions"
    assert public(plain) == plain


def test_what_a_gpu_drew_is_not_told_where_its_driver_began_anew() -> None:
    assert drawn_j({"a": 1_000, "b": 1}, {"a": 61_000}, "a") == 60.0
    assert [drawn_j({"a": 61_000, "b": 1}, {"a": 1_000}, uuid) for uuid in ("a", "b", None)] == [None, None, None]


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_a_place_for_the_table_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no place"):
        put_into(text, "table")


def test_a_run_that_a_stranger_sent_is_words_on_a_page() -> None:
    evil = "~~~ <script>alert(1)</script> | x |\n# Title [a](http://x) \u202e ` &lt;"
    machine = msgspec.structs.replace(run_of().machine, cpu=evil, ffmpegs=(evil,))
    gpus = (msgspec.structs.replace(L4, name=evil, driver_version=evil),)
    machine = msgspec.structs.replace(machine, gpus=gpus)
    measured = [took("gpu", 1.0, 2, material=evil), took("gpu", 1.0, material=evil, failure=evil)]
    run = run_of(took("cpu", 1.0, failure=evil, encoder=evil), machine=machine, reelpress_version=evil)
    material = msgspec.structs.replace(run.materials[0], name=evil, video=evil)
    run = msgspec.structs.replace(
        run, materials=(*run.materials, material), measurements=(*run.measurements, *measured), made_at="<!-- |`[~&#"
    )
    text = page([run])
    assert "failed in 1 of 2 rounds" in text
    assert text.count("~") == text.count("\\~")
    assert text.count("&") == text.count("\\&")
    assert text.count("<") == text.count("\\<")
    assert not [line for line in text.splitlines() if line and line[0] not in "O|-"]
    assert "<script>" not in text.replace("\\<", "")
    assert "\n#" not in text
    assert "\u202e" not in text
    assert "](" not in text.replace("\\]", "")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {12}


def test_what_has_no_price_leaves_a_row_without_dollars() -> None:
    parts = CostParts(cpu=0.25, gpu=None)
    used = measured("300 MB", "nvdec", 1, receipt(usd=0.25, usd_parts=parts), None)
    assert used.usd is None
    row, *_ = rows(run_of(took("nvdec", 20.0, usd=used.usd)))
    assert cells_of(row, None)[6] == "-"
    priced = measured("300 MB", "cpu", 1, receipt(usd=0.25, usd_parts=CostParts(cpu=0.25)), None)
    assert priced.usd == 0.25
