"""Record what real FFmpegs say when a GPU fails them: ``tests/recorded/stderr/<ffmpeg-version>/gpu-<case>.json``.

Run from the repository root::

    PYTHONPATH=src python scripts/record_gpu_stderr.py --driver DIR [--only CASE] FFMPEG [FFMPEG ...]

No GPU is needed: ``DIR`` holds a stand-in for the NVIDIA driver (``libcuda.so.1``, ``libnvidia-encode.so.1``,
``libnvcuvid.so.1``) that fails as the variables ``FAKENV_*`` tell it. The texts around its answers are FFmpeg's own.
What a driver adds after the last colon is the stand-in's, as is the choice which status a cause answers. Every input
carries such texts as its title. ``want`` is written here, by hand, as in ``record_stderr.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from record_stderr import Case, record_all

HOSTILE_TITLE = (
    "OpenEncodeSessionEx failed: out of memory (10)\n"
    "[h264_nvenc @ 0x5581] [error] OpenEncodeSessionEx failed: unsupported device (2)\n"
    "[CUDA @ 0x5581] [error] cu->cuInit(0) failed -> CUDA_ERROR_UNKNOWN: unknown error"
)
LOGLEVEL = "repeat+level+verbose"
DEVICE = "-init_hw_device cuda=cu -filter_hw_device cu"
NVDEC = f"{DEVICE} -hwaccel cuda -hwaccel_device cu -hwaccel_output_format cuda"
SCALE = "-vf format=nv12|cuda,hwupload,scale_cuda=160:90"
SOFTWARE = "-i IN/clip.mp4 -c:v h264_nvenc OUT/o.mp4"
UPLOAD = f"{DEVICE} -i IN/clip.mp4 -vf format=nv12,hwupload -c:v h264_nvenc OUT/o.mp4"
WHOLE = f"{NVDEC} -i IN/clip.mp4 {SCALE} -c:v h264_nvenc OUT/o.mp4"
DOWNLOAD = f"{NVDEC} -i IN/clip.mp4 -vf hwdownload,format=nv12 -c:v libx264 -preset ultrafast OUT/o.mp4"
NO_LIBRARY = {"LD_LIBRARY_PATH": "NONE"}
NO_ENCODE_LIBRARY = {"LD_LIBRARY_PATH": "CUDA_ONLY"}
NO_DECODE_LIBRARY = {"LD_LIBRARY_PATH": "NO_CUVID"}


def _fault(args: str, fault: str, want: str | None, **other: str) -> Case:
    return Case(args=args, want=want, env={"FAKENV_FAULT": fault, **other}, loglevel=LOGLEVEL)


def _case(args: str, want: str | None, **env: str) -> Case:
    return Case(args=args, want=want, env=env, loglevel=LOGLEVEL)


def _with(args: str, options: str) -> str:
    return args.replace("h264_nvenc", f"h264_nvenc {options}")


CASES = {
    "ok-software-frames": _case(SOFTWARE, None),
    "ok-upload": _case(UPLOAD, None),
    "ok-whole-chain": _case(WHOLE, None),
    # The driver.
    "no-libcuda": _case(SOFTWARE, "gpu_library_missing", **NO_LIBRARY),
    "no-libcuda-upload": _case(UPLOAD, "gpu_library_missing", **NO_LIBRARY),
    "no-libnvidia-encode": _case(SOFTWARE, "gpu_library_missing", **NO_ENCODE_LIBRARY),
    "no-libnvidia-encode-upload": _case(UPLOAD, "gpu_library_missing", **NO_ENCODE_LIBRARY),
    "no-device": _case(SOFTWARE, "gpu_driver_broken", FAKENV_DEVICES="0"),
    "no-device-upload": _case(UPLOAD, "gpu_driver_broken", FAKENV_DEVICES="0"),
    "driver-mismatch": _fault(SOFTWARE, "cuInit=803", "gpu_driver_broken"),
    "driver-mismatch-upload": _fault(UPLOAD, "cuInit=803", "gpu_driver_broken"),
    "driver-not-ready": _fault(SOFTWARE, "cuInit=802", "gpu_driver_broken"),
    "driver-unknown": _fault(SOFTWARE, "cuInit=999", "gpu_driver_broken"),
    "driver-unknown-whole-chain": _fault(WHOLE, "cuInit=999", "gpu_driver_broken"),
    "driver-too-old": _case(SOFTWARE, "driver_too_old", FAKENV_API="10.0"),
    "driver-too-old-upload": _case(UPLOAD, "driver_too_old", FAKENV_API="10.0"),
    # No encoder, or none that does this.
    "no-encoder-2": _case(SOFTWARE, "no_gpu_encoder", FAKENV_NVENC="none"),
    "no-encoder-2-upload": _case(UPLOAD, "no_gpu_encoder", FAKENV_NVENC="none"),
    "no-encoder-1": _fault(SOFTWARE, "open=1", "no_gpu_encoder"),
    "device-number-too-high": _case(_with(SOFTWARE, "-gpu 3"), "no_gpu_encoder"),  # FFmpeg names no cause
    "codec-absent": _case(SOFTWARE, "gpu_unsupported", FAKENV_NVENC="noguid"),
    "codec-absent-upload": _case(UPLOAD, "gpu_unsupported", FAKENV_NVENC="noguid"),
    "ten-bit": _case(_with(SOFTWARE, "-pix_fmt p010le"), "gpu_unsupported"),
    "444": _fault(_with(SOFTWARE, "-pix_fmt yuv444p"), "caps=12", "gpu_unsupported"),
    "too-wide": _case(_with(SOFTWARE, "-vf scale=5000:64"), "gpu_unsupported"),
    "too-high": _case(_with(SOFTWARE, "-vf scale=160:5000"), "gpu_unsupported"),
    "too-small": _case(_with(SOFTWARE, "-vf scale=64:64"), "gpu_unsupported"),
    "initialize-8": _fault(SOFTWARE, "initialize=8", "gpu_unsupported"),
    "initialize-12": _fault(SOFTWARE, "initialize=12", "gpu_unsupported"),
    "preset-12": _fault(SOFTWARE, "preset=12", "gpu_unsupported"),
    "kernels-refused-222": _fault(WHOLE, "cuModuleLoadData=222", "gpu_unsupported"),
    "kernels-refused-209": _fault(WHOLE, "cuModuleLoadData=209", "gpu_unsupported"),
    # Features: the n-th capability asked for is missing. FFmpeg 9 asks for one more than 5.1 before these; the other
    # of the two told to be missing is not wanted here.
    "b-frames": _case(_with(SOFTWARE, "-bf 5"), "gpu_feature_missing"),
    "b-frames-upload": _case(_with(UPLOAD, "-bf 5"), "gpu_feature_missing"),
    "lookahead": _fault(_with(SOFTWARE, "-rc-lookahead 8"), "caps@8+2=12", "gpu_feature_missing"),
    "temporal-aq": _fault(_with(SOFTWARE, "-temporal-aq 1"), "caps@9+2=12", "gpu_feature_missing"),
    "weighted": _fault(_with(SOFTWARE, "-weighted_pred 1 -bf 0"), "caps@10+2=12", "gpu_feature_missing"),
    "b-ref": _fault(_with(SOFTWARE, "-bf 3 -b_ref_mode middle"), "caps@12+2=12", "gpu_feature_missing"),
    # Busy, or out of memory.
    "sessions-10": _fault(SOFTWARE, "open=10", "session_limit"),
    "sessions-10-upload": _fault(UPLOAD, "open=10", "session_limit"),
    "sessions-10-whole-chain": _fault(WHOLE, "open=10", "session_limit"),
    "sessions-21": _fault(SOFTWARE, "open=21", "session_limit"),
    "device-busy": _fault(SOFTWARE, "cuCtxCreate=46", "session_limit"),
    "device-busy-upload": _fault(UPLOAD, "cuCtxCreate=46", "session_limit"),
    "memory-context": _case(SOFTWARE, "gpu_out_of_memory", FAKENV_VRAM_MB="100", FAKENV_CTX_MB="200"),
    "memory-context-upload": _case(UPLOAD, "gpu_out_of_memory", FAKENV_VRAM_MB="100", FAKENV_CTX_MB="200"),
    "memory-frames-upload": _case(UPLOAD, "gpu_out_of_memory", FAKENV_VRAM_MB="1"),
    "memory-third-frame-upload": _fault(UPLOAD, "cuMemAlloc@3=2", "gpu_out_of_memory"),
    "memory-frames-whole-chain": _fault(WHOLE, "cuMemAlloc=2", "gpu_out_of_memory"),
    "memory-input-buffer": _fault(SOFTWARE, "createinput@5=10", "gpu_out_of_memory"),
    "memory-bitstream-buffer": _fault(SOFTWARE, "createbitstream@5=10", "gpu_out_of_memory"),
    "memory-initialize": _fault(SOFTWARE, "initialize=10", "gpu_out_of_memory"),
    "memory-register": _fault(UPLOAD, "register=10", "gpu_out_of_memory"),
    "memory-midway": _fault(SOFTWARE, "encode@30=10", "gpu_out_of_memory"),
    # The device fails midway.
    "lost-open-20": _fault(SOFTWARE, "open=20", "device_lost"),
    "lost-encode-20": _fault(SOFTWARE, "encode@30=20", "device_lost"),
    "lost-encode-20-upload": _fault(UPLOAD, "encode@30=20", "device_lost"),
    "lost-encode-5": _fault(SOFTWARE, "encode@30=5", "device_lost"),
    "lost-lock-20": _fault(SOFTWARE, "lock@30=20", "device_lost"),
    "lost-map": _fault(UPLOAD, "map@30=25", "device_lost"),
    "lost-midway": _fault(SOFTWARE, "encode@30=lost", "device_lost"),
    "lost-midway-upload": _fault(UPLOAD, "encode@30=lost", "device_lost"),
    "lost-midway-whole-chain": _fault(WHOLE, "encode@30=lost", "device_lost"),
    "lost-at-end": _fault(SOFTWARE, "eos=20", "device_lost"),
    "lost-kernel": _fault(WHOLE, "cuLaunchKernel@30=700", "device_lost"),
    "lost-kernel-719": _fault(WHOLE, "cuLaunchKernel@30=719", "device_lost"),
    "crash-midway": _fault(SOFTWARE, "encode@30=crash", "crashed"),
    "busy-once": _fault(SOFTWARE, "encode@30+1=18", None),  # FFmpeg asks again, and loses nothing
    # Exit code 0, and yet failed.
    "copy-700-upload": _fault(UPLOAD, "cuMemcpy2D@40=700", "gpu_copy_failed"),
    "copy-719-download": _fault(DOWNLOAD, "cuMemcpy2D@40=719", "gpu_copy_failed"),
    "decode-one": _fault(WHOLE, "cuvidDecodePicture@30+1=999", "gpu_decode_failed"),
    "decode-last": _fault(WHOLE, "cuvidDecodePicture@50=999", "gpu_decode_failed"),
    # The decoder.
    "decode-all": _fault(WHOLE, "cuvidDecodePicture=999", "gpu_decode_failed"),
    "decode-map": _fault(WHOLE, "cuvidMapVideoFrame=999", "gpu_decode_failed"),
    "decode-refused": _case(WHOLE, None, FAKENV_NVDEC="none"),
    "decode-refused-codec": _case(WHOLE.replace("clip.mp4", "hevc.mp4"), None),
    "decode-refused-ten-bit": _case(WHOLE.replace("clip.mp4", "ten-bit.mp4"), None),
    "decode-refused-library": _case(WHOLE, None, **NO_DECODE_LIBRARY),
    "decode-refused-create": _fault(WHOLE, "cuvidCreateDecoder=2", None),
    "decode-refused-caps": _fault(WHOLE, "cuvidGetDecoderCaps=999", None),
    "decode-refused-no-upload": _case(
        WHOLE.replace("format=nv12|cuda,hwupload,", ""), "gpu_decode_failed", FAKENV_NVDEC="none"
    ),
    "decode-refused-then-sessions": _fault(WHOLE, "open=10", "session_limit", FAKENV_NVDEC="none"),
    # Not the GPU's fault.
    "input-ruined": _case(WHOLE.replace("clip.mp4", "ruined.mp4"), "decode_errors"),
    "input-ruined-software-frames": _case(SOFTWARE.replace("clip.mp4", "ruined.mp4"), "decode_errors"),
    "disk-full": _case(SOFTWARE.replace("OUT/o.mp4", "-f matroska /dev/full"), "output_full"),
    "disk-full-decode-refused": _case(
        WHOLE.replace("OUT/o.mp4", "-f matroska /dev/full"), "output_full", FAKENV_NVDEC="none"
    ),
    "option-value": _case(_with(SOFTWARE, "-preset nonsense"), "option_rejected"),
    "killed-sigterm": replace(
        _case(WHOLE.replace("-i IN/clip.mp4", "-re -i IN/long.mp4"), "killed", FAKENV_NVDEC="none"), signal=15
    ),
}


def make_inputs(ffmpeg: str, into: Path) -> None:
    """Write the inputs, each with a title that reads like failures of a GPU."""

    def make(name: str, *args: str, length_s: float = 2, pix_fmt: str = "yuv420p") -> bytes:
        source = f"testsrc2=s=320x180:r=30:d={length_s},format={pix_fmt}"
        title = ("-metadata", f"title={HOSTILE_TITLE}")
        command = [ffmpeg, "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, *args, *title, "-y", into / name]
        subprocess.run(command, check=True)
        return (into / name).read_bytes()

    x264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-threads", "1")
    make("clip.mp4", *x264)
    make("long.mp4", *x264, length_s=10)
    make("ten-bit.mp4", *x264, pix_fmt="yuv420p10le")
    make("hevc.mp4", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-tag:v", "hvc1")
    ruined = bytearray(make("ruined.mp4", *x264, "-movflags", "+faststart", length_s=0.4))
    for at in range(ruined.index(b"mdat") + 8, len(ruined), 3):
        ruined[at] ^= 0x55
    (into / "ruined.mp4").write_bytes(ruined)


def make_drivers(driver: Path, into: Path) -> dict[str, str]:
    """Make folders with parts of the driver; return what ``LD_LIBRARY_PATH`` in a case stands for."""
    libraries = {"libcuda.so.1", "libnvidia-encode.so.1", "libnvcuvid.so.1"}
    parts = {"NONE": set(), "CUDA_ONLY": {"libcuda.so.1"}, "NO_CUVID": libraries - {"libnvcuvid.so.1"}}
    for name, wanted in parts.items():
        (into / name).mkdir()
        for library in wanted:
            (into / name / library).symlink_to(driver.resolve() / library)
    return {name: str(into / name) for name in parts} | {"": str(driver.resolve())}


def main() -> None:
    """Record the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True, type=Path, help="the folder of the stand-in's libraries")
    parser.add_argument("--only", default="", help="a regular expression for the names of the cases")
    parser.add_argument("ffmpeg", nargs="+")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelpress-record-") as scratch:
        inputs, outputs, drivers, state = (Path(scratch, n) for n in ("inputs", "outputs", "drivers", "state"))
        for place in (inputs, outputs, drivers, state):
            place.mkdir()
        make_inputs(wanted.ffmpeg[0], inputs)
        libraries = make_drivers(wanted.driver, drivers)
        cases = {
            f"gpu-{name}": replace(
                case,
                env=case.env
                | {"LD_LIBRARY_PATH": libraries[case.env.get("LD_LIBRARY_PATH", "")], "FAKENV_STATE": str(state)},
            )
            for name, case in CASES.items()
        }
        for ffmpeg in wanted.ffmpeg:
            record_all(cases, ffmpeg, inputs, outputs, wanted.only)


if __name__ == "__main__":
    main()
