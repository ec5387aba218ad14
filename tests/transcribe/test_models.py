"""Models are found where they are, and downloaded by nothing but the command that says so."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import forked_program
from reelpress.errors import TranscribeError, UsageError
from reelpress.transcribe.models import download_model, downloaded_models, find_model, known_models

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "a" * 40
REPOSITORY = "Systran/faster-whisper-tiny"


class Hub:
    """As much of the Hugging Face Hub as a download asks for: one repository with a model."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked = files, list[str]()
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                hub.asked.append(path)
                if path.startswith(f"/api/models/{REPOSITORY}/tree/"):
                    self._json([
                        {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                        for n, c in hub.files.items()
                    ])  # fmt: skip
                elif path.startswith(f"/api/models/{REPOSITORY}"):
                    self._json({"id": REPOSITORY, "sha": COMMIT, "siblings": [{"rfilename": n} for n in hub.files]})
                elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
                    self._send(hub.files[path.rpartition("/")[2]], "application/octet-stream")
                else:
                    self.send_error(404)

            def _json(self, value: object) -> None:
                self._send(json.dumps(value).encode(), "application/json")

            def _send(self, content: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hub(tiny_model: Path) -> Iterator[Hub]:
    hub = Hub({path.name: path.read_bytes() for path in tiny_model.iterdir()} | {"README.md": b"not asked for"})
    yield hub
    hub.close()


def reelpress(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program, with none of this machine's proxies and hub settings."""
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith("HF_")}
    env = kept | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "400"} | env
    return forked_program.run_text(arguments, cwd=Path.cwd(), env=env, patience_s=120)


def test_a_download_is_found_by_its_name_and_not_fetched_again(hub: Hub, tmp_path: Path, tiny_model: Path) -> None:
    models = str(tmp_path / "models")
    done = reelpress("models", "download", "tiny", "--dir", models, HF_ENDPOINT=hub.address)
    assert (done.returncode, done.stderr) == (0, "")
    folder = find_model("tiny", models)
    assert str(folder) in done.stdout
    assert (folder / "model.bin").read_bytes() == (tiny_model / "model.bin").read_bytes()
    assert not (folder / "README.md").exists()
    hub.asked.clear()
    assert reelpress("models", "download", "tiny", "--dir", models, HF_ENDPOINT=hub.address).returncode == 0
    assert not [path for path in hub.asked if path.endswith("model.bin")]
    listed = dict(line.split() for line in reelpress("models", "list", "--dir", models).stdout.splitlines())
    assert listed["tiny"] == str(folder)
    assert listed["small"] == "-"
    assert set(listed) == set(known_models())
    assert downloaded_models(models) == {"tiny": folder}
    assert find_model(REPOSITORY, models) == folder


def test_where_there_is_no_network_it_says_so(tmp_path: Path) -> None:
    done = reelpress("models", "download", "tiny", "--dir", str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    what, evidence, hint = done.stderr.splitlines()
    assert what == "reelpress: the model tiny could not be downloaded"
    assert "Connect" in evidence
    assert "HF_ENDPOINT" in hint


def test_a_hub_without_the_model_is_an_error(hub: Hub, tmp_path: Path) -> None:
    done = reelpress("models", "download", "base", "--dir", str(tmp_path), HF_ENDPOINT=hub.address)
    assert (done.returncode, done.stdout) == (1, "")
    assert "could not be downloaded" in done.stderr


def test_a_model_of_which_a_part_is_missing_is_told(hub: Hub, tmp_path: Path) -> None:
    del hub.files["tokenizer.json"]
    done = reelpress("models", "download", "tiny", "--dir", str(tmp_path), HF_ENDPOINT=hub.address)
    assert done.returncode == 1
    assert "lacks tokenizer.json" in done.stderr
    assert downloaded_models(str(tmp_path)) == {}


def test_looking_for_a_model_never_asks_a_hub(hub: Hub, tmp_path: Path, tiny_model: Path) -> None:
    code = (
        "import sys; from reelpress.transcribe.models import find_model, downloaded_models\n"
        "print(downloaded_models(sys.argv[1]))\n"
        "try: find_model('tiny', sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "HF_ENDPOINT": hub.address},
    )  # fmt: skip
    assert done.stdout.split() == ["{}", "TranscribeError"]
    assert hub.asked == []
    assert find_model(str(tiny_model), None) == tiny_model


def test_names_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model huge"):
        download_model("huge", str(tmp_path))
    for name in ("huge", "a/b/c", "../.."):
        with pytest.raises(TranscribeError, match=r"not here|not whole"):
            find_model(name, str(tmp_path))
