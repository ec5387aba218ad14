"""``reelpress jobs`` as its callers meet it, against a service of a few jobs in memory."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import forked_program
import reelpress
from reelpress.cli import remote
from reelpress.cli.refusals import ServiceRefused
from reelpress.jobs.model import FINISHED, JobError
from reelpress.receipt import Receipt

from fake_service import FakeService, a_job, sse, video

COMMANDS = ("submit", "list", "watch", "cancel", "retry", "logs", "receipt", "download")
ONE = a_job(1).id
HOSTILE = "evil\x1b[31m\x07\nline.mov"


class Cli:
    """Starts the commands in a folder of its own, against the service."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environ = {name: text for name, text in os.environ.items() if not name.startswith("REELPRESS_")} | {
            "PYTHONPATH": str(Path(reelpress.__file__).parents[1]), "XDG_CACHE_HOME": str(folder / ".cache"),
            "REELPRESS_URL": url, "COLUMNS": "80", "TERM": "xterm",
        }  # fmt: skip

    def argv(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "reelpress", "jobs", *map(str, arguments)]

    def __call__(self, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return forked_program.run_text(["jobs", *arguments], cwd=self.folder, env=self.environ | environ, patience_s=60)

    def json(self, *arguments: str | Path) -> list[dict[str, Any]]:
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*arguments), cwd=self.folder, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def on_terminal(self, *arguments: str | Path) -> str:
        primary, secondary = pty.openpty()
        child = subprocess.Popen(
            self.argv(*arguments), cwd=self.folder, env=self.environ, stdin=secondary, stdout=secondary,
            stderr=secondary,
        )  # fmt: skip
        os.close(secondary)
        shown = b""
        try:
            while block := os.read(primary, 4096):
                shown += block
        except OSError:  # the other end is closed
            pass
        child.wait()
        os.close(primary)
        return shown.decode()


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService().running() as running:
        yield running


@pytest.fixture
def cli(tmp_path: Path, service: FakeService) -> Cli:
    return Cli(tmp_path, service.url)


def wait_for(check: Callable[[], bool]) -> None:
    for _ in range(2000):
        if check():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to that")


# --- help ---


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_fits_80_columns(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Example: reelpress jobs {command}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


# --- submit ---


def test_submit_takes_keys_and_addresses_as_they_are(cli: Cli, service: FakeService) -> None:
    done = cli(
        "submit", "key:users/ada/a.mov", "https://example.com/b.mov", "--codec", "hevc", "--max-size", "640x360",
        "--always-encode", "--no-transcript", "--no-reuse", "--priority", "high", "--label", "name=B=b",
        "--webhook", "https://example.com/hook",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [asked["input"] for asked in service.submitted] == [
        {"object": "users/ada/a.mov"}, {"url": "https://example.com/b.mov"}
    ]  # fmt: skip
    assert service.submitted[0] | {"input": None} == {
        "input": None, "labels": {"name": "B=b"}, "priority": "high", "reuse": False,
        "webhook": "https://example.com/hook",
        "settings": {"codec": "hevc", "max_size": "640x360", "always_encode": True, "transcribe": False},
    }  # fmt: skip
    assert len(set(service.keys)) == 2, "each input has an idempotency key of its own"
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["queued", "queued"]


def test_what_is_not_given_is_not_sent(cli: Cli, service: FakeService) -> None:
    assert cli("submit", "key:a.mov").returncode == 0
    assert service.submitted == [{"input": {"object": "a.mov"}, "labels": {}, "settings": {}}]


def test_a_file_goes_up_in_segments_and_the_service_gets_its_hash(cli: Cli, service: FakeService) -> None:
    content = os.urandom(950_000)
    (cli.folder / "in.mov").write_bytes(content)
    (job,) = cli.json("submit", "in.mov")
    (upload,) = service.uploads.values()
    assert b"".join(upload["segments"][n] for n in range(10)) == content
    assert (upload["name"], upload["sha256"]) == ("in.mov", hashlib.sha256(content).hexdigest())
    assert upload["complete"]
    assert service.submitted[0]["input"] == {"upload": upload["id"]}
    assert job["status"] == "queued"
    assert not list((cli.folder / ".cache").rglob("*.json")), "what was remembered of it is gone"


def test_a_broken_upload_goes_on_with_what_is_missing(cli: Cli, service: FakeService) -> None:
    (cli.folder / "in.mov").write_bytes(os.urandom(950_000))
    service.break_segment = 6
    broken = cli("submit", "in.mov")
    assert (broken.returncode, service.submitted) == (5, [])
    assert "The store does not answer." in broken.stderr
    before = len(service.seen)
    service.break_segment = None
    assert cli("submit", "in.mov").returncode == 0
    sent = [path for method, path, _ in service.seen[before:] if method == "PUT"]
    assert [path.rsplit("/", 1)[1] for path in sent] == ["6", "7", "8", "9"]
    assert len(service.uploads) == 1


def test_a_cache_folder_that_cannot_be_used_makes_no_submission_fail(cli: Cli, service: FakeService) -> None:
    (cli.folder / "in.mov").write_bytes(b"video")
    (cli.folder / "cache").write_bytes(b"a file")
    done = cli("submit", "in.mov", XDG_CACHE_HOME=str(cli.folder / "cache"))
    assert (done.returncode, len(service.submitted)) == (0, 1), done.stderr


def test_a_file_that_changed_is_uploaded_anew(cli: Cli, service: FakeService) -> None:
    path = cli.folder / "in.mov"
    path.write_bytes(os.urandom(950_000))
    service.break_segment = 6
    cli("submit", "in.mov")
    service.break_segment = None
    path.write_bytes(os.urandom(950_001))
    assert cli("submit", "in.mov").returncode == 0
    assert len(service.uploads) == 2


def test_a_key_is_not_sent_to_the_store(cli: Cli, service: FakeService) -> None:
    (cli.folder / "in.mov").write_bytes(b"video")
    service.key = "rp_secret"
    with FakeService().running() as store:
        service.store_url = store.url
        store.uploads["upload_0"] = {"segments": service.uploads.setdefault("x", {"segments": {}})["segments"]}
        service.uploads.clear()
        done = cli("submit", "in.mov", "--key", "rp_secret")
        assert [m for m, _, _ in store.seen] == ["PUT"], done.stderr
        assert "rp_secret" not in str(store.seen)


def test_addresses_that_expire_while_a_file_goes_up_are_asked_for_again(cli: Cli, service: FakeService) -> None:
    content = os.urandom(650_000)
    (cli.folder / "in.mov").write_bytes(content)
    with FakeService().running() as store:
        service.store_url, store.uploads, store.lasting = store.url, service.uploads, 2
        done = cli("submit", "in.mov")
        assert done.returncode == 0, done.stderr
        assert max(store.used.values()) == 3, "one was refused"
    segments = service.uploads["upload_0"]["segments"]
    assert b"".join(segments[n] for n in sorted(segments)) == content


def test_a_store_that_refuses_is_not_taken_for_the_service(cli: Cli, service: FakeService) -> None:
    (cli.folder / "in.mov").write_bytes(b"video")
    service.put(a_job(1))
    with FakeService().running() as store:
        service.store_url, store.lasting = store.url, 0
        for arguments in (("submit", "in.mov"), ("download", ONE)):
            done = cli(*arguments)
            assert done.returncode == 5
            assert done.stderr.startswith("reelpress: The store answered 403 Forbidden.")
            assert "--key" not in done.stderr


@pytest.mark.parametrize(("name", "content"), [("gone.mov", None), ("empty.mov", b"")])
def test_a_file_that_is_none_is_refused_before_anything_is_sent(
    cli: Cli, service: FakeService, name: str, content: bytes | None
) -> None:
    if content is not None:
        (cli.folder / name).write_bytes(content)
    done = cli("submit", name)
    assert (done.returncode, done.stdout, service.uploads) == (3, "", {})
    assert done.stderr.startswith(f"reelpress: {name}")


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", ""),
        ("submit", "key:a", "key:b", "--output-key", "c"),
        ("submit", "key:a", "--label", "no-value"),
        ("list", "--status", "sleeping"),
        ("list", "--url", "ftp://host"),
        ("list", "--url", "https://user:word@host"),
        ("list", "--url", "http://host:port"),
        ("list", "--url", "http://host:99999"),
        ("list", "--url", "http://[::1"),
        ("list", "--url", "http://xn--.x"),
        ("list", "--url", "http://\udcff"),
        ("list", "--key", "schlüssel"),
        ("list", "--key", "rp_one\n"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_asking_the_service(
    cli: Cli, service: FakeService, arguments: tuple[str, ...]
) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout, service.seen) == (2, "", [])
    assert "hint: " in done.stderr


# --- list ---


def test_list_shows_the_newest_first_and_how_many_there_are(cli: Cli, service: FakeService) -> None:
    for number in range(30):
        service.put(a_job(number, "failed" if number % 2 else "done"))
    done = cli("list", "--limit", "3")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [a_job(n).id for n in (29, 28, 27)]
    assert done.stderr == "3 of 30 jobs; --limit shows more.\n"
    assert {job["status"] for job in cli.json("list", "--status", "failed")} == {"failed"}
    assert len(cli.json("list", "--limit", "1000")) == 30


def test_list_fits_a_terminal_of_80_columns_and_shows_no_control_characters(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1, name=HOSTILE + "x" * 200))
    shown = cli.on_terminal("list")
    lines = [line for line in shown.split("\r\n") if line]
    assert len(lines) == 1
    plain = lines[0].replace("\x1b[32m", "").replace("\x1b[0m", "")
    assert len(plain) == 80
    assert "\x1b" not in plain
    assert "evil\\x1b" in plain


@pytest.mark.parametrize(
    ("environ", "is_coloured"), [({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_left_out_where_nobody_wants_them(
    cli: Cli, service: FakeService, environ: dict[str, str], *, is_coloured: bool
) -> None:
    service.put(a_job(1))
    cli.environ |= environ
    shown = cli.on_terminal("list")
    assert ONE in shown
    assert ("\x1b[" in shown) == is_coloured


def test_a_long_list_is_read_page_by_page(cli: Cli, service: FakeService) -> None:
    for number in range(1201):
        service.put(a_job(number, "queued"))
    assert len({job["id"] for job in cli.json("list", "--limit", "5000")}) == 1201
    assert [path for _, path, _ in service.seen] == ["/v1/jobs"] * 3


# --- watch ---


def test_watch_tells_each_stage_once_and_ends_with_the_job(cli: Cli, service: FakeService) -> None:
    job = a_job(1, "running")
    service.put(job)
    child = cli.start("watch", ONE)
    assert child.stdout is not None
    first = child.stdout.readline()
    for percent in (50.0, 60.0, 70.0):
        service.put(msgspec.structs.replace(job, percent=percent))
    service.put(msgspec.structs.replace(job, stage="check", percent=88.0))
    service.put(a_job(1, "done"))
    out, errors = child.communicate(timeout=30)
    assert (child.returncode, errors) == (0, "")
    assert [line.split()[1] for line in (first + out).splitlines()] == ["running", "running", "done"]
    assert "check 88 %" in out
    assert "67% smaller, 480 kB to 160 kB" in out


def test_watch_without_an_id_follows_all_that_are_unfinished(cli: Cli, service: FakeService) -> None:
    assert "No job is waiting or running." in cli("watch").stderr
    for number, status in ((1, "running"), (2, "queued"), (3, "failed")):
        service.put(a_job(number, status))
    child = cli.start("watch", "--json")
    wait_for(lambda: bool(service.streams))
    service.put(a_job(2, "done"))
    service.put(a_job(1, "done"))
    out, _ = child.communicate(timeout=30)
    seen = [json.loads(line) for line in out.splitlines()]
    assert {job["id"] for job in seen} == {a_job(1).id, a_job(2).id}
    assert [job["status"] for job in seen[-2:]] == ["done", "done"]
    assert child.returncode == 0


def test_watch_goes_on_after_a_break_and_misses_nothing(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1, "running"), "started")
    child = cli.start("watch", ONE, "--json")
    assert child.stdout.readline(), "it heard something before it breaks"
    service.failing["/v1/events"] = (503, {"detail": "It restarts."})
    service.break_streams()
    wait_for(lambda: not service.streams)
    service.jobs[ONE] = a_job(1, "done")
    service.failing.clear()
    out, _ = child.communicate(timeout=30)
    assert json.loads(out.splitlines()[-1])["status"] == "done"
    asked = [headers for _, path, headers in service.seen if path == "/v1/events"]
    assert asked[-1]["last-event-id"] == "1"


def test_watch_waits_for_a_service_that_goes_away_after_a_long_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(remote.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))

    def waiting() -> Iterator[bytes]:
        for _ in range(100):  # of a job in a long queue nothing is told
            clock[0] += 15
            yield b": ping\n\n"
        raise httpx.ReadError("the service restarts")

    def answer(_request: httpx.Request) -> httpx.Response:
        if (tried := next(asked)) == 0:
            return httpx.Response(200, content=waiting())
        if tried < 4:
            raise httpx.ConnectError("not yet")
        if tried == 4:
            return httpx.Response(200, content=sse({"seq": 7, "job": ONE, "kind": "done", "at": 0.0, "data": {}}))
        raise httpx.ConnectError("and now it is gone")

    asked = itertools.count()
    with remote.Service("http://service", None, transport=httpx.MockTransport(answer)) as service:
        news = service.follow([ONE])
        assert [next(news), next(news)] == [None, None]
        assert next(news).kind == "done"
        gone_at = clock[0]
        with pytest.raises(ServiceRefused):
            next(news)
    assert clock[0] > gone_at + 300


@pytest.mark.parametrize(
    ("status", "code", "retryable", "expected"),
    [
        ("failed", "image", False, 3), ("failed", "missing", False, 3), ("failed", "encode_failed", True, 1),
        ("failed", "hardware_absent", False, 4), ("failed", "unreachable", True, 5), ("failed", "bug", False, 70),
        ("failed", "output_failed", True, 5), ("dead", "workers_died", True, 1), ("cancelled", None, False, 130),
    ],
)  # fmt: skip
def test_the_exit_code_of_watch_is_the_jobs(
    cli: Cli, service: FakeService, status: str, code: str | None, retryable: bool, expected: int
) -> None:
    error = JobError(code=code, text="No.", evidence="seen", hint="Do.", retryable=retryable) if code else None
    service.put(a_job(1, status, error=error))
    service.put(a_job(2))
    done = cli("watch", ONE, a_job(2).id)
    assert done.returncode == expected
    assert ("evidence: seen" in done.stderr) == (code is not None)


def test_progress_that_was_overtaken_is_not_shown(cli: Cli, service: FakeService) -> None:
    job = a_job(1, "running", stage="check", updated_at=200.0)
    service.put(job)
    child = cli.start("watch", ONE, "--json")
    assert child.stdout is not None
    child.stdout.readline()
    service.put(msgspec.structs.replace(job, stage="fetch", percent=1.0, updated_at=100.0))
    service.put(a_job(1, "done", updated_at=300.0))
    out, _ = child.communicate(timeout=30)
    assert [json.loads(line)["stage"] for line in out.splitlines()] == ["finished"]


def test_a_terminal_shows_bars_and_keeps_what_became_of_the_jobs(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1, "running", name="[bold]" + HOSTILE))

    def finish() -> None:
        wait_for(lambda: bool(service.streams))
        time.sleep(0.5)  # a bar is drawn ten times a second
        service.put(a_job(1, "done", name="[bold]" + HOSTILE))

    thread = threading.Thread(target=finish)
    thread.start()
    shown = cli.on_terminal("watch", ONE)
    thread.join()
    assert "━" in shown
    assert "42 %" in shown
    assert "\x07" not in shown
    assert "67% smaller, 480 kB to 160 kB" in shown


def test_an_interrupted_watch_says_that_the_jobs_go_on(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1, "running"))
    child = cli.start("watch", ONE)
    wait_for(lambda: bool(service.streams))
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "The jobs go on" in errors
    assert service.jobs[ONE].status not in FINISHED


# --- cancel, retry, logs, receipt ---


def test_cancel_and_retry_show_what_came_of_it(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1, "queued"))
    assert "cancelled" in cli("cancel", ONE).stdout
    assert "queued" in cli("retry", ONE).stdout
    assert cli.json("cancel", ONE)[0]["status"] == "cancelled"


def test_a_refusal_is_said_with_its_hint(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1))
    done = cli("retry", ONE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "reelpress: The job is done.\n  hint: Submit it anew.\n"


def test_of_several_jobs_each_is_tried(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1))
    service.put(a_job(2, "failed"))
    done = cli("retry", ONE, a_job(2).id)
    assert (done.returncode, service.jobs[a_job(2).id].status) == (2, "queued")
    assert f"{ONE}: The job is done." in done.stderr


def test_logs_tell_what_happened_and_why_it_failed(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1, "queued"), "queued")
    service.put(a_job(2, "queued"), "queued")
    service.put(a_job(1, "failed"), "failed")
    done = cli("logs", ONE)
    assert [line.split()[2] for line in done.stdout.splitlines()[:-1]] == ["queued", "failed"]
    assert (
        done.stderr
        == "  The input is not a video.\n  evidence: moov atom not found\n  hint: Upload the whole file again.\n"
    )
    assert [event["kind"] for event in cli.json("logs", ONE)] == ["queued", "failed"]


def test_a_receipt_is_shown_for_people_and_as_it_came(cli: Cli, service: FakeService, receipt: Receipt) -> None:
    service.put(a_job(1))
    service.receipt = msgspec.json.decode(msgspec.json.encode(receipt))
    shown = cli("receipt", ONE)
    assert "encoded with libx265 on the CPU, 60% smaller" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert cli.json("receipt", ONE) == [service.receipt]


@pytest.fixture
def receipt() -> Receipt:
    empty: dict[str, Any] = dict.fromkeys(("gpu", "error", "error_code", "evidence", "hint", "source", "result"))
    lists: dict[str, Any] = {n: [] for n in ("reasons", "streams", "attempts", "gates", "warnings", "stages")}
    plain = {
        "job": "x", "status": "encoded", "exit_code": 0, "encoder": "libx265", "device": "cpu", "input": "in.mov",
        "output": "out.mp4", "saved_share": 0.6, "wall_s": 3.0, "cpu_s": 9.0, "usd": 0.1, "usd_basis": "",
        "started_at": "", "reelpress_version": "1", "host": "h",
        "quality": {"method": "vmaf", "score": 95.0, "text": "good"},
    }  # fmt: skip
    return msgspec.convert({"event": "receipt"} | empty | lists | plain, type=Receipt)


# --- download ---


def test_download_appears_whole_under_the_jobs_name(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1, name="../../holiday.mov"))
    done = cli("download", ONE)
    assert done.stdout == "holiday.mp4: 160 kB, hash verified\n", done.stderr
    assert [path.name for path in cli.folder.iterdir()] == ["holiday.mp4"]
    assert (cli.folder / "holiday.mp4").read_bytes() == video(1)


def test_names_that_are_no_utf_8_do_no_harm(cli: Cli, service: FakeService) -> None:
    (cli.folder / "\udcff.mov").write_bytes(b"video")
    cli.json("submit", "\udcff.mov")
    assert service.uploads["upload_0"]["name"] == "\ufffd.mov"
    service.put(a_job(1))
    (facts,) = cli.json("download", ONE, "-o", "\udcff.mp4")
    assert facts["file"] == "\ufffd.mp4"
    assert (cli.folder / "\udcff.mp4").read_bytes() == video(1)
    for command in ("watch", "logs", "download"):
        done = cli(command, "\udcff")
        assert (done.returncode, "bug" in done.stderr) == (2, False), done.stderr


@pytest.mark.parametrize("name", ["x" * 300, "file/out.mp4"])
def test_a_download_whose_name_cannot_be_says_so(cli: Cli, service: FakeService, name: str) -> None:
    service.put(a_job(1))
    (cli.folder / "file").touch()
    done = cli("download", ONE, "-o", name)
    assert done.returncode == 5
    assert done.stderr.startswith(f"reelpress: cannot write {name}")


def test_download_with_a_wrong_hash_leaves_nothing(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1))
    service.truncate = True
    done = cli("download", ONE, "-o", "out.mp4")
    assert (done.returncode, list(cli.folder.iterdir())) == (5, [])
    assert "evidence: SHA-256 is" in done.stderr


def test_download_replaces_a_file_only_when_told(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1))
    target = cli.folder / "out.mp4"
    target.write_bytes(b"mine")
    assert cli("download", ONE, "-o", "out.mp4").returncode == 5
    assert target.read_bytes() == b"mine"
    (facts,) = cli.json("download", ONE, "-o", "out.mp4", "--overwrite")
    assert target.read_bytes() == video(1)
    assert facts["sha256"] == hashlib.sha256(video(1)).hexdigest()


def test_a_download_takes_no_key_along_to_the_store(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1))
    service.key = "rp_secret"
    with FakeService().running() as store:
        service.store_url = store.url
        done = cli("download", ONE, "-o", "out.mp4", "--key", "rp_secret")
        assert [m for m, _, _ in store.seen] == ["GET"], done.stderr
        assert "rp_secret" not in str(store.seen)
    assert (cli.folder / "out.mp4").read_bytes() == video(1)


def test_a_download_that_is_sent_in_circles_ends(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1))
    service.store_url = service.url
    done = cli("download", ONE, "-o", "out.mp4")
    assert (done.returncode, list(cli.folder.iterdir())) == (5, []), done.stderr
    assert "bug" not in done.stderr


def test_a_job_without_an_output_says_so(cli: Cli, service: FakeService) -> None:
    service.put(a_job(1, "running"))
    done = cli("download", ONE)
    assert done.returncode == 3
    assert f"hint: reelpress jobs watch {ONE}" in done.stderr


# --- a service in trouble ---


def test_no_service_is_named_with_what_to_do(cli: Cli) -> None:
    done = cli("list", "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("reelpress: The service at http://127.0.0.1:9 does not answer.")
    assert "hint: Start it with `reelpress serve`" in done.stderr


@pytest.mark.parametrize(
    "environ", [{"ALL_PROXY": "socks9://127.0.0.1:9050"}, {"HTTPS_PROXY": "x://y"}, {"SSL_CERT_FILE": "/nothing"}]
)
def test_an_environment_that_allows_no_http_is_no_bug(cli: Cli, environ: dict[str, str]) -> None:
    done = cli("list", **environ)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "SSL_CERT_FILE" in done.stderr.partition("hint: ")[2]


def test_a_missing_key_is_asked_for_and_one_in_the_environment_is_used(cli: Cli, service: FakeService) -> None:
    service.key = "rp_secret"
    done = cli("list", "--key", "rp_wrong")
    assert done.returncode == 2
    assert done.stderr.startswith("reelpress: A valid API key is needed.")
    assert "rp_wrong" not in done.stderr
    assert cli("list", REELPRESS_API_KEY="rp_secret").returncode == 0
    # a proxy to a closed Cloud Run puts its own token into the first of them
    _, _, headers = service.seen[-1]
    assert (headers["authorization"], headers["x-api-key"]) == ("Bearer rp_secret", "rp_secret")


def test_a_busy_service_is_asked_again_without_a_second_job(cli: Cli, service: FakeService) -> None:
    service.failing["/v1/jobs"] = (503, {"detail": "The database does not answer."})
    child = cli.start("submit", "key:a.mov")
    wait_for(lambda: bool(service.seen))
    service.failing.clear()
    assert child.wait(timeout=30) == 0
    child.communicate()
    asked = [headers["idempotency-key"] for method, _, headers in service.seen if method == "POST"]
    assert len(asked) >= 2
    assert len(set(asked)) == 1


def test_names_of_the_service_in_the_environment_do_not_trouble_other_commands(cli: Cli) -> None:
    code = "from reelpress.settings import load; load()"
    subprocess.run([sys.executable, "-c", code], env=cli.environ | {"REELPRESS_API_KEY": "x"}, check=True)
