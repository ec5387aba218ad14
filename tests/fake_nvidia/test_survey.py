"""What the survey finds on machines that the fake driver plays, with the FFmpeg that is there for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelpress.errors import Cancelled
from reelpress.facts.failure import FailureKind
from reelpress.facts.host import FfmpegFacts, GpuFacts, GpuPath, HostFacts
from reelpress.plan.nvenc import ALL_FEATURES
from reelpress.probe import gpu_bench, nvml
from reelpress.probe.gpu_bench import TrialLimits
from reelpress.probe.gpu_cache import forget
from reelpress.probe.gpu_finding import find_gpu
from reelpress.probe.gpu_survey import driver_facts, survey
from reelpress.probe.gpu_wishes import Wish, job_wishes
from reelpress.probe.host import probe_host
from reelpress.run.process import CancelToken, run

import clips
import driver
from gpu_runs import started, until

pytestmark = pytest.mark.gpu_fake

JOB = job_wishes("h264_nvenc", "yuv420p", "h264", "yuv420p")
ENCODE = JOB[:1]
HEVC = (Wish(kind="encode", name="hevc_nvenc"), Wish(kind="encode", name="hevc_nvenc", pix_fmt="yuv420p10le"))
QUICK = TrialLimits(first_s=15, later_s=10, busy_s=())

Enter = Callable[..., driver.FakeMachine]


@pytest.fixture
def enter(fake_nvidia: driver.FakeNvidia, monkeypatch: pytest.MonkeyPatch) -> Enter:
    """Make this process and its children live on a fake machine."""

    def go(*arguments: Any, **named: Any) -> driver.FakeMachine:
        machine = fake_nvidia.machine(*arguments, **named)
        for name, value in machine.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return machine

    return go


@pytest.fixture(scope="module")
def real_host(tmp_path_factory: pytest.TempPathFactory) -> HostFacts:
    return probe_host(cache_dir=tmp_path_factory.mktemp("builds"))


def build(host: HostFacts, origin: str) -> FfmpegFacts:
    found = next((f for f in host.ffmpegs if f.origin == origin), None)
    if found is None or not found.lists("h264_nvenc"):
        pytest.skip(f"no FFmpeg with NVENC: {origin}")
    return found


def on(*builds: FfmpegFacts) -> HostFacts:
    return HostFacts(ffmpegs=builds, gpus=(), cores=2, memory_mb=None)


@pytest.fixture(params=["bundled", "path"])
def one(request: pytest.FixtureRequest, real_host: HostFacts) -> HostFacts:
    """A host with one of the two FFmpeg builds."""
    return on(build(real_host, request.param))


@pytest.fixture
def bundled(real_host: HostFacts) -> HostFacts:
    return on(build(real_host, "bundled"))


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were started, by the first of their arguments."""
    names: list[str] = []

    def spy(argv: Any, **named: Any) -> Any:
        names.append(argv[0])
        return run(argv, **named)

    monkeypatch.setattr(gpu_bench, "run", spy)
    monkeypatch.setattr(nvml, "run", spy)
    return names


def states(gpu: GpuFacts) -> dict[str, str]:
    return {f"{p.kind} {p.name} {p.pix_fmt}": p.state for p in gpu.paths}


def path(gpu: GpuFacts, kind: str, name: str, pix_fmt: str = "yuv420p") -> GpuPath:
    return next(p for p in gpu.paths if (p.kind, p.name, p.pix_fmt) == (kind, name, pix_fmt))


def test_a_healthy_gpu_is_used_for_everything_it_has(one: HostFacts, enter: Enter, tmp_path: Path) -> None:
    machine = enter("rtx-pro-6000")
    (gpu,) = survey(one, wanted=(*JOB, *HEVC), cache_dir=tmp_path, limits=QUICK)
    assert set(states(gpu).values()) == {"works"}, gpu.paths
    assert path(gpu, "encode", "h264_nvenc").features == ALL_FEATURES
    assert (gpu.name, gpu.uuid) == (machine.devices[0].name, machine.devices[0].uuid)
    assert (gpu.driver_version, gpu.compute_capability, gpu.nvenc_api) == (machine.driver.version, "12.0", "13.1")
    assert gpu.memory_mb == 97_887


def test_what_is_remembered_starts_no_ffmpeg(one: HostFacts, enter: Enter, tmp_path: Path, programs: list[str]) -> None:
    enter("rtx-pro-6000")
    first = survey(one, wanted=JOB, cache_dir=tmp_path, limits=QUICK)
    programs.clear()
    assert survey(one, wanted=JOB, cache_dir=tmp_path, limits=QUICK) == first
    assert one.ffmpegs[0].path not in programs
    assert len(programs) == 1  # the driver, which nothing here would tell to have changed
    survey(one, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK, fresh=True)
    assert one.ffmpegs[0].path in programs


def test_where_a_change_of_the_driver_would_show_nothing_is_started_at_all(
    bundled: HostFacts, enter: Enter, tmp_path: Path, programs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "version"
    module.write_text("NVRM version: 610.43.02")
    monkeypatch.setattr("reelpress.probe.gpu_cache._KERNEL_MODULE", module)
    enter("rtx-pro-6000")
    first = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    programs.clear()
    assert survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK) == first
    assert programs == []
    module.write_text("NVRM version: 615.01")
    survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert len(programs) == 1


def test_a_driver_too_old_for_the_new_build_serves_the_old_one(
    real_host: HostFacts, enter: Enter, tmp_path: Path
) -> None:
    new, old = build(real_host, "bundled"), build(real_host, "path")
    enter("l4")
    (gpu,) = survey(on(new, old), wanted=(*HEVC, *JOB), cache_dir=tmp_path, limits=QUICK)
    refused = gpu.path(new.path, "encode", "h264_nvenc", "yuv420p")
    assert refused is not None
    assert (refused.state, refused.failure) == ("fails", FailureKind.DRIVER_TOO_OLD)
    assert "Required: 13.1 Found: 12.1" in (refused.why_not or "")
    assert gpu.nvenc_api == "12.1"
    assert gpu.path(new.path, "filter", "scale_cuda", "yuv420p") is None  # nobody needs to know
    assert {p.state for p in gpu.paths if p.ffmpeg == old.path} == {"works"}
    assert sum(p.wall_s > 0 for p in gpu.paths if p.ffmpeg == new.path) == 1  # one refusal is enough
    found = find_gpu(on(new, old), cache_dir=tmp_path)
    assert (found.available, found.encoder) == (True, "h264_nvenc")


def test_a_gpu_without_an_encoder_still_decodes_and_scales(one: HostFacts, enter: Enter, tmp_path: Path) -> None:
    enter("h200", driver="610")
    (gpu,) = survey(one, cache_dir=tmp_path, limits=QUICK)
    encodes = [p for p in gpu.paths if p.kind == "encode"]
    assert {p.state for p in encodes} == {"fails"}
    assert path(gpu, "encode", "h264_nvenc").failure is FailureKind.NO_GPU_ENCODER
    assert path(gpu, "decode", "h264").state == path(gpu, "filter", "scale_cuda").state == "works"
    found = find_gpu(one, cache_dir=tmp_path)
    assert found.available is False
    assert "unsupported device" in (found.reason or "")


def test_a_container_without_the_video_capability_is_told_so(one: HostFacts, enter: Enter, tmp_path: Path) -> None:
    enter("rtx-pro-6000", leave_out=driver.NO_VIDEO_CAPABILITY)
    (gpu,) = survey(one, cache_dir=tmp_path, limits=QUICK)
    for kind, name in (("encode", "h264_nvenc"), ("decode", "h264")):
        found = path(gpu, kind, name)
        assert (found.state, found.failure) == ("fails", FailureKind.GPU_LIBRARY_MISSING), found
        assert "Cannot load lib" in (found.why_not or "")
    assert "NVIDIA_DRIVER_CAPABILITIES" in (path(gpu, "encode", "h264_nvenc").hint or "")
    assert path(gpu, "filter", "scale_cuda").state == "works"
    assert gpu.nvenc_api is None


def test_copies_that_ffmpeg_lets_fail_in_silence_are_found_out(one: HostFacts, enter: Enter, tmp_path: Path) -> None:
    enter("rtx-pro-6000", faults="cuMemcpy2D@5=700")
    (gpu,) = survey(one, wanted=JOB, cache_dir=tmp_path, limits=QUICK)
    for kind, name in (("decode", "h264"), ("filter", "scale_cuda")):
        assert path(gpu, kind, name).failure is FailureKind.GPU_COPY_FAILED


@pytest.mark.parametrize(
    ("changed", "says"),
    [("color=black:size=640x360:rate=30:duration=1", "pictures are wrong: PSNR"),
     ("testsrc2=size=640x360:rate=30:duration=0.5", "it made 15 pictures of 24")],
    ids=["black", "too few"],
)  # fmt: skip
def test_pictures_that_are_wrong_do_not_pass(
    bundled: HostFacts, enter: Enter, tmp_path: Path, changed: str, says: str
) -> None:
    enter("rtx-pro-6000")
    wrapper = tmp_path / "ffmpeg"
    wrapper.write_text(f"""#!/bin/bash
        arguments=()
        for argument; do
            [[ $* == *-xerror* && $argument == testsrc2=* ]] && argument="{changed}"
            arguments+=("$argument")
        done
        exec {bundled.ffmpegs[0].path} "${{arguments[@]}}"
    """)
    wrapper.chmod(0o755)
    lying = FfmpegFacts(**{n: getattr(bundled.ffmpegs[0], n) for n in FfmpegFacts.__struct_fields__ if n != "path"},
                        path=str(wrapper))  # fmt: skip
    (gpu,) = survey(on(lying), wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    (found,) = gpu.paths
    assert (found.state, found.failure) == ("fails", FailureKind.CHECK_NOT_MET)
    assert says in (found.why_not or "")


@pytest.mark.parametrize("fault", ["cuInit=hang", "open=hang", "encode@5=hang"])
def test_a_driver_that_hangs_costs_its_time_once(
    bundled: HostFacts, enter: Enter, tmp_path: Path, programs: list[str], fault: str
) -> None:
    enter("rtx-pro-6000", faults=fault)
    (gpu,) = survey(bundled, cache_dir=tmp_path, limits=TrialLimits(first_s=1.0, later_s=1.0))
    assert programs.count(bundled.ffmpegs[0].path) == 1
    assert {p.state for p in gpu.paths} == {"fails"}
    assert gpu.paths[0].failure is FailureKind.TIMED_OUT
    assert (gpu.paths[-2].why_not or "").startswith("not tried, after h264_nvenc")


def test_a_gpu_that_is_full_is_busy_and_not_remembered_as_absent(one: HostFacts, enter: Enter, tmp_path: Path) -> None:
    machine = enter("geforce", faults="open=21")
    limits = TrialLimits(busy_s=(0.05, 0.05))
    (gpu,) = survey(one, wanted=ENCODE, cache_dir=tmp_path, limits=limits)
    assert (gpu.paths[0].state, gpu.paths[0].failure) == ("busy", FailureKind.SESSION_LIMIT)
    found = find_gpu(one, cache_dir=tmp_path)
    assert (found.available, found.busy) == (False, True)
    machine.set_faults()
    (gpu,) = survey(one, wanted=ENCODE, cache_dir=tmp_path, limits=limits)
    assert gpu.paths[0].state == "works"


def test_a_gpu_that_is_busy_for_a_moment_is_waited_for(bundled: HostFacts, enter: Enter, tmp_path: Path) -> None:
    enter("geforce", faults="open=10!1")  # the first process that opens a session
    limits = TrialLimits(busy_s=(0.05, 0.05))
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=limits)
    assert gpu.paths[0].state == "works"


@pytest.mark.parametrize("code", [10, 21])
def test_the_sessions_are_counted(one: HostFacts, enter: Enter, tmp_path: Path, code: int) -> None:
    enter("geforce", sessions=3, session_refusal=code)
    (gpu,) = survey(one, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK, sessions=5)
    assert gpu.sessions == 3
    enter("rtx-pro-6000")
    (gpu,) = survey(one, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK, sessions=4)
    assert gpu.sessions == 4


ENDLESS = (*clips.picture("320x180", seconds=100_000), "-c:v", "h264_nvenc", "-f", "null", "-")


def test_the_sessions_are_counted_while_nobody_encodes_and_then_remembered(
    bundled: HostFacts, enter: Enter, tmp_path: Path
) -> None:
    machine = enter("geforce", sessions=3)
    ffmpeg, uuid = bundled.ffmpegs[0].path, machine.devices[0].uuid
    machine.set_faults("encode=20ms")
    with started(ffmpeg, machine, *ENDLESS):
        until(lambda: machine.journal("init"))
        (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK, sessions=4)
        assert (gpu.paths[0].state, gpu.sessions) == ("works", None)
        assert not any("refused" in line for line in machine.journal("open"))
    until(lambda: nvml.load()[uuid].sessions == 0)
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK, sessions=4)
    assert gpu.sessions == 3
    forget(tmp_path, uuid)
    with started(ffmpeg, machine, *ENDLESS):
        until(lambda: nvml.load()[uuid].sessions == 1)
        (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK, sessions=4)
        assert gpu.paths[0].wall_s > 0  # tried anew
        assert gpu.sessions == 3


def test_a_feature_that_is_missing_costs_the_feature_and_not_the_gpu(
    one: HostFacts, enter: Enter, tmp_path: Path
) -> None:
    enter("pascal")
    (gpu,) = survey(one, wanted=(*ENCODE, *HEVC), cache_dir=tmp_path, limits=QUICK)
    assert {p.state for p in gpu.paths} == {"works"}, gpu.paths
    assert path(gpu, "encode", "h264_nvenc").features == ALL_FEATURES - {"b_ref", "temporal_aq"}
    assert path(gpu, "encode", "hevc_nvenc").features == ALL_FEATURES - {"b_ref", "temporal_aq", "b_frames"}


def test_one_gpu_of_several_is_broken(bundled: HostFacts, enter: Enter, tmp_path: Path) -> None:
    enter(["t4", "rtx-pro-6000", "t4"], faults="dev1:open=2")
    gpus = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert [gpu.index for gpu in gpus] == [0, 1, 2]
    assert [gpu.paths[0].state for gpu in gpus] == ["works", "fails", "works"]
    found = find_gpu(bundled, cache_dir=tmp_path)
    assert found.available
    assert found.gpu is not None
    assert found.gpu.index == 0


def test_gpus_that_are_hidden_from_this_process_are_left_out(
    bundled: HostFacts, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = enter(["t4", "rtx-pro-6000"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", machine.devices[1].uuid)
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert (gpu.index, gpu.uuid) == (1, machine.devices[1].uuid)
    assert gpu.paths[0].state == "works"


def test_after_a_failure_a_gpu_is_examined_anew(
    bundled: HostFacts, enter: Enter, tmp_path: Path, programs: list[str]
) -> None:
    machine = enter("rtx-pro-6000")
    survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    machine.set_faults("encode=20")
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert gpu.paths[0].state == "works"  # remembered
    forget(tmp_path, machine.devices[0].uuid)
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert (gpu.paths[0].state, gpu.paths[0].failure) == ("fails", FailureKind.DEVICE_LOST)


@pytest.mark.parametrize("spoil", [b"", b"{", b'{"format": 1}', b"\xff\x00", b"null"])
def test_a_spoilt_memory_is_as_good_as_none(bundled: HostFacts, enter: Enter, tmp_path: Path, spoil: bytes) -> None:
    enter("rtx-pro-6000")
    first = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    for file in tmp_path.iterdir():
        file.write_bytes(spoil)
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert gpu.paths[0].state == first[0].paths[0].state == "works"


def test_a_memory_that_cannot_be_written_costs_only_time(bundled: HostFacts, enter: Enter, tmp_path: Path) -> None:
    enter("rtx-pro-6000")
    (tmp_path / "taken").write_text("a file where the folder should be")
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path / "taken", limits=QUICK)
    assert gpu.paths[0].state == "works"


def test_a_new_driver_is_tried_anew(
    bundled: HostFacts, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = enter("rtx-pro-6000")
    survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    description = machine.folder / "machine"
    description.write_text(description.read_text().replace("driver=610.43.02", "driver=611.00"))
    machine.set_faults("open=2")
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert (gpu.driver_version, gpu.paths[0].state) == ("611.00", "fails")


def test_a_survey_can_be_cancelled(bundled: HostFacts, enter: Enter, tmp_path: Path) -> None:
    enter("rtx-pro-6000", faults="open=hang")
    token = CancelToken()
    threading.Timer(0.5, token.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        survey(bundled, wanted=ENCODE, cache_dir=tmp_path, cancel=token)
    assert time.monotonic() - began < 3.0
    assert not list(tmp_path.glob("gpu-*"))


# --- the driver ---


@pytest.mark.parametrize(
    ("machine", "notes"),
    [
        ({"faults": driver.DRIVER_MISMATCH}, ["version mismatch", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"]),
        ({"faults": "nvmlInit=9,cuInit=100"}, ["Driver Not Loaded", "CUDA_ERROR_NO_DEVICE"]),
        ({"faults": "nvmlInit=4,cuInit=999"}, ["Insufficient Permissions", "CUDA_ERROR_UNKNOWN"]),
        ({"leave_out": (driver.NVML, driver.CUDA, driver.NVENC)}, []),
    ],
    ids=["mismatch", "not loaded", "no permission", "nothing there"],
)  # fmt: skip
def test_a_driver_that_is_broken_becomes_notes(
    enter: Enter, tmp_path: Path, machine: dict[str, Any], notes: list[str]
) -> None:
    enter("rtx-pro-6000", **machine)
    facts = driver_facts(cache_dir=tmp_path)
    assert facts.gpus == ()
    text = " / ".join(facts.notes)
    assert all(note in text for note in notes), text
    assert facts.notes


def test_a_gpu_that_is_lost_does_not_hide_the_other(enter: Enter, tmp_path: Path) -> None:
    machine = enter("t4", 2, faults="dev0:nvml=15")
    facts = driver_facts(cache_dir=tmp_path)
    assert [gpu.uuid for gpu in facts.gpus] == [machine.devices[1].uuid], facts


def test_without_nvml_the_gpus_are_listed_by_cuda(bundled: HostFacts, enter: Enter, tmp_path: Path) -> None:
    machine = enter("rtx-pro-6000", leave_out=(driver.NVML,))
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert (gpu.uuid, gpu.compute_capability, gpu.driver_version) == (machine.devices[0].uuid, "12.0", None)
    assert gpu.paths[0].state == "works"


def test_a_driver_that_hangs_does_not_hang_us(enter: Enter) -> None:
    enter("rtx-pro-6000", faults="nvmlInit=hang")
    began = time.monotonic()
    facts = nvml.ask_driver(wall_s=0.5)
    assert time.monotonic() - began < 2.0
    assert facts.notes == ("the NVIDIA driver did not answer within 0.5 s",)
    assert nvml.load(wall_s=0.5) == {}


def test_a_driver_that_crashes_does_not_take_us_along(enter: Enter) -> None:
    enter("rtx-pro-6000", faults="nvmlInit=crash")
    assert "signal 11" in nvml.ask_driver().notes[0]


def test_a_gpu_whose_nvml_crashes_is_found_by_cuda(bundled: HostFacts, enter: Enter, tmp_path: Path) -> None:
    machine = enter("rtx-pro-6000", faults="nvmlInit=crash")
    (gpu,) = survey(bundled, wanted=ENCODE, cache_dir=tmp_path, limits=QUICK)
    assert (gpu.uuid, gpu.paths[0].state) == (machine.devices[0].uuid, "works")
    assert nvml.load() == {}
    machine.set_faults("nvmlInit=crash,cuInit=crash")
    assert nvml.ask_driver().gpus == ()


def test_the_load_of_every_gpu_is_told(enter: Enter) -> None:
    machine = enter("rtx-pro-6000", 2)
    loads = nvml.load()
    assert set(loads) == {device.uuid for device in machine.devices}
    for one_load in loads.values():
        assert (one_load.encoder_percent, one_load.sessions) == (0, 0)
        assert one_load.memory_free_mb is not None
        assert one_load.memory_free_mb > 90_000
