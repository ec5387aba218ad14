"""What one clip of a long video behind an address costs, from the probe to the last check, told by the server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reelpress.clip_request import ClipRequest
from reelpress.clips.export import export_clips
from reelpress.facts.host import HostFacts
from reelpress.source.opening import open_source

import clips

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # behind: it has a clips.py, too

from clip_share import cost_of
from counting_server import CountingServer

pytestmark = pytest.mark.media

START_S, END_S = 33.4, 48.4  # no keyframe is there
BAR = 1.15


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 seconds at about 5 Mbit/s, a keyframe every two seconds."""
    folder = tmp_path_factory.mktemp("film")
    short = clips.make(
        folder / "short.mkv", *clips.picture("320x180", rate="30", seconds=15), *clips.tone(seconds=15), "-vf",
        "noise=alls=40:allf=t", *clips.X264, "-preset", "ultrafast", "-b:v", "5M", "-maxrate", "5M", "-bufsize", "2M",
        "-g", "60", "-bf", "2", "-c:a", "aac",
    )  # fmt: skip
    return clips.make(folder / "film.mkv", "-stream_loop", "4", "-i", str(short), "-c", "copy")


@pytest.mark.parametrize("host", ["bundled"], indirect=True)
@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.by_turns
def test_one_clip_costs_its_share_and_the_index(host: HostFacts, film: Path, tmp_path: Path, container: str) -> None:
    source = tmp_path / f"film.{container}"
    clips.make(source, "-i", str(film), "-c", "copy", *(("-movflags", "+faststart") if container == "mp4" else ()))
    cost = cost_of(source, [(START_S, END_S)])
    assert cost.index_bytes < 0.2 * cost.share_bytes
    wish = ClipRequest(start_s=START_S, end_s=END_S, width=180, height=320, preset="ultrafast", hardware="off")
    with CountingServer(source).running() as server:
        with open_source(server.url, allow_private=True) as opened:
            (receipt,) = export_clips(opened, [wish], tmp_path / "out", host=host, cache_dir=tmp_path / "cache")
        sent = server.sent_bytes
    assert (receipt.status, receipt.exit_code) == ("encoded", 0), receipt.error
    assert {"loudness", "analyse"} <= {gate.name for gate in receipt.gates} | {stage.name for stage in receipt.stages}
    print(f"{container}: {(sent - cost.index_bytes) / cost.share_bytes:.3f} of the share")
    assert sent > cost.share_bytes  # else too little is counted
    assert sent - cost.index_bytes <= BAR * cost.share_bytes
