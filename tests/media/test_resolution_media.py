"""``--resolution auto`` on generated clips: what is looked at, what is chosen, and what is delivered."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reelpress.engine import compress_file
from reelpress.errors import Cancelled
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.resolution import Settled, settle_resolution
from reelpress.request import Request
from reelpress.run.process import CancelToken

import clips

HOST = probe_host()
pytestmark = [pytest.mark.media, pytest.mark.skipif(HOST.scorer is None, reason="no FFmpeg here has libvmaf")]
ASKED = Request(hardware="off", preset="veryfast", resolution="auto", always_encode=True)


def made(folder: Path, graph: str, *, size: str = "854x480", rate: int = 15) -> Path:
    """Encode two seconds of a lavfi graph, nearly without loss."""
    scaled = f"{graph},scale={size.replace('x', ':')},format=yuv420p"
    return clips.make(
        folder / "source.mp4", "-f", "lavfi", "-i", scaled, "-t", "2", "-r", str(rate), *clips.X264, "-crf", "6"
    )


def settle(source: Path, request: Request = ASKED, **more: object) -> Settled:
    return settle_resolution(source, probe(source), HOST, request, spend=lambda _: None, **more)  # type: ignore[arg-type]


def test_a_soft_picture_gets_fewer_lines_and_is_delivered_so(tmp_path: Path) -> None:
    source = made(tmp_path, "mandelbrot=size=160x90:rate=15,gblur=1")
    receipt = compress_file(source, tmp_path / "out.mp4", host=HOST, request=ASKED)
    chosen = next(r for r in receipt.reasons if r.code == "resolution_chosen")
    assert receipt.status == "encoded"
    assert receipt.result is not None
    assert "640x360" in (receipt.result.video or "")
    assert chosen.fact is not None
    assert chosen.fact.startswith("852x480 CRF 23.0: ")
    assert {"sample", "encode"} <= {stage.name for stage in receipt.stages}
    # smaller than what the same request makes at the full size
    fixed = compress_file(
        source, tmp_path / "fixed.mp4", host=HOST, request=msgspec.structs.replace(ASKED, resolution="fixed")
    )
    assert fixed.result is not None
    assert receipt.result.size_bytes < fixed.result.size_bytes


def test_slides_keep_their_pixels_without_a_single_trial(tmp_path: Path) -> None:
    found = settle(made(tmp_path, "testsrc2=size=854x480:rate=15"))
    assert [r.code for r in found.reasons] == ["resolution_drawn"]
    assert found.points == ()
    assert found.request == msgspec.structs.replace(ASKED, resolution="fixed")


def test_grain_keeps_its_size(tmp_path: Path) -> None:
    found = settle(made(tmp_path, "gradients=size=854x480:rate=15:speed=0.02,noise=alls=14:allf=t"))
    assert [r.code for r in found.reasons] == ["resolution_grain"]
    assert found.content is not None
    assert found.content.noise_sigma > 2


def test_slides_at_sixty_frames_need_only_thirty(tmp_path: Path) -> None:
    source = made(
        tmp_path, "color=white:size=854x480:rate=60,drawbox=x=150:y=150:w=290:h=8:color=black:t=fill", rate=60
    )
    found = settle(source, msgspec.structs.replace(ASKED, max_fps=60))
    assert [r.code for r in found.reasons] == ["resolution_drawn", "rate_halved"]
    assert found.request.max_fps == 30


def test_a_target_is_aimed_at(tmp_path: Path) -> None:
    source = made(tmp_path, "mandelbrot=size=854x480:rate=15", size="640x360")
    found = settle(source, target=88.0)
    assert found.request.crf is not None
    assert min(abs(p.vmaf - 88.0) for p in found.points) < 4
    assert "VMAF of 88.0" in found.reasons[0].text


def test_where_nothing_scores_the_size_of_the_box_stays_and_the_cause_is_told(tmp_path: Path) -> None:
    source = made(tmp_path, "mandelbrot=size=160x90:rate=15")
    blind = msgspec.structs.replace(
        HOST, ffmpegs=tuple(msgspec.structs.replace(f, filters=f.filters - {"libvmaf"}) for f in HOST.ffmpegs)
    )
    found = settle_resolution(source, probe(source), blind, ASKED, spend=lambda _: None)
    assert [r.code for r in found.reasons] == ["resolution_unmeasured"]
    assert "libvmaf" in (found.reasons[0].fact or "")


def test_a_frame_that_is_shown_for_no_time_is_measured_by_nothing(tmp_path: Path) -> None:
    source = clips.timeless(tmp_path / "one.webm")
    assert not probe(source).duration_s
    found = settle(source)
    assert [r.code for r in found.reasons] == ["resolution_unmeasured"]
    assert "how long" in (found.reasons[0].fact or "")


def test_pictures_too_small_to_be_scored_keep_their_size_and_the_cause_is_told(tmp_path: Path) -> None:
    found = settle(made(tmp_path, "mandelbrot=size=64x64:rate=15", size="16x16"))
    assert [(r.code, r.fact) for r in found.reasons] == [
        ("resolution_unmeasured", "Pictures of 16x16 are too small for VMAF.")
    ]


def test_cancelling_ends_it(tmp_path: Path) -> None:
    stop = CancelToken()
    stop.cancel()
    source = made(tmp_path, "mandelbrot=size=160x90:rate=15")
    with pytest.raises(Cancelled):
        settle(source, cancel=stop)
