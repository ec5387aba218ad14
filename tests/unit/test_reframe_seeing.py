"""What is seen in pictures: cuts, faces, movement; where the model for faces comes from."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from reelpress.errors import NetError, UsageError
from reelpress.probe.scenes import CutReader
from reelpress.probe.shots import Look, find_cuts
from reelpress.reframe.cache import evidence_cache
from reelpress.reframe.evidence import Evidence, Sample
from reelpress.reframe.face_model import FILE_NAME, download_face_model, find_face_model, models_folder
from reelpress.reframe.faces import HaarFaces, YuNetFaces, open_detector
from reelpress.reframe.movement import Movement, texture
from reelpress.reframe.proxy import limits_of

import factories
from face_net import make_face_net

ROOT = Path(__file__).resolve().parents[2]


def looks(differences: Sequence[float], black: Sequence[int] = ()) -> list[Look]:
    """Return looks at 25 pictures a second, scored as FFmpeg's scdet does."""
    before = 0.0
    found = []
    for index, difference in enumerate(differences):
        score = min(difference, abs(difference - before))
        found.append(
            Look(t_s=index / 25, difference=difference, score=score, black_percent=99 if index in black else 0)
        )
        before = difference
    return found


def cuts(differences: Sequence[float], black: Sequence[int] = ()) -> list[float]:
    return find_cuts(looks(differences, black), len(differences) / 25)


def test_a_cut_is_where_the_new_shot_begins() -> None:
    assert cuts([0.5] * 50 + [20.0] + [0.5] * 50) == [2.0]


def test_a_cut_between_dark_scenes_is_found_and_restless_pictures_are_no_cuts() -> None:
    assert cuts([0.3] * 50 + [3.0] + [0.3] * 50) == [2.0]
    assert cuts([3.0, 2.2] * 25 + [6.0] + [2.5, 3.5] * 25) == []


def test_pictures_that_repeat_are_no_cuts() -> None:
    assert cuts([0.0, 3.0] * 60) == []


def test_a_passage_through_black_is_a_cut_in_its_middle() -> None:
    assert cuts([1.0] * 100, black=range(40, 60)) == [2.0]
    assert cuts([1.0] * 100, black=range(20)) == []  # it begins in black
    assert cuts([1.0] * 100, black=range(80, 100)) == []  # and ends there
    assert cuts([0.2] * 40 + [20.0] + [0.2] * 59, black=range(40, 80)) == [1.6]  # a hard cut leads into it
    assert cuts([0.2] * 60 + [20.0] + [0.2] * 39, black=range(20, 60)) == [2.4]  # and out of it


def passing(percents: Sequence[int]) -> list[float]:
    seen = [Look(t_s=n / 25, difference=1.0, score=0.0, black_percent=percent) for n, percent in enumerate(percents)]
    return find_cuts(seen, len(seen) / 25)


def test_a_lit_figure_on_a_dark_stage_passes_through_no_black() -> None:
    assert passing(([98] * 20 + [97] * 20) * 5) == []
    assert passing([0] * 40 + ([98] * 20 + [97] * 20) * 5) == []


def test_a_passage_between_dark_scenes_is_black_all_over() -> None:
    assert passing([95] * 40 + [99] * 5 + [100] * 10 + [99] * 5 + [95] * 40) == [2.0]
    assert passing(([95] * 40 + [100] * 20) * 2 + [95] * 40) == [2.0, 4.4]
    # one under a title is not, and is left for what is not dark
    assert passing([0] * 35 + [95] * 5 + [98] * 20 + [95] * 5 + [0] * 35) == [2.0]


def test_a_flash_is_one_cut_at_most() -> None:
    assert cuts([0.5] * 50 + [30.0, 0.5, 30.0] + [0.5] * 50) == [2.0]
    assert find_cuts([], 1.0) == []


def test_looks_are_read_from_the_lines_of_ffmpeg_and_no_others() -> None:
    reader = CutReader()
    for n, difference in enumerate([0.5] * 50 + [20.0] + [0.5] * 50):
        for line in (
            "progress=continue", f"frame:{n}    pts:{n * 40_000}  pts_time:{n / 25}", f"lavfi.scd.mafd={difference}",
            f"lavfi.scd.score={difference}", "lavfi.scd.score=1.2.3", "lavfi.blackframe.pblack=91",
            # a thumbnail, on a clock of its own
            f"frame:{n // 25}    pts:{n // 25}  pts_time:{n // 25}", "reelpress.tile=1",
        ):  # fmt: skip
            reader.feed(line)
    assert reader.cuts_s(101 / 25) == (2.0,)
    assert CutReader().cuts_s(1.0) == ()


def test_a_picture_behind_one_that_was_held_may_begin_a_shot() -> None:
    """Of slides each differs from the one before, and FFmpeg's score is low behind another change."""
    slides = [Look(t_s=5.0 * n, difference=20.0 if n else 0.0, score=20.0 if n == 1 else 0.1) for n in range(4)]
    assert find_cuts(slides, 20.0) == [5.0, 10.0, 15.0]
    assert find_cuts(slides, 15.1) == [5.0, 10.0]


def test_who_decodes_an_hour_before_the_stretch_may_take_so_long() -> None:
    """As of a file that is read from its beginning, or back to its only keyframe."""

    def most_s(start_s: float, **more: object) -> float:
        track = factories.video(duration_s=7200.0, **more)
        found = limits_of(factories.media(track), track, start_s, 45.0).wall_s
        assert found is not None
        return found

    usual_s = most_s(3600.0, longest_gop_s=2.0)
    assert usual_s == most_s(30.0, longest_gop_s=2.0) == most_s(5.0, longest_gop_s=7200.0)
    assert most_s(3600.0, clock_jumps=True) >= usual_s + 3600
    assert most_s(3600.0, longest_gop_s=7200.0) >= usual_s + 3600


def picture(*squares: tuple[int, int, int], size: tuple[int, int] = (360, 640)) -> np.ndarray:
    """Return a black picture with red squares: left, top, side."""
    made = np.zeros((*size, 3), np.uint8)
    for left, top, side in squares:
        made[top : top + side, left : left + side, 2] = 255
    return made


def test_a_network_like_yunet_is_asked_as_opencv_asks_it(tmp_path: Path) -> None:
    detector = open_detector(make_face_net(tmp_path / "net.onnx"))
    assert isinstance(detector, YuNetFaces)
    faces = detector.look(picture((320, 96, 32), (64, 256, 32)))
    # a box of YuNet's without an offset is centred on its cell's corner
    assert [(round(f.middle[0] * 640), round(f.middle[1] * 360)) for f in faces] == [(320, 96), (64, 256)]
    assert all(round(f.width * 640) == round(f.height * 360) == 32 and f.sure > 0.99 for f in faces)
    assert detector.look(picture(size=(640, 360))) == ()  # pictures may change their size


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"not a network")
    with pytest.raises(UsageError, match="model for faces"):
        open_detector(tmp_path / "net.onnx")


def test_a_network_of_another_kind_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    other = make_face_net(tmp_path / "net.onnx")
    other.write_bytes(other.read_bytes().replace(b"obj_32", b"any_32"))  # without what YuNet's has
    with pytest.raises(UsageError, match="model for faces") as caught:
        open_detector(other)
    assert "blob not found" in (caught.value.evidence or "")


def test_haar_sees_no_faces_in_noise_and_squares() -> None:
    detector = open_detector(None)
    assert isinstance(detector, HaarFaces)
    noise = np.random.default_rng(1).integers(0, 255, (360, 640, 3)).astype(np.uint8)
    for seen in (noise, picture((300, 100, 64)), noise[:20, :20]):
        assert detector.look(seen) == ()
        detector.forget()


def test_movement_is_where_something_moves_and_not_where_the_camera_does() -> None:
    random = np.random.default_rng(2)
    scene = np.repeat(np.repeat(random.integers(40, 200, (60, 120)).astype(np.uint8), 8, 0), 8, 1)
    scene = np.stack([scene] * 3, axis=2)
    movement = Movement()
    assert movement.look(scene[:360, :640]) == ((), ())
    columns, rows = movement.look(scene[:360, :640])
    assert (sum(columns), sum(rows), len(columns), len(rows)) == (0, 0, 32, 16)
    panned, _ = movement.look(scene[4:364, 12:652])
    with_square = scene[4:364, 12:652].copy()
    with_square[100:200, 480:580] = 255
    square, _ = movement.look(with_square)
    assert 480 / 20 - 1 <= np.argmax(square) <= 580 / 20
    assert sum(panned) < 0.3 * sum(square)
    movement.forget()
    assert movement.look(scene[:360, :640]) == ((), ())


@pytest.mark.parametrize("size", [(16, 640), (640, 16)])
def test_movement_has_a_size_in_every_strip_of_a_banner(size: tuple[int, int]) -> None:
    movement = Movement()
    movement.look(picture(size=size))
    columns, rows = movement.look(picture((0, 0, 16), size=size))
    assert (len(columns), len(rows)) == ((32, 16) if size[1] > size[0] else (16, 32))
    assert all(strip >= 0 for strip in (*columns, *rows))
    assert sum(columns) > 0


def test_screens_are_flat_and_sharp() -> None:
    screen = np.full((360, 640, 3), 250, np.uint8)
    screen[:, ::20] = 10
    flat, sharp = texture(screen)
    assert flat > 0.85
    assert sharp > 0.05


def test_evidence_is_kept_and_what_is_broken_is_none(tmp_path: Path) -> None:
    cache = evidence_cache(tmp_path)
    evidence = Evidence(duration_s=2.0, cuts_s=(1.0,), samples=(Sample(t_s=0.0),), detector="haar")
    key = cache.key("content", 0.0, 2.0)
    assert key != cache.key("content", 0.0, 2.1)
    assert cache.find(key) is None
    cache.keep(key, evidence)
    assert cache.find(key) == evidence
    file = next(tmp_path.rglob("*.json"))
    for broken in (b"", b"{", b'{"duration_s": "x"}', b"\xff\xfe", file.read_bytes()[:-9]):
        file.write_bytes(broken)
        assert cache.find(key) is None


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of files: its address, and the file that it has in place of YuNet's."""
    served = tmp_path / "hub"
    file = served / "opencv/face_detection_yunet/resolve/3cc26e7f1014a5ee5d74a42acee58bafc9d0a310" / FILE_NAME
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a network")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", file
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_model_is_downloaded_once_and_only_if_it_is_the_one(
    hub: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, file = hub
    monkeypatch.setenv("HF_ENDPOINT", address)
    folder = models_folder(tmp_path)
    with pytest.raises(NetError, match="not YuNet"):
        download_face_model("yunet", folder)
    assert list(folder.iterdir()) == []
    assert find_face_model("auto", tmp_path) is None
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    found = download_face_model("yunet", folder, sha256=digest)
    assert found.read_bytes() == b"a network"
    assert [each.name for each in folder.iterdir()] == [FILE_NAME]
    file.unlink()
    assert download_face_model("yunet", folder, sha256=digest) == found
    assert find_face_model("auto", tmp_path) == find_face_model("yunet", tmp_path) == found


def test_what_the_setting_names_is_found_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.onnx"
    file.write_bytes(b"x")
    assert find_face_model(str(file), tmp_path) == file
    assert find_face_model("none", tmp_path) is None
    assert find_face_model("auto", tmp_path) is None
    for named in ("yunet", str(tmp_path / "absent.onnx")):
        with pytest.raises(UsageError, match="not here"):
            find_face_model(named, tmp_path)
    with pytest.raises(UsageError, match="no model for faces"):
        download_face_model("retina", tmp_path)


def test_the_command_refuses_what_is_not_the_model(hub: tuple[str, Path], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reelpress", "models", "get", "yunet", "--dir", str(tmp_path / "models")],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_ENDPOINT": hub[0]},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert "is not YuNet" in done.stderr
