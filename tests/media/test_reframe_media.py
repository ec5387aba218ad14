"""Framing of clips made by the test, through real FFmpegs: the right subject, at the right time, once."""

from __future__ import annotations

import tempfile
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.errors import Cancelled, EncodeError, InputError, OutputError, ReelpressError, UsageError
from reelpress.facts.framing import Framing, Shot, middle_at, window_shares
from reelpress.facts.host import HostFacts
from reelpress.probe.media import probe
from reelpress.reframe.analysis import frame_clip
from reelpress.reframe.proxy import read_pictures, take_proxy
from reelpress.run.process import CancelToken
from reelpress.source.opening import open_source
from reelpress.source.probing import probe_stretches

import clips

pytestmark = pytest.mark.media


class Analyst:
    """Frames with one FFmpeg, and one cache for each test."""

    def __init__(self, ffmpeg: str, cache: Path) -> None:
        self.ffmpeg, self.cache, self.cpu_s, self.shares = ffmpeg, cache, list[float](), list[float]()

    def frame(
        self, path: Path, start_s: float, end_s: float, layout: str = "auto", *, by_stretch: bool = False, **more: Any
    ) -> Framing:
        wishes: dict[str, Any] = {
            "ffmpeg": self.ffmpeg, "aspect": Fraction(9, 16), "face_model": None, "cache_dir": self.cache,
            "cancel": CancelToken(), "spend": self.cpu_s.append, "on_share": self.shares.append, **more,
        }  # fmt: skip
        with open_source(path) as source:
            facts = probe_stretches(source, [(start_s, end_s)]) if by_stretch else probe(path)
            return frame_clip(source, facts, start_s=start_s, end_s=end_s, layout=layout, **wishes)  # type: ignore[arg-type]


@pytest.fixture
def analyst(host: HostFacts, tmp_path: Path) -> Analyst:
    return Analyst(host.ffmpegs[0].path, tmp_path / "cache")


def walker(out: Path, x: str = "60+40*t", *more: str, size: str = "640x360", seconds: float = 8) -> Path:
    """A busy block, 60 px wide, that walks in front of bars."""
    block = ("-f", "lavfi", "-i", f"testsrc2=size=60x200:rate=25:duration={seconds}")
    bars = ("-f", "lavfi", "-i", f"smptebars=size={size}:rate=25:duration={seconds}")
    return clips.make(out, *bars, *block, "-filter_complex", f"[0][1]overlay=x='{x}':y=100", *clips.X264, *more)


def two_shots(out: Path, *more: str, after_s: float = 1.48) -> Path:
    """Colour bars of 1.48 s, then a walker: the 38th picture is the first of the second shot."""
    first = ("-f", "lavfi", "-i", f"smptehdbars=size=640x360:rate=25:duration={after_s}")
    second = ("-f", "lavfi", "-i", "testsrc=size=640x360:rate=25:duration=2.52")
    graph = "[0]setsar=1[a];[1]setsar=1[b];[a][b]concat=n=2"
    return clips.make(out, *first, *second, "-filter_complex", graph, *clips.X264, *more)


def middle_px(shot: Shot, t_s: float, width: int = 640, height: int = 360) -> float:
    window = shot.windows[0]
    return middle_at(window, t_s, window_shares(width / height, 9 / 16, window.zoom))[0] * width


def test_who_walks_is_followed(analyst: Analyst, tmp_path: Path) -> None:
    (shot,) = analyst.frame(walker(tmp_path / "walk.mp4"), 0.0, 8.0).shots
    assert (shot.start_s, shot.end_s, shot.layout, shot.rule) == (0.0, 8.0, "track", "motion")
    for t_s in (2.0, 3.0, 4.0, 5.0, 6.0, 7.0):
        assert abs(middle_px(shot, t_s) - (90 + 40 * t_s)) < 60  # the window is 202 px wide


def test_times_are_those_of_the_programme_wherever_the_stretch_begins(analyst: Analyst, tmp_path: Path) -> None:
    path = walker(tmp_path / "walk.mp4")
    (shot,) = analyst.frame(path, 3.0, 7.0).shots
    assert (shot.start_s, shot.end_s) == (3.0, 7.0)
    assert abs(middle_px(shot, 5.0) - 290) < 60


def test_who_stands_gets_a_still_window(analyst: Analyst, tmp_path: Path) -> None:
    (shot,) = analyst.frame(walker(tmp_path / "stand.mp4", "450+3*sin(6*t)", seconds=4), 0.0, 4.0).shots
    assert (shot.layout, len(shot.windows[0].path)) == ("still", 1)
    assert abs(middle_px(shot, 2.0) - 480) < 25


@pytest.mark.parametrize("name", ["cut.mp4", "cut.ts", "cut.mkv"])
def test_a_cut_is_exact_to_the_picture(analyst: Analyst, tmp_path: Path, name: str) -> None:
    path = two_shots(tmp_path / name)
    for start_s, end_s in ((0.0, 4.0), (0.8, 3.2)):
        framing = analyst.frame(path, start_s, end_s)
        assert [(shot.start_s, shot.end_s) for shot in framing.shots] == [
            (start_s, pytest.approx(1.48, abs=0.002)), (pytest.approx(1.48, abs=0.002), end_s),
        ]  # fmt: skip


@pytest.mark.parametrize("by_stretch", [False, True])
def test_a_cut_is_exact_where_a_transport_stream_is_sought(
    analyst: Analyst, tmp_path: Path, *, by_stretch: bool
) -> None:
    silent = two_shots(tmp_path / "cut.mkv", "-bf", "2", after_s=16.48)
    path = clips.make(
        tmp_path / "cut.ts", "-itsoffset", "0.5", "-i", str(silent), *clips.tone(seconds=19), "-map", "0:v", "-map",
        "1:a", "-c:v", "copy", "-c:a", "aac",
    )  # fmt: skip
    framing = analyst.frame(path, 15.0, 18.0, by_stretch=by_stretch)
    assert [shot.end_s for shot in framing.shots] == [pytest.approx(16.48, abs=0.002), 18.0]


def test_times_run_on_where_pictures_change_their_size(host: HostFacts, tmp_path: Path) -> None:
    one = clips.plain(tmp_path / "one.ts", size="320x180", seconds=1)
    two = clips.plain(tmp_path / "two.ts", "-output_ts_offset", "1", size="480x270", seconds=2)
    path = tmp_path / "in.ts"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    facts, target = probe(path), tmp_path / "pictures.mkv"
    assert facts.main_video is not None
    with open_source(path) as source:
        looks = take_proxy(
            source, facts, facts.main_video, ffmpeg=host.ffmpegs[0].path, start_s=0.4, end_s=2.4, target=target,
            cancel=CancelToken(), spend=lambda _cpu_s: None, on_share=lambda _share: None,
        )  # fmt: skip
    assert [look.t_s for look in looks] == [pytest.approx(0.04 * number, abs=0.002) for number in range(50)]
    seen = list(read_pictures(target))
    assert [t_s for t_s, _ in seen] == [pytest.approx(0.2 * number, abs=0.002) for number in range(10)]
    assert len({picture.shape for _, picture in seen}) == 1


def slides(out: Path) -> Path:
    """Three pictures of 8 s each, which are there once: bars, a pattern, bars."""
    names = ("smptebars", "testsrc")
    bars, pattern = (("-f", "lavfi", "-i", f"{name}=size=640x360:rate=1/8:duration=24") for name in names)
    graph = "[0][1]overlay=enable='between(t,8,15)'"
    return clips.make(out, *bars, *pattern, "-filter_complex", graph, *clips.X264)


def test_a_picture_that_is_held_is_seen_as_long_as_it_is_shown(host: HostFacts, tmp_path: Path) -> None:
    path, target = slides(tmp_path / "slides.mp4"), tmp_path / "pictures.mkv"
    facts = probe(path)
    assert facts.main_video is not None

    def look(start_s: float, end_s: float) -> tuple[list[float], list[tuple[float, float]]]:
        with open_source(path) as source:
            looks = take_proxy(
                source, facts, facts.main_video, ffmpeg=host.ffmpegs[0].path, start_s=start_s, end_s=end_s,  # type: ignore[arg-type]
                target=target, cancel=CancelToken(), spend=lambda _cpu_s: None, on_share=lambda _share: None,
            )  # fmt: skip
        return [one.t_s for one in looks], [(t_s, float(picture.mean())) for t_s, picture in read_pictures(target)]

    times, pictures = look(4.0, 20.0)
    assert times == [0.0, 4.0, 12.0]
    assert [t_s for t_s, _ in pictures] == [pytest.approx(0.2 * number, abs=0.001) for number in range(80)]
    bars, pattern = pictures[0][1], pictures[30][1]
    assert abs(bars - pattern) > 10
    for t_s, mean in pictures:
        assert mean == pytest.approx(pattern if 3.9 < t_s < 11.9 else bars, abs=2)
    for start_s, end_s, shown in ((10.0, 15.0, pattern), (18.0, 23.0, bars)):  # nothing begins within
        times, pictures = look(start_s, end_s)
        assert times == [0.0]
        assert [mean for _, mean in pictures] == [pytest.approx(shown, abs=2)] * 25


def test_a_cut_is_found_between_pictures_that_are_held(analyst: Analyst, tmp_path: Path) -> None:
    path = slides(tmp_path / "slides.mp4")
    shots = analyst.frame(path, 4.0, 20.0).shots
    assert [(shot.start_s, shot.end_s) for shot in shots] == [(4.0, 8.0), (8.0, 16.0), (16.0, 20.0)]
    assert len(analyst.frame(path, 18.0, 23.0).shots) == 1


def test_a_turned_picture_is_framed_as_it_is_shown(analyst: Analyst, tmp_path: Path) -> None:
    flat = walker(tmp_path / "flat.mp4", "450", size="640x360", seconds=3)
    upright = clips.rotated(tmp_path / "upright.mp4", flat, 90)
    (shot,) = analyst.frame(upright, 0.0, 3.0).shots
    assert shot.rule == "whole"
    (square,) = analyst.frame(upright, 0.0, 3.0, aspect=Fraction(1)).shots
    # counter-clockwise: what was right is on top
    assert middle_at(square.windows[0], 1.0, window_shares(360 / 640, 1.0, 1.0))[1] < 0.4


def test_a_second_look_costs_none(analyst: Analyst, tmp_path: Path) -> None:
    path = walker(tmp_path / "walk.mp4", seconds=3)
    first = analyst.frame(path, 0.0, 3.0)
    assert sum(analyst.cpu_s) > 0
    assert analyst.shares == sorted(analyst.shares)
    assert analyst.shares[-1] == 1.0
    analyst.cpu_s.clear()
    assert analyst.frame(path, 0.0, 3.0) == first
    assert analyst.frame(path, 0.0, 3.0, "split").shots[0].layout == "split"
    assert analyst.cpu_s == []
    next(analyst.cache.rglob("*.json")).write_bytes(b"{")
    assert analyst.frame(path, 0.0, 3.0) == first
    assert analyst.cpu_s != []


def test_what_cannot_be_framed_is_an_error(analyst: Analyst, tmp_path: Path) -> None:
    path = walker(tmp_path / "walk.mp4", seconds=2)
    with pytest.raises(InputError, match="could be decoded"):
        analyst.frame(path, 5.0, 6.0)
    with pytest.raises(UsageError, match="no length"):
        analyst.frame(path, 1.0, 1.0)
    sound = clips.make(tmp_path / "sound.m4a", *clips.tone(), "-c:a", "aac")
    facts = msgspec.structs.replace(probe(path), video=())
    with open_source(sound) as source, pytest.raises(InputError, match="no pictures"):
        frame_clip(
            source, facts, ffmpeg=analyst.ffmpeg, start_s=0.0, end_s=1.0, layout="auto", aspect=Fraction(9, 16),
            face_model=None, cache_dir=tmp_path, cancel=CancelToken(), spend=analyst.cpu_s.append,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "error"),
    [
        ("echo '[error] av_interleaved_write_frame(): No space left on device' >&2; exit 228", OutputError),
        ("kill -KILL $$", EncodeError),
        ("echo '[error] Cannot allocate memory' >&2; exit 244", EncodeError),
    ],
)
def test_a_look_that_was_broken_off_is_no_look(
    analyst: Analyst, tmp_path: Path, ends: str, error: type[ReelpressError]
) -> None:
    path = walker(tmp_path / "walk.mp4", seconds=4)
    whole, broken = analyst.ffmpeg, tmp_path / "ffmpeg"
    # shows most of the stretch, and then ends as on a full disk, or as one that somebody else ends
    broken.write_text(f'#!/bin/sh\n{whole} -t 3.5 "$@"\n{ends}\n')
    broken.chmod(0o755)
    analyst.ffmpeg = str(broken)
    with pytest.raises(error):
        analyst.frame(path, 0.0, 4.0)
    assert not list(analyst.cache.rglob("*.json"))
    analyst.ffmpeg = whole
    assert analyst.frame(path, 0.0, 4.0).shots[0].rule == "motion"


def test_a_stretch_with_damage_is_framed_by_what_can_be_seen(analyst: Analyst, tmp_path: Path) -> None:
    path = walker(tmp_path / "walk.mp4", seconds=4)
    damaged = tmp_path / "ffmpeg"
    damaged.write_text(
        f'#!/bin/sh\n{analyst.ffmpeg} -t 3.5 "$@"\necho "[error] Decode error rate 1 exceeds maximum" >&2; exit 69\n'
    )
    damaged.chmod(0o755)
    analyst.ffmpeg = str(damaged)
    assert analyst.frame(path, 0.0, 4.0).shots[0].rule == "motion"


def test_a_cancel_leaves_nothing(analyst: Analyst, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    path = walker(tmp_path / "walk.mp4", seconds=4)
    for share in (0.0, 0.6):  # while FFmpeg decodes, and while pictures are looked at
        cancel = CancelToken()

        def on_share(done: float, share: float = share, cancel: CancelToken = cancel) -> None:
            if done >= share:
                cancel.cancel()

        with pytest.raises(Cancelled):
            analyst.frame(path, 0.0, 4.0, cancel=cancel, on_share=on_share)
    assert list(scratch.iterdir()) == []
    assert not list(analyst.cache.rglob("*.json"))


def test_stretches_are_framed_side_by_side(analyst: Analyst, tmp_path: Path) -> None:
    path = walker(tmp_path / "walk.mp4", seconds=6)
    alone = [analyst.frame(path, float(at), at + 2.0) for at in range(3)]
    for file in analyst.cache.rglob("*.json"):
        file.unlink()
    found: dict[int, Framing] = {}
    threads = [
        threading.Thread(target=lambda at=at: found.update({at: analyst.frame(path, float(at), at + 2.0)}))
        for at in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[at] for at in range(3)] == alone


@pytest.mark.parametrize("by_stretch", [False, True])
def test_a_still_end_is_framed_by_its_last_picture(analyst: Analyst, tmp_path: Path, by_stretch: bool) -> None:
    source = clips.ends_still(tmp_path / "in.mp4", "-preset", "medium", until_s=30)
    (shot,) = analyst.frame(source, 20.0, 25.0, by_stretch=by_stretch).shots
    assert (shot.start_s, shot.end_s) == (20.0, 25.0)
