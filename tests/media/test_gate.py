"""Encodes held against a quality and a size that were asked for, with both FFmpegs: made again, delivered, or kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
from click.testing import CliRunner

import reelpress
from reelpress.cli.app import app
from reelpress.engine import compress_file
from reelpress.errors import Cancelled
from reelpress.events import Event, Progressed
from reelpress.facts.failure import FailureKind
from reelpress.facts.gate import GateWish
from reelpress.facts.host import HostFacts
from reelpress.facts.values import from_json
from reelpress.observe.entry import entry_of
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.probe.ready import ReadyProbe
from reelpress.quality import places
from reelpress.quality.vmaf import NO_SCORER_TOLD
from reelpress.receipt import Gate, Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken

import clip_work
import clips
from clip_work import framed, shot, window

pytestmark = pytest.mark.media
HOST = probe_host()
# Detail that goes ever deeper, and noise: each CRF costs quality.
DETAIL = (
    "-f", "lavfi", "-i",
    "mandelbrot=size=320x180:rate=25:start_scale=0.5:end_scale=0.05:end_pts=60,noise=alls=8:allf=t",
)  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("detail") / "detail.mp4"
    return clips.make(made, *DETAIL, *clips.tone(), "-t", "2", *clips.X264, "-crf", "6", "-g", "25")


@pytest.fixture(params=["bundled", "path"])
def host(request: pytest.FixtureRequest) -> HostFacts:
    """This machine with the FFmpeg that encodes first; the bundled one, which scores, is always there."""
    builds = sorted(HOST.ffmpegs, key=lambda f: f.origin != request.param)
    if builds[0].origin != request.param:
        pytest.skip(f"no {request.param} FFmpeg on this machine")
    return msgspec.structs.replace(HOST, ffmpegs=tuple(builds))


Run = Callable[..., Receipt]


@pytest.fixture
def run(host: HostFacts, source: Path, tmp_path: Path) -> Iterator[Run]:
    before = source.read_bytes()

    def work(wish: GateWish, *, on_event: Callable[[Event], None] | None = None, **wishes: Any) -> Receipt:
        on = wishes.pop("host", host)
        request = Request(**{"preset": "ultrafast", "always_encode": True, "hardware": "off", "gate": wish, **wishes})
        return compress_file(source, tmp_path / "out.mp4", host=on, request=request, on_event=on_event)

    yield work
    assert source.read_bytes() == before
    assert list(tmp_path.glob(".*part*")) == []


def gates(receipt: Receipt) -> dict[str, Gate]:
    return {gate.name: gate for gate in receipt.gates}


def test_a_miss_is_encoded_again_from_the_source_until_it_passes(run: Run, source: Path, tmp_path: Path) -> None:
    seen: list[Event] = []
    receipt = run(GateWish(min_vmaf=90, min_vmaf_worst=85, retries=3), on_event=seen.append, crf=40)
    assert (receipt.status, receipt.exit_code) == ("encoded", 0)
    tries = receipt.quality.tries
    assert len(tries) >= 2
    assert [one.delivered for one in tries] == [False] * (len(tries) - 1) + [True]
    assert tries[0].setting == 40
    assert "vmaf" in tries[0].missed
    assert tries[-1].missed == ()
    assert tries[-1].setting < 40
    assert gates(receipt)["vmaf"].verdict == gates(receipt)["vmaf_worst"].verdict == "passed"
    # what was delivered is the last try, made from the source, and the receipt is about it
    assert tries[-1].size_bytes == receipt.result.size_bytes == (tmp_path / "out.mp4").stat().st_size  # type: ignore[union-attr]
    assert all(f"file:{source}" in attempt.argv for attempt in receipt.attempts)
    assert [attempt.failure for attempt in receipt.attempts[:-1]] == [FailureKind.QUALITY_NOT_MET] * (len(tries) - 1)
    assert receipt.quality.score == tries[-1].vmaf
    assert receipt.quality.score >= 90
    assert receipt.quality.scored is not None
    assert receipt.quality.scored.self_test == "passed"
    assert [stage.name for stage in receipt.stages].count("score") == len(tries)
    percents = [event.percent for event in seen if isinstance(event, Progressed) and event.percent is not None]
    assert percents == sorted(percents)
    # a retry is no fallback, and does not count for the encoder's speed
    entry = entry_of(receipt, job="j", run=1, user_id="u", kind="compress", status="done", finished_at=0.0)
    assert entry.fallbacks == ()
    assert entry.vmaf == receipt.quality.score
    assert entry.encode_s == [stage.wall_s for stage in receipt.stages if stage.name == "encode"][-1]


def test_one_that_passes_at_once_is_encoded_once(run: Run) -> None:
    receipt = run(GateWish(min_vmaf=80), crf=18)
    assert len(receipt.attempts) == len(receipt.quality.tries) == 1
    assert receipt.exit_code == 0


@pytest.mark.parametrize("overwrite", [False, True])
def test_one_that_can_never_pass_leaves_everything_as_it_was(
    host: HostFacts, source: Path, tmp_path: Path, *, overwrite: bool
) -> None:
    out = tmp_path / "out.mp4"
    if overwrite:
        out.write_bytes(b"somebody's")
    request = Request(preset="ultrafast", hardware="off", crf=35, gate=GateWish(min_vmaf=95, max_size_ratio=0.1))
    receipt = compress_file(source, out, host=host, request=request, overwrite=overwrite)
    assert (receipt.status, receipt.exit_code, receipt.error_code) == ("failed", 1, "quality_not_met")
    assert receipt.output is None
    assert receipt.quality.score is None
    assert len(receipt.quality.tries) >= 2
    assert not any(one.delivered for one in receipt.quality.tries)
    for one in receipt.quality.tries:  # the numbers of all are told
        assert (
            f"{one.vmaf:.2f}" in (receipt.evidence or "") if one.vmaf is not None else one.stopped in receipt.evidence
        )
    assert [p.name for p in tmp_path.iterdir()] == (["out.mp4"] if overwrite else [])
    assert not overwrite or out.read_bytes() == b"somebody's"


def test_the_best_of_misses_is_delivered_where_that_was_asked(run: Run, tmp_path: Path) -> None:
    receipt = run(GateWish(min_vmaf=95, max_size_ratio=0.1, on_miss="deliver"), crf=35)
    assert (receipt.status, receipt.exit_code) == ("encoded", 1)
    [delivered] = [one for one in receipt.quality.tries if one.delivered]
    assert delivered.size_bytes == (tmp_path / "out.mp4").stat().st_size
    assert delivered.size_ratio is not None
    assert delivered.size_ratio <= 0.1  # small enough goes before good
    assert receipt.quality.score == delivered.vmaf
    assert gates(receipt)["vmaf"].verdict == "failed"
    assert gates(receipt)["size_ratio"].verdict == "passed"
    assert any("missed" in text for text in receipt.warnings)
    assert probe(tmp_path / "out.mp4").video[0].codec == "h264"


def test_too_large_is_made_smaller(run: Run) -> None:
    receipt = run(GateWish(max_size_ratio=0.1), crf=24)
    assert (receipt.status, receipt.exit_code) == ("encoded", 0)
    first, *_, last = receipt.quality.tries
    assert first.missed == ("size_ratio",)
    assert last.size_ratio is not None
    assert 0.06 < last.size_ratio <= 0.1  # and not by giving all away
    assert last.setting > first.setting
    assert last.vmaf is None  # nobody asked
    assert not any(stage.name == "score" for stage in receipt.stages)


def test_an_encode_that_would_have_to_outgrow_its_input_leaves_the_input_as_it_is(
    host: HostFacts, tmp_path: Path
) -> None:
    lean = clips.make(tmp_path / "lean.mp4", *DETAIL, "-t", "2", "-c:v", "libx264", "-crf", "22", "-pix_fmt", "yuv420p")
    request = Request(preset="ultrafast", hardware="off", crf=30, gate=GateWish(min_vmaf=99, retries=4))
    receipt = compress_file(lean, tmp_path / "out.mp4", host=host, request=request)
    # nothing smaller is as good: the input's own packets are
    assert (receipt.status, receipt.exit_code) == ("copied", 0)
    assert receipt.quality.method == "identical"
    assert receipt.quality.tries[0].missed == ("vmaf",)
    assert any(one.stopped is not None for one in receipt.quality.tries)


def test_what_cannot_be_measured_is_no_miss(run: Run, host: HostFacts) -> None:
    deaf = tuple(msgspec.structs.replace(f, filters=f.filters - {"libvmaf"}) for f in host.ffmpegs)
    receipt = run(GateWish(min_vmaf=99), host=msgspec.structs.replace(host, ffmpegs=deaf), crf=40)
    assert (receipt.status, receipt.exit_code) == ("encoded", 0)
    assert gates(receipt)["vmaf"].verdict == "unmeasured"
    assert receipt.quality.method == "unmeasured"
    assert receipt.quality.scored is not None
    assert receipt.quality.scored.cause == NO_SCORER_TOLD
    assert any(NO_SCORER_TOLD in text for text in receipt.warnings)
    assert receipt.quality.tries[0].unmeasured == NO_SCORER_TOLD


def test_a_remux_is_not_held_to_a_quality_and_is_to_a_size(run: Run) -> None:
    lean = Request(hardware="off", min_saving=0.95)
    kept = run(GateWish(min_vmaf=99), always_encode=False, min_saving=lean.min_saving)
    assert (kept.status, kept.exit_code) == ("copied", 0)


def test_the_service_and_flags_ask_alike() -> None:
    from reelpress.jobs.encoding import accepted_settings, request_of
    from reelpress.jobs.model import JobInput, JobSpec
    from reelpress.settings import load

    given = {"min_vmaf": "93", "min_vmaf_worst": "85", "max_size_ratio": "0.5", "vmaf_windows": "whole",
             "vmaf_retries": "1", "on_miss": "deliver"}  # fmt: skip
    spec = JobSpec(input=JobInput(kind="object", value="a"), settings=accepted_settings(given))
    want = GateWish(min_vmaf=93, min_vmaf_worst=85, max_size_ratio=0.5, windows="whole", retries=1, on_miss="deliver")
    assert request_of(spec, load(environ={}, env_file=None)).gate == want


def test_python_and_the_command_line_ask_alike(source: Path, tmp_path: Path) -> None:
    wish = GateWish(max_size_ratio=0.1, retries=3)
    by_call = reelpress.compress(source, tmp_path / "a.mp4", crf=24, preset="ultrafast", hardware="off", gate=wish)
    command = ["compress", str(source), "-o", str(tmp_path / "b.mp4"), "--crf", "24", "--preset", "ultrafast",
               "--hardware", "off", "--max-size-ratio", "0.1", "--vmaf-retries", "3", "--json"]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == by_call.exit_code == 0
    by_flag = from_json(done.stdout.splitlines()[-1], Receipt)
    assert len(by_call.quality.tries) >= 2
    assert [one.setting for one in by_flag.quality.tries] == [one.setting for one in by_call.quality.tries]
    assert [one.missed for one in by_flag.quality.tries] == [one.missed for one in by_call.quality.tries]


MOVING = framed(shot(0, 100, "track", window((0, 0.2, 0.5), (3, 0.8, 0.5))))


@pytest.mark.parametrize("framing", [clip_work.middle(), MOVING], ids=["still", "moving"])
@pytest.mark.by_turns
def test_the_stretches_of_a_clip_are_the_pictures_that_were_encoded(
    source_long: Path, host: HostFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framing: Any
) -> None:
    """An encode next to lossless scores next to the most there is, in places as well as whole."""
    for windows, below in (("sampled", 3.0), ("whole", 30.0)):
        monkeypatch.setattr(places, "WHOLE_BELOW_S", below)
        monkeypatch.setattr(places, "WINDOW_S", 0.5)
        wish = GateWish(min_vmaf=97, windows=windows)  # type: ignore[arg-type]
        receipt = clip_work.cut(
            source_long, tmp_path / "clip.mp4", host, 0.5, 4.1, overwrite=True, crf=2, framing=framing, gate=wish
        )
        assert (receipt.status, receipt.exit_code) == ("encoded", 0), receipt.error
        scored = receipt.quality.scored
        assert scored is not None, receipt.quality
        assert scored.vmaf is not None, scored
        assert scored.vmaf.p1 > 95
        assert scored.whole == (windows == "whole")
        assert len(scored.windows) == (1 if scored.whole else 4)


@pytest.fixture(scope="module")
def source_long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("long") / "long.mp4"
    return clips.make(made, *DETAIL, *clips.tone(seconds=5), "-t", "5", *clips.X264, "-crf", "6", "-g", "25")


def test_a_clip_that_misses_is_cut_again(source: Path, host: HostFacts, tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    receipt = clip_work.cut(source, out, host, 0.2, 1.8, crf=42, gate=GateWish(min_vmaf=88, retries=3))
    assert (receipt.status, receipt.exit_code) == ("encoded", 0), receipt.error
    tries = receipt.quality.tries
    assert len(tries) >= 2
    assert tries[-1].size_bytes == out.stat().st_size
    assert receipt.quality.score is not None
    assert receipt.quality.score >= 88


def test_a_clip_that_can_never_pass_is_not_delivered(source: Path, host: HostFacts, tmp_path: Path) -> None:
    wish = GateWish(min_vmaf=95, max_size_ratio=0.02, retries=1)
    receipt = clip_work.cut(source, tmp_path / "clip.mp4", host, 0.2, 1.8, crf=30, gate=wish)
    assert (receipt.status, receipt.exit_code, receipt.error_code) == ("failed", 1, "quality_not_met")
    assert list(tmp_path.iterdir()) == []


def scoring(folder: Path) -> list[int]:
    """The processes that score something in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if b"libvmaf" in command and os.fsencode(folder) in command:
            found.append(int(path.parent.name))
    return found


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What takes a while to score."""
    made = tmp_path_factory.mktemp("slow") / "slow.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=12")
    return clips.make(made, *picture, *clips.X264, "-crf", "20")


def test_a_cancel_while_it_is_scored_leaves_nothing(slow: Path, tmp_path: Path) -> None:
    cancel, out = CancelToken(), tmp_path / "out.mp4"
    done: list[Receipt] = []
    request = Request(preset="ultrafast", always_encode=True, hardware="off", gate=GateWish(min_vmaf=10))
    thread = threading.Thread(
        target=lambda: done.append(compress_file(slow, out, host=HOST, request=request, cancel=cancel))
    )
    thread.start()
    wait_for(lambda: scoring(tmp_path))
    cancel.cancel()
    began = time.monotonic()
    thread.join(30)
    assert time.monotonic() - began < 10
    [receipt] = done
    assert (receipt.status, receipt.exit_code) == ("cancelled", 130)
    assert list(tmp_path.iterdir()) == []
    assert scoring(tmp_path) == []


def test_what_was_encoded_before_a_cancel_was_paid_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cancel = CancelToken()

    def look(*_: object) -> NoReturn:
        cancel.cancel()
        raise Cancelled

    monkeypatch.setattr(ReadyProbe, "look", look)
    source = clips.plain(tmp_path / "in.mp4", seconds=1.0)
    receipt = compress_file(
        source, tmp_path / "out.mp4", host=HOST, request=Request(always_encode=True, hardware="off"), cancel=cancel
    )
    assert (receipt.status, receipt.exit_code) == ("cancelled", 130)
    assert [attempt.failure for attempt in receipt.attempts] == ["cancelled"]
    assert receipt.cpu_s > receipt.attempts[0].cpu_s > 0
    assert list(tmp_path.iterdir()) == [source]


def test_what_a_kill_leaves_while_it_is_scored_is_swept(slow: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "reelpress", "compress", str(slow), "-o", str(out), "--preset", "ultrafast",
               "--always-encode", "--hardware", "off", "--min-vmaf"]  # fmt: skip
    with subprocess.Popen([*command, "10"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        wait_for(lambda: scoring(tmp_path))
        killed.send_signal(signal.SIGKILL)
    wait_for(lambda: not scoring(tmp_path), 10)  # they end with their parent
    assert not out.exists()
    assert len(list(tmp_path.glob(".*part"))) == 1
    request = Request(preset="ultrafast", always_encode=True, hardware="off")
    assert compress_file(slow, out, host=HOST, request=request).status == "encoded"
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_a_clip_of_which_nothing_is_asked_measures_nothing(source: Path, host: HostFacts, tmp_path: Path) -> None:
    receipt = clip_work.cut(source, tmp_path / "clip.mp4", host, 0.2, 1.8)
    assert receipt.quality.method == "unmeasured"
    assert receipt.quality.tries == ()
    assert not any(stage.name == "score" for stage in receipt.stages)
