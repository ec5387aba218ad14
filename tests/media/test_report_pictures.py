"""Frames in the HTML report are the frames that were scored, whatever the container does to times."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from reelpress.errors import OutputError
from reelpress.facts.quality import Measuring
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality import report_frames
from reelpress.quality.graph import Side
from reelpress.quality.measure import measure
from reelpress.quality.report_frames import PictureError, WorstFrame, take_pictures
from reelpress.quality.report_html import ReportEntry, write_report

import clips

pytestmark = pytest.mark.media
HOST = probe_host()

# every frame of one grey, by which it is known again: 18, 22, 26...
GREYS = ("-f", "lavfi", "-i", "nullsrc=size=160x96:rate=25:duration=2,geq=lum='18+4*N':cb=128:cr=128")
QP0 = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", "-g", "12")


def frame_of(jpeg: bytes) -> int:
    """Which of the greys a picture is."""
    command = [
        clips.ffmpeg(),
        "-v",
        "error",
        "-f",
        "jpeg_pipe",
        "-i",
        "-",
        "-vf",
        "scale=1:1:flags=area",
        "-f",
        "rawvideo",
    ]
    done = subprocess.run([*command, "-pix_fmt", "gray", "-"], input=jpeg, capture_output=True, check=True)
    return round((done.stdout[0] * 219 / 255 + 16 - 18) / 4)


@pytest.mark.parametrize(("name", "more"), [
    ("made.mp4", ()), ("made.mkv", ("-output_ts_offset", "1.4")), ("made.ts", ()),
])  # fmt: skip
def test_both_frames_are_those_of_the_time(tmp_path: Path, name: str, more: tuple[str, ...]) -> None:
    reference = clips.make(tmp_path / "in.mp4", *GREYS, *QP0, "-bf", "2")
    made = clips.make(tmp_path / name, "-i", f"file:{reference}", *QP0, *more)
    facts = probe(reference), probe(made)
    compared = measure(reference, facts[0], made, facts[1], how=Measuring(whole=True), host=HOST)
    assert compared.verdict == "measured", compared.cause
    scorer = HOST.scorer
    assert scorer is not None
    wanted = [WorstFrame(at_s=n / 25, vmaf=0.0) for n in (0, 7, 30, 49)]
    shown = take_pictures(scorer.path, compared, *facts, wanted, tmp_path)
    assert [(frame_of(one.reference), frame_of(one.encoded)) for one in shown] == [(n, n) for n in (0, 7, 30, 49)]


def test_frames_of_an_encode_that_is_late_are_those_that_were_scored_together(tmp_path: Path) -> None:
    reference = clips.make(tmp_path / "in.mp4", *GREYS, *QP0)
    late = ("-vf", "tpad=start=3:start_mode=clone,trim=end_frame=50")
    made = clips.make(tmp_path / "made.mp4", "-i", f"file:{reference}", *late, *QP0)
    facts = probe(reference), probe(made)
    compared = measure(reference, facts[0], made, facts[1], how=Measuring(whole=True), host=HOST)
    assert compared.lag_s == pytest.approx(-3 / 25, abs=0.002)
    scorer = HOST.scorer
    assert scorer is not None
    shown = take_pictures(scorer.path, compared, *facts, [WorstFrame(at_s=n / 25, vmaf=0.0) for n in (7, 30)], tmp_path)
    assert [(frame_of(one.reference), frame_of(one.encoded)) for one in shown] == [(7, 7), (30, 30)]


def test_a_picture_that_stays_for_long_is_shown_and_one_that_fails_takes_no_other_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The reference shows its tenth picture for 1.4 s, which the encode repeats."""
    paused = ("-vf", "select='lt(n,10)+gte(n,45)'", "-fps_mode", "vfr")
    reference = clips.make(tmp_path / "in.mp4", *GREYS, *QP0, *paused)
    made = clips.make(tmp_path / "made.mp4", "-i", f"file:{reference}", *QP0, "-r", "25")
    facts = probe(reference), probe(made)
    compared = measure(reference, facts[0], made, facts[1], how=Measuring(whole=True), host=HOST)
    scorer = HOST.scorer
    assert scorer is not None
    wanted = [WorstFrame(at_s=at_s, vmaf=0.0) for at_s in (0.08, 1.0, 1.6)]
    shown = take_pictures(scorer.path, compared, *facts, wanted, tmp_path)
    assert [(frame_of(one.reference), frame_of(one.encoded)) for one in shown] == [(2, 2), (9, 9), (9, 9)]

    taken = report_frames._shown_at

    def fails(ffmpeg: str, side: Side, at_s: float, *more: Any) -> bytes:
        if at_s == 1.0:
            raise PictureError("The frame could not be taken out.")
        return taken(ffmpeg, side, at_s, *more)

    monkeypatch.setattr(report_frames, "_shown_at", fails)
    rest = take_pictures(scorer.path, compared, *facts, wanted, tmp_path)
    assert [one.frame.at_s for one in rest] == [0.08, 1.6]


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    reference = clips.plain(tmp_path / "in.mp4")
    made = clips.make(tmp_path / "<i>made.mp4", "-i", f"file:{reference}", *clips.X264, "-crf", "40")
    facts = probe(reference), probe(made)
    compared = measure(reference, facts[0], made, facts[1], how=Measuring(whole=True), host=HOST)
    scorer = HOST.scorer
    assert scorer is not None
    one = ReportEntry(comparison=compared, reference=facts[0], encoded=facts[1])
    target = tmp_path / "report.html"
    target.write_text("before", encoding="utf-8")
    write_report(target, [one], ffmpeg=scorer.path)
    text = target.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 2 * text.count('<figure class="pair"') > 0
    assert "&lt;i&gt;made.mp4" in text
    with pytest.raises(OutputError):
        write_report(tmp_path / "no" / "such" / "report.html", [one], ffmpeg=scorer.path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["<i>made.mp4", "in.mp4", "report.html"]
