"""An opinion that is not ours: Debian's ffprobe on an output, compared with the same ffprobe on the input."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

FFPROBE = shutil.which("ffprobe")


def ffprobe(path: Path, *, count: bool = False) -> dict[str, Any]:
    """Return ffprobe's JSON for a file; ``count`` decodes and counts the frames of the first video stream."""
    extra = ["-count_frames", "-select_streams", "v:0"] if count else []
    done = subprocess.run(
        [FFPROBE or "ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", *extra,
         "-of", "json", "-i", f"file:{path}"],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def complaints(source: dict[str, Any], output: Path, *, box: tuple[int, int] = (1280, 720)) -> list[str]:
    """Return what is wrong with an encoded H.264 output: streams, size, rotation, colour, duration, faststart."""
    out = ffprobe(output)
    found: list[str] = []
    videos = [s for s in out["streams"] if s["codec_type"] == "video"]
    if len(videos) != 1:
        return [f"{len(videos)} video streams"]
    video = videos[0]
    width, height = video["width"], video["height"]
    if video["codec_name"] != "h264" or video["pix_fmt"] != "yuv420p":
        found.append(f"{video['codec_name']} {video['pix_fmt']}")
    if max(width, height) > max(box) or min(width, height) > min(box) or width % 2 or height % 2:
        found.append(f"size {width}x{height}")
    if any("rotation" in side for side in video.get("side_data_list", [])):
        found.append("a rotation flag")
    if video.get("sample_aspect_ratio", "1:1") not in ("1:1", "N/A"):
        found.append(f"sample aspect ratio {video['sample_aspect_ratio']}")
    if video.get("color_transfer") in ("smpte2084", "arib-std-b67") or video.get("color_primaries") == "bt2020":
        found.append(f"HDR tags {video.get('color_transfer')}/{video.get('color_primaries')} on 8-bit video")
    if video.get("field_order", "progressive") not in ("progressive", "unknown"):
        found.append(f"field order {video['field_order']}")
    found += _shape(source, video)
    sounds_in = [s for s in source["streams"] if s["codec_type"] == "audio" and int(s.get("channels") or 0) > 0]
    sounds_out = [s for s in out["streams"] if s["codec_type"] == "audio"]
    if len(sounds_in) != len(sounds_out):
        found.append(f"{len(sounds_out)} of {len(sounds_in)} audio streams")
    if any(s["codec_name"] != "aac" for s in sounds_out):
        found.append("audio that is not AAC")
    raw = output.read_bytes()[: 64 * 2**20]
    if raw.find(b"moov") > raw.find(b"mdat") > 0:
        found.append("moov after mdat")
    return found


def _shape(source: dict[str, Any], video: dict[str, Any]) -> list[str]:
    """Compare display aspect ratios, turned by the source's rotation; the pixel may round."""
    originals = [
        s for s in source["streams"]
        if s["codec_type"] == "video" and s.get("width") and not s["disposition"]["attached_pic"]
    ]  # fmt: skip
    if not originals:
        return []
    track = max(originals, key=lambda s: s["width"] * s["height"])
    num, _, den = track.get("sample_aspect_ratio", "1:1").partition(":")
    sar = int(num) / int(den) if num.isdigit() and den.isdigit() and int(num) and int(den) else 1.0
    width, height = track["width"] * sar, float(track["height"])
    turns = [int(d["rotation"]) for d in track.get("side_data_list", []) if "rotation" in d]
    if turns and turns[0] % 180:
        width, height = height, width
    tolerance = 2.5 / min(video["width"], video["height"])
    off = abs(video["width"] / video["height"] / (width / height) - 1)
    found = [] if off <= tolerance else [f"shape {video['width']}x{video['height']} of {width:.0f}x{height:.0f}"]
    if video["width"] > width + 1 or video["height"] > height + 1:
        found.append(f"enlarged from {width:.0f}x{height:.0f}")
    return found
