"""A comparison as values, for tests of what is made of it."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from reelpress.facts.quality import (
    ComparedFile,
    Comparison,
    Finding,
    FrameScores,
    Measuring,
    SelfTest,
    Window,
)
from reelpress.quality.report_frames import Pictures, worst_frames
from reelpress.quality.report_html import ReportEntry, page
from reelpress.quality.vmaf import pool

import factories

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' --> \x1b[2J\u202egpj.\udcff.mp4"
# 16x9 pixels of grey
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAgAAAQABAAD/2wBDAAg+Pkk+SVVVVVVVVWRdZGhoaGRkZGRoaGhwcHCDg4NwcHBoaHBwfHyDg4+Tj4eHg4eTk5ubm7q6srLZ"
    "2eD/////xABKAAEAAAAAAAAAAAAAAAAAAAAAAQEAAAAAAAAAAAAAAAAAAAAAEAEAAAAAAAAAAAAAAAAAAAAAEQEAAAAAAAAAAAAAAAAAAAAA/8AA"
    "EQgACQAQAwEiAAIRAAMRAP/aAAwDAQACEQMRAD8AAA//2Q=="
)


def scores(frames: int, of: Callable[[int], float], fps: float = 25.0) -> FrameScores:
    at_s = tuple(n / fps for n in range(frames))
    vmaf = tuple(of(n) for n in range(frames))
    psnr = tuple(30 + v / 5 for v in vmaf)
    return FrameScores(at_s=at_s, vmaf=vmaf, psnr_y_db=psnr, psnr_cb_db=psnr, psnr_cr_db=psnr)


def comparison(name: str = "a.mp4", dip: float = 60.0) -> Comparison:
    """Eight seconds at 25 frames a second, good but for a dip at the third second."""
    made = scores(200, lambda n: 94 + 3 * math.sin(n / 5) - (dip if 75 <= n < 90 else 0))
    file = {"codec": "h264", "width": 320, "height": 180, "fps": 25.0, "frames": 200, "pix_fmt": "yuv420p"}
    return Comparison(
        verdict="measured", reference=ComparedFile(path="/videos/in.mov", size_bytes=4_000_000, duration_s=8.0, **file),
        encoded=ComparedFile(path=f"/videos/{name}", size_bytes=1_000_000, duration_s=8.0, **file), how=Measuring(),
        model="vmaf_v0.6.1", viewing="1080p", width=320, height=180, pix_fmt="yuv420p",
        windows=(Window(start_s=0.0, duration_s=8.0),), scored_s=8.0, programme_s=8.0, frames=200, looked_frames=200,
        vmaf=pool(made.vmaf, made.at_s), psnr_y_db=pool(made.psnr_y_db, made.at_s),
        psnr_cb_db=pool(made.psnr_cb_db, made.at_s), psnr_cr_db=pool(made.psnr_cr_db, made.at_s), by_frame=made,
        self_test=SelfTest(passed=True, frames=8, vmaf=97.43),
        findings=(Finding(code="other_size", text=f"It is called {name}.", severity="note", evidence=name),),
        mapped=("The encode, 320x180, is brought to 640x360.",), ffmpeg="9.0", cpu_s=3.2, wall_s=1.8,
    )  # fmt: skip


def damaged(name: str = "a.mp4") -> Comparison:
    lost = Finding(code="frames_lost", text="3 frames are missing.", evidence="at frames 20 to 22", at_s=0.8)
    return msgspec.structs.replace(comparison(name), findings=(lost,))


PICTURES = tuple(
    Pictures(frame=frame, reference=JPEG, encoded=JPEG)
    for frame in worst_frames(comparison().by_frame or scores(0, float))
)


def entry(name: str = "a.mp4", **more: Any) -> ReportEntry:
    media = factories.media(factories.video())
    return ReportEntry(comparison=comparison(name), reference=media, encoded=media, **more)


def report(*entries: ReportEntry, pictures: Sequence[Pictures] = PICTURES, **more: Any) -> str:
    now = datetime(2026, 11, 22, 6, tzinfo=UTC)
    return page(entries, [pictures for _ in entries], now=now, **more)
