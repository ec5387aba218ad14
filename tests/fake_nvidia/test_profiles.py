"""What each kind of GPU refuses, in FFmpeg's own words."""

from __future__ import annotations

import subprocess

import pytest

import clips
import driver
from gpu_runs import MIDDLE, FFmpeg, ask_nvml, environment, run

pytestmark = pytest.mark.gpu_fake

SOURCE = clips.picture(MIDDLE, seconds=0.4)
NO_DEVICE = "No capable devices found"


def encode(codec: str = "h264_nvenc", *more: str) -> tuple[str, ...]:
    return (*SOURCE, "-pix_fmt", "yuv420p", "-c:v", codec, *more, "-f", "null", "-")


@pytest.mark.parametrize("profile", sorted(driver.PROFILES))
def test_plain_encode_on_a_new_driver(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, profile: str) -> None:
    done = ffmpeg(fake_nvidia.machine(profile, driver="610"), *encode())
    if profile in ("a100", "h100", "h200"):
        assert done.code != 0
        assert "OpenEncodeSessionEx failed: unsupported device (2)" in done.stderr
        assert NO_DEVICE in done.stderr
    else:
        assert (done.code, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("profile", "api", "works"), [("l4", "12.1", "path"), ("l4-580", "13.0", "path"), ("rtx-pro-6000", "13.1", "both")]
)
def test_each_ffmpeg_asks_for_its_driver(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, ffmpeg_path: str, profile: str, api: str, works: str
) -> None:
    done = ffmpeg(fake_nvidia.machine(profile), *encode())
    if works == "both" or ffmpeg_path != clips.ffmpeg():
        assert (done.code, done.stderr) == (0, "")
    else:
        assert done.code == 218
        wanted = f"Driver does not support the required nvenc API version. Required: 13.1 Found: {api}"
        assert wanted in done.stderr
        assert "The minimum required Nvidia driver for nvenc is 610.00 or newer" in done.stderr


TEN_BITS = ("-pix_fmt", "p010le")
WIDE, WIDER = (("-vf", f"scale={width}:64") for width in (4352, 8448))
REFUSALS = [
    (
        "pascal",
        "h264_nvenc",
        ("-b_ref_mode", "middle"),
        "as references are not supported|reference mode is not supported",
    ),
    ("pascal", "h264_nvenc", ("-temporal-aq", "1"), "Temporal AQ not supported"),
    ("pascal", "hevc_nvenc", ("-bf", "3"), "Max B-frames 3 exceed 0"),
    ("pascal", "h264_nvenc", ("-refs", "4"), "Multiple reference frames are not supported"),
    ("t4", "h264_nvenc", ("-bf", "5"), "Max B-frames 5 exceed 4"),
    ("t4", "h264_nvenc", TEN_BITS, "10 bit encode not supported"),
    ("l4-610", "h264_nvenc", WIDE, "Width 4352 exceeds 4096"),
    ("l4-610", "hevc_nvenc", WIDER, "Width 8448 exceeds 8192"),
]


@pytest.mark.parametrize(("profile", "codec", "options", "refusal"), REFUSALS, ids=lambda value: str(value)[:40])
def test_missing_feature(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, profile: str, codec: str, options: tuple[str, ...], refusal: str
) -> None:
    done = ffmpeg(fake_nvidia.machine(profile, driver="610"), *encode(codec, *options))
    assert done.code != 0
    assert any(text in done.stderr for text in refusal.split("|")), done.stderr
    assert NO_DEVICE in done.stderr


@pytest.mark.parametrize(
    ("lacking", "options", "refusal"),
    [
        ("lookahead", ("-rc-lookahead", "16"), "RC lookahead not supported"),
        ("yuv444", ("-pix_fmt", "yuv444p"), "YUV444P not supported"),
        ("lossless", ("-tune", "lossless"), "Lossless encoding not supported"),
        ("weighted", ("-weighted_pred", "1", "-bf", "0"), "Weighted Prediction not supported"),
        ("cabac", ("-coder", "cabac"), "CABAC entropy coding not supported"),
    ],
)
def test_feature_taken_away(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, lacking: str, options: tuple[str, ...], refusal: str
) -> None:
    features = dict(driver.PROFILES[driver.HEALTHY].h264)
    whole, poor = fake_nvidia.machine(), fake_nvidia.machine(h264={**features, lacking: 0})
    assert ffmpeg(whole, *encode("h264_nvenc", *options)).code == 0
    done = ffmpeg(poor, *encode("h264_nvenc", *options))
    assert done.code != 0
    assert refusal in done.stderr
    assert NO_DEVICE in done.stderr


def test_codec_taken_away(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    done = ffmpeg(fake_nvidia.machine(hevc={}), *encode("hevc_nvenc"))
    assert done.code != 0
    assert "Codec not supported" in done.stderr
    assert NO_DEVICE in done.stderr


@pytest.mark.parametrize("profile", ["t4", "l4-610", "rtx-pro-6000"])
def test_av1_is_never_there(fake_nvidia: driver.FakeNvidia, profile: str) -> None:
    done = run(clips.ffmpeg(), fake_nvidia.machine(profile, driver="610"), *encode("av1_nvenc"))
    assert done.code == 187
    assert "Codec not supported" in done.stderr


def test_too_small_a_picture(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    done = ffmpeg(fake_nvidia.machine(), *encode("h264_nvenc", "-vf", "scale=64:64"))
    assert done.code != 0
    assert "invalid param (8): Frame Dimension less than the minimum supported value." in done.stderr


def test_container_without_the_video_capability(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine("l4", leave_out=driver.NO_VIDEO_CAPABILITY)
    done = ffmpeg(machine, *encode())
    assert done.code != 0
    assert "Cannot load libnvidia-encode.so.1" in done.stderr
    assert ask_nvml(machine, "len(devices)") == 1


def test_no_driver(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(leave_out=[driver.CUDA, driver.NVML, *driver.NO_VIDEO_CAPABILITY])
    assert "Cannot load libcuda.so.1" in ffmpeg(machine, *encode()).stderr
    assert "LibraryNotFound" in ask_nvml(machine, "len(devices)")


def test_no_gpu(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(gpus=0)
    assert "CUDA_ERROR_NO_DEVICE" in ffmpeg(machine, *encode()).stderr
    assert ask_nvml(machine, "len(devices)") == 0


@pytest.mark.parametrize("profile", sorted(driver.PROFILES))
def test_nvml_knows_the_profile(fake_nvidia: driver.FakeNvidia, profile: str) -> None:
    machine = fake_nvidia.machine(profile)
    device = machine.devices[0]
    asked = (
        "[n.nvmlSystemGetDriverVersion(), n.nvmlDeviceGetName(devices[0]), n.nvmlDeviceGetUUID(devices[0]),"
        " n.nvmlDeviceGetMemoryInfo(devices[0]).total >> 20,"
        " '%d.%d' % tuple(n.nvmlDeviceGetCudaComputeCapability(devices[0])),"
        " n.nvmlDeviceGetPciInfo(devices[0]).busId]"
    )
    wanted = [
        machine.driver.version,
        device.name,
        device.uuid,
        device.profile.vram_mb,
        device.profile.compute,
        device.pci,
    ]
    assert ask_nvml(machine, asked) == wanted
    assert "Fake" in device.name


def test_nvidia_smi_agrees(fake_nvidia: driver.FakeNvidia) -> None:
    machine = fake_nvidia.machine(["l4", "t4"])
    query = ["nvidia-smi", "--query-gpu=index,name,uuid,driver_version,memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, env=environment(machine), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{d.index}, {d.name}, {d.uuid}, {machine.driver.version}, {d.profile.vram_mb}" for d in machine.devices
    ]
    machine.set_faults(driver.DRIVER_MISMATCH)
    broken = subprocess.run(query, env=environment(machine), capture_output=True, text=True, check=False)
    assert (broken.returncode, "version mismatch" in broken.stdout) == (18, True)
