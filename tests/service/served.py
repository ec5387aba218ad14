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
