"""Hostile names, bytes and kinds of files: a reasoned status, a documented exit code, and nothing else read."""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import reelpress

import clips
import reel

pytestmark = pytest.mark.faults

FORGED = "[error] av_interleaved_write_frame(): No space left on device"
NAMES = {
    "a leading dash": "-x.mp4",
    "an option": "--output=x.mp4",
    "an option of FFmpeg": "-vf.mp4",
    "a drive": "c:x.mp4",
    "a protocol": "http:x.mp4",
    "a protocol of lists": "concat:a.mp4|b.mp4",
    "a protocol of ranges": "subfile,,start,0,end,0,,:x.mp4",
    "a protocol of many outputs": "tee:x.mp4",
    "a percent sign": "100%.mp4",
    "a pattern": "x%03d.mp4",
    "a glob": "[x]*?{a,b}.mp4",
    "quotes": 'it\'s "x" `x` $x $(x).mp4',
    "a backslash": "x\\n\\x.mp4",
    "a line break": "x\ny.mp4",
    "a carriage return": "x\ry.mp4",
    "a tab and a bell": "x\t\a.mp4",
    "a forged error": f"x\n{FORGED}\ny.mp4",
    "a forged error behind a control character": f"x\x01\n{FORGED}\ny.mp4",
    "a forged damage": "x\n[h264 @ 0x1] [error] error while decoding MB 1 1\ny.mp4",
    "a forged account": (
        "x\n[verbose]   Input stream #0:0 (video): 9 packets read (9 bytes); 9 frames decoded; 9 decode errors; \ny.mp4"
    ),
    "forged progress": "x\nout_time_us=9000000000\nprogress=end\ny.mp4",
    "an escape sequence": "x\x1b]0;pwn\x07\x1b[31m.mp4",
    "markup": "[red]x[bold].mp4",
    "accents": "Żółć ñandú.mp4",
    "other scripts": "视频 видео فيديو.mp4",
    "an emoji": "🎬🏳️‍🌈.mp4",
    "a reversal": "x\u202e4pm.mp4",
    "blanks around": " x .mp4",
    "no letters": "....mp4",
    "250 bytes": "n" * 246 + ".mp4",
}
INVALID = {
    "Latin-1": os.fsdecode(b"caf\xe9.mp4"),
    "half a character": os.fsdecode("x€.mp4".encode().replace(b"\xac", b"")),
    "lone bytes": os.fsdecode(b"\xff\xfe\x80.mp4"),
}


def named(folder: Path, name: str, clip: Path) -> Path:
    path = folder / name
    shutil.copy(clip, path)
    return path


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def all_names(tmp_path_factory: pytest.TempPathFactory, short_clip: Path, build: str) -> tuple[Path, reel.Ended]:
    """One run over all names at once, each as an input and as an output."""
    folder = tmp_path_factory.mktemp("names")
    for name in NAMES.values():
        named(folder, name, short_clip)
    ended = reel.compress("-o", "out", "--jobs", "2", "--", *NAMES.values(), cwd=folder, REELPRESS_FFMPEG=build)
    return folder, ended


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.by_turns
def test_a_name_is_only_a_name(all_names: tuple[Path, reel.Ended], short_clip: Path, kind: str):
    folder, ended = all_names
    name = NAMES[kind]
    (receipt,) = [receipt for receipt in ended.receipts if receipt["input"] == name]
    assert (receipt["status"], receipt["exit_code"]) == ("encoded", 0), receipt
    assert receipt["output"] == str(folder / "out" / name)
    assert reel.is_whole(folder / "out" / name)
    assert (folder / name).read_bytes() == short_clip.read_bytes()
    assert [attempt["failure"] for attempt in receipt["attempts"]] == [None]
    assert receipt["warnings"] == []
    assert {gate["verdict"] for gate in receipt["gates"]} == {"passed"}


def test_a_run_over_hostile_names_ends_with_0_and_leaves_only_outputs(all_names: tuple[Path, reel.Ended]):
    folder, ended = all_names
    assert ended.code == 0
    assert len(ended.receipts) == len(NAMES)
    assert reel.names_in(folder / "out") == sorted(NAMES.values())
    assert reel.names_in(folder) == sorted([*NAMES.values(), "out"])


@pytest.mark.parametrize("kind", INVALID)
def test_a_name_need_not_be_text(tmp_path: Path, short_clip: Path, build: str, kind: str):
    name = INVALID[kind]
    named(tmp_path, name, short_clip)
    ended = reel.compress("-o", f"out-{name}", "--", name, cwd=tmp_path, REELPRESS_FFMPEG=build)
    assert (ended.code, ended.receipt["status"]) == (0, "encoded")
    assert reel.names_in(tmp_path) == sorted([name, f"out-{name}"])
    assert reel.is_whole(tmp_path / f"out-{name}")


def test_a_name_that_is_no_text_spoils_no_other_input(tmp_path: Path, short_clip: Path):
    names = ["a.mp4", INVALID["Latin-1"], "z.mp4"]
    for name in names:
        named(tmp_path, name, short_clip)
    ended = reel.compress("-o", "out", "--receipt", "receipts", *names, cwd=tmp_path)
    assert ended.code == 0
    assert [receipt["status"] for receipt in ended.receipts] == ["encoded"] * 3
    assert len([json.loads(line) for line in (tmp_path / "receipts").read_bytes().splitlines()]) == 3
    assert reel.names_in(tmp_path / "out") == sorted(names)


@pytest.mark.parametrize("command", ["probe", "plan"])
@pytest.mark.parametrize("mode", [(), ("--json",)], ids=["text", "json"])
def test_every_command_takes_every_name(tmp_path: Path, short_clip: Path, command: str, mode: tuple[str, ...]):
    for name in (*INVALID.values(), NAMES["a forged error"], NAMES["an escape sequence"], NAMES["a leading dash"]):
        named(tmp_path, name, short_clip)
        ended = reel.reel(command, *mode, "--", name, cwd=tmp_path)
        assert ended.code == 0
        assert b"\x1b" not in ended.stdout + ended.stderr
        if mode:
            assert len(ended.events) == 1


@pytest.mark.parametrize("mode", [(), ("--json",)], ids=["text", "json"])
def test_a_terminal_that_cannot_show_a_name_is_no_obstacle(tmp_path: Path, short_clip: Path, mode: tuple[str, ...]):
    named(tmp_path, NAMES["an emoji"], short_clip)
    arguments = ("compress", *mode, "--preset", "ultrafast", "-o", "out.mp4", NAMES["an emoji"])
    ended = reel.reel(*arguments, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert ended.code == 0
    if mode:
        assert ended.receipt["input"] == NAMES["an emoji"]


# Words that are meant for somebody else ------------------------------------------------------------------------------

TITLE = f"a\n{FORGED}\r{FORGED}\n[fatal] x\n\x1b]0;pwn\x07\x1b[31mred\x9b31m\u202ereversed"


@pytest.fixture(scope="module")
def titled(tmp_path_factory: pytest.TempPathFactory, short_clip: Path) -> Path:
    """A clip whose title, comment, chapter, language and handler say what they should not."""
    folder = tmp_path_factory.mktemp("titled")
    chapters = folder / "chapters.txt"
    escaped = TITLE.replace("\n", "\\\n").replace("=", "\\=").replace(";", "\\;")
    chapters.write_text(
        f";FFMETADATA1\ntitle={escaped}\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle={escaped}\n",
        encoding="utf-8", newline="",
    )  # fmt: skip
    return clips.make(
        folder / "titled.mp4", "-i", str(short_clip), "-i", str(chapters), "-map", "0", "-map_metadata", "1",
        "-map_chapters", "1", "-c", "copy", "-metadata", f"comment={TITLE}", "-metadata:s:v:0",
        f"handler_name={FORGED}", "-metadata:s:v:0", f"title={TITLE}",
    )  # fmt: skip


def test_words_in_a_file_never_change_the_outcome(titled: Path, tmp_path: Path, build: str):
    ended = reel.compress("-o", "out.mp4", titled, cwd=tmp_path, REELPRESS_FFMPEG=build)
    assert (ended.code, ended.receipt["status"]) == (0, "encoded")
    assert [attempt["failure"] for attempt in ended.receipt["attempts"]] == [None]
    assert not [warning for warning in ended.receipt["warnings"] if "damage" in warning]
    probed = next(event for event in ended.events if event["event"] == "probed")
    assert FORGED in probed["facts"]["title"], "the title did come along"


@pytest.mark.parametrize("command", ["compress", "probe", "plan"])
def test_words_in_a_file_never_steer_the_terminal(titled: Path, tmp_path: Path, command: str):
    evil = named(tmp_path, "x\x1b]0;pwn\x07.mp4", titled)
    options = ("--preset", "ultrafast", "-o", "out.mp4") if command == "compress" else ()
    said = on_a_terminal(reel.program(command, *options, evil.name), tmp_path)
    assert b"pwn" in said, "the name is shown"
    for raw in ("\x1b]0;pwn", "\x07", "\x1b[31mred", "\x9b31m", "\u202e"):
        assert raw.encode() not in said


@pytest.mark.parametrize("arguments", [("compress", "{}"), ("probe", "{}/x"), ("compress", "x", "--receipt", "{}/x/y")])
def test_words_in_a_complaint_never_steer_the_terminal(tmp_path: Path, arguments: tuple[str, ...]):
    evil = tmp_path / "x\x1b]0;pwn\x07"
    evil.mkdir()
    said = on_a_terminal(reel.program(*(argument.format(evil.name) for argument in arguments)), tmp_path)
    assert said
    assert b"\x1b]0;pwn" not in said
    assert b"\x07" not in said


def on_a_terminal(command: list[str | bytes | os.PathLike[str]], cwd: Path) -> bytes:
    """Run a program on a terminal of its own and return all it was shown."""
    ours, theirs = pty.openpty()
    try:
        env = reel.environment(TERM="xterm-256color", COLUMNS="100")
        with subprocess.Popen(command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as popen:
            os.close(theirs)
            theirs = -1
            said = b""
            while True:
                try:
                    chunk = os.read(ours, 65536)
                except OSError:  # EIO: nobody holds the other end any more
                    break
                if not chunk:
                    break
                said += chunk
            assert popen.wait(reel.PATIENCE_S) in reel.EXIT_CODES
        return said
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


# Files that name other files -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[int, list[object]]]:
    """A port where nobody must ever call, and who did."""
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    caller, address = server.accept()
                except OSError:
                    return
                calls.append(address)
                caller.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1], calls
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def playlists(secret: Path, port: int) -> dict[str, bytes]:
    """Contents that would make FFmpeg read ``secret`` or call ``port``."""
    url, far = f"file://{secret}", f"http://127.0.0.1:{port}/x.mp4"
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        '<Representation id="1" bandwidth="1" mimeType="video/mp4"><BaseURL>{}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>\n"
    )
    sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    found = {
        "hls-file": hls.format(url), "hls-name": hls.format(secret.name), "hls-http": hls.format(far),
        "hls-after-a-blank": "\n" + hls.format(secret.name), "hls-key": (
            f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{far}"\n#EXTINF:1,\n{secret.name}\n#EXT-X-ENDLIST\n'
        ),
        "ffconcat": f"ffconcat version 1.0\nfile '{secret.name}'\n",
        "ffconcat-http": f"ffconcat version 1.0\nfile '{far}'\n",
        "dash-file": dash.format(url), "dash-http": dash.format(far), "sdp": sdp,
        "pls": f"[playlist]\nFile1={far}\n", "m3u": f"{secret.name}\n",
        "asx": f'<asx><entry><ref href="{far}"/></entry></asx>',
        "smil": f'<smil><body><video src="{far}"/></body></smil>',
        "reference": f"[Reference]\nRef1={far}\n", "rtsptext": f"rtsptext\n{far}\n",
        "imf": f'<?xml version="1.0"?>\n<CompositionPlaylist xmlns="x"><Id>{far}</Id></CompositionPlaylist>\n',
    }  # fmt: skip
    return {name: text.encode() for name, text in found.items()}


PLAYLISTS = list(playlists(Path("/x"), 0))


@pytest.fixture(scope="module")
def listed(
    tmp_path_factory: pytest.TempPathFactory, short_clip: Path, listener: tuple[int, list[object]], build: str
) -> tuple[Path, reel.Ended]:
    """One run over all playlists, each called .mp4, beside the video that they name."""
    folder = tmp_path_factory.mktemp("lists")
    secret = named(folder, "secret.mp4", short_clip)
    for name, content in playlists(secret, listener[0]).items():
        (folder / f"{name}.mp4").write_bytes(content)
    names = [f"{name}.mp4" for name in PLAYLISTS]
    return folder, reel.compress("-o", "out", *names, cwd=folder, REELPRESS_FFMPEG=build)


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_list_of_other_files_is_rejected(
    listed: tuple[Path, reel.Ended], listener: tuple[int, list[object]], name: str
):
    folder, ended = listed
    (receipt,) = [receipt for receipt in ended.receipts if receipt["input"] == f"{name}.mp4"]
    assert (receipt["status"], receipt["exit_code"], receipt["attempts"]) == ("rejected", 3, [])
    assert receipt["error"]
    assert reel.names_in(folder / "out") == []
    assert listener[1] == []


def test_a_list_of_other_files_ends_with_3(listed: tuple[Path, reel.Ended]):
    assert listed[1].code == 3


@pytest.mark.parametrize(
    "name",
    ["http://127.0.0.1:{port}/x.mp4", "tcp://127.0.0.1:{port}", "concat:{secret}", "subfile,,start,0,end,0,,:{secret}",
     "file:{secret}", "pipe:0", "data:video/mp4;base64,AAAA", "crypto:{secret}", "async:{secret}", "-",
     "lavfi:testsrc"],
)  # fmt: skip
def test_a_name_that_looks_like_an_address_is_a_missing_file(
    tmp_path: Path, short_clip: Path, listener: tuple[int, list[object]], name: str
):
    secret = named(tmp_path, "secret.mp4", short_clip)
    ended = reel.compress(
        "-o", "out.mp4", "--", name.format(port=listener[0], secret=secret), cwd=tmp_path
    )  # fmt: skip
    assert (ended.code, ended.receipt["status"]) == (3, "rejected")
    assert reel.names_in(tmp_path) == ["secret.mp4"]
    assert listener[1] == []


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_a_movie_whose_samples_are_elsewhere_is_rejected(tmp_path: Path, build: str, suffix: str):
    secret = clips.plain(tmp_path / "secret.mov", size="64x64", seconds=0.4)
    alias = clips.external_reference(tmp_path / f"alias{suffix}", secret, secret)
    ended = reel.compress("--always-encode", "-o", "out.mp4", alias.name, cwd=tmp_path, REELPRESS_FFMPEG=build)
    assert (ended.code, ended.receipt["status"]) == (3, "rejected")
    assert reel.names_in(tmp_path) == sorted([alias.name, "secret.mov"])


# Kinds of files ------------------------------------------------------------------------------------------------------


def make_odd(folder: Path, clip: Path) -> dict[str, tuple[str, int]]:
    """Make one of each odd kind; return what to expect: status and exit code."""
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "nowhere.mp4").symlink_to("nothing")
    (folder / "empty.mp4").touch()
    (folder / "zeros.mp4").write_bytes(bytes(100_000))
    (folder / "ones.mp4").write_bytes(b"\xff" * 100_000)
    (folder / "text.mp4").write_text("not a video\n" * 1000, encoding="utf-8")
    (folder / "page.mp4").write_text("<!doctype html><title>404</title>", encoding="utf-8")
    (folder / "program.mp4").write_bytes(Path(sys.executable).resolve().read_bytes()[:200_000])
    (folder / "start.mp4").write_bytes(clip.read_bytes()[:100])
    (folder / "pointer.mp4").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    (folder / "archive.mp4").write_bytes(b"PK\x03\x04" + bytes(500))
    for suffix in (".png", ".jpg", ".gif", ".bmp", ".webp"):
        clips.still(folder / f"image{suffix}").rename(folder / f"image{suffix}.mp4")
    (folder / "link.mp4").symlink_to(clip)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket.mp4"))
    found = {path.name: ("rejected", 3) for path in folder.iterdir()}
    return {**found, "link.mp4": ("encoded", 0), "missing.mp4": ("rejected", 3), "/dev/zero": ("rejected", 3),
            "/dev/null": ("rejected", 3), "/proc/self/mem": ("rejected", 3), "empty.mp4/x": ("rejected", 3),
            "loop.mp4/x": ("rejected", 3), "n" * 300: ("rejected", 3)}  # fmt: skip


ODD = [
    "pipe.mp4", "loop.mp4", "nowhere.mp4", "empty.mp4", "zeros.mp4", "ones.mp4", "text.mp4", "page.mp4",
    "program.mp4", "start.mp4", "pointer.mp4", "archive.mp4", "image.png.mp4", "image.jpg.mp4", "image.gif.mp4",
    "image.bmp.mp4", "image.webp.mp4", "link.mp4", "socket.mp4", "missing.mp4", "/dev/zero", "/dev/null",
    "/proc/self/mem", "empty.mp4/x", "loop.mp4/x", "n" * 300,
]  # fmt: skip


@pytest.fixture(scope="module")
def odd(
    tmp_path_factory: pytest.TempPathFactory, short_clip: Path
) -> tuple[Path, dict[str, tuple[str, int]], dict[str, reel.Ended]]:
    """One run per odd file would take minutes: one run over the files, one over what is no file."""
    folder = tmp_path_factory.mktemp("odd")
    before = Path.cwd()
    os.chdir(folder)  # a socket's name has room for 107 bytes
    try:
        expected = make_odd(folder, short_clip)
    finally:
        os.chdir(before)
    assert sorted(expected) == sorted(ODD)
    # names that have no place in an output folder go one by one, to the output's name alone
    alone = [name for name in ODD if "/" in name or len(name) > 255]
    together = [name for name in ODD if name not in alone]
    batch = reel.compress("-o", "out", *together, cwd=folder)
    assert batch.code == 3
    runs = {name: reel.compress("-o", "out/alone.mp4", name, cwd=folder) for name in alone}
    return folder, expected, {**dict.fromkeys(together, batch), **runs}


@pytest.mark.parametrize("name", ODD, ids=lambda name: name[:20])
def test_a_file_of_an_odd_kind_gets_a_reasoned_answer(
    odd: tuple[Path, dict[str, tuple[str, int]], dict[str, reel.Ended]], name: str
):
    folder, expected, runs = odd
    (receipt,) = [receipt for receipt in runs[name].receipts if receipt["input"] == name]
    assert (receipt["status"], receipt["exit_code"]) == expected[name], receipt
    assert bool(receipt["error"]) == (receipt["status"] == "rejected")
    assert receipt["hint"] or receipt["status"] == "encoded"
    assert receipt["wall_s"] < 60
    assert reel.names_in(folder / "out") == ["link.mp4"]


def test_a_file_that_may_not_be_read_is_rejected(tmp_path: Path, short_clip: Path):
    from test_disk import UNPRIVILEGED

    named(tmp_path, "closed.mp4", short_clip).chmod(0o000)
    (tmp_path / "folder").mkdir()
    named(tmp_path / "folder", "x.mp4", short_clip)
    (tmp_path / "folder").chmod(0o000)
    for name in ("closed.mp4", "folder/x.mp4"):
        ended = reel.compress("-o", "out.mp4", name, cwd=tmp_path, prefix=UNPRIVILEGED)
        assert (ended.code, ended.receipt["status"]) == (3, "rejected")
        assert "Permission denied" in ended.receipt["evidence"]
    whole = reel.compress("-o", "out/", "folder", cwd=tmp_path, prefix=UNPRIVILEGED)
    assert (whole.code, whole.receipt["error"]) == (3, "the folder cannot be listed")
    assert whole.receipt["evidence"] == "Permission denied"
    (tmp_path / "folder").chmod(0o755)
    assert reel.names_in(tmp_path) == ["closed.mp4", "folder", "out"]


def test_a_folder_without_videos_is_a_mistake_in_the_command(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    ended = reel.compress("empty", cwd=tmp_path)
    assert ended.code == 2
    assert b"holds no videos" in ended.stderr


def test_a_folder_of_odd_files_yields_its_videos_alone(tmp_path: Path, short_clip: Path):
    folder = tmp_path / "films"
    (folder / "deep" / "dir.mp4").mkdir(parents=True)
    named(folder / "deep", "good.mp4", short_clip)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "round").symlink_to(folder)
    named(folder, ".hidden.mp4", short_clip)
    named(folder, "old.compressed.mp4", short_clip)
    named(folder, f".good.mp4.000000000000{reel.PART}", short_clip)
    ended = reel.compress("-o", "out", "films", cwd=tmp_path)
    assert ended.code == 0
    assert [receipt["input"] for receipt in ended.receipts] == ["films/deep/good.mp4"]


@pytest.mark.parametrize(
    "arguments", [("--nonsense",), (), ("--crf", "nan", "x"), ("--preset", "x\n", "x"), ("-j0", "x")]
)
def test_a_command_that_cannot_be_meant_ends_with_2(tmp_path: Path, arguments: tuple[str, ...]):
    ended = reel.reel("compress", *arguments, cwd=tmp_path)
    assert ended.code == 2
    assert ended.stderr


def test_required_hardware_that_is_absent_ends_with_4(tmp_path: Path, short_clip: Path):
    ended = reel.compress("--hardware", "require", "-o", "out.mp4", short_clip, cwd=tmp_path, PATH="/usr/bin:/bin")
    assert (ended.code, ended.receipt["status"]) == (4, "rejected")
    assert ended.receipt["hint"]


# Headers that lie ----------------------------------------------------------------------------------------------------


def patched(source: Path, out: Path, kind: bytes, at: int, value: bytes, *, every: bool = True) -> Path:
    """Overwrite bytes ``at`` bytes behind the type of a box."""
    raw = bytearray(source.read_bytes())
    place = raw.find(kind)
    assert place >= 0
    while place >= 0:
        raw[place + 4 + at : place + 4 + at + len(value)] = value
        place = raw.find(kind, place + 4) if every else -1
    out.write_bytes(raw)
    return out


def bomb(kind: str, folder: Path, clip: Path) -> Path:
    """Make a small file that asks for a lot."""
    out = folder / "bomb.mp4"
    most = b"\x7f\xff\xff\xff"
    if kind == "hours in every header":
        for box, at in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
            clip = patched(clip, out, box, at, most)
        return out
    if kind == "one frame of hours":
        return patched(clip, out, b"stts", 8 + 4, b"\x10\x00\x00\x00")
    if kind == "a start in a week":
        return patched(clip, out, b"elst", 8, struct.pack(">Ii", 600_000_000, -1), every=False)
    if kind == "four milliard samples":
        return patched(clip, out, b"stsz", 4, b"\0\0\0\1" + b"\xff\xff\xff\xff")
    if kind == "a clock of four milliard ticks":
        return patched(clip, out, b"mdhd", 12, b"\xff\xff\xff\xff")
    if kind == "a clock that stands":
        return patched(clip, out, b"mdhd", 12, bytes(4))
    if kind == "a huge track":
        return patched(clip, out, b"avc1", 24, b"\xff\xff\xff\xff")
    if kind == "a huge y4m":
        out.write_bytes(b"YUV4MPEG2 W30000 H30000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000))
    elif kind == "a huge gif":
        frame = b"!\xf9\4\0\1\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0"
        out.write_bytes(b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff" + frame * 50 + b";")
    elif kind == "a huge vp8":
        head = b"DKIF\0\0\x20\0VP80" + struct.pack("<HHIII", 16383, 16383, 25, 1, 50) + bytes(4)
        frame = b"\x10\2\0\x9d\1\x2a\xff\x3f\xff\x3f" + bytes(200)
        out.write_bytes(head + b"".join(struct.pack("<IQ", len(frame), n) + frame for n in range(50)))
    elif kind == "boxes without end":
        out.write_bytes(clip.read_bytes() + b"\0\0\0\x08free" * 100_000)
    elif kind == "boxes in boxes":
        raw = b""
        for _ in range(4000):
            raw = clips.box(b"moov", raw)
        out.write_bytes(clips.box(b"ftyp", b"isom", bytes(4)) + raw)
    elif kind == "a title of megabytes":
        # straight into the file: an argument list has no room for it
        meta = folder / "meta.txt"
        meta.write_text(f";FFMETADATA1\ntitle={'x' * 4_000_000}\n", encoding="utf-8")
        clips.make(out, "-i", str(clip), "-i", str(meta), "-map", "0", "-map_metadata", "1", "-c", "copy")
    elif kind == "a thousand rates":
        clips.make(out, "-i", str(clip), "-c", "copy", "-bsf:v", "setts=ts=N*100:duration=1", "-an")
    else:
        raise AssertionError(kind)
    return out


@pytest.mark.parametrize(
    "kind",
    ["hours in every header", "one frame of hours", "a start in a week", "four milliard samples",
     "a clock of four milliard ticks", "a clock that stands", "a huge track", "a huge y4m", "a huge gif", "a huge vp8",
     "boxes without end", "boxes in boxes", "a title of megabytes", "a thousand rates"],
)  # fmt: skip
def test_a_small_file_that_asks_for_a_lot_ends_soon(tmp_path: Path, short_clip: Path, kind: str):
    path = bomb(kind, tmp_path, short_clip)
    before = reel.names_in(tmp_path)
    ended = reel.compress("-o", "out.mp4", path.name, cwd=tmp_path, COMPRESSION_TIMEOUT="30")
    receipt = ended.receipt
    print(f"\n{kind}: {receipt['status']}, exit {ended.code}, {ended.wall_s:.1f} s, {receipt['error']}")
    assert receipt["status"] in reel.STATUSES - {"cancelled"}
    assert ended.code in {0, 1, 3}
    assert (receipt["output"] is not None) == (tmp_path / "out.mp4").exists()
    assert receipt["output"] is None or reel.is_whole(tmp_path / "out.mp4")
    assert reel.names_in(tmp_path) == sorted(before + (["out.mp4"] if receipt["output"] else []))
    assert max([0, *(a["peak_memory_bytes"] for a in receipt["attempts"])]) < 2 * 10**9
    assert ended.wall_s < 90


def test_a_picture_beyond_the_limit_is_rejected_and_the_limit_is_named(tmp_path: Path):
    big = clips.plain(tmp_path / "big.mp4", size="320x180", seconds=0.2)
    ended = reel.compress("-o", "out.mp4", big.name, cwd=tmp_path, REELPRESS_MAX_PIXELS="57599")
    assert (ended.code, ended.receipt["status"]) == (3, "rejected")
    assert ended.receipt["hint"]
    assert reel.names_in(tmp_path) == ["big.mp4"]
    fits = reel.compress("--always-encode", "-o", "out.mp4", big.name, cwd=tmp_path, REELPRESS_MAX_PIXELS="60000")
    assert (fits.code, fits.receipt["status"]) == (0, "encoded")


def test_the_library_never_raises_on_an_input(tmp_path: Path, short_clip: Path):
    for source in ("", "\0", "x\0y", "missing", str(tmp_path), "n" * 300, "/dev/zero", "\ud800"):
        receipt = reelpress.compress(source, tmp_path / "out.mp4")
        assert (receipt.status, receipt.exit_code) == ("rejected", 3), source
    for target in ("x\0y", "n" * 300, "\ud800", "/proc/out.mp4", "/dev/null/out.mp4"):
        receipt = reelpress.compress(short_clip, target, preset="ultrafast")
        assert (receipt.status, receipt.exit_code) == ("failed", 5), target
    assert reel.names_in(tmp_path) == []
