"""A Prometheus of its own over recorded data: blocks made by promtool, questions asked over HTTP."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

_STARTS_WITHIN_S = 60.0
_MOST_POINTS = 11_000  # a Prometheus answers no question with more


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an answer: its labels, and values at times in seconds since 1970."""

    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    result: list[Series]


class _Answer(msgspec.Struct):
    data: _Data


class Prometheus:
    """A Prometheus that answers questions about a folder of data."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def query_range(self, expr: str, *, start: float, end: float, step_s: float) -> list[Series]:
        """Return the values of a query at every step. Raises ``ValueError`` with what was said of a wrong one."""
        if (end - start) / step_s >= _MOST_POINTS:
            raise ValueError(f"{(end - start) / step_s:.0f} steps are more than Prometheus answers")
        asked = {"query": expr, "start": start, "end": end, "step": step_s}
        answer = self._client.post("/api/v1/query_range", data={name: str(value) for name, value in asked.items()})
        if answer.status_code != 200:
            raise ValueError(f"{expr}: {answer.text}")
        return msgspec.json.decode(answer.content, type=_Answer).data.result

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def make_blocks(openmetrics: Path, data: Path) -> None:
    """Make blocks of data of a file in OpenMetrics. Raises ``CalledProcessError``."""
    # one block a day: with the default of two hours promtool reads the whole file for each two hours
    _promtool(
        "tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=24h", str(openmetrics), str(data)
    )


def make_recorded_blocks(prometheus: Prometheus, rules: Path, data: Path, *, start: float, end: float) -> None:
    """Have recording rules computed over data that is there; a Prometheus started afterwards knows them."""
    _promtool(
        "tsdb", "create-blocks-from", "rules", f"--url={prometheus.url}", f"--start={start:.0f}", f"--end={end:.0f}",
        f"--output-dir={data}", str(rules),
    )  # fmt: skip


@contextmanager
def serving(data: Path) -> Iterator[Prometheus]:
    """Run a Prometheus over a folder of data until the end. Raises ``RuntimeError`` where it does not start."""
    config = data.with_suffix(".yaml")
    config.write_text("global: {}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = subprocess.Popen(
        [
            _program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]
    )  # fmt: skip
    prometheus = Prometheus(f"http://127.0.0.1:{port}")
    try:
        _wait(program, prometheus.url)
        yield prometheus
    finally:
        prometheus.close()
        program.terminate()
        program.wait(timeout=60)


def _wait(program: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < until and program.poll() is None:
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError("Prometheus does not start")


def _promtool(*words: str) -> None:
    subprocess.run([_program("promtool"), *words], check=True, stdout=subprocess.DEVNULL)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not here; on Debian: apt install prometheus")
    return found
