"""The gate of compare on one case of every kind: right copies pass, damage does not. The rest is a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reelpress.facts.quality import Comparison, Measuring
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.measure import measure

import clips
from thorough import every

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # behind: it has a clips.py, too

from compare_gate import judge

from gate_copies import COPIES
from gate_damage import DAMAGES, Damage
from gate_recipes import Copy
from gate_sources import BURSTS, Material, Source, make, prepare

pytestmark = pytest.mark.media
HOST = probe_host()

DRAWN = Source(
    "drawn",
    made=(
        "-f", "lavfi", "-i", "testsrc2=size=256x144:rate=25:duration=3,noise=alls=6:allf=t",
        "-f", "lavfi", "-i", BURSTS.format(s=3), "-c:v", "libx264", "-preset", "veryfast", "-crf", "14",
        "-pix_fmt", "yuv420p", "-colorspace", "bt709",
        "-color_primaries", "bt709", "-color_trc", "bt709", "-c:a", "aac", "-b:a", "160k",
    ),
    damage=True,
)  # fmt: skip
RIGHT = (
    "Matroska", "MPEG-TS", "fragmented MP4", "MP4 without edit lists", "sound first", "begins at 1.4 s, MP4",
    "cut by an edit list", "times moved by up to 3 ms", "duplicates left out",
    "turned by a flag, against turned pixels", "twice the size", "limited to full", "8 bits in 10, FFV1",
    "FFV1 in AVI", "x264 CRF 8, keyframes far apart", "x265 CRF 8", "AAC, TS", "mono of 16 kHz",
    "a second of silence after the end",
)  # fmt: skip
WRONG = (
    "1 frame dropped", "1 frame dropped, the rest moved up", "frozen for 0.2 s", "two frames changed places",
    "every tenth dropped, the one before shown twice", "1 green frame", "colours lost for 10 frames",
    "colour planes exchanged", "colours 8 pixels off", "a block garbled for 4 frames",
    "packets damaged", "picture 1 frames late", "picture 2 frames early", "limited, said to be full",
    "levels compressed twice", "SAR 4:3 in the tag", "8 pixels cropped, scaled back", "on its side",
    "sound 20 ms late, in its samples", "sound 40 ms early, in timestamps", "sound 500 ms late, in timestamps",
    "sound 2000 ms early, in its samples", "sound 1.5 percent slower", "last 0.5 s missing",
    "BT.601 and BT.709 exchanged in pixels", "CRF 45", "no sound", "silence", "another sound", "SDR said to be HDR10",
)  # fmt: skip
LEFT_OUT = {"speed"}
BY_NAME: dict[str, Copy | Damage] = {recipe.name: recipe for recipe in (*COPIES, *DAMAGES)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return prepare(DRAWN, Path(), tmp_path_factory.mktemp("drawn"))


def compared(name: str, drawn: Material, folder: Path) -> Comparison:
    recipe = BY_NAME[name]
    arguments = recipe.make(drawn)
    assert arguments is not None
    reference = drawn.path
    if isinstance(recipe, Copy) and recipe.reference is not None:
        other = recipe.reference(drawn)
        assert other is not None
        reference = make(other, folder / "reference.mkv")
    out = make(arguments, folder / f"made{recipe.suffix}")
    return measure(reference, probe(reference), out, probe(out), how=Measuring(whole=True), host=HOST)


@pytest.mark.parametrize("name", every(4, RIGHT))
def test_a_right_copy_passes(drawn: Material, tmp_path: Path, name: str) -> None:
    answer = compared(name, drawn, tmp_path)
    assert judge(answer) == ("passed", "")
    assert answer.self_test is not None
    assert answer.self_test.passed


@pytest.mark.parametrize("name", every(4, WRONG))
def test_damage_is_rejected(drawn: Material, tmp_path: Path, name: str) -> None:
    assert judge(compared(name, drawn, tmp_path))[0] == "rejected"


@pytest.mark.parametrize("rate", every(2, ["12.5", "15", "24000/1001", "30000/1001", "120", "60000/1001", "50"]))
def test_every_usual_rate_can_be_measured(tmp_path: Path, rate: str) -> None:
    """At 24000/1001 the sixth frame is at 0.25025 s, which rounds to either side."""
    reference = clips.plain(tmp_path / "in.mp4", rate=rate, seconds=1.0)
    out = clips.make(tmp_path / "made.mp4", "-i", f"file:{reference}", "-c", "copy")
    answer = measure(reference, probe(reference), out, probe(out), how=Measuring(whole=True), host=HOST)
    assert judge(answer) == ("passed", "")


def test_every_kind_of_the_benchmark_is_here() -> None:
    """What is left to the benchmark is said."""
    tried = {BY_NAME[name].kind for name in (*RIGHT, *WRONG)}
    assert {recipe.kind for recipe in (*COPIES, *DAMAGES)} - tried <= LEFT_OUT
