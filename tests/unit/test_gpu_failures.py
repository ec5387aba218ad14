import json
import re
from collections import Counter
from pathlib import Path

import pytest

from reelpress.facts.failure import Action, FailureKind, gpu_action
from reelpress.run.failures import classify, decode_damage
from reelpress.run.gpu_failures import KINDS, decoded_in_software, nvenc_versions

RECORDINGS = Path(__file__).parents[1] / "recorded" / "stderr"
VERSIONS = ("ffmpeg-5.1.9", "ffmpeg-9.0.2")
K = FailureKind
RUNS = {
    f"{path.parent.name}-{path.stem.removeprefix('gpu-')}": json.loads(path.read_text())
    for path in sorted(RECORDINGS.glob("*/gpu-*.json"))
}
FAILED = {name: run for name, run in RUNS.items() if run["want"] in {kind.value for kind in KINDS}}


def kind_of(returncode: int, stderr: str) -> FailureKind | None:
    failure = classify(returncode, stderr, None)
    return failure.kind if failure else None


def evidence_of(case: str, version: str = VERSIONS[1]) -> str:
    run = RUNS[f"{version}-{case}"]
    return classify(run["returncode"], run["stderr"], None).evidence


def test_every_gpu_class_was_recorded_with_both_versions():
    for version in VERSIONS:
        wanted = Counter(run["want"] for name, run in FAILED.items() if name.startswith(version))
        assert set(wanted) == KINDS
    assert {kind.value for kind in KINDS} == {k.value for k in K if k.value.startswith("gpu_")} | {
        "driver_too_old", "no_gpu_encoder", "session_limit", "device_lost",
    }  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("case", "evidence"),
    [
        ("no-libcuda", "Cannot load libcuda.so.1"),
        ("no-libnvidia-encode", "Cannot load libnvidia-encode.so.1"),
        ("codec-absent", "[h264_nvenc] Codec not supported"),
        ("ten-bit", "[h264_nvenc] 10 bit encode not supported"),
        ("too-wide", "[h264_nvenc] Width 5000 exceeds 4096"),
        ("too-small", "[h264_nvenc] InitializeEncoder failed: invalid param (8): "),
        ("b-frames", "[h264_nvenc] Max B-frames 5 exceed 4"),
        ("lookahead", "[h264_nvenc] RC lookahead not supported"),
        ("temporal-aq", "[h264_nvenc] Temporal AQ not supported"),
        ("weighted", "[h264_nvenc] Weighted Prediction not supported"),
        ("sessions-10", "[h264_nvenc] OpenEncodeSessionEx failed: out of memory (10)"),
        ("decode-refused-then-sessions", "[h264_nvenc] OpenEncodeSessionEx failed: out of memory (10)"),
        ("memory-frames-whole-chain", "cu->cuMemAlloc(&data, size) failed -> CUDA_ERROR_OUT_OF_MEMORY"),
        ("memory-midway", "[h264_nvenc] EncodePicture failed!: out of memory (10)"),
        ("lost-midway-whole-chain", "[h264_nvenc] EncodePicture failed!: generic error (20)"),
        ("copy-700-upload", "cu->cuMemcpy2DAsync(&cpy, hwctx->stream) failed -> CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("decode-refused-no-upload", "[h264] Hardware is lacking required capabilities"),
    ],
)
def test_the_evidence_is_the_cause_and_not_what_followed(version: str, case: str, evidence: str):
    assert evidence in evidence_of(case, version)


@pytest.mark.parametrize("run", FAILED.values(), ids=FAILED)
@pytest.mark.parametrize(
    "words",
    ["No space left on device", "Cannot allocate memory", "unsupported device (2): x", "x (18)",
     "y) failed -> CUDA_ERROR_OUT_OF_MEMORY", "Invalid data found when processing input"],
)  # fmt: skip
def test_what_the_driver_adds_decides_nothing(run: dict, words: str):
    stderr = re.sub(r"(?m)(?<=\(\d\d\): |.\(\d\): )(fakenv: .*|\(no details\))$", words, run["stderr"])
    stderr = re.sub(r"(?m)(-> CUDA_ERROR_\w+): .*$", lambda found: f"{found[1]}: {words}", stderr)
    assert kind_of(run["returncode"], stderr) == run["want"]


@pytest.mark.parametrize("run", FAILED.values(), ids=FAILED)
def test_no_exit_code_is_needed_but_the_zero(run: dict):
    if run["returncode"] != 0:
        assert kind_of(1, run["stderr"]) == run["want"]


@pytest.mark.parametrize("run", FAILED.values(), ids=FAILED)
def test_a_title_alone_is_nothing(run: dict):
    """The whole log of a failure, as the title of a file that is then encoded without a fault."""
    lines = [line for line in run["stderr"].split("\n") if line]
    title = "\n".join(f"                    : {line}" for line in lines)
    dump = f"[info]   Metadata:\n[info]     title           : {lines[0]}\n{title}\n"
    assert kind_of(0, dump) is None
    assert kind_of(1, dump) is K.UNKNOWN
    assert kind_of(255, dump) is K.KILLED
    assert decoded_in_software(dump) is None
    assert nvenc_versions(dump) is None


CAUSES = [
    "OpenEncodeSessionEx failed: out of memory (10)",
    "[h264_nvenc @ 0x55] [error] OpenEncodeSessionEx failed: unsupported device (2)",
    "cu->cuInit(0) failed -> CUDA_ERROR_UNKNOWN: unknown error",
    "Cannot load libcuda.so.1",
]


@pytest.mark.parametrize("cause", CAUSES)
def test_only_who_would_say_it_is_believed(cause: str):
    for who in ("", "[libx264 @ 0x0] ", "[mov,mp4,m4a @ 0x0] ", "[vost#0:0/h264_nvenc @ 0x0] [enc:h264_nvenc @ 0x0] "):
        assert kind_of(1, f"{who}[error] {cause}\n") not in KINDS
        assert kind_of(0, f"{who}[error] {cause}\n") is None
    name = f"[error] file:/in/{cause}: Invalid data found when processing input\n"
    assert kind_of(1, name) is K.INPUT_UNREADABLE


@pytest.mark.parametrize("version", VERSIONS)
def test_a_healthy_run_with_nvenc_in_its_log_is_healthy(version: str):
    stderr = RUNS[f"{version}-ok-whole-chain"]["stderr"]
    assert "h264_nvenc" in stderr
    assert kind_of(0, stderr) is None
    assert kind_of(255, stderr) is K.KILLED
    assert kind_of(-9, stderr) is K.KILLED
    assert kind_of(-11, stderr) is K.CRASHED


# What 9 prints at exit; 5.1 says "Error while filtering: Cannot allocate memory" the same way.
TAIL = (
    "[vost#0:0/h264_nvenc @ 0x0] [enc:h264_nvenc @ 0x0] [error] Error while opening encoder - maybe incorrect "
    "parameters such as bit_rate, rate, width or height.\n"
    "[vf#0:0 @ 0x0] [error] Error sending frames to consumers: Cannot allocate memory\n"
    "[vf#0:0 @ 0x0] [error] Task finished with error code: -12 (Cannot allocate memory)\n"
)


def test_the_tail_alone_is_what_it_always_was():
    assert kind_of(244, TAIL) is K.OUT_OF_MEMORY
    assert kind_of(187, TAIL.splitlines(keepends=True)[0]) is K.ENCODER_REFUSED


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ("[hevc_nvenc @ 0x0] [error] OpenEncodeSessionEx failed: encoder busy (18): ", K.SESSION_LIMIT),
        ("[av1_nvenc @ 0x0] [error] OpenEncodeSessionEx failed: invalid version (15): ", K.DRIVER_TOO_OLD),
        ("[CUDA @ 0x0] [error] Cannot load cuCtxGetStreamPriorityRange", K.DRIVER_TOO_OLD),
        ("[h264_nvenc @ 0x0] [error] No CUDA capable devices found", K.GPU_DRIVER_BROKEN),
        ("[CUDA @ 0x0] [error] cu->cuDeviceGet(&d, i) failed -> CUDA_ERROR_INVALID_DEVICE: x", K.GPU_DRIVER_BROKEN),
        ("[h264_nvenc @ 0x0] [fatal] No capable devices found", K.NO_GPU_ENCODER),
        ("[h264_nvenc @ 0x0] [fatal] Provided device doesn't support required NVENC features", K.NO_GPU_ENCODER),
        ("[av1_nvenc @ 0x0] [error] AV1 High Profile not supported, required for 4:4:4 encoding", K.GPU_UNSUPPORTED),
        ("[h264 @ 0x0] [error] No decoder surfaces left", K.GPU_DECODE_FAILED),
        ("[Parsed_overlay_cuda_0 @ 0x0] [error] cu->cuModuleLoadData(m, p) failed -> CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
         K.GPU_UNSUPPORTED),
        ("[Parsed_yadif_cuda_1 @ 0x0] [error] cu->cuLaunchKernel(f) failed", K.DEVICE_LOST),
        # another thread's words where the error should be
        ("[CUDA @ 0x0] [error] cu->cuMemAlloc(&data, size) failedTask finished with error code: -5", K.DEVICE_LOST),
    ],
)  # fmt: skip
def test_texts_that_were_read_in_ffmpegs_source(lines: str, kind: FailureKind):
    assert kind_of(187, lines + "\n" + TAIL) is kind


@pytest.mark.parametrize(
    "feature",
    ["Each B frame as reference is not supported", "Hierarchical B frame reference mode is not supported",
     "Multiple reference frames are not supported by the device", "Lookahead level not supported. Maximum level: 0",
     "Temporal filtering not supported by the device"],
)  # fmt: skip
def test_a_warning_counts_only_for_an_encoder_that_did_not_open(feature: str):
    warning = f"[h264_nvenc @ 0x0] [warning] {feature}\n"
    assert kind_of(0, warning) is None
    assert kind_of(1, warning) is K.UNKNOWN
    assert kind_of(187, warning + "[h264_nvenc @ 0x0] [fatal] No capable devices found\n") is K.GPU_FEATURE_MISSING
    beside = "[h264_nvenc @ 0x0] [warning] Using global_quality with nvenc is not supported. Use qp instead.\n"
    assert kind_of(187, beside + "[h264_nvenc @ 0x0] [fatal] No capable devices found\n") is K.NO_GPU_ENCODER


@pytest.mark.parametrize("version", VERSIONS)
def test_a_full_disk_is_not_the_gpus_fault_whatever_the_gpu_says_then(version: str):
    run = RUNS[f"{version}-disk-full"]
    lost = "[h264_nvenc @ 0x0] [error] EncodePicture failed!: generic error (20): \n"
    assert kind_of(run["returncode"], run["stderr"] + lost) is K.OUTPUT_FULL


def test_what_was_told_before_a_crash_is_its_cause():
    memory = "[h264_nvenc @ 0x0] [error] CreateBitstreamBuffer failed: out of memory (10): \n"
    assert kind_of(-11, memory) is K.GPU_OUT_OF_MEMORY
    assert kind_of(-9, memory) is K.KILLED


def test_a_busy_encoder_that_ffmpeg_asks_again_costs_nothing():
    busy = "[h264_nvenc @ 0x0] [error] EncodePicture failed!: encoder busy (18): \n"
    assert kind_of(0, busy) is None
    assert kind_of(1, busy) not in KINDS


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("decode-refused", "[h264] Hardware is lacking required capabilities"),
        ("decode-refused-codec", "[hevc] Hardware is lacking required capabilities"),
        ("decode-refused-library", "[h264] Cannot load libnvcuvid.so.1"),
        ("decode-refused-create", "cuvidCreateDecoder(&decoder->decoder, params) failed -> CUDA_ERROR_OUT_OF_MEMORY"),
        ("decode-refused-caps", "cuvidGetDecoderCaps(&caps) failed -> CUDA_ERROR_UNKNOWN"),
    ],
)
def test_a_decoder_nvdec_refuses_is_no_failure_and_no_damage_but_told(version: str, case: str, why: str):
    run = RUNS[f"{version}-{case}"]
    assert kind_of(0, run["stderr"]) is None
    assert decode_damage(run["stderr"]) == ()
    assert why in decoded_in_software(run["stderr"])


def test_a_refusal_without_a_known_reason_is_told_all_the_same():
    setup = "[vp9 @ 0x0] [error] Failed setup for format cuda: hwaccel initialisation returned error.\n"
    assert decoded_in_software(setup).startswith("[vp9] Failed setup for format cuda")
    assert decoded_in_software("[h264 @ 0x0] [error] Hardware is lacking required capabilities\n") is None


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_told_where_nvdec_decoded(version: str):
    for case in ("ok-whole-chain", "ok-software-frames", "decode-one"):
        assert decoded_in_software(RUNS[f"{version}-{case}"]["stderr"]) is None


def test_damage_on_nvdec_is_still_damage():
    refused = RUNS["ffmpeg-9.0.2-decode-refused"]["stderr"]
    broken = "[h264 @ 0x0] [error] Invalid NAL unit size (5 > 3).\n"
    assert decode_damage(refused + broken) == ("[h264] Invalid NAL unit size (5 > 3).",)


@pytest.mark.parametrize(("version", "required"), [(VERSIONS[0], "11.1"), (VERSIONS[1], "13.1")])
def test_the_versions_of_a_driver_too_old(version: str, required: str):
    assert nvenc_versions(RUNS[f"{version}-driver-too-old"]["stderr"]) == (required, "10.0")
    assert nvenc_versions(evidence_of("driver-too-old", version)) == (required, "10.0")
    assert nvenc_versions(RUNS[f"{version}-no-libcuda"]["stderr"]) is None


def test_what_each_class_asks_for():
    waits = {K.SESSION_LIMIT, K.GPU_OUT_OF_MEMORY}
    assert {kind for kind in KINDS if gpu_action(kind) is Action.WAIT} == waits
    assert Action.STOP not in {gpu_action(kind) for kind in KINDS}
