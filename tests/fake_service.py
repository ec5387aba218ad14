"""A service of a few jobs in memory that answers as docs/service.md says, for readers of the API: page and commands."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import msgspec
import uvicorn
from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.model import Job, JobError, JobInput, JobResult, JobSpec, StageTime
from reelpress.service.pages import router

NOW = 1_795_000_000.0


def a_job(number: int, status: str = "done", *, name: str | None = None, **more: Any) -> Job:
    """Return job ``number``; larger ones are newer."""
    begun, ended = status != "queued", status in ("done", "failed", "cancelled", "dead")
    created = NOW + number * 60
    values: dict[str, Any] = {
        "id": f"job_{number:012x}{'0' * 16}", "user_id": "ada", "status": status, "percent": 0.0, "priority": "normal",
        "stage": {"running": "compress", "queued": "queued"}.get(status, "finished"), "origin": "api",
        "queue": "pull", "run": 1, "attempts": int(begun), "worker": "w-1" if begun else None, "created_at": created,
        "spec": JobSpec(
            input=JobInput(kind="object", value=f"users/ada/uploads/u{number}/film {number}.mov"),
            settings={"codec": "hevc", "max_size": "1920x1080"}, labels={"name": name} if name else {},
        ),
        "started_at": created + 2 if begun else None, "finished_at": created + 40 if ended else None,
        "updated_at": created, "cancel_requested": False, "eta_s": None, "speed": None, "result": None, "error": None,
    }  # fmt: skip
    stages = ("fetch", "probe", "compress", "check", "store", "notify")
    if status == "running":
        values |= {"percent": 42.0, "eta_s": 31.0, "speed": 2.4}
        values["stages"] = (
            *(StageTime(stage=s, attempt=1, started_at=created, wall_s=1.5) for s in stages[:2]),
            StageTime(stage="compress", attempt=1, started_at=created + 3),
        )
    if status == "done":
        content = video(number)
        stored = StoredObject(
            key=f"users/ada/outputs/{number}/film.mp4", size_bytes=len(content), content_type="video/mp4",
            sha256=hashlib.sha256(content).hexdigest(),
        )  # fmt: skip
        values |= {"percent": 100.0, "stages": tuple(
            StageTime(stage=s, attempt=1, started_at=created, wall_s=1.5 * n) for n, s in enumerate(stages)
        )}  # fmt: skip
        values["result"] = JobResult(
            outcome="encoded", encoder="libx265", device="cpu", input_key=values["spec"].input.value,
            input_bytes=len(content) * 3, output=stored, receipt=msgspec.structs.replace(stored, key="receipt.json"),
            saved_share=0.67, transcript_status="done", transcript={"vtt": stored, "srt": stored}, usd=0.00042,
            wall_s=38.0, warnings=("The input has no colour tags; BT.709 was assumed.",),
        )  # fmt: skip
    if status in ("failed", "dead"):
        values["error"] = JobError(
            code="input_unusable", text="The input is not a video.", evidence="moov atom not found",
            hint="Upload the whole file again.",
        )  # fmt: skip
    return Job(**(values | more))


def video(number: int) -> bytes:
    """Return what stands for the output of job ``number``."""
    return f"video {number} ".encode() * 20_000


RECEIPT: dict[str, Any] = {
    "event": "receipt", "schema": 1, "job": "x", "status": "encoded", "exit_code": 0, "encoder": "libx265",
    "device": "cpu", "gpu": None, "input": "film.mov", "output": "film.mp4", "saved_share": 0.67,
    "reasons": [{"code": "fell_back", "text": "hevc_nvenc did not deliver (gpu_lost), so the CPU encoded it."}],
    "error": None, "error_code": None, "evidence": None, "hint": None,
    "source": {
        "path": "film.mov", "size_bytes": 123_400_000, "sha256": None, "container": "mov", "frames": 900,
        "video": "h264 1920x1080 29.97 fps yuv420p", "audio": ["aac stereo"], "subtitles": [], "duration_s": 30.0,
    },
    "result": None, "streams": [],
    "attempts": [
        {"encoder": "hevc_nvenc", "device": "nvidia", "wall_s": 3.2, "failure": "gpu_lost", "note": None,
         "evidence": "CUDA_ERROR_LAUNCH_FAILED", "returncode": 1},
        {"encoder": "libx265", "device": "cpu", "wall_s": 31.0, "failure": None, "note": None, "evidence": None,
         "returncode": 0},
    ],
    "gates": [
        {"name": "duration", "verdict": "passed", "expected": "30.000 s", "measured": "30.000 s", "text": ""},
        {"name": "frames", "verdict": "passed", "expected": "900", "measured": "900", "text": ""},
    ],
    "warnings": [], "quality": {"method": "vmaf", "score": 95.1, "text": "VMAF 95.1 on eight sampled frames."},
}  # fmt: skip


class FakeService:
    """The service. Tests change ``jobs`` through :meth:`put`, and break what they like."""

    def __init__(self, jobs: list[Job] = [], *, key: str | None = None) -> None:  # noqa: B006 - never changed
        self.jobs = {job.id: job for job in jobs}
        self.key = key
        self.events: list[dict[str, Any]] = []
        self.streams: set[asyncio.Queue[str | None]] = set()
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.submitted: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.uploads: dict[str, dict[str, Any]] = {}
        self.failing: dict[str, tuple[int, dict[str, Any]]] = {}
        self.segment_bytes = 100_000
        self.break_segment: int | None = None
        self.signed = 0
        self.lasting: int | None = None  # a store of which each signature is good for so many requests
        self.used: dict[str | None, int] = {}
        self.store_url = ""  # a store of its own, if segments go there
        self.truncate = False
        self.receipt = RECEIPT
        self.app = self._app()
        self.url = ""
        self._loop: asyncio.AbstractEventLoop | None = None

    def put(self, job: Job, kind: str | None = None) -> None:
        """Change a job; ``kind`` names what happened, none is mere progress."""
        self.jobs[job.id] = job
        if kind is None:
            names = ("status", "stage", "percent", "eta_s", "speed", "cancel_requested", "updated_at")
            progress = {"job": job.id} | {name: getattr(job, name) for name in names}
            self._send(f"event: progress\ndata: {json.dumps(progress)}\n\n")
            return
        event = {"seq": len(self.events) + 1, "job": job.id, "kind": kind, "at": time.time(), "data": {}}
        self.events.append(event)
        self._send(sse(event))

    def break_streams(self) -> None:
        """End every stream of events, as a restart does."""
        self._send(None)

    def _send(self, text: str | None) -> None:
        if self._loop is not None:
            for queue in [*self.streams]:
                self._loop.call_soon_threadsafe(queue.put_nowait, text)

    @contextlib.contextmanager
    def running(self) -> Iterator[FakeService]:
        """Listen on a free port until the end."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(self.app, log_level="error", ws="none", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(server, listener)))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield self
        finally:
            self.break_streams()
            server.should_exit = True
            thread.join()
            listener.close()

    async def _serve(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await server.serve(sockets=[listener])

    def _app(self) -> FastAPI:
        app = FastAPI()
        app.include_router(router)
        app.state.store_place = lambda: f"{self.store_url}/" if self.store_url else None

        @app.middleware("http")
        async def gate(request: Request, call_next: Any) -> Response:
            self.seen.append((request.method, request.url.path, dict(request.headers)))
            path = request.url.path
            signature = request.query_params.get("signed")
            self.used[signature] = self.used.get(signature, 0) + 1
            if self.lasting is not None and self.used[signature] > self.lasting:
                return Response("<Error><Code>AccessDenied</Code></Error>", 403, media_type="application/xml")
            if path in self.failing:
                status, problem = self.failing[path]
                return problem_of(status, **problem)
            if path.startswith("/v1") and self.key and request.headers.get("authorization") != f"Bearer {self.key}":
                return problem_of(401, code="key_needed", detail="A valid API key is needed.", hint="Send one.")
            return await call_next(request)

        @app.get("/v1/jobs")
        def jobs(limit: int = 100, cursor: str | None = None, status: Annotated[list[str], Query()] = []) -> Response:  # noqa: B006
            found = sorted(self.jobs.values(), key=lambda job: job.id, reverse=True)
            counts: dict[str, int] = {}
            for job in found:
                counts[job.status] = counts.get(job.status, 0) + 1
            found = [job for job in found if not status or job.status in status]
            found = [job for job in found if cursor is None or job.id < cursor]
            more = found[limit - 1].id if len(found) > limit else None
            return answer({"jobs": found[:limit], "next_cursor": more, "counts": counts})

        @app.get("/v1/jobs/{job_id}")
        def one(job_id: str) -> Response:
            job = self.jobs.get(job_id)
            return answer(job) if job else problem_of(404, code="not_found", detail="There is no such job.")

        @app.post("/v1/jobs")
        async def submit(request: Request) -> Response:
            asked = await request.json()
            self.submitted.append(asked)
            self.keys.append(request.headers["idempotency-key"])
            spec = JobSpec(input=JobInput(kind="object", value="some.mov"), labels=asked.get("labels", {}))
            job = a_job(len(self.jobs) + 100, "queued", spec=spec)
            self.put(job, "queued")
            return answer(job, 201)

        @app.post("/v1/jobs/{job_id}/cancel")
        def cancel(job_id: str) -> Response:
            job = msgspec.structs.replace(self.jobs[job_id], cancel_requested=True)
            if job.status == "queued":
                job = msgspec.structs.replace(job, status="cancelled")
            self.put(job, "cancel_requested")
            return answer(job)

        @app.post("/v1/jobs/{job_id}/retry")
        def retry(job_id: str) -> Response:
            job = self.jobs[job_id]
            if job.status == "done":
                return problem_of(409, code="done", detail="The job is done.", hint="Submit it anew.")
            job = msgspec.structs.replace(
                job, status="queued", stage="queued", percent=0.0, error=None, run=job.run + 1
            )
            self.put(job, "retried")
            return answer(job)

        @app.get("/v1/jobs/{job_id}/receipt")
        def receipt(job_id: str) -> Response:
            if self.jobs[job_id].status != "done":
                return problem_of(404, code="not_found", detail="There is no receipt.")
            return JSONResponse(self.receipt)

        @app.get("/v1/jobs/{job_id}/output")
        def output(job_id: str, as_address: bool = False) -> Response:
            if as_address:
                return JSONResponse({"url": f"{self.store_url}/v1/jobs/{job_id}/output" if self.store_url else None})
            if self.store_url:
                return RedirectResponse(f"{self.store_url}/v1/jobs/{job_id}/output", 307)
            content = video(int(job_id[4:16], 16))
            return Response(content[:-1] + b"!" if self.truncate else content, media_type="video/mp4")

        @app.get("/v1/events")
        @app.get("/v1/jobs/{job_id}/events")
        async def events(request: Request, job_id: str | None = None) -> Response:
            wanted = {job_id} if job_id else set(request.query_params.getlist("job"))
            last = int(request.headers.get("last-event-id", "0"))
            old = [e for e in self.events if e["seq"] > last and (not wanted or e["job"] in wanted)]
            if "poll" in request.query_params:
                new = [e for e in old if e["seq"] > int(request.query_params["poll"])]
                return JSONResponse({"events": new, "last": max((e["seq"] for e in new), default=0)})
            return StreamingResponse(self._stream(old, wanted), media_type="text/event-stream")

        @app.post("/v1/uploads")
        async def begin(request: Request) -> Response:
            asked = await request.json()
            upload_id = f"upload_{len(self.uploads)}"
            self.uploads[upload_id] = asked | {"id": upload_id, "segments": {}, "complete": False}
            return JSONResponse(self._upload(upload_id), 201)

        @app.get("/v1/uploads/{upload_id}")
        def upload(upload_id: str, after: int = -1) -> Response:
            if upload_id not in self.uploads:
                return problem_of(404, code="not_found", detail="There is no such upload.")
            return JSONResponse(self._upload(upload_id, after))

        @app.delete("/v1/uploads/{upload_id}")
        def discard(upload_id: str) -> Response:
            self.uploads.pop(upload_id)
            return Response(status_code=204)

        @app.put("/v1/uploads/{upload_id}/segments/{number}")
        async def segment(upload_id: str, number: int, request: Request) -> Response:
            content = await request.body()
            if number == self.break_segment:
                return problem_of(503, code="storage_failed", detail="The store does not answer.")
            self.uploads[upload_id]["segments"][number] = content
            return Response(status_code=204)

        @app.post("/v1/uploads/{upload_id}/complete")
        def complete(upload_id: str) -> Response:
            self.uploads[upload_id]["complete"] = True
            return JSONResponse(self._upload(upload_id))

        return app

    def _upload(self, upload_id: str, after: int = -1) -> dict[str, Any]:
        upload = self.uploads[upload_id]
        self.signed += 1
        size = upload["size_bytes"]
        count = max(1, -(-size // self.segment_bytes))
        missing = [n for n in range(count) if n not in upload["segments"]]
        return {
            "id": upload_id, "name": upload["name"], "size_bytes": size, "is_complete": upload["complete"],
            "segment_bytes": self.segment_bytes, "missing": missing,
            "send": [
                {
                    "number": n, "size_bytes": min(self.segment_bytes, size - n * self.segment_bytes), "headers": {},
                    "url": f"{self.store_url}/v1/uploads/{upload_id}/segments/{n}?signed={self.signed}",
                }
                for n in [n for n in missing if n > after][:3]
            ],
        }  # fmt: skip

    async def _stream(self, old: list[dict[str, Any]], wanted: set[str]) -> AsyncIterator[str]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.streams.add(queue)
        try:
            yield ": hello\n\n"
            for event in old:
                yield sse(event)
            while (text := await queue.get()) is not None:
                if not wanted or any(job in text for job in wanted):
                    yield text
        finally:
            self.streams.discard(queue)


def sse(event: dict[str, Any]) -> str:
    """Return an event as it goes over the wire."""
    return f"id: {event['seq']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"


def answer(value: Any, status: int = 200) -> Response:
    """Return a value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def problem_of(status: int, **more: Any) -> Response:
    """Return a problem (RFC 9457)."""
    return JSONResponse({"status": status, **more}, status, media_type="application/problem+json")
