"""The Python API: from threads and asyncio, many inputs, the first plan's own names, and GPUs that are none."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

import reelpress
from reelpress import api, legacy
from reelpress.api import in_thread
from reelpress.facts.host import EncoderFacts
from reelpress.plan.encoders import ENCODERS, cpu_row
from reelpress.probe import gpu_finding, gpu_survey
from reelpress.probe.gpu_finding import GpuFinding, find_gpu, forget_finding
from reelpress.probe.media import probe
from reelpress.probe.nvml import DriverFacts, GpuDevice
from reelpress.probe.trial import try_encoder
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.settings import load
from reelpress.settings_table import SETTINGS

import clips
from factories import ffmpeg, host
from receipts import receipt as any_receipt

pytestmark = pytest.mark.media

QUICK = load({"preset": "ultrafast"}, environ={}, env_file=None)
H264_NVENC = next(row for row in ENCODERS if row.name == "h264_nvenc")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with sound, at a wasteful bit rate."""
    return clips.with_sound(tmp_path_factory.mktemp("clip") / "clip.mp4", "-crf", "4", "-b:a", "64k")


@pytest.fixture
def source(tmp_path: Path, clip: Path) -> Path:
    return Path(shutil.copy(clip, tmp_path / "in.mp4"))


@pytest.fixture(autouse=True)
def our_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither the developer's environment nor a ``.env`` of the repository has a say; nor an answer of another test."""
    for row in SETTINGS:
        for name in row.env:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    forget_finding()
    yield
    forget_finding()


def kinds(events: list[Any]) -> list[str]:
    return [type(e).__name__ for e in events if type(e).__name__ != "Progressed"]


ORDER = ["Started", "Probed", "Planned", "AttemptStarted", "Checked", "Receipt"]


# --- the package ---


def test_every_exported_name_is_there() -> None:
    for name in reelpress.__all__:
        assert getattr(reelpress, name) is not None
    assert set(reelpress.__all__) <= set(dir(reelpress))
    assert len(set(reelpress.__all__)) == len(reelpress.__all__)


@pytest.mark.parametrize("first", ["reelpress.api", "reelpress.probe.media", "reelpress.legacy"])
def test_every_exported_name_can_be_called_whatever_was_imported_before(first: str) -> None:
    """``reelpress.probe`` is a function of ours, and a package of ours."""
    code = (
        f"import {first}, reelpress\n"
        "print([n for n in reelpress.__all__ if n != '__version__' and not callable(getattr(reelpress, n))])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=_environ(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="bananas"):
        reelpress.bananas  # noqa: B018


def test_importing_the_package_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import reelpress; new = set(sys.modules) - before\n"
        "print(sorted(m for m in new if m.split('.')[0] not in sys.stdlib_module_names and '_' != m[0]))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=_environ(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['reelpress', 'reelpress.version']"


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(reelpress.__file__).parents[1])}


# --- compress ---


def test_compress_returns_the_receipt_and_tells_events_in_order(source: Path) -> None:
    events: list[Any] = []
    threads: set[int] = set()

    def listen(event: Any) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    receipt = reelpress.compress(source, source.with_name("out.mp4"), settings=QUICK, on_event=listen)
    assert (receipt.status, receipt.encoder, receipt.device) == ("encoded", "libx264", "cpu")
    assert kinds(events) == ORDER
    assert events[-1] is receipt
    assert threads == {threading.get_ident()}
    assert source.with_name("out.mp4").stat().st_size == receipt.result.size_bytes  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [str, Path])
def test_arguments_may_be_said_in_python_or_in_text(source: Path, kind: type) -> None:
    receipt = reelpress.compress(
        kind(source), crf=30, preset="ultrafast", max_size=(160, 90), max_fps=12.5, audio_bitrate=64_000
    )
    assert receipt.output == str(source.with_name("in.compressed.mp4"))
    assert receipt.result is not None
    assert receipt.result.video == "h264 160x90 12.5 fps yuv420p"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (30000 / 1001, Fraction(30000, 1001)), (24000 / 1001, Fraction(24000, 1001)), (60, Fraction(60)),
        (Fraction(29.97), Fraction(2997, 100)), (23.976, Fraction(2997, 125)), (1000 / 3, Fraction(1000, 3)),
        (30.000712345678, Fraction("30.000712346")), (Fraction(60000, 1001), Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)), (1.0, Fraction(1)),
        (math.nextafter(1000, 0), Fraction(1000)),
    ],
    ids=str,
)  # fmt: skip
def test_a_frame_rate_may_be_any_number(monkeypatch: pytest.MonkeyPatch, said: Any, meant: Fraction) -> None:
    asked: list[Request] = []

    def spy(*_given: object, request: Request, **_named: object) -> Receipt:
        asked.append(request)
        return any_receipt()

    monkeypatch.setattr(api, "compress_file", spy)
    monkeypatch.setattr(legacy, "compress", api.compress)
    reelpress.compress("in.mp4", max_fps=said)
    reelpress.compress_video("in.mp4", max_fps=said)
    assert [request.max_fps for request in asked] == [meant, meant]


@pytest.mark.parametrize(
    "said", [math.nan, math.inf, -30000 / 1001, 0.5, 1e300, 1000.5, Fraction(1, 3), "1e1", True], ids=str
)
def test_a_frame_rate_that_is_none_is_refused(said: Any) -> None:
    with pytest.raises(reelpress.UsageError, match=re.escape(f"--max-fps cannot be '{said}'")):
        reelpress.compress("in.mp4", max_fps=said)


@pytest.mark.parametrize(
    "wrong",
    [{"codec": "vp9"}, {"crf": 99}, {"preset": "p4"}, {"max_size": "big"}, {"max_fps": 0}, {"audio_bitrate": "x"},
     {"hardware": "perhaps"}],
    ids=str,
)  # fmt: skip
def test_arguments_that_cannot_be_meant_are_raised(source: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(reelpress.UsageError, match="cannot be"):
        reelpress.compress(source, **wrong)
    assert list(source.parent.iterdir()) == [source]


def test_compress_works_from_threads_at_the_same_time(source: Path) -> None:
    receipts: dict[int, Any] = {}

    def work(number: int) -> None:
        receipts[number] = reelpress.compress(source, source.with_name(f"out{number}.mp4"), settings=QUICK)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: r.status for n, r in receipts.items()} == dict.fromkeys(range(3), "encoded")
    assert len({r.result.sha256 for r in receipts.values()}) == 1
    assert len({r.job for r in receipts.values()}) == 3


def test_a_token_cancels_from_another_thread_and_leaves_nothing(slow: Path) -> None:
    token = reelpress.CancelToken()

    def listen(event: Any) -> None:
        if type(event).__name__ == "AttemptStarted":
            threading.Timer(0.3, token.cancel).start()

    receipt = reelpress.compress(slow, preset="veryslow", max_size="1920x1080", on_event=listen, cancel=token)
    assert (receipt.status, receipt.exit_code, receipt.error_code) == ("cancelled", 130, "cancelled")
    assert list(slow.parent.iterdir()) == [slow]


def test_a_token_that_was_cancelled_before_starts_nothing(source: Path) -> None:
    token = reelpress.CancelToken()
    token.cancel()
    assert reelpress.compress(source, cancel=token).status == "cancelled"
    assert list(source.parent.iterdir()) == [source]


# --- asyncio ---


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """Something to encode for much longer than the test waits."""
    (tmp_path / "slow").mkdir()
    return clips.plain(tmp_path / "slow" / "in.mp4", "-crf", "10", size="1280x720", seconds=4)


def test_acompress_leaves_the_loop_free_and_tells_events_in_its_thread(source: Path) -> None:
    events: list[Any] = []
    threads: set[int] = set()
    ticks = 0

    async def work() -> Any:
        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        def listen(event: Any) -> None:
            events.append(event)
            threads.add(threading.get_ident())

        ticking = asyncio.create_task(tick())
        receipt = await reelpress.acompress(source, settings=QUICK, on_event=listen)
        ticking.cancel()
        return receipt

    receipt = asyncio.run(work())
    assert receipt.status == "encoded"
    assert kinds(events) == ORDER
    assert events[-1] == receipt
    assert threads == {threading.get_ident()}
    assert ticks > 5


def test_acompress_raises_what_cannot_be_meant(source: Path) -> None:
    with pytest.raises(reelpress.UsageError):
        asyncio.run(reelpress.acompress(source, crf=99))


def test_cancelling_the_task_ends_ffmpeg_before_it_returns_and_leaves_nothing(slow: Path) -> None:
    started = threading.Event()

    def listen(event: Any) -> None:
        if type(event).__name__ == "AttemptStarted":
            started.set()

    async def work() -> float:
        task = asyncio.create_task(
            reelpress.acompress(slow, preset="veryslow", max_size="1920x1080", on_event=listen)
        )  # fmt: skip
        while not (started.is_set() and ffmpegs_at_work_on(slow)):
            assert not task.done()
            await asyncio.sleep(0.02)
        asked = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - asked

    took_s = asyncio.run(work())
    assert ffmpegs_at_work_on(slow) == []
    assert list(slow.parent.iterdir()) == [slow]
    assert took_s < 10


def test_a_second_cancel_waits_for_the_end_of_the_work_too() -> None:
    stopped, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def work(_relay: Any) -> None:
        stopped.wait(30)
        may_end.wait(30)
        has_ended.set()

    async def cancel_thrice() -> None:
        task = asyncio.create_task(in_thread(work, on_event=None, stop=stopped.set))
        for _ in range(3):
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        has_returned = task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not has_returned
        assert has_ended.is_set()

    asyncio.run(cancel_thrice())


def ffmpegs_at_work_on(path: Path) -> list[int]:
    """Processes that live and have the path on their command line, other than this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if os.fsencode(path) in command and state != b"Z" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


# --- many ---


def test_many_inputs_end_each_for_itself_in_the_order_given(source: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"junk" * 100)
    (tmp_path / "taken").write_text("a file where a folder should be")
    events: list[Any] = []
    receipts = reelpress.compress_many(
        {
            junk: tmp_path / "a.mp4",
            source: tmp_path / "new" / "b.mp4",
            tmp_path / "missing.mp4": tmp_path / "c.mp4",
            Path(shutil.copy(source, tmp_path / "other.mp4")): tmp_path / "taken" / "d.mp4",
        },
        settings=QUICK, jobs=2, on_event=events.append,
    )  # fmt: skip
    assert [r.status for r in receipts] == ["rejected", "encoded", "rejected", "failed"]
    assert [r.exit_code for r in receipts] == [3, 0, 3, 5]
    for receipt in receipts:
        own = [e for e in events if e.job == receipt.job]
        assert type(own[0]).__name__ == "Started"
        assert own[-1] is receipt


def test_as_many_at_once_as_the_settings_say_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def run_batch(_items: Any, *, jobs: int | None, **_more: Any) -> tuple[()]:
        asked.append(jobs)
        return ()

    monkeypatch.setattr(api, "run_batch", run_batch)
    reelpress.compress_many({})
    monkeypatch.setenv("REELPRESS_JOBS", "3")
    reelpress.compress_many({})
    reelpress.compress_many({}, settings=msgspec.structs.replace(QUICK, jobs=4))
    reelpress.compress_many({}, jobs=2)
    assert asked == [None, 3, 4, 2]
    for jobs in (0, -1):
        with pytest.raises(reelpress.UsageError, match="jobs"):
            reelpress.compress_many({}, jobs=jobs)


@pytest.mark.parametrize("wrong", ["another's input", "another's output", "another's output by a detour"])
def test_many_inputs_never_take_each_others_place(source: Path, tmp_path: Path, wrong: str) -> None:
    other = Path(shutil.copy(source, tmp_path / "other.mp4"))
    before = other.read_bytes()
    (tmp_path / "sub").mkdir()
    out = tmp_path / "out.mp4"
    inputs = {
        "another's input": {source: other, other: out},
        "another's output": {source: out, other: out},
        "another's output by a detour": {source: out, other: tmp_path / "sub" / ".." / "out.mp4"},
    }[wrong]
    events: list[Any] = []
    with pytest.raises(reelpress.UsageError):
        reelpress.compress_many(inputs, settings=QUICK, overwrite=True, on_event=events.append)
    assert events == []
    assert other.read_bytes() == before
    assert not out.exists()


def test_no_inputs_are_no_receipts() -> None:
    assert reelpress.compress_many({}, settings=QUICK) == ()


# --- the first plan's names ---


def test_compress_video_returns_path_and_size(source: Path, tmp_path: Path) -> None:
    path, size = reelpress.compress_video(source, tmp_path / "out.mp4", 28, "160x90", 10, "64k", "ultrafast", False)
    assert (path, size) == (tmp_path / "out.mp4", (tmp_path / "out.mp4").stat().st_size)
    assert probe(path).video[0].width == 160


def test_compress_video_replaces_an_output_that_exists(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    assert reelpress.compress_video(str(source), str(tmp_path / "out.mp4"), preset="ultrafast")[1] > 1000


def test_compress_video_returns_the_source_where_nothing_smaller_can_be_had(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPRESSION_MAX_FILE_SIZE", "1k")
    assert reelpress.compress_video(source, tmp_path / "out.mp4") == (source, source.stat().st_size)
    assert not (tmp_path / "out.mp4").exists()


def test_compress_video_raises_with_the_receipt_on_junk(tmp_path: Path) -> None:
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 100)
    with pytest.raises(reelpress.VideoCompressionError) as caught:
        reelpress.compress_video(tmp_path / "junk.mp4")
    assert isinstance(caught.value, reelpress.ReelpressError)
    assert caught.value.receipt is not None
    assert (caught.value.receipt.status, caught.value.receipt.exit_code) == ("rejected", 3)
    assert str(caught.value) == caught.value.receipt.error


@pytest.mark.parametrize("wrong", [{"crf": 99}, {"max_resolution": "big"}, {"preset": "warp"}], ids=str)
def test_compress_video_raises_its_own_error_for_arguments_too(source: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(reelpress.VideoCompressionError, match="cannot be") as caught:
        reelpress.compress_video(source, **wrong)
    assert caught.value.receipt is None


@pytest.mark.parametrize("preset", ["p4", "default", "slow"])
def test_a_preset_only_a_gpu_knows_never_reaches_the_cpu_encoder(
    source: Path, tmp_path: Path, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = []

    def spy(*arguments: Any, **named: Any) -> Any:
        receipts.append(reelpress.compress(*arguments, **named))
        return receipts[-1]

    monkeypatch.setattr(legacy, "compress", spy)
    reelpress.compress_video(source, tmp_path / "out.mp4", preset=preset)
    (receipt,) = receipts
    argv = receipt.attempts[0].argv
    assert argv[argv.index("-preset:v:0") + 1] == ("slow" if preset == "slow" else "veryfast")
    assert receipt.encoder == "libx264"


def test_every_job_is_logged_in_one_line(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="reelpress"):
        reelpress.compress_video(source, preset="ultrafast")
    (record,) = (r for r in caplog.records if r.name == "reelpress")
    assert source.name in record.getMessage()
    assert "libx264 on the CPU" in record.getMessage()
    assert "\n" not in record.getMessage()


# --- GPUs that are none ---


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def lists(path: str, *names: str) -> Any:
    return ffmpeg(path=path, encoders=tuple(EncoderFacts(name=name, opens=None) for name in names))


def test_a_machine_without_nvidia_has_no_gpu_and_says_why() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA device")
    assert reelpress.is_gpu_available() is False
    info = reelpress.get_gpu_info()
    assert (info["available"], info["name"], info["memory_mb"], info["driver_version"]) == (False, None, None, None)
    assert info["reason"] == "no NVIDIA device on this machine"


def test_the_answer_about_the_gpu_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def probe_host(**_named: Any) -> Any:
        asked.append(1)
        return host()

    monkeypatch.setattr(gpu_finding, "probe_host", probe_host)
    reelpress.is_gpu_available()
    reelpress.get_gpu_info()
    reelpress.is_gpu_available()
    assert len(asked) == 1


def test_the_gpu_is_tried_with_the_ffmpeg_of_the_settings_and_remembered_where_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, Any]] = []

    def find(_host: Any, *, cache_dir: Any = None) -> GpuFinding:
        asked[-1] = (*asked[-1], cache_dir)
        return GpuFinding(available=True, gpu=None, encoder="h264_nvenc", reason=None)

    monkeypatch.setattr(gpu_finding, "probe_host", lambda **named: asked.append((named.get("ffmpeg"),)) or host())
    monkeypatch.setattr(gpu_finding, "find_gpu", find)
    monkeypatch.setenv("REELPRESS_FFMPEG", "/opt/older/ffmpeg")
    monkeypatch.setenv("REELPRESS_CACHE_DIR", str(tmp_path / "cache"))
    assert reelpress.is_gpu_available()
    assert reelpress.get_gpu_info()["available"]
    monkeypatch.delenv("REELPRESS_FFMPEG")
    assert reelpress.is_gpu_available()
    assert asked == [("/opt/older/ffmpeg", tmp_path / "cache"), (None, tmp_path / "cache")]


def test_a_gpu_whose_encoder_is_listed_but_does_not_open_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = script(tmp_path / "ffmpeg", """
        echo "[h264_nvenc @ 0x5] [error] Cannot load libcuda.so.1" >&2
        echo "[error] Error while opening encoder" >&2
        exit 1
    """)  # fmt: skip
    gpu = GpuDevice(index=0, name="NVIDIA L4", uuid="GPU-1", memory_mb=23_034)
    monkeypatch.setattr(gpu_survey, "ask_driver", lambda **_: DriverFacts(gpus=(gpu,), driver_version="535.1"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    machine = host(lists(stub, "libx264", "h264_nvenc"), gpu_note=None)
    found = find_gpu(machine)
    assert (found.available, found.encoder) == (False, None)
    assert "libcuda" in (found.reason or "")
    monkeypatch.setattr(gpu_finding, "probe_host", lambda **_named: machine)
    assert reelpress.is_gpu_available() is False
    info = reelpress.get_gpu_info()
    assert (info["available"], info["name"], info["driver_version"]) == (False, "NVIDIA L4", "535.1")
    assert "libcuda" in (info["reason"] or "")


def test_a_gpu_no_build_has_an_encoder_for_is_not_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = GpuDevice(index=0, name="NVIDIA L4", uuid="GPU-1")
    monkeypatch.setattr(gpu_survey, "ask_driver", lambda **_: DriverFacts(gpus=(gpu,), driver_version="535.1"))
    found = find_gpu(host(lists(str(tmp_path / "no-ffmpeg"), "libx264"), gpu_note=None), cache_dir=tmp_path)
    assert found.available is False
    assert "not in this build" in (found.reason or "")


def test_a_driver_that_lists_no_gpu_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_survey, "ask_driver", lambda **_: DriverFacts(notes=("NVML: Driver Not Loaded",)))
    found = find_gpu(host(gpu_note=None), cache_dir=tmp_path)
    assert (found.available, found.gpu, found.reason) == (False, None, "NVML: Driver Not Loaded")


# --- the trial ---

WORKS = 'exec {real} "$@"'
# As a broken driver does: the encode ends well, the picture is not the one that was given.
CHANGES_THE_PICTURE = """
    trial=no
    for argument do [ "$argument" = -xerror ] && trial=yes; done
    [ $trial = no ] && exec {real} "$@"
    for argument do
        shift
        case "$argument" in testsrc2=*) argument="{picture}";; esac
        set -- "$@" "$argument"
    done
    exec {real} "$@"
"""
WRITES_NOTHING = 'for argument do [ "$argument" = -xerror ] && exit 0; done; exec {real} "$@"'


def tried(tmp_path: Path, body: str, **words: str) -> EncoderFacts:
    path = script(tmp_path / "ffmpeg", body.format(real=clips.ffmpeg(), **words))
    return try_encoder(lists(path, "libx264"), cpu_row("h264"))


def test_the_trial_passes_an_encoder_that_works(tmp_path: Path) -> None:
    assert tried(tmp_path, WORKS) == EncoderFacts(name="libx264", opens=True)


@pytest.mark.parametrize(
    "picture",
    ["color=black:size=640x360:rate=30:duration=1", "testsrc2=size=640x360:rate=30:duration=1,hue=h=90",
     "testsrc2=size=640x360:rate=30:duration=1,setpts=PTS,reverse"],
    ids=["black", "wrong colours", "wrong order"],
)  # fmt: skip
def test_the_trial_catches_an_encoder_whose_pictures_are_wrong(tmp_path: Path, picture: str) -> None:
    found = tried(tmp_path, CHANGES_THE_PICTURE, picture=picture)
    assert found.opens is False
    assert "its pictures are wrong: PSNR" in (found.why_not or "")


def test_the_trial_catches_an_encoder_that_writes_nothing_and_exits_with_0(tmp_path: Path) -> None:
    found = tried(tmp_path, WRITES_NOTHING)
    assert found.opens is False
    assert found.why_not


def test_the_trial_catches_an_encoder_that_loses_frames(tmp_path: Path) -> None:
    found = tried(tmp_path, CHANGES_THE_PICTURE, picture="testsrc2=size=640x360:rate=30:duration=0.1")
    assert found.opens is False


def test_an_encoder_that_is_not_in_the_build_is_not_tried(tmp_path: Path) -> None:
    found = try_encoder(lists(str(tmp_path / "not-there"), "libx264"), H264_NVENC)
    assert found == EncoderFacts(name="h264_nvenc", opens=False, why_not="not in this build")


def test_a_trial_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    assert try_encoder(msgspec.structs.replace(lists(clips.ffmpeg(), "libx264")), cpu_row("h264")).opens
    assert list((tmp_path / "tmp").iterdir()) == []
