"""Measurements on real outputs, by PyAV and NumPy: where things are in the picture, when they are seen and heard."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from clips import X264, make

FLASH_S = 1.0


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    """Every frame as (time in seconds, RGB array)."""
    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(f.time) for f in container.decode(video=0)]


def corners(picture: np.ndarray) -> tuple[str, str, str, str]:
    """Colours of the corners: top left, top right, bottom left, bottom right."""
    height, width, _ = picture.shape
    h, w = height // 8, width // 8
    spots = (picture[:h, :w], picture[:h, -w:], picture[-h:, :w], picture[-h:, -w:])
    return tuple(_name(spot.reshape(-1, 3).mean(axis=0)) for spot in spots)  # type: ignore[return-value]


def _name(rgb: np.ndarray) -> str:
    known = {"red": (230, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 230), "white": (235, 235, 235)}
    return min(known, key=lambda name: float(np.abs(np.array(known[name]) - rgb).sum()))


def four_corners(out: Path, *options: str, size: tuple[int, int] = (320, 180), encode: tuple[str, ...] = X264) -> Path:
    """A picture with red, green, blue and white quarters (top left first), for two seconds, at a wasteful bit rate."""
    w, h = size[0] // 2, size[1] // 2
    graph = (
        f"color=red:s={w}x{h}:d=2:r=25[a];color=green:s={w}x{h}:d=2:r=25[b];"
        f"color=blue:s={w}x{h}:d=2:r=25[c];color=white:s={w}x{h}:d=2:r=25[d];"
        "[a][b]hstack[t];[c][d]hstack[u];[t][u]vstack,noise=alls=12:allf=t"
    )
    return make(out, "-f", "lavfi", "-i", graph, *encode, "-crf", "4", *options)


def four_corners_in_ycgco(out: Path) -> Path:
    """The same picture in YCgCo, which FFmpeg's scaler does not know."""
    known = "format=gbrp,zscale=min=gbr:m=ycgco:r=tv,format=yuv444p,setparams=colorspace=bt709,format=yuv420p"
    return four_corners(out, "-vf", f"{known},setparams=colorspace=ycgco", "-x264-params", "colormatrix=YCgCo")


def flash_and_beep(out: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    """White from 1.0 s to 1.2 s with a tone over just that stretch; noise elsewhere so that encoding pays."""
    shown = f"between(t,{FLASH_S},{FLASH_S + 0.2})"
    video = f"color=black:s=320x180:r=25:d=3,noise=alls=20:allf=t,drawbox=c=white:t=fill:enable='{shown}'"
    sound = f"aevalsrc='0.6*sin(2*PI*1000*t)*{shown}':s=48000:d=3"
    return make(out, *before, "-f", "lavfi", "-i", video, "-f", "lavfi", "-i", sound, *X264, "-crf", "4", *options)


def flash_time(path: Path) -> float:
    """When the picture turns white."""
    return next(time for time, picture in frames(path) if picture.mean() > 180)


def beep_time(path: Path) -> float:
    """When sound begins, to the millisecond."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().astype(np.float64)
            samples = samples.reshape(-1) if samples.shape[0] == 1 else samples[0]
            scale = 32768 if frame.format.name.startswith("s16") else 1
            loud = np.flatnonzero(np.abs(samples) / scale > 0.1)
            if loud.size:
                step = 1 if frame.format.is_planar else len(frame.layout.channels)
                return float(frame.time) + float(loud[0]) / step / frame.sample_rate
    raise AssertionError(f"no beep in {path}")


def offset_ms(path: Path) -> float:
    """How much later the beep is heard than the flash is seen; both are sampled by frame, so ±20 ms is exact."""
    return 1000 * (beep_time(path) - flash_time(path))


def average_rate(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
    assert rate is not None
    return rate
