"""The whole path: a real child, a real (tiny) Whisper, real files; and everything that may befall the child."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reelpress.errors import Cancelled, ExitCode, OutputError, TranscribeError, UsageError
from reelpress.facts.transcript import TranscriptDocument
from reelpress.facts.values import from_json
from reelpress.run.process import CancelToken
from reelpress.transcribe import models
from reelpress.transcribe import transcribe as stage
from reelpress.transcribe.audio import Audio
from reelpress.transcribe.engine import Whisper, find_speech
from reelpress.transcribe.options import TranscribeOptions
from reelpress.transcribe.transcribe import transcribe
from reelpress.transcribe.transcript import Transcript
from reelpress.transcribe.windows import RATE_HZ, clips

from clips import X264, make, picture, plain
from voice import spoken
from whisper_model import TIME_BIAS, make_model

ROOT = Path(__file__).resolve().parents[2]
MEDIA = Path(os.environ.get("REELPRESS_MEDIA", ROOT.parent / "shared" / "media"))
TIME = r"\d\d:[0-5]\d:[0-5]\d"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture(scope="session")
def long_talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes in which somebody speaks, with pauses."""
    parts = [("voice", 25.0), ("pause", 1.5)] * 9
    return spoken(tmp_path_factory.mktemp("talk") / "talk.wav", parts)


def options(tiny_model: Path, **more: Any) -> TranscribeOptions:
    return TranscribeOptions(**{"model": str(tiny_model), "window_s": 60.0, **more})


# of other tests, as a database or a resource tracker
_OF_OTHERS: set[int] = set()


@pytest.fixture(autouse=True)
def _know_others() -> None:
    _OF_OTHERS.clear()
    _OF_OTHERS.update(children())


def children() -> set[int]:
    """Every process whose parent is this one, zombies too, but for those that were there before the test."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found - _OF_OTHERS


def check_files(made: Transcript, folder: Path, stem: str) -> TranscriptDocument:
    """Hold the files to what the transcript says of them, and to each other; return the JSON."""
    assert {path.name for path in folder.iterdir()} == {f"{stem}.vtt", f"{stem}.srt", f"{stem}.json"}
    for file in (made.vtt, made.srt, made.json):
        content = Path(file.path).read_bytes()
        assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    document = from_json(Path(made.json.path).read_bytes(), TranscriptDocument)
    words = [word for segment in document.segments for word in segment.words]
    assert (made.segments, made.words) == (len(document.segments), len(words))
    assert all(0 <= word.start_s < word.end_s <= document.duration_s for word in words)
    assert all(a.end_s <= b.start_s for a, b in pairwise(words))
    vtt, srt = Path(made.vtt.path).read_text(), Path(made.srt.path).read_text()
    assert vtt.startswith("WEBVTT\n")
    assert len(re.findall(rf"^{TIME}\.\d{{3}} --> {TIME}\.\d{{3}}$", vtt, re.MULTILINE)) == made.segments
    assert len(re.findall(rf"^{TIME},\d{{3}} --> {TIME},\d{{3}}$", srt, re.MULTILINE)) == made.segments
    return document


def test_a_video_with_speech(tiny_model: Path, tmp_path: Path, folder: Path) -> None:
    talk = spoken(tmp_path / "talk.wav", [("pause", 3), ("voice", 20), ("pause", 4), ("voice", 6), ("pause", 2)])
    video = make(tmp_path / "talk.mp4", *picture(seconds=35), "-i", str(talk), *X264, "-c:a", "aac")
    shares: list[float] = []
    made = transcribe(video, folder, stem="talk", options=options(tiny_model), on_progress=shares.append)
    document = check_files(made, folder, "talk")
    assert made.words > 3
    assert made.duration_s == pytest.approx(35, abs=0.2)
    assert 24 < made.speech_s < 28.5
    assert (made.device, made.windows, made.resumed_windows) == ("cpu", 1, 0)
    assert str(made.compute_type).startswith("int8")
    assert made.language == document.language
    assert 0 < (made.language_probability or 0) <= 1
    # nobody is heard where nobody speaks
    assert all(s.start_s > 2.5 and not 23.6 < (s.start_s + s.end_s) / 2 < 26.4 for s in document.segments)
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] == 1
    assert made.wall_s > 0
    assert made.cpu_s > 0
    assert children() == set()


def test_the_same_again_gives_the_same_files(tiny_model: Path, tmp_path: Path, folder: Path) -> None:
    talk = spoken(tmp_path / "talk.wav", [("voice", 20)])
    first = transcribe(talk, folder, stem="a", options=options(tiny_model, language="de"))
    second = transcribe(talk, folder, stem="a", options=options(tiny_model, language="de"))
    assert (first.vtt, first.srt, first.json) == (second.vtt, second.srt, second.json)
    assert (first.language, first.language_probability) == ("de", 1)


@pytest.mark.parametrize(("seed", "time_bias", "is_doubtful"), [(1, TIME_BIAS, True), (6, -1e4, False)])
def test_batches_hear_too(
    tmp_path: Path, long_talk: Path, monkeypatch: pytest.MonkeyPatch, seed: int, time_bias: float, is_doubtful: bool
) -> None:
    """The way a GPU is used, on the CPU: several clips at once, and alone what the batch leaves in doubt."""
    with Audio(long_talk, 3600) as audio:
        samples = audio.read(100 * RATE_HZ)
    found = clips(find_speech(samples), 0, len(samples))
    assert len(found) == 4
    engine = Whisper(make_model(tmp_path / "model", seed=seed, time_bias=time_bias), "cpu", threads=1, beam_size=2)
    alone, hear_alone = [], engine._hear_alone
    monkeypatch.setattr(engine, "_hear_alone", lambda *rest: alone.append(rest[1]) or hear_alone(*rest))
    heard = engine.hear(samples, found, "de")
    # one model says times although it is told not to, which would cost a clip its end
    assert alone == (found if is_doubtful else [])
    for clip in found:
        words = [w for h in heard for w in h.words if clip.start / RATE_HZ <= w.start_s < clip.end / RATE_HZ]
        assert words
        assert all(word.end_s <= clip.end / RATE_HZ for word in words)


def test_no_sound_is_an_empty_transcript(tiny_model: Path, tmp_path: Path, folder: Path) -> None:
    made = transcribe(plain(tmp_path / "a.mp4"), folder, stem="a", options=options(tiny_model))
    check_files(made, folder, "a")
    assert (made.segments, made.words, made.language, made.device, made.windows) == (0, 0, None, None, 0)
    assert made.notes == ("the file has no sound",)
    assert Path(made.vtt.path).read_text() == "WEBVTT\n"
    assert json.loads(Path(made.json.path).read_text())["segments"] == []


def test_silence_is_an_empty_transcript_and_needs_no_model_in_memory(
    tiny_model: Path, tmp_path: Path, folder: Path
) -> None:
    made = transcribe(spoken(tmp_path / "a.wav", [("pause", 70)]), folder, stem="a", options=options(tiny_model))
    check_files(made, folder, "a")
    assert (made.segments, made.language, made.speech_s, made.device) == (0, None, 0, None)
    assert made.duration_s == 70
    assert made.notes == ("nobody speaks",)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.thorough)])
def test_a_killed_child_is_an_error_and_the_next_run_goes_on(
    tiny_model: Path, long_talk: Path, folder: Path, number: signal.Signals
) -> None:
    chosen = options(tiny_model)
    whole = transcribe(long_talk, folder, stem="whole", options=chosen)
    windows = folder / ".talk.reelpress-transcript"

    def kill_late(share: float) -> None:
        if len(list(windows.glob("*.json"))) >= 2:
            for pid in children():
                os.kill(pid, number)

    with pytest.raises(TranscribeError, match="crashed") as caught:
        transcribe(long_talk, folder, stem="talk", options=chosen, on_progress=kill_late)
    assert number.name in (caught.value.evidence or "")
    assert caught.value.exit_code == ExitCode.CHECK_NOT_MET
    assert children() == set()
    assert not (folder / "talk.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in windows.glob("*.json")}
    assert len(kept) >= 2
    seen: list[dict[Path, int]] = []
    made = transcribe(
        long_talk, folder, stem="talk", options=chosen,
        on_progress=lambda _: seen.append({path: path.stat().st_mtime_ns for path in kept}),
    )  # fmt: skip
    assert seen
    assert all(times == kept for times in seen)  # no finished window was made again
    assert made.resumed_windows == len(kept)
    assert made.windows == whole.windows
    assert made.speech_s == pytest.approx(whole.speech_s)
    for path in (whole.vtt, whole.srt, whole.json):
        Path(path.path).unlink()
    check_files(made, folder, "talk")


@pytest.mark.thorough
def test_cancel_ends_it_and_keeps_what_is_done(tiny_model: Path, long_talk: Path, folder: Path) -> None:
    cancel = CancelToken()
    windows = folder / ".talk.reelpress-transcript"

    def stop(share: float) -> None:
        if list(windows.glob("*.json")):
            cancel.cancel()

    with pytest.raises(Cancelled):
        transcribe(long_talk, folder, stem="talk", options=options(tiny_model), cancel=cancel, on_progress=stop)
    assert children() == set()
    assert list(windows.glob("*.json"))
    assert transcribe(long_talk, folder, stem="talk", options=options(tiny_model)).resumed_windows > 0


def test_cancel_from_another_thread_while_the_model_works(tiny_model: Path, long_talk: Path, folder: Path) -> None:
    cancel = CancelToken()

    def wait_for_the_child() -> None:
        while not children():
            time.sleep(0.01)
        cancel.cancel()

    thread = threading.Thread(target=wait_for_the_child)
    thread.start()
    with pytest.raises(Cancelled):
        transcribe(long_talk, folder, stem="talk", options=options(tiny_model), cancel=cancel)
    thread.join()
    assert children() == set()
    assert list(folder.glob("talk.*")) == []


_GPU_THAT_ABORTS = """
import os, sys; sys.path[:0] = sys.argv[1:]
from reelpress.transcribe import child
from reelpress.transcribe.exchange import Loading
class Aborting:
    compute_type = "float16"
    def __init__(self, folder, device, **rest):
        if device == "cuda":
            print("libcudnn: cannot be loaded", file=sys.stderr, flush=True)
            os.abort()
        self.engine = Whisper(folder, device, **rest)
    def __getattr__(self, name):
        return getattr(self.engine, name)
Whisper, child.Whisper, child.gpu_count = child.Whisper, Aborting, lambda: 1
child.main()
"""


def test_a_gpu_that_takes_the_process_down_gives_way_to_the_cpu(
    tiny_model: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = spoken(tmp_path / "talk.wav", [("voice", 10)])
    monkeypatch.setattr(stage, "_START_CHILD", _GPU_THAT_ABORTS)
    made = transcribe(talk, folder, stem="a", options=options(tiny_model))
    assert made.device == "cpu"
    assert made.notes == ("the GPU was given up: killed by SIGABRT: libcudnn: cannot be loaded",)
    with pytest.raises(TranscribeError, match="crashed"):
        transcribe(talk, folder, stem="b", options=options(tiny_model, device="cuda"))


def test_too_much_memory_ends_it(tiny_model: Path, long_talk: Path, folder: Path) -> None:
    with pytest.raises(TranscribeError, match="stopped") as caught:
        transcribe(long_talk, folder, stem="a", options=options(tiny_model, max_memory_bytes=32 * 2**20))
    assert "bytes of memory" in (caught.value.evidence or "")
    assert children() == set()


def test_a_child_that_hangs_is_ended(
    tiny_model: Path, long_talk: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_START_CHILD", "import time; time.sleep(600)")
    with pytest.raises(TranscribeError, match="stopped") as caught:
        transcribe(long_talk, folder, stem="a", options=options(tiny_model, stall_s=1))
    assert "headway" in (caught.value.evidence or "")


def test_broken_files_are_errors_with_evidence(tiny_model: Path, tmp_path: Path, folder: Path) -> None:
    broken = tmp_path / "a.mp4"
    broken.write_bytes(b"\0\0\0\x20ftypisom" + bytes(5000))
    for path, says in ((broken, "cannot be read"), (tmp_path / "none.mp4", "cannot be read")):
        with pytest.raises(TranscribeError, match=says) as caught:
            transcribe(path, folder, stem="a", options=options(tiny_model))
        assert caught.value.evidence


def test_a_model_that_is_not_here_is_an_error(tmp_path: Path, folder: Path, long_talk: Path) -> None:
    with pytest.raises(TranscribeError, match="tiny is not here") as caught:
        transcribe(long_talk, folder, stem="a", options=TranscribeOptions(model="tiny", models_dir=str(tmp_path)))
    assert "reelpress models download tiny" in (caught.value.hint or "")


def test_a_damaged_model_is_an_error(tiny_model: Path, tmp_path: Path, folder: Path, long_talk: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in tiny_model.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    (damaged / "model.bin").write_bytes((tiny_model / "model.bin").read_bytes()[:5000])
    with pytest.raises(TranscribeError, match=r"does not work|crashed") as caught:
        transcribe(long_talk, folder, stem="a", options=options(damaged))
    assert caught.value.evidence
    (damaged / "tokenizer.json").unlink()  # libraries would fetch one from the network
    with pytest.raises(TranscribeError, match="not whole"):
        transcribe(long_talk, folder, stem="a", options=options(damaged))


def test_without_the_extra_it_says_what_to_install(
    tiny_model: Path, long_talk: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(TranscribeError, match="not installed") as caught:
        transcribe(long_talk, folder, stem="a", options=options(tiny_model))
    assert caught.value.hint == "pip install 'reelpress[transcribe]'"


def test_names_and_folders_that_cannot_be_are_refused(tiny_model: Path, long_talk: Path, tmp_path: Path) -> None:
    for stem in ("", "a/b", "/", "../x"):
        with pytest.raises(UsageError):
            transcribe(long_talk, tmp_path, stem=stem, options=options(tiny_model))
    for folder, stem in ((tmp_path / "nowhere", "a"), (tmp_path, "a\0b"), (tmp_path, "a" * 300)):
        with pytest.raises(OutputError):
            transcribe(long_talk, folder, stem=stem, options=options(tiny_model))


def test_importing_the_program_loads_nothing_of_this() -> None:
    code = (
        "import sys, reelpress, reelpress.cli.app; print([m for m in sys.modules if 'transcribe' in m or 'onnx' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


needs_media = pytest.mark.skipif(not (MEDIA / "manifest.csv").is_file(), reason=f"no media folder at {MEDIA}")


@pytest.mark.corpus
@needs_media
def test_speech_is_found_where_the_subtitles_of_a_film_say() -> None:
    with Audio(MEDIA / "files" / "vidstack_files" / "agent327_720p_70s.mp4", 3600) as audio:
        speech = [(span.start / RATE_HZ, span.end / RATE_HZ) for span in find_speech(audio.read(70 * RATE_HZ))]
    told = [
        (int(a) * 60 + float(b), int(c) * 60 + float(d))
        for a, b, c, d in re.findall(
            r"(\d\d):(\d\d\.\d{3}) --> (?:00:)?(\d\d):(\d\d\.\d{3})",
            (MEDIA / "truth" / "agent327_english.vtt").read_text(),
        )
        if int(c) * 60 + float(d) < 70
    ]
    assert len(told) == 7
    for begin_s, end_s in told:
        heard_s = sum(max(0.0, min(end_s, stop) - max(begin_s, start)) for start, stop in speech)
        assert heard_s > 0.3 * (end_s - begin_s)
    assert all(any(start < stop_ + 1 and stop > start_ - 1 for start_, stop_ in told) for start, stop in speech)


@pytest.mark.corpus
@needs_media
def test_real_speech_is_found_where_it_is(tiny_model: Path, folder: Path) -> None:
    """A talk whose pauses are known: its makers use it to cut silence."""
    rows = {row["name"]: row for row in csv.DictReader((MEDIA / "manifest.csv").read_text().splitlines())}
    name = "WyattBlue_auto-editor/example.mp4"
    made = transcribe(MEDIA / "files" / name, folder, stem="a", options=options(tiny_model))
    document = check_files(made, folder, "a")
    assert made.duration_s == pytest.approx(float(rows[name]["duration_s"]), abs=0.2)
    assert 14 < made.speech_s < 22
    assert document.segments
