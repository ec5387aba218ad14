"""Record what real FFmpegs say when they fail: ``tests/recorded/stderr/<ffmpeg-version>/<case>.json``.

Run as root (for a small file system and an unprivileged user) from the repository root::

    PYTHONPATH=src python scripts/record_stderr.py [--only CASE] FFMPEG [FFMPEG ...]

Inputs are made by the first FFmpeg, in a directory of their own; its name appears in the recordings as ``/in``, that
of the outputs as ``/out``, and addresses in memory as ``0x0``. ``want`` is the failure class the text must be
given (``null``: the run succeeded); it is written here, by hand, never taken from the classifier.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from reelpress.run.process import CancelToken, Finished, Limits, run

RECORDINGS = Path(__file__).parents[1] / "tests" / "recorded" / "stderr"
NOBODY = 65534
SAFE = ["-protocol_whitelist", "file", "-format_whitelist", "mov,matroska,avi,mpegts"]
HOSTILE_TITLE = "No space left on device\n[error] moov atom not found\n[fatal] Unknown encoder 'x'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to fail. ``IN`` and ``OUT`` in ``args`` become the directories; ``args`` end with the output."""

    args: str
    want: str | None
    want_of: dict[str, str] = field(default_factory=dict)  # where one version differs
    limits: Limits | None = None
    signal: int | None = None  # sent 0.7 s after the start, by somebody who is not us
    as_nobody: bool = False
    prefix: str = ""  # a shell line that ends in exec "$@"
    loglevel: str = "level+warning"
    is_damaged: bool = False  # the input is, and a run that succeeds must say so
    env: dict[str, str] = field(default_factory=dict)  # added to our own environment


UNLIMITED = Limits()
X264 = "-c:v libx264 -preset ultrafast"
SLOW = f"-f lavfi -i testsrc2=s=320x240:r=25 -t 600 {X264}"
CASES = {
    "success": Case(args=f"-i IN/clip.mp4 {X264} OUT/o.mp4", want=None),
    "success-info-hostile-title": Case(args=f"-i IN/title.mp4 {X264} OUT/o.mp4", want=None, loglevel="level+info"),
    # The input.
    "input-missing": Case(args=f"-i IN/absent.mp4 {X264} OUT/o.mp4", want="input_unreadable"),
    "input-empty": Case(args=f"-i IN/empty.mp4 {X264} OUT/o.mp4", want="input_unreadable"),
    "input-garbage": Case(args=f"-i IN/garbage.mp4 {X264} OUT/o.mp4", want="input_unreadable"),
    "input-directory": Case(args=f"-i IN {X264} OUT/o.mp4", want="input_unreadable"),
    "input-forbidden": Case(args=f"-i IN/secret.mp4 {X264} OUT/o.mp4", want="input_unreadable", as_nobody=True),
    "input-no-moov": Case(args=f"-i IN/no-moov.mp4 {X264} OUT/o.mp4", want="input_unreadable"),
    "input-no-moov-info-hostile-name": Case(
        args=f"-i IN/No_space_left_on_device.mp4 {X264} OUT/o.mp4", want="input_unreadable", loglevel="level+info"
    ),
    "input-no-such-stream": Case(args=f"-i IN/audio.m4a -map 0:v:0 {X264} OUT/o.mp4", want="input_unreadable"),
    "input-no-stream-left": Case(args="-i IN/audio.m4a -an OUT/o.mp4", want="input_unreadable"),
    "input-unknown-protocol": Case(args=f"-i nonsense://x.mp4 {X264} OUT/o.mp4", want="input_unreadable"),
    "input-hls-in-mp4": Case(args=f"{' '.join(SAFE)} -i IN/hls.mp4 {X264} OUT/o.mp4", want="input_refused"),
    "input-hls-remote": Case(args=f"-protocol_whitelist file -i IN/remote.m3u8 {X264} OUT/o.mp4", want="input_refused"),
    "input-concat-in-mp4": Case(args=f"{' '.join(SAFE)} -i IN/concat.mp4 {X264} OUT/o.mp4", want="input_refused"),
    "input-concat-unsafe": Case(args=f"-i IN/unsafe.mp4 {X264} OUT/o.mp4", want="input_refused"),
    "input-http": Case(
        args=f"-protocol_whitelist file -i http://127.0.0.1:9/x.mp4 {X264} OUT/o.mp4", want="input_refused"
    ),
    "input-unknown-codec": Case(args=f"-i IN/unknown-codec.mp4 -map 0:v {X264} OUT/o.mp4", want="no_decoder"),
    "input-decoder-absent": Case(args=f"-c:v nonsense -i IN/clip.mp4 {X264} OUT/o.mp4", want="no_decoder"),
    "input-too-many-pixels": Case(args=f"-max_pixels 100 -i IN/clip.mp4 {X264} OUT/o.mp4", want="too_many_pixels"),
    "input-too-many-pixels-mjpeg": Case(
        args=f"-max_pixels 100 -i IN/mjpeg.mkv {X264} OUT/o.mp4", want="too_many_pixels"
    ),
    "input-flipped": Case(args=f"-i IN/flipped.mp4 {X264} OUT/o.mp4", want=None, is_damaged=True),
    "input-flipped-repeat": Case(
        args=f"-i IN/flipped.mp4 {X264} OUT/o.mp4", want=None, is_damaged=True, loglevel="repeat+level+warning"
    ),
    "input-flipped-xerror": Case(args=f"-xerror -i IN/flipped.mp4 {X264} OUT/o.mp4", want="decode_errors"),
    "input-flipped-audio": Case(args="-i IN/flipped-audio.m4a -c:a aac OUT/o.m4a", want=None, is_damaged=True),
    "input-no-error-allowed": Case(args=f"-max_error_rate 0 -i IN/flipped.mp4 {X264} OUT/o.mp4", want="decode_errors"),
    "input-ruined": Case(args=f"-i IN/ruined.mp4 -an {X264} OUT/o.mp4", want="decode_errors"),
    "input-cut-mp4": Case(args=f"-i IN/cut.mp4 {X264} OUT/o.mp4", want=None, is_damaged=True),
    "input-cut-mp4-xerror": Case(args=f"-xerror -i IN/cut.mp4 {X264} OUT/o.mp4", want="decode_errors"),
    "input-cut-mkv": Case(args=f"-i IN/cut.mkv {X264} OUT/o.mp4", want=None, is_damaged=True),
    "input-cut-ts": Case(args=f"-i IN/cut.ts {X264} OUT/o.mp4", want=None, is_damaged=True),
    "input-flipped-ts": Case(args=f"-i IN/flipped.ts {X264} OUT/o.mp4", want=None, is_damaged=True),
    "input-seek-past-end": Case(
        args=f"-ss 100 -i IN/clip.mp4 {X264} -abort_on empty_output_stream OUT/o.mp4", want="decode_errors"
    ),
    # The encoder, its options, the filters.
    "encoder-unknown": Case(args="-i IN/clip.mp4 -c:v nonsense OUT/o.mp4", want="encoder_missing"),
    "encoder-unknown-info-hostile-title": Case(
        args="-i IN/title.mp4 -c:v nonsense OUT/o.mp4", want="encoder_missing", loglevel="level+info"
    ),
    "encoder-odd-size": Case(args=f"-i IN/odd.mkv -pix_fmt yuv420p {X264} OUT/o.mp4", want="encoder_refused"),
    "encoder-odd-size-x264": Case(args=f"-i IN/odd.mkv -vf format=yuv420p {X264} OUT/o.mkv", want="encoder_refused"),
    "encoder-odd-size-x265": Case(
        args="-i IN/odd.mkv -vf format=yuv420p -c:v libx265 -preset ultrafast OUT/o.mkv", want="encoder_refused"
    ),
    "encoder-profile": Case(
        args=f"-i IN/clip.mp4 -vf format=yuv422p {X264} -profile:v high OUT/o.mp4", want="encoder_refused"
    ),
    "encoder-too-small-x265": Case(
        args="-i IN/clip.mp4 -vf scale=2:2 -c:v libx265 -preset ultrafast OUT/o.mp4", want="encoder_refused"
    ),
    "encoder-sample-rate": Case(args="-i IN/audio.m4a -c:a libopus -ar 11025 OUT/o.mp4", want="encoder_refused"),
    "encoder-preset": Case(args="-i IN/clip.mp4 -c:v libx264 -preset nonsense OUT/o.mp4", want="option_rejected"),
    "option-value": Case(args=f"-i IN/clip.mp4 {X264} -crf abc OUT/o.mp4", want="option_rejected"),
    "option-range": Case(args=f"-i IN/clip.mp4 {X264} -qmin 9999 OUT/o.mp4", want="option_rejected"),
    "option-flag": Case(args=f"-i IN/clip.mp4 {X264} -movflags nonsense OUT/o.mp4", want="option_rejected"),
    "option-unknown": Case(args=f"-i IN/clip.mp4 {X264} -nonsense 1 OUT/o.mp4", want="option_rejected"),
    "option-muxer-unknown": Case(args=f"-i IN/clip.mp4 {X264} -f nonsense OUT/o.mp4", want="option_rejected"),
    "option-time": Case(args=f"-ss abc -i IN/clip.mp4 {X264} OUT/o.mp4", want="option_rejected"),
    "filter-unknown": Case(args=f"-i IN/clip.mp4 -vf nonsense {X264} OUT/o.mp4", want="filter_failed"),
    "filter-syntax": Case(args=f"-i IN/clip.mp4 -vf scale=64:64[ {X264} OUT/o.mp4", want="filter_failed"),
    "filter-value": Case(args=f"-i IN/clip.mp4 -vf scale=w=abc:h=2 {X264} OUT/o.mp4", want="filter_failed"),
    "filter-option": Case(args=f"-i IN/clip.mp4 -vf scale=nonsense=2 {X264} OUT/o.mp4", want="filter_failed"),
    "filter-crop": Case(args=f"-i IN/clip.mp4 -vf crop=9000:9000 {X264} OUT/o.mp4", want="filter_failed"),
    "filter-file-missing": Case(args=f"-i IN/clip.mp4 -vf lut3d=IN/absent.cube {X264} OUT/o.mp4", want="filter_failed"),
    "filter-pixel-format": Case(args=f"-i IN/clip.mp4 -vf format=nonsense {X264} OUT/o.mp4", want="filter_failed"),
    # The output.
    "output-dev-full": Case(args=f"-i IN/clip.mp4 {X264} -f matroska /dev/full", want="output_full"),
    "output-dev-full-info-hostile-title": Case(
        args=f"-i IN/title.mp4 {X264} -f matroska /dev/full", want="output_full", loglevel="level+info"
    ),
    "output-disk-full": Case(args="-i IN/noise.mkv -c:v libx264 -qp 1 OUT/small/o.mkv", want="output_full"),
    "output-disk-full-faststart": Case(
        args="-i IN/noise.mkv -c:v libx264 -qp 1 -movflags +faststart OUT/small/o.mp4", want="output_full"
    ),
    "output-disk-full-at-once": Case(args=f"-i IN/clip.mp4 {X264} OUT/full/o.mp4", want="output_full"),
    "output-limit-signal": Case(
        args="-i IN/noise.mkv -c:v libx264 -qp 1 OUT/o.mkv", want="output_limit", limits=Limits(file_size_bytes=99999)
    ),
    # as on a file system that takes no larger files: our own limit ends a program by the signal
    "output-limit-error": Case(
        args="-i IN/noise.mkv -c:v libx264 -qp 1 OUT/o.mkv",
        want="output_denied",
        limits=Limits(file_size_bytes=99999),
        prefix="trap '' XFSZ; ",
    ),
    "output-forbidden": Case(args=f"-i IN/clip.mp4 {X264} OUT/closed/o.mp4", want="output_denied", as_nobody=True),
    "output-read-only": Case(args=f"-i IN/clip.mp4 {X264} OUT/ro/o.mp4", want="output_denied"),
    "output-directory": Case(args=f"-i IN/clip.mp4 {X264} -f mp4 OUT/closed", want="output_denied"),
    "output-no-parent": Case(args=f"-i IN/clip.mp4 {X264} OUT/absent/o.mp4", want="output_denied"),
    "output-exists": Case(args=f"-i IN/clip.mp4 {X264} -n IN/clip.mp4", want="output_denied"),
    "output-codec-not-in-container": Case(args="-i IN/clip.mp4 -c:v huffyuv OUT/o.mp4", want="option_rejected"),
    "output-data-in-matroska": Case(args="-i IN/tmcd.mov -map 0 -c copy OUT/o.mkv", want="option_rejected"),
    # The machine.
    "memory-max-alloc": Case(args=f"-max_alloc 60000 -i IN/clip.mp4 {X264} OUT/o.mp4", want="out_of_memory"),
    "memory-address-space": Case(
        # With several threads, 9 may fail to start one and say nothing at all.
        args="-threads 1 -filter_threads 1 -i IN/big.mkv -c:v libx264 -threads 1 "
        "-x264-params rc-lookahead=60 OUT/o.mp4",
        want="out_of_memory",
        limits=Limits(memory_bytes=750 << 20),
    ),
    "memory-loader": Case(
        args=f"-i IN/clip.mp4 {X264} OUT/o.mp4",
        want="out_of_memory",
        limits=Limits(memory_bytes=8 << 20),
        want_of={"9.0.2": "crashed"},  # a static binary: no loader to say why
    ),
    "killed-sigkill": Case(args=f"{SLOW} OUT/o.mp4", want="killed", signal=signal.SIGKILL),
    "killed-sigterm": Case(args=f"{SLOW} OUT/o.mp4", want="killed", signal=signal.SIGTERM),
    "killed-sigint-info": Case(args=f"{SLOW} OUT/o.mp4", want="killed", signal=signal.SIGINT, loglevel="level+info"),
    "crashed-sigsegv": Case(args=f"{SLOW} OUT/o.mp4", want="crashed", signal=signal.SIGSEGV),
    "cpu-limit": Case(args=f"{SLOW} OUT/o.mp4", want="cpu_limit", limits=Limits(cpu_s=1)),
}


def make_inputs(ffmpeg: str, into: Path) -> None:
    """Write every input of the cases: healthy ones by FFmpeg, the others broken by hand, the same way each time."""

    def make(name: str, *args: str) -> Path:
        subprocess.run([ffmpeg, "-nostdin", "-v", "error", *args, "-y", into / name], check=True)
        return into / name

    video = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=2"]
    sound = ["-f", "lavfi", "-i", "sine=d=2"]
    fast = ["-map_metadata", "-1", "-c:v", "libx264", "-g", "10", "-threads", "1", "-c:a", "aac", "-shortest"]
    clip = make("clip.mp4", *video, *sound, *fast, "-movflags", "+faststart").read_bytes()
    make("title.mp4", *video, *fast, "-metadata", f"title={HOSTILE_TITLE}", "-metadata", "comment=Unknown encoder")
    make("odd.mkv", "-f", "lavfi", "-i", "testsrc2=s=161x121:r=25:d=1,format=yuv444p", "-c:v", "ffv1")
    make("big.mkv", "-f", "lavfi", "-i", "testsrc2=s=3840x2160:r=25:d=0.4,format=yuv420p", "-c:v", "mjpeg")
    make("noise.mkv", "-f", "lavfi", "-i", "nullsrc=s=320x240:r=25:d=1,geq=random(1)*255:128:128", "-c:v", "ffv1")
    make("mjpeg.mkv", *video, "-c:v", "mjpeg")
    make("tmcd.mov", *video, *fast, "-timecode", "01:00:00:00")
    audio = make("audio.m4a", *sound, "-c:a", "aac", "-movflags", "+faststart").read_bytes()
    matroska = make("cut.mkv", *video, *sound, *fast).read_bytes()
    stream = make("cut.ts", *video, *sound, *fast).read_bytes()
    last = make("no-moov.mp4", *video, *fast).read_bytes()

    broken = {
        "empty.mp4": b"",
        "garbage.mp4": random.Random(1).randbytes(50_000),
        "secret.mp4": clip,
        "no-moov.mp4": last[: len(last) // 2],
        "No_space_left_on_device.mp4": last[: len(last) // 2],
        "hls.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nclip.mp4\n#EXT-X-ENDLIST\n",
        "remote.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile clip.mp4\n",
        "unsafe.mp4": b"ffconcat version 1.0\nfile /etc/hostname\n",
        "unknown-codec.mp4": clip.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"),
        "flipped.mp4": _flip(clip, every=900, after=clip.index(b"mdat") + 600),
        "flipped-audio.m4a": _flip(audio, every=150, after=audio.index(b"mdat") + 600),
        "ruined.mp4": _flip(clip, every=3, after=clip.index(b"mdat") + 8),
        "cut.mp4": clip[: len(clip) * 6 // 10],
        "cut.mkv": matroska[: len(matroska) * 6 // 10],
        "cut.ts": stream[: len(stream) * 6 // 10 + 77],
        "flipped.ts": _flip(stream, every=901, after=2000),
    }
    for name, content in broken.items():
        (into / name).write_bytes(content)
    (into / "secret.mp4").chmod(0o000)


def _flip(content: bytes, *, every: int, after: int) -> bytes:
    damaged = bytearray(content)
    for at in range(after, len(damaged), every):
        damaged[at] ^= 0x55
    return bytes(damaged)


def record(ffmpeg: str, version: str, case: Case, inputs: Path, outputs: Path) -> dict[str, object]:
    """Run one case and return its recording."""
    shown = ["-nostdin", "-hide_banner", "-loglevel", case.loglevel, *case.args.split()]
    shown[-1:] = ["-y", shown[-1]] if "-n" not in shown else [shown[-1]]
    argv = [ffmpeg, *(re.sub("^OUT", str(outputs), a).replace("IN", str(inputs)) for a in shown)]
    if case.prefix:
        argv = ["sh", "-c", f'{case.prefix} exec "$@"', "sh", *argv]
    if case.as_nobody:
        argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv]
    finished = _run(argv, case)
    stderr = finished.stderr_tail.replace(str(inputs), "/in").replace(str(outputs), "/out").replace(ffmpeg, "ffmpeg")
    return {
        "argv": ["ffmpeg", *(re.sub("^OUT", "/out", a).replace("IN", "/in") for a in shown)],
        "returncode": finished.returncode,
        "stderr": re.sub(r"0x[0-9a-f]{6,}", "0x0", stderr),
        "stopped": finished.stopped,
        "want": case.want_of.get(version, case.want),
        "is_damaged": case.is_damaged,
    }


def _run(argv: list[str], case: Case) -> Finished:
    if case.signal is None:
        return run(argv, limits=case.limits or UNLIMITED, cancel=CancelToken(), env=case.env)
    started = threading.Event()

    def send() -> None:  # from outside: by the name of the output, which only this process has
        started.wait(5)
        time.sleep(0.7)
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            if cmdline.exists() and cmdline.read_bytes().startswith("\0".join(argv).encode()):
                os.kill(int(cmdline.parent.name), case.signal or 0)

    sender = threading.Thread(target=send)
    sender.start()
    started.set()
    try:
        return run(argv, limits=case.limits or UNLIMITED, env=case.env)
    finally:
        sender.join()


def prepare_outputs(outputs: Path) -> list[Path]:
    """Make the places where outputs cannot be written; return what has to be unmounted."""
    outputs.chmod(0o755)
    closed, small, full, read_only = (outputs / name for name in ("closed", "small", "full", "ro"))
    for place in (closed, small, full, read_only):
        place.mkdir()
    for place, options in ((small, "size=100k"), (full, "size=8k"), (read_only, "size=8k")):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)
    (full / "filler").write_bytes(b"x" * 4096)
    subprocess.run(["mount", "-o", "remount,ro", str(read_only)], check=True)
    return [small, full, read_only]


def main() -> None:
    """Record the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="a regular expression for the names of the cases")
    parser.add_argument("ffmpeg", nargs="+")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelpress-record-") as scratch:
        Path(scratch).chmod(0o755)
        inputs, outputs = Path(scratch, "inputs"), Path(scratch, "outputs")
        inputs.mkdir()
        outputs.mkdir()
        make_inputs(wanted.ffmpeg[0], inputs)
        mounted: list[Path] = []
        try:
            mounted = prepare_outputs(outputs)
            for ffmpeg in wanted.ffmpeg:
                record_all(CASES, ffmpeg, inputs, outputs, wanted.only or "")
        finally:
            for place in mounted:
                subprocess.run(["umount", str(place)], check=True)


def record_all(cases: dict[str, Case], ffmpeg: str, inputs: Path, outputs: Path, only: str) -> None:
    """Record the cases whose names match ``only`` with one FFmpeg, into the folder of its version."""
    banner = run([ffmpeg, "-version"]).stdout.decode()
    version = re.search(r"version n?(\d+(\.\d+)+)", banner)
    if version is None:
        raise SystemExit(f"{ffmpeg}: no version in {banner[:80]!r}")
    folder = RECORDINGS / f"ffmpeg-{version[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in cases.items():
        if re.search(only, name):
            recording = record(ffmpeg, version[1], case, inputs, outputs)
            (folder / f"{name}.json").write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n")
            print(f"{version[1]:8} {name:40} {recording['returncode']:4} {recording['want']}")
            for left in outputs.rglob("o.*"):
                left.unlink()


if __name__ == "__main__":
    main()
