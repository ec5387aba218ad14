"""How clips end that are not delivered: cancelled at any stage, refused, or under a source that changes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from reelpress import clip_engine
from reelpress.clip_engine import cut_clip
from reelpress.clip_request import ClipRequest
from reelpress.events import Analysed, AttemptStarted, Checked, Event, Planned, Progressed, Started
from reelpress.facts.host import HostFacts
from reelpress.probe.media import probe
from reelpress.run.process import CancelToken
from reelpress.source.opening import OpenSource

import clip_work
import clips

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("talk") / "in.mp4"
    return clips.make(out, *clips.picture("640x360", seconds=8), *clips.tone(seconds=8), *clips.X264, "-c:a", "aac")


def test_events_come_in_order_and_end_with_the_receipt(host: HostFacts, talk: Path, tmp_path: Path) -> None:
    seen: list[Event] = []
    receipt = clip_work.cut(talk, tmp_path / "out.mp4", host, 1, 3, on_event=seen.append)
    kinds = [type(e) for e in seen if not isinstance(e, Progressed)]
    assert kinds == [Started, Analysed, Planned, AttemptStarted, Checked, type(receipt)]
    for stage in ("analyse", "encode"):
        percents = [e.percent for e in seen if isinstance(e, Progressed) and e.stage == stage and e.percent is not None]
        assert percents == sorted(percents)
        assert percents
        assert percents[-1] < 100
    assert {e.job for e in seen} == {receipt.job}
    assert receipt.source is not None
    assert receipt.clip is not None
    assert (receipt.clip.start_s, receipt.clip.end_s, receipt.clip.frames) == (1.0, 3.0, 50)


@pytest.mark.parametrize("when", [Started, Analysed, Planned, AttemptStarted, Progressed, "encoding"])
def test_a_cancel_ends_a_clip_in_any_stage(host: HostFacts, talk: Path, tmp_path: Path, when: type | str) -> None:
    cancel = CancelToken()
    at: list[float] = []

    def on_event(event: Event) -> None:
        midway = isinstance(event, Progressed) and event.stage == "encode" and (event.frames or 0) > 0
        if (midway if when == "encoding" else isinstance(event, when)) and not at:  # type: ignore[arg-type]
            at.append(time.monotonic())
            cancel.cancel()

    wishes = {"width": 1080, "height": 1920, "preset": "medium", "cancel": cancel, "on_event": on_event}
    receipt = clip_work.cut(talk, tmp_path / "out.mp4", host, 1, 7, **wishes)
    ended = time.monotonic()
    assert (receipt.status, receipt.exit_code) == ("cancelled", 130)
    assert list(tmp_path.iterdir()) == []
    print(f"ended {ended - at[0]:.2f} s after the cancel")


@pytest.mark.parametrize(
    ("wishes", "code", "exit_code"),
    [
        ({"start_s": 7.0, "end_s": 9.0}, "usage", 2),
        ({"start_s": 3.0, "end_s": 3.1}, "usage", 2),
        ({"start_s": 3.0, "end_s": 2.0}, "usage", 2),
        ({"start_s": float("nan"), "end_s": 2.0}, "usage", 2),
        ({"start_s": 1.0, "end_s": 2.0, "width": 33}, "usage", 2),
        ({"start_s": 1.0, "end_s": 2.0, "preset": "fastest"}, "usage", 2),
        ({"start_s": 1.0, "end_s": 2.0, "crf": 0.5}, "usage", 2),
        ({"start_s": 1.0, "end_s": 2.0, "hardware": "require"}, "hardware_absent", 4),
        ({"start_s": 1.0, "end_s": 2.0, "framing": clip_work.framed()}, "usage", 2),
    ],
)
def test_what_cannot_be_meant_is_refused(
    host: HostFacts, talk: Path, tmp_path: Path, wishes: dict[str, object], code: str, exit_code: int
) -> None:
    receipt = clip_work.cut(talk, tmp_path / "out.mp4", host, **wishes)  # type: ignore[arg-type]
    assert (receipt.status, receipt.error_code, receipt.exit_code) == ("rejected", code, exit_code)
    assert receipt.error
    assert list(tmp_path.iterdir()) == []


def test_a_little_beyond_the_end_is_the_end(host: HostFacts, talk: Path, tmp_path: Path) -> None:
    receipt = clip_work.cut(talk, tmp_path / "out.mp4", host, 7, 8.4)
    assert receipt.clip is not None
    assert receipt.clip.end_s == pytest.approx(8.0, abs=0.05)
    assert "ends_with_programme" in {r.code for r in receipt.reasons}


def test_a_slow_source_is_listened_to_for_many_times_its_length(
    host: HostFacts, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What 45 s of a video in 4K weigh takes minutes to come over a usual line."""
    patience_s: list[float] = []

    def listen(*_args: object, wall_s: float, **_more: object) -> None:
        patience_s.append(wall_s)

    monkeypatch.setattr(clip_engine, "measure_loudness", listen)
    receipt = clip_work.cut(talk, tmp_path / "out.mp4", host, 1, 5)
    assert "loudness_kept" in {reason.code for reason in receipt.reasons}
    assert min(patience_s) >= 4 * 30


def test_a_source_that_changes_is_not_delivered(host: HostFacts, talk: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(talk.read_bytes())

    def on_event(event: Event) -> None:
        if isinstance(event, Checked):
            source.touch()

    receipt = clip_work.cut(source, tmp_path / "out.mp4", host, 1, 2, on_event=on_event)
    assert receipt.status == "rejected"
    assert "changed" in (receipt.error or "")
    assert sorted(tmp_path.iterdir()) == [source]


def test_others_files_are_left_alone(host: HostFacts, talk: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_text("mine")
    assert clip_work.cut(talk, target, host, 1, 2).error_code == "output_failed"
    assert target.read_text() == "mine"
    assert clip_work.cut(talk, talk, host, 1, 2, overwrite=True).error_code == "output_failed"


def test_records_do_not_tell_how_an_address_is_read(host: HostFacts, talk: Path, tmp_path: Path) -> None:
    """What FFmpeg is given for an address lets anybody on this machine read the source while it is open."""
    size = talk.stat().st_size
    opened = OpenSource(
        name="talk.mp4", url=f"subfile,,start,0,end,{size},,:{talk}", size_bytes=size, content="0" * 64
    )  # fmt: skip
    opened.protocols = "subfile,file"
    request = ClipRequest(
        start_s=1, end_s=2, framing=clip_work.middle(), hardware="off", width=180, height=320, preset="ultrafast"
    )
    seen: list[Event] = []
    receipt = cut_clip(
        opened, probe(talk), tmp_path / "out.mp4", host=host, request=request, on_event=seen.append
    )  # fmt: skip
    assert receipt.status == "encoded", receipt.evidence
    assert receipt.input == "talk.mp4"
    assert ",,start," not in repr(seen)
