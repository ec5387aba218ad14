"""What is asked of NVENC, what is remembered of a GPU, and that nothing is started where there is none."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.errors import Cancelled
from reelpress.facts.failure import FailureKind
from reelpress.facts.host import GpuPath, HostFacts
from reelpress.plan.encoders import ENCODERS, LEGACY_GPU_PRESETS
from reelpress.plan.nvenc import ALL_FEATURES, CQ_TABLE, FEATURES, cq_for, nvenc_args
from reelpress.probe import gpu_bench, gpu_cache, gpu_survey, gpu_wishes, nvml
from reelpress.probe.gpu_cache import GpuCache, forget
from reelpress.probe.gpu_finding import find_gpu
from reelpress.probe.gpu_survey import driver_facts, survey
from reelpress.probe.gpu_trial import gpu_row
from reelpress.probe.gpu_wishes import job_wishes
from reelpress.probe.host import remember
from reelpress.run.process import CancelToken, Finished

from factories import ffmpeg, host

H264 = gpu_wishes.Wish(kind="encode", name="h264_nvenc")
GPU_ROWS = [row for row in ENCODERS if row.device == "nvidia"]


def options(args: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(args[::2], args[1::2], strict=True))


# --- the options ---


@pytest.mark.parametrize("row", GPU_ROWS, ids=lambda row: row.name)
def test_quality_is_asked_for_by_cq_in_vbr(row: Any) -> None:
    said = options(nvenc_args(row, cq=27.0, preset="p5"))
    assert (said["-c:v:0"], said["-preset:v:0"], said["-tune:v:0"]) == (row.name, "p5", "hq")
    assert (said["-rc:v:0"], said["-cq:v:0"], said["-g:v:0"]) == ("vbr", "27", "250")
    assert (said["-bf:v:0"], said["-b_ref_mode:v:0"], said["-multipass:v:0"]) == ("3", "middle", "qres")
    assert not any(option.startswith(("-crf", "-b:v")) for option in said)


def test_a_feature_that_is_left_out_is_turned_off() -> None:
    said = options(nvenc_args(gpu_row("h264_nvenc"), cq=27, preset="p4", features=frozenset()))
    assert (said["-bf:v:0"], said["-b_ref_mode:v:0"]) == ("0", "disabled")
    assert not {"-rc-lookahead:v:0", "-spatial-aq:v:0", "-temporal-aq:v:0", "-multipass:v:0"} & said.keys()
    assert options(
        nvenc_args(gpu_row("h264_nvenc"), cq=27, preset="p4", features=ALL_FEATURES - {"b_frames"})
    )["-b_ref_mode:v:0"] == "disabled"  # fmt: skip


@pytest.mark.parametrize(
    ("encoder", "pix_fmt", "profile"),
    [("h264_nvenc", "yuv420p", "high"), ("hevc_nvenc", "yuv420p", "main"), ("hevc_nvenc", "p010le", "main10"),
     ("hevc_nvenc", "yuv420p10le", "main10"), ("av1_nvenc", "p010le", None)],
)  # fmt: skip
def test_the_profile_follows_codec_and_depth(encoder: str, pix_fmt: str, profile: str | None) -> None:
    said = options(nvenc_args(gpu_row(encoder), cq=27, preset="p4", pix_fmt=pix_fmt))
    assert said.get("-profile:v:0") == profile
    assert said.get("-tag:v:0") == ("hvc1" if encoder == "hevc_nvenc" else None)


def test_every_legacy_preset_has_a_modern_name() -> None:
    for preset, tune in LEGACY_GPU_PRESETS.values():
        said = options(nvenc_args(gpu_row("h264_nvenc"), cq=27, preset=preset, tune=tune))
        assert said["-preset:v:0"] in {f"p{n}" for n in range(1, 8)}


# --- CQ ---


@pytest.mark.parametrize("row", GPU_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("capability", ["5.2", "6.1", "7.5", "8.6", "8.9", "9.0", "12.0", None, "", "new"])
def test_a_cq_is_found_for_every_generation_and_never_means_automatic(row: Any, capability: str | None) -> None:
    found = [cq_for(row, capability, crf).cq for crf in range(int(row.crf_max) + 1)]
    assert found == sorted(found)
    assert found[0] >= 1
    assert found[-1] == row.crf_max


def test_no_cq_is_said_to_be_calibrated_before_it_is() -> None:
    assert not any(row.calibrated for row in CQ_TABLE)
    choice = cq_for(gpu_row("h264_nvenc"), "6.1", 23)
    assert (choice.cq, choice.calibrated) == (27.5, False)
    assert "HoneyBee" in choice.provenance


def test_what_a_job_needs_to_know() -> None:
    wishes = job_wishes("hevc_nvenc", "yuv420p10le", "h264", "yuvj420p")
    assert [(w.kind, w.name, w.pix_fmt) for w in wishes] == [
        ("encode", "hevc_nvenc", "yuv420p10le"), ("decode", "h264", "yuv420p"), ("filter", "scale_cuda", "yuv420p10le"),
    ]  # fmt: skip
    assert [w.kind for w in job_wishes("h264_nvenc", "yuv420p", "prores", "yuv422p10le")] == ["encode", "filter"]


# --- no GPU ---


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_SIGNS", ("/nowhere/nvidiactl",))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)

    def refuse(*_arguments: Any, **_named: Any) -> Any:
        raise AssertionError("something was started")

    monkeypatch.setattr(nvml, "run", refuse)
    monkeypatch.setattr("reelpress.probe.gpu_bench.run", refuse)


@pytest.mark.usefixtures("no_device")
def test_without_a_device_nothing_is_started_and_nothing_takes_time(tmp_path: Path) -> None:
    began = time.perf_counter()
    assert survey(host(gpu_note=None), cache_dir=tmp_path) == ()
    assert driver_facts(cache_dir=tmp_path).notes == ("no NVIDIA device on this machine",)
    assert nvml.load() == {}
    assert find_gpu(host()).reason == "no NVIDIA device on this machine"
    assert time.perf_counter() - began < 0.05
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_device")
def test_a_driver_library_where_the_loader_looks_is_a_sign_of_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere::{tmp_path}")
    assert not nvml.device_present()
    (tmp_path / "libcuda.so.1").touch()
    assert nvml.device_present()
    assert nvml.driver_library() == tmp_path / "libcuda.so.1"


# --- the memory ---

WORKS = GpuPath(ffmpeg="/opt/ffmpeg", kind="encode", name="h264_nvenc", pix_fmt="yuv420p", state="works",
                features=frozenset(FEATURES), wall_s=0.2)  # fmt: skip


def failed(kind: FailureKind, state: str = "fails") -> GpuPath:
    return msgspec.structs.replace(WORKS, state=state, failure=kind, why_not="because", features=frozenset())


def recalled(cache: GpuCache, driver: str = "610.00", digest: str = "abc") -> tuple[GpuPath, ...]:
    return cache.paths("GPU-1", driver, {digest: "/opt/ffmpeg"})


@pytest.mark.parametrize(
    ("path", "minute", "hour", "two_days"),
    [
        (WORKS, True, True, True),
        (failed(FailureKind.DRIVER_TOO_OLD), True, True, False),
        (failed(FailureKind.GPU_UNSUPPORTED), True, True, False),
        (failed(FailureKind.NO_GPU_ENCODER), True, False, False),
        (failed(FailureKind.DEVICE_LOST), True, False, False),
        (failed(FailureKind.TIMED_OUT), True, False, False),
        (failed(FailureKind.SESSION_LIMIT, "busy"), False, False, False),
        (failed(FailureKind.CANCELLED), False, False, False),
    ],
    ids=lambda value: value.failure or "works" if isinstance(value, GpuPath) else None,
)
def test_how_long_an_answer_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: GpuPath, minute: bool, hour: bool, two_days: bool
) -> None:
    cache = GpuCache(tmp_path)
    cache.store("GPU-1", "610.00", {"abc": [path]})
    now = time.time()
    for later_s, kept in ((60, minute), (3600, hour), (2 * 86_400, two_days)):
        monkeypatch.setattr(gpu_cache.time, "time", lambda later_s=later_s: now + later_s)
        assert recalled(cache) == ((path,) if kept else ())


def test_an_answer_holds_for_one_ffmpeg_one_driver_and_one_gpu(tmp_path: Path) -> None:
    cache = GpuCache(tmp_path)
    cache.store("GPU-1", "610.00", {"abc": [WORKS]}, sessions=3)
    assert recalled(cache) == (WORKS,)
    assert cache.paths("GPU-1", "610.00", {"abc": "/elsewhere"})[0].ffmpeg == "/elsewhere"
    assert recalled(cache, digest="def") == ()
    assert recalled(cache, driver="611.00") == ()
    assert cache.paths("GPU-2", "610.00", {"abc": "/opt/ffmpeg"}) == ()
    assert (cache.sessions("GPU-1", "610.00"), cache.sessions("GPU-1", "611.00")) == (3, None)


def test_new_answers_are_added_to_old_ones_and_replace_them(tmp_path: Path) -> None:
    cache = GpuCache(tmp_path)
    cache.store("GPU-1", "610.00", {"abc": [WORKS]}, sessions=3)
    other = msgspec.structs.replace(WORKS, name="hevc_nvenc")
    worse = failed(FailureKind.GPU_UNSUPPORTED)
    cache.store("GPU-1", "610.00", {"abc": [other, worse]})
    assert set(recalled(cache)) == {other, worse}
    assert cache.sessions("GPU-1", "610.00") == 3


def test_answers_from_the_future_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = GpuCache(tmp_path)
    cache.store("GPU-1", "610.00", {"abc": [WORKS]})
    now = time.time()
    monkeypatch.setattr(gpu_cache.time, "time", lambda: now - 3600)
    assert recalled(cache) == ()


def test_forgetting_drops_one_gpu(tmp_path: Path) -> None:
    cache = GpuCache(tmp_path)
    for uuid in ("GPU-1", "GPU-2"):
        cache.store(uuid, "610.00", {"abc": [WORKS]})
    forget(tmp_path, "GPU-1")
    forget(tmp_path, "GPU-3")
    assert recalled(cache) == ()
    assert cache.paths("GPU-2", "610.00", {"abc": "/opt/ffmpeg"}) == (WORKS,)


def test_the_memory_is_for_this_user_alone_and_written_whole(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    GpuCache(folder).store("GPU-1", "610.00", {"abc": [WORKS]})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_cannot_be_remembered_leaves_nothing_behind(tmp_path: Path) -> None:
    in_its_place = tmp_path / "answer.json"
    in_its_place.mkdir()
    remember(in_its_place, "an answer")
    assert list(tmp_path.iterdir()) == [in_its_place]


def test_a_binary_is_hashed_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "ffmpeg"
    binary.write_bytes(b"one")
    cache = GpuCache(tmp_path / "cache")
    first = cache.ffmpeg_hash(str(binary))
    assert first is not None
    with monkeypatch.context() as patched:
        patched.setattr(gpu_cache.hashlib, "file_digest", None)
        assert cache.ffmpeg_hash(str(binary)) == first
    binary.write_bytes(b"another")
    assert cache.ffmpeg_hash(str(binary)) not in {None, first}
    assert cache.ffmpeg_hash(str(tmp_path / "gone")) is None


def test_nothing_is_remembered_for_a_driver_without_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = nvml.GpuDevice(index=0, name="GPU", uuid="GPU-1")
    monkeypatch.setattr(gpu_survey, "ask_driver", lambda **_: nvml.DriverFacts(gpus=(gpu,)))
    survey(host(gpu_note=None), wanted=(), cache_dir=tmp_path)
    assert not list(tmp_path.glob("gpu-*"))


def burning_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFacts:
    """A host with two GPUs, whose FFmpeg works for a while and then fails."""
    gpus = tuple(nvml.GpuDevice(index=n, name="GPU", uuid=f"GPU-{n}") for n in range(2))
    monkeypatch.setattr(gpu_survey, "ask_driver", lambda **_: nvml.DriverFacts(gpus=gpus, driver_version="610.00"))
    stub = tmp_path / "ffmpeg"
    stub.write_text("#!/bin/sh\ni=0\nwhile [ $i -lt 100000 ]; do i=$((i+1)); done\nexit 1\n")
    stub.chmod(0o755)
    return host(ffmpeg(path=str(stub)), gpu_note=None)


def test_what_trials_use_of_the_cpu_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, spent = burning_host(tmp_path, monkeypatch), list[float]()
    (first, _) = survey(machine, wanted=(H264,), cache_dir=tmp_path, spend=spent.append)
    assert first.paths[0].state == "fails"
    both = sum(spent)
    assert not gpu_survey.still_works(first, machine.ffmpegs[0], H264, cache_dir=tmp_path, spend=spent.append)
    again = sum(spent) - both
    assert both > 1.2 * again > 0.02  # of which starting a program takes 0.01


def test_what_was_used_till_a_survey_was_cancelled_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, spent, stop = burning_host(tmp_path, monkeypatch), list[float](), CancelToken()
    real = gpu_bench.run

    def run(*arguments: Any, **named: Any) -> Finished:
        done = real(*arguments, **named)
        stop.cancel()
        return done

    monkeypatch.setattr(gpu_bench, "run", run)
    with pytest.raises(Cancelled):
        survey(machine, wanted=(H264,), cache_dir=tmp_path, cancel=stop, spend=spent.append)
    assert sum(spent) > 0.02


def test_what_asking_the_driver_uses_of_the_cpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "device_present", lambda: True)
    spent: list[float] = []
    nvml.ask_driver(spend=spent.append)
    nvml.load(spend=spent.append)
    assert len(spent) == 2
    assert min(spent) > 0


def test_who_counts_sessions_is_not_disturbed_by_another_process_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    gpu = nvml.GpuDevice(index=0, name="GPU", uuid="GPU-1")
    facts = nvml.DriverFacts(gpus=(gpu,), driver_version="610.00")
    monkeypatch.setattr(gpu_survey, "driver_facts", lambda **_: facts)
    monkeypatch.setattr(gpu_survey, "load", lambda **_: {"GPU-1": nvml.GpuLoad(sessions=0)})
    monkeypatch.setattr(gpu_wishes, "try_encode", lambda *_, **__: WORKS)
    asked: list[int | None] = []
    counts: list[GpuPath] = []

    def look() -> int | None:
        return survey(host(gpu_note=None), wanted=(H264,), cache_dir=tmp_path, sessions=4)[0].sessions

    def count(_bench: Any, path: GpuPath, **_: Any) -> int:
        counts.append(path)
        if len(counts) == 1:
            asked.append(look())  # as another process does meanwhile, which would come out too low
        return 4

    monkeypatch.setattr(gpu_survey, "count_sessions", count)
    assert (look(), asked) == (4, [None])
    assert (look(), asked) == (4, [None])


def test_that_no_session_could_be_had_is_nothing_to_remember(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = nvml.GpuDevice(index=0, name="GPU", uuid="GPU-1")
    facts = nvml.DriverFacts(gpus=(gpu,), driver_version="610.00")
    counts = iter([0, 3])
    monkeypatch.setattr(gpu_survey, "driver_facts", lambda **_: facts)
    monkeypatch.setattr(gpu_survey, "load", lambda **_: {"GPU-1": nvml.GpuLoad(sessions=0)})
    monkeypatch.setattr(gpu_wishes, "try_encode", lambda *_, **__: WORKS)
    monkeypatch.setattr(gpu_survey, "count_sessions", lambda *_, **__: next(counts))
    wanted = (gpu_wishes.Wish(kind="encode", name="h264_nvenc"),)
    seen = [survey(host(gpu_note=None), wanted=wanted, cache_dir=tmp_path, sessions=4)[0].sessions for _ in range(3)]
    assert seen == [0, 3, 3]
