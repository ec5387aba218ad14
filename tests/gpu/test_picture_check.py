"""The comparison of pictures with the source: what passes for right at which quality, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelpress.check.pictures import LARGEST_DB, LEAST_DB, compare_pictures, min_db
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.request import Request

import clips

COARSEST, DEFAULT = 1.0, 23 / 51
# Detail at every scale, so that the coarsest encode is visibly coarse.
DETAIL = ("-f", "lavfi", "-i", "mandelbrot=size=640x360:rate=25:start_scale=0.3:end_scale=0.001:end_pts=60", "-t", "2")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("detail") / "detail.mp4"
    return clips.make(made, *DETAIL, *clips.X264, "-crf", "4", "-g", "25")


def compared(source: Path, output: Path, coarseness: float) -> str:
    facts = probe(source)
    decided = plan(facts, probe_host(), Request(hardware="off", always_encode=True))
    assert isinstance(decided, Encode)
    gate = compare_pictures(
        clips.ffmpeg(), source, facts, output, probe(output), decided.expect,
        coarseness=coarseness, cancel=None, spend=lambda _s: None,
    )  # fmt: skip
    return gate.verdict


def encoded(source: Path, out: Path, crf: int, filters: str = "null") -> Path:
    return clips.make(out, "-i", str(source), "-vf", filters, *clips.X264, "-crf", str(crf))


def test_the_coarsest_encode_that_can_be_asked_for_is_right(source: Path, tmp_path: Path) -> None:
    assert compared(source, encoded(source, tmp_path / "out.mp4", 51), COARSEST) == "passed"


def test_what_passes_when_little_was_asked_for_does_not_by_default(source: Path, tmp_path: Path) -> None:
    out = encoded(source, tmp_path / "out.mp4", 12, "boxblur=12:1")
    assert compared(source, out, DEFAULT) == "failed"


@pytest.mark.by_turns
@pytest.mark.parametrize("coarseness", [DEFAULT, COARSEST])
@pytest.mark.parametrize(
    "filters",
    [
        pytest.param("hue=s=0", id="colours lost"),
        pytest.param("swapuv", id="colours swapped"),
        pytest.param("geq=lum='lum(X,Y)':cb=0:cr=0", id="colours of empty memory"),
        pytest.param("geq=lum=0:cb=0:cr=0", id="green"),
        pytest.param("vflip", id="upside down"),
        pytest.param("geq=lum='if(gt(Y,H/2),128,lum(X,Y))':cb='cb(X,Y)':cr='cr(X,Y)'", id="half grey"),
        pytest.param("setpts=PTS,reverse", id="other pictures"),
    ],
)
def test_wrong_pictures_fail_at_any_quality(source: Path, tmp_path: Path, filters: str, coarseness: float) -> None:
    assert compared(source, encoded(source, tmp_path / "out.mp4", 20, filters), coarseness) == "failed"


def test_the_limit_falls_with_what_was_asked_for() -> None:
    limits = [min_db(share / 100) for share in range(101)]
    assert limits == sorted(limits, reverse=True)
    assert (limits[0], limits[-1]) == (LARGEST_DB, LEAST_DB)
