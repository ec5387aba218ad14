"""``reelpress serve`` as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

PATIENCE_S = 120.0


def without_settings() -> dict[str, str]:
    """Return the environment without what tests are told by names like those of settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REELPRESS_")}


class Service:
    """``reelpress serve`` as a process."""

    def __init__(
        self, env: dict[str, str], log: Path, *, program: Sequence[str] = ("-m", "reelpress", "serve")
    ) -> None:
        self.log, self.data = log, Path(env["REELPRESS_DATA_DIR"])
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                env={**without_settings(), **env},
                stderr=out,
                stdout=out,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while (found := re.search(r"listening on (http://[0-9.:]+)", log.read_text())) is None:
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        self.url = found[1]

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.url}{path}", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def end(self, sign: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            os.kill(self.process.pid, sign)
        return self.process.wait(60)


class Asked:
    """The API, asked by somebody who takes only success for an answer."""

    def __init__(self, service: Service) -> None:
        self.client = httpx.Client(base_url=service.url, timeout=60)
        self.log = service.log

    def __call__(self, method: str, path: str, *, expect: tuple[int, ...] = (200, 201), **more: Any) -> Any:
        answer = self.client.request(method, path, **more)
        assert answer.status_code in expect, answer.text
        return answer.json() if answer.headers.get("content-type") == "application/json" else answer

    def wait(self, path: str, *ends: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while (found := self("GET", path))["status"] not in ends:
            assert found["status"] in ("queued", "running", "draft"), found["error"]
            assert time.monotonic() < deadline, f"{found}\n{self.log.read_text()[-4000:]}"
            time.sleep(0.1)
        return found
