"""What a service in memory has of a video: files made once by FFmpeg, and what analysis says of it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from clips import X264, make

DURATION_S = 24
FPS = 25
CUTS_S = (6.0, 13.2, 19.0)
Json = dict[str, Any]


class Media:
    """What the service has of one video: its proxy, thumbnails, waveform, and what stands for a finished short."""

    def __init__(self, folder: Path, *, source: Path | None = None, cuts_s: tuple[float, ...] = CUTS_S) -> None:
        self.folder, self.cuts_s = folder, cuts_s
        self.proxy, self.short, self.sprites = folder / "proxy.mp4", folder / "short.mp4", folder / "sprites.jpg"
        self.duration_s = float(DURATION_S)
        if source is None:
            drawn = ("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={FPS}:duration={DURATION_S}")
            tone = ("-f", "lavfi", "-i", f"sine=frequency=300:duration={DURATION_S}")
            make(self.proxy, *drawn, *tone, *X264, "-g", "25", "-c:a", "aac", "-movflags", "+faststart")
        else:
            shape = "scale=-2:360,fps=25,format=yuv420p"
            make(
                self.proxy,
                "-i",
                f"file:{source}",
                "-t",
                str(DURATION_S),
                "-vf",
                shape,
                *X264,
                "-g",
                "25",
                "-c:a",
                "aac",
            )
        self.columns = self.rows = 5
        size = "scale=160:90,tile=5x5"
        make(self.sprites, "-i", f"file:{self.proxy}", "-vf", f"fps=1,{size}", "-frames:v", "1", "-update", "1")
        shape = "crop=ih*9/16:ih,scale=270:480,setsar=1"
        make(
            self.short,
            "-i",
            f"file:{self.proxy}",
            "-t",
            "2",
            "-vf",
            shape,
            *X264,
            "-c:a",
            "aac",
            "-movflags",
            "+faststart",
        )
        self.peaks = [int(60 + 60 * ((n * 37) % 100) / 100 * ((n // 50) % 3) / 2) for n in range(DURATION_S * 50)]


def a_window(x: float, y: float = 0.5, *, t_s: float = 0.0, zoom: float = 1.0) -> Json:
    """Return a window that holds still."""
    return {"path": [{"t_s": t_s, "x": x, "y": y}], "zoom": zoom}


def a_framing(start_s: float, end_s: float, layout: str, cuts_s: tuple[float, ...] = CUTS_S) -> Json:
    """Return what analysis finds: a still shot, one that follows, and one where nothing was found."""
    edges = [start_s, *(cut for cut in cuts_s if start_s < cut < end_s), end_s]
    shots = []
    for n, (start, end) in enumerate(itertools.pairwise(edges)):
        shot: Json = {"start_s": start, "end_s": end, "layout": "still", "note": None, "subjects": 0, "rule": "faces"}
        if n % 3 == 1:
            path = [
                {"t_s": start, "x": 0.3, "y": 0.5},
                {"t_s": (start + end) / 2, "x": 0.3, "y": 0.5},
                {"t_s": end, "x": 0.7, "y": 0.5},
            ]
            shot |= {"layout": "track", "windows": [{"path": path, "zoom": 1.0}], "subjects": 1}
        elif n % 3 == 2:
            shot |= {"windows": [a_window(0.5)], "rule": "centre", "note": "Nobody was found; the middle is used."}
        else:
            shot |= {"windows": [a_window(0.4, t_s=start)], "subjects": 2}
        if layout == "fit":
            shot |= {"layout": "fit", "windows": []}
        elif layout == "split":
            shot |= {"layout": "split", "windows": [a_window(0.2, t_s=start), a_window(0.8, t_s=start)]}
        elif layout in ("still", "track"):
            shot["layout"] = layout
        shots.append(shot)
    return {"shots": shots, "detector": "haar"}
