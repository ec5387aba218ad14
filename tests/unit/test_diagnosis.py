"""What the doctor makes of what was found: causes in plain words, each said once, and what to change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.diagnosis.causes import DRIVERS, Cause, Surroundings, cause_of, driver_for, missing_library
from reelpress.diagnosis.gpu import NeededApi, needed_api, report, short_names
from reelpress.diagnosis.machine import machine_problems
from reelpress.diagnosis.problems import BUSY, LIMITS, problems_of
from reelpress.facts.failure import FailureKind as K
from reelpress.facts.host import GpuFacts, GpuPath

from factories import ffmpeg

ROOT = Path(__file__).resolve().parents[2]
NEW, OLD = "/opt/ffmpeg9", "/usr/bin/ffmpeg"
NAMES = {NEW: "FFmpeg 9.0.2", OLD: "FFmpeg 5.1.9"}
TOO_OLD = "Driver does not support the required nvenc API version. Required: 13.1 Found: 12.1"
NOWHERE = Surroundings()


def path(failure: K | None = None, why_not: str | None = None, **changes: Any) -> GpuPath:
    """An encode of H.264 with the new FFmpeg, that works unless it is said why not."""
    state = "works" if failure is None else "busy" if failure in (K.SESSION_LIMIT, K.GPU_OUT_OF_MEMORY) else "fails"
    base = GpuPath(
        ffmpeg=NEW, kind="encode", name="h264_nvenc", pix_fmt="yuv420p", state=state, failure=failure, why_not=why_not
    )  # type: ignore[arg-type]
    return msgspec.structs.replace(base, **changes)


def gpu(*paths: GpuPath, **changes: Any) -> GpuFacts:
    base = GpuFacts(
        name="L4", uuid="GPU-1", memory_mb=23034, driver_version="535.216.03", compute_capability="8.9",
        nvenc_api="12.1", paths=paths,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def cause(failure: K, words: str | None, on: GpuFacts | None = None, works_with: str | None = None) -> Cause:
    return cause_of(path(failure, words), on or gpu(), NOWHERE, works_with)


# --- causes ---


@pytest.mark.parametrize(
    ("failure", "words", "code"),
    [
        (K.DRIVER_TOO_OLD, TOO_OLD, "driver_too_old"),
        (K.GPU_LIBRARY_MISSING, "Cannot load libcuda.so.1", "driver_not_found"),
        (K.GPU_LIBRARY_MISSING, "Cannot load libnvidia-encode.so.1", "video_capability"),
        (K.GPU_LIBRARY_MISSING, "Cannot load libnvcuvid.so.1", "library_missing"),  # as NVENC's is there
        (K.GPU_DRIVER_BROKEN, "cuInit(0) failed -> CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "driver_mismatch"),
        (K.GPU_DRIVER_BROKEN, "cuInit(0) failed -> CUDA_ERROR_NO_DEVICE", "no_gpu_shown"),
        (K.GPU_DRIVER_BROKEN, "cuInit(0) failed -> CUDA_ERROR_UNKNOWN", "driver_broken"),
        (K.NO_GPU_ENCODER, "OpenEncodeSessionEx failed: unsupported device (2)", "no_encoder"),
        (K.SESSION_LIMIT, "OpenEncodeSessionEx failed: out of memory (10)", "sessions_used_up"),
        (K.SESSION_LIMIT, "cuCtxCreate failed -> CUDA_ERROR_DEVICE_UNAVAILABLE", "in_exclusive_use"),
        (K.GPU_OUT_OF_MEMORY, "cuCtxCreate failed -> CUDA_ERROR_OUT_OF_MEMORY", "memory_full"),
        (K.GPU_UNSUPPORTED, "Codec not supported", "not_on_this_gpu"),
        (K.GPU_UNSUPPORTED, "FFmpeg decodes this in software alone", "not_in_build"),
        (K.GPU_UNSUPPORTED, "cuModuleLoadData(x) failed -> CUDA_ERROR_INVALID_PTX", "kernels_refused"),
        (K.ENCODER_MISSING, "not in this build", "not_in_build"),
        (K.FILTER_FAILED, "not in this build", "not_in_build"),
        (K.TIMED_OUT, "it did not end within 30 s", "no_answer"),
        (K.DEVICE_LOST, "EncodePicture failed!: generic error (20)", "device_lost"),
        (K.CHECK_NOT_MET, "its pictures are wrong: PSNR 7.1 dB", "wrong_pictures"),
        (K.UNKNOWN, "something new", "other"),
    ],
)  # fmt: skip
def test_each_failure_has_its_cause_and_all_but_limits_and_riddles_a_change(failure: K, words: str, code: str) -> None:
    found = cause(failure, words)
    assert found.code == code
    assert (found.change is None) == (code in LIMITS or code == "other")


def test_what_is_not_understood_is_told_in_its_own_words_with_its_hint() -> None:
    found = cause_of(path(K.UNKNOWN, "something new", hint="try this"), gpu(), NOWHERE, None)
    assert (found.what, found.change) == ("something new", "Try this")


def test_a_clip_that_cannot_be_made_is_no_word_about_the_gpu() -> None:
    untried = path(K.ENCODER_MISSING, "no clip to decode", kind="decode", name="vp9")
    assert cause_of(untried, gpu(), NOWHERE, None).code == "untried"
    assert "untried" in LIMITS


def test_a_driver_that_is_too_old_is_told_with_both_versions_and_the_driver_that_would_do() -> None:
    alone = cause(K.DRIVER_TOO_OLD, TOO_OLD)
    assert "asks for NVENC API 13.1, the driver has 12.1" in alone.what
    assert alone.change is not None
    assert "Install driver 610.00 or newer" in alone.change
    assert "REELPRESS_FFMPEG (Debian 12's 5.1 works with this driver)" in alone.change
    with_another = cause(K.DRIVER_TOO_OLD, TOO_OLD, works_with="FFmpeg 5.1.9").change
    assert with_another is not None
    assert with_another.startswith("Nothing: FFmpeg 5.1.9 encodes with this driver")


def test_nobody_is_sent_for_a_driver_that_does_not_exist_for_the_gpu_or_is_older_than_debians_ffmpeg() -> None:
    pascal = cause(K.DRIVER_TOO_OLD, TOO_OLD, gpu(compute_capability="6.1")).change
    assert pascal is not None
    assert "610" not in pascal
    assert "Drivers for this GPU end with 580" in pascal
    ancient = cause(K.DRIVER_TOO_OLD, TOO_OLD, gpu(driver_version="418.226.00")).change
    assert ancient is not None
    assert "Debian" not in ancient


@pytest.mark.parametrize(("api", "driver"), [*DRIVERS.items(), ("12.0", "530.41.03"), ("14.0", None)])
def test_the_oldest_driver_of_an_api(api: str, driver: str | None) -> None:
    assert driver_for(api) == driver


def test_only_a_chip_known_to_have_none_is_said_to_have_no_encoder() -> None:
    words = "OpenEncodeSessionEx failed: unsupported device (2)"
    assert "this chip has no video encoder" in cause(K.NO_GPU_ENCODER, words, gpu(compute_capability="9.0")).what
    l4 = cause(K.NO_GPU_ENCODER, words)
    assert "offers no video encoder" in l4.what
    assert "restart the container" in str(l4.change)


def test_the_video_capability_is_told_as_the_container_has_it() -> None:
    words = "Cannot load libnvidia-encode.so.1"
    assert "the default lacks video" in str(missing_library(words, NOWHERE, has_nvenc=False).change)
    utility = missing_library(words, Surroundings(capabilities="utility"), has_nvenc=False)
    assert "it is 'utility'" in str(utility.change)
    asked_for = missing_library(words, Surroundings(capabilities="all"), has_nvenc=False)
    assert "NVIDIA_DRIVER_CAPABILITIES" not in str(asked_for.change)


def test_every_code_is_documented() -> None:
    source = "".join(module.read_text() for module in (ROOT / "src/reelpress/diagnosis").glob("*.py"))
    codes = set(re.findall(r'code="(\w+)"', source))
    page = (ROOT / "docs/json.md").read_text()
    assert codes >= LIMITS | BUSY
    assert {code for code in codes if f"`{code}`" not in page} == set()


# --- grouping ---


def told(*paths: GpuPath, names: dict[str, str] | None = None) -> list[tuple[str, str]]:
    return [(p.code, p.where) for p in problems_of(gpu(*paths), names or NAMES, NOWHERE)]


def test_one_cause_of_many_paths_is_one_problem() -> None:
    both = [
        path(K.GPU_DRIVER_BROKEN, f"{words}MISMATCH", ffmpeg=build, kind=kind, name=name)
        for build in (NEW, OLD)
        for kind, name, words in (
            ("encode", "h264_nvenc", ""), ("encode", "hevc_nvenc", "not tried, after h264_nvenc: "),
            ("decode", "h264", "again "), ("filter", "scale_cuda", ""),
        )
    ]  # fmt: skip
    (problem,) = problems_of(gpu(*both), NAMES, NOWHERE)
    assert (problem.code, problem.where) == ("driver_mismatch", "all encoding; decode h264; filter scale")
    assert problem.evidence == "MISMATCH"


def test_the_ffmpeg_is_named_where_it_makes_a_difference() -> None:
    hevc: dict[str, Any] = {"name": "hevc_nvenc"}
    works = (path(ffmpeg=OLD), path(ffmpeg=OLD, **hevc))
    found = told(path(K.DRIVER_TOO_OLD, TOO_OLD), path(K.DRIVER_TOO_OLD, TOO_OLD, **hevc), *works)
    assert found == [("driver_too_old", "all encoding with FFmpeg 9.0.2")]


def test_one_of_two_is_not_all() -> None:
    found = told(path(), path(K.DEVICE_LOST, "lost", name="hevc_nvenc"), names={NEW: "FFmpeg 9.0.2"})
    assert found == [("device_lost", "encode hevc")]


def test_what_the_chip_lacks_is_no_fault_of_an_ffmpeg_that_would_not_ask() -> None:
    av1: dict[str, Any] = {"name": "av1_nvenc"}
    works = (path(), path(ffmpeg=OLD))
    absent = path(K.ENCODER_MISSING, "not in this build", ffmpeg=OLD, **av1)
    assert told(*works, path(K.GPU_UNSUPPORTED, "Codec not supported", **av1), absent) == [
        ("not_on_this_gpu", "encode av1")
    ]
    assert told(*works, path(**av1), absent) == [("not_in_build", "encode av1 with FFmpeg 5.1.9")]


def test_limits_come_last_and_do_not_make_all_less_than_all() -> None:
    limit = path(K.GPU_UNSUPPORTED, "Codec not supported", name="av1_nvenc")
    lost = (path(K.DEVICE_LOST, "lost"), path(K.DEVICE_LOST, "lost", name="hevc_nvenc"))
    assert told(limit, *lost, names={NEW: "FFmpeg 9.0.2"}) == [
        ("device_lost", "all encoding"), ("not_on_this_gpu", "encode av1")
    ]  # fmt: skip


def test_without_nvdecs_library_nothing_is_said_of_the_chip() -> None:
    missing = path(K.GPU_LIBRARY_MISSING, "Cannot load libnvcuvid.so.1", kind="decode", name="h264")
    av1 = path(K.GPU_UNSUPPORTED, "no hardware accelerated AV1", kind="decode", name="av1")
    found = problems_of(gpu(missing, av1, nvenc_api=None), {NEW: "FFmpeg 9.0.2"}, NOWHERE)
    assert [(p.code, p.where) for p in found] == [("video_capability", "all decoding")]


def test_ffmpegs_of_one_version_are_told_apart() -> None:
    assert short_names([("a", "bundled", "n9.0.2-17-g2a"), ("b", "path", "9.0.2"), ("c", "path", "git-1")]) == {
        "a": "FFmpeg 9.0.2", "b": "FFmpeg 9.0.2 (path)", "c": "FFmpeg git-1",
    }  # fmt: skip


def test_the_api_an_ffmpeg_asks_for_is_exact_only_where_a_driver_was_too_old_for_it() -> None:
    newer = gpu(path(), nvenc_api="13.0")
    assert needed_api(NEW, [newer, gpu(path(K.DRIVER_TOO_OLD, TOO_OLD))]) == NeededApi(version="13.1", exact=True)
    assert needed_api(NEW, [newer, gpu(path())]) == NeededApi(version="12.1", exact=False)
    busy = path(K.SESSION_LIMIT, "OpenEncodeSessionEx failed: out of memory (10)")
    assert needed_api(NEW, [gpu(busy)]) == NeededApi(version="12.1", exact=False)
    assert needed_api(NEW, [gpu(path(K.GPU_LIBRARY_MISSING, "Cannot load libnvidia-encode.so.1"))]) is None
    assert needed_api(OLD, [newer]) is None


def test_a_build_is_reported_with_what_its_encoders_go_without() -> None:
    all_but = frozenset({"b_frames", "lookahead", "spatial_aq", "temporal_aq", "multipass"})
    hevc = path(name="hevc_nvenc", features=all_but - {"b_frames"})
    (build,) = report(gpu(path(features=all_but), hevc), [ffmpeg(path=NEW)], NOWHERE).builds
    assert build.encodes == ("h264", "hevc")
    assert build.without == ("B-frames as references", "B-frames for hevc")


# --- the machine ---


def machine(*notes: str, lists_gpus: bool = False, **around: str) -> list[tuple[str, str | None]]:
    found = machine_problems(notes, Surroundings(**around), lists_gpus=lists_gpus, device_present=True)
    return [(problem.code, problem.change) for problem in found]


def test_the_cause_is_told_and_not_its_consequences() -> None:
    notes = ("NVML: Driver Not Loaded", "cannot load libcuda.so.1: no such file", "cannot load libnvidia-encode.so.1")
    assert [code for code, _ in machine(*notes)] == ["no_gpu_shown", "driver_not_found"]
    assert [code for code, _ in machine("NVML: version mismatch", "cannot load libnvidia-encode.so.1")] == [
        "driver_mismatch"
    ]


@pytest.mark.parametrize(
    ("note", "code"),
    [("the NVIDIA driver did not answer within 15 s", "no_answer"), ("NVML: Insufficient Permissions", "no_permission"),
     ("asking the NVIDIA driver ended with signal 11", "driver_crashed"), ("NVML: Unknown Error", "driver_broken")],
)  # fmt: skip
def test_a_driver_that_lists_no_gpu(note: str, code: str) -> None:
    assert [found for found, _ in machine(note)] == [code]


def test_a_variable_that_hides_all_gpus_is_named() -> None:
    for notes in ((), ("cuInit failed: CUDA_ERROR_NO_DEVICE",)):
        ((code, change),) = machine(*notes, cuda_visible="")
        assert code == "no_gpu_shown"
        assert "CUDA_VISIBLE_DEVICES='' hides GPUs" in str(change)
        assert "NVIDIA_VISIBLE_DEVICES='void' hides GPUs" in str(machine(*notes, nvidia_visible="void")[0][1])
        assert "--gpus all" in str(machine(*notes, nvidia_visible="all")[0][1])


def test_where_gpus_are_listed_only_what_their_own_paths_do_not_say_is_told() -> None:
    assert machine("cannot load libnvidia-encode.so.1", lists_gpus=True) == []
    assert [code for code, _ in machine("GPU 1 does not answer", "NVML: GPU is lost", lists_gpus=True)] == [
        "device_lost"
    ]
    assert [code for code, _ in machine("NVML: Unknown Error", lists_gpus=True)] == ["nvml"]


def test_without_a_device_there_is_a_hint_only_where_one_was_asked_for() -> None:
    def absent(**around: str) -> tuple[str, str | None]:
        (one,) = machine_problems((), Surroundings(**around), lists_gpus=False, device_present=False)
        return one.code, one.change

    assert absent() == ("no_device", None)
    assert absent(nvidia_visible="void", library_path="/opt/lib") == ("no_device", None)
    assert "--gpus all" in str(absent(nvidia_visible="all")[1])
    assert "LD_LIBRARY_PATH is wrong" in str(absent(library_path="/usr/local/nvidia/lib64")[1])
    assert absent(stray_library="libnvidia-ml.so.1")[0] == "driver_not_found"
