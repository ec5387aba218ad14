"""``reelpress clips`` as people meet it: what it refuses before any work, and what it shows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from reelpress.cli.clips import run_clips
from reelpress.cli.clips_screen import ClipLines, print_clips
from reelpress.clips import wishes
from reelpress.clips.summary import KEPT, ExportSummary
from reelpress.errors import InputError, OutputError, PrivateAddressError, UsageError
from reelpress.events import AttemptFailed, AttemptStarted, Queued, Started
from reelpress.facts.failure import FailureKind
from reelpress.plan.model import Reason

from receipts import file_record, receipt


def run(folder: Path, *ranges: str, video: str = "missing.mp4", **more: Any) -> int:
    plain: dict[str, Any] = {
        "listed": None, "output": folder / "out", "look": {}, "platforms": (), "flags": {}, "receipt_dir": None,
        "overwrite": False, "allow_private": False, "as_json": False,
    }  # fmt: skip
    wanted = {**plain, **more}
    return run_clips(video, ranges, wanted.pop("listed"), wanted.pop("output"), wanted.pop("look"), **wanted)


@pytest.mark.parametrize(
    ("ranges", "more", "says"),
    [
        ((), {}, "no clips"),
        (("0-1", "x"), {}, "--clip, number 2: 'x'"),
        (("0-1",), {"look": {"size": "7"}}, "--size"),
        (("0-1",), {"look": {"loudness": "7"}}, "--loudness"),
        (("0-1",), {"platforms": ("myspace",)}, "--platform"),
        (("0-1",), {"flags": {"jobs": "0"}}, "--jobs"),
        (("0-1",), {"video": ""}, "empty"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(
    tmp_path: Path, ranges: tuple[str, ...], more: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError) as told:
        run(tmp_path, *ranges, **more)
    assert says in told.value.what
    assert told.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_in_a_private_network_says_how_it_is_allowed(tmp_path: Path, host: str) -> None:
    with pytest.raises(PrivateAddressError) as told:
        run(tmp_path, "0-1", video=f"http://{host}:9/a.mp4")
    assert "--allow-private" in (told.value.hint or "")


def test_what_is_not_installed_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "find_spec", lambda name: None if name == "cv2" else name)
    with pytest.raises(UsageError) as told:
        run(tmp_path, "0-1")
    assert told.value.evidence == "no module cv2"
    assert "reelpress[clips]" in (told.value.hint or "")


def test_a_video_that_is_not_there_is_an_unusable_input(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(tmp_path, "0-1", video=str(tmp_path / "missing.mp4"))
    with pytest.raises(InputError):
        run(tmp_path, "0-1", look={"captions": str(tmp_path / "missing.srt")})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_receipts_that_cannot_be_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        run(tmp_path, "0-1", receipt_dir=tmp_path / "file" / "receipts")


def test_a_receipt_never_replaces_the_list_of_clips(tmp_path: Path) -> None:
    video, listed = tmp_path / "talk.mp4", tmp_path / "talk-01.json"
    video.write_bytes(b"no video")
    listed.write_text('[{"start": 0, "end": 1}]')
    with pytest.raises(UsageError, match=r"talk-01\.json is an input"):
        run(tmp_path, video=str(video), listed=listed, receipt_dir=tmp_path)
    assert listed.read_text() == '[{"start": 0, "end": 1}]'
    assert {path.name for path in tmp_path.iterdir()} == {"talk.mp4", "talk-01.json"}


def queued(job: str, output: str) -> Queued:
    return Queued(job=job, input="in.mp4", index=0, name=None, start_s=0, end_s=1, output=output)


def test_off_a_terminal_a_line_says_what_happens_to_a_clip() -> None:
    out = io.StringIO()
    with ClipLines(out, 2) as lines:
        lines.on_event(queued("a", "/out/01-\x1b[31m.mp4"))
        lines.on_event(queued("b", "/out/02.mp4"))
        for job in ("a", "b"):
            lines.on_event(Started(job=job, input="in.mp4"))
        about: dict[str, Any] = {"job": "a", "input": "in.mp4"}
        lines.on_event(AttemptStarted(**about, number=1, of=2, encoder="h264_nvenc", why="", argv=(), gpu="GPU-1"))
        lines.on_event(
            AttemptFailed(**about, number=1, encoder="h264_nvenc", failure=FailureKind.DEVICE_LOST, evidence="",
                          next_encoder="libx264")
        )  # fmt: skip
        lines.on_event(receipt(job="a", wall_s=4.25))
        lines.on_event(receipt(job="b", reasons=(Reason(code=KEPT, text=""),)))
    assert out.getvalue().splitlines() == [
        "01-\\x1b[31m.mp4: encoding with h264_nvenc",
        "01-\\x1b[31m.mp4: h264_nvenc did not deliver (device_lost), trying libx264",
        "01-\\x1b[31m.mp4: encoded after 4.2 s",
        "02.mp4: kept",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("clips", [2, 500])
def test_a_terminal_shows_each_clip_or_those_at_work(monkeypatch: pytest.MonkeyPatch, clips: int) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with ClipLines(out, clips) as lines:
        for number in range(clips):
            lines.on_event(queued(str(number), f"/out/{number:03}-[clip].mp4"))
        lines.on_event(Started(job="1", input="in.mp4"))
        assert lines._bars is not None
        shown = [task.description for task in lines._bars.tasks if task.visible]
        assert len(shown) == (2 if clips == 2 else 1)
        lines.on_event(receipt(job="1"))
    if clips == 500:
        assert "001-[clip].mp4: encoded after 1.0 s" in out.getvalue(), "its line is gone, so that is said"


def test_the_summary_names_every_clip_its_warnings_and_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    receipts = [
        receipt(result=file_record(size_bytes=8_100_000, duration_s=45.0), warnings=("no face found",), wall_s=12.0),
        receipt(reasons=(Reason(code=KEPT, text=""),)),
        receipt(status="failed", result=None, clip=None),
    ]
    summary = ExportSummary(
        input="in.mp4", folder="out", clips=3, encoded=1, kept=1, rejected=0, failed=1, cancelled=0, exit_code=1,
        wall_s=14.0, cpu_s=20.0, read_bytes=2_000_000,
    )  # fmt: skip
    print_clips(["01-a.mp4", "02-b.mp4", "03-c.mp4"], receipts, summary, out)
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    rows = [line.split() for line in text.splitlines()]
    assert rows[1] == ["01-a.mp4", "encoded", "45.0", "s", "8.1", "MB", "-14.0", "LUFS", "12.0", "s"]
    assert rows[2][:2] == ["02-b.mp4", "kept"]
    assert rows[3] == ["03-c.mp4", "failed", "1.0", "s"]
    assert "01-a.mp4: no face found" in text
    assert text.splitlines()[-1] == "3 clips in out: 1 encoded, 1 kept, 1 failed; 14.0 s, 2 MB read over the network"
