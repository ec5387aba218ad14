"""The routes of a service in memory of videos, analyses, exports and clips."""

from __future__ import annotations

import copy
import time

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from fake_clips import END, FakeClips
from fake_media import Json
from fake_service import problem_of


def add_video_routes(app: FastAPI, service: FakeClips) -> None:
    """Answer as docs/clips-api.md says of these."""

    @app.get("/v1/clips-info")
    def info() -> Json:
        return service.info

    @app.post("/v1/videos")
    async def make_video(request: Request) -> Response:
        asked = await request.json()
        service.submitted.append(asked)
        (kind, value), *_ = asked["input"].items()
        if kind == "path" and "missing" in value:
            return problem_of(422, code="no_file", detail="There is no such file.", hint="Look at the path again.")
        name = asked.get("name") or str(value).rsplit("/", 1)[-1]
        return JSONResponse(service.add_video(name, ready=not service.hold_videos), 201)

    @app.get("/v1/videos")
    def videos(limit: int = 20) -> Json:
        return page_of("videos", list(service.videos.values())[::-1], limit)

    @app.get("/v1/videos/{video_id}")
    def video(video_id: str) -> Response:
        found = service.videos.get(video_id)
        return JSONResponse(found) if found else problem_of(404, code="not_found", detail="There is no such video.")

    @app.delete("/v1/videos/{video_id}")
    def delete_video(video_id: str) -> Response:
        if any(one["video"] == video_id and one["status"] == "running" for one in service.exports.values()):
            return problem_of(409, code="in_use", detail="An export of it is unfinished.")
        del service.videos[video_id]
        return Response(status_code=204)

    @app.get("/v1/videos/{video_id}/preview")
    def preview(video_id: str, as_address: bool = False) -> Response:
        if as_address:
            return JSONResponse({"url": f"{service.store_url}/preview.mp4" if service.store_url else None})
        return FileResponse(service.media.proxy, media_type="video/mp4")

    @app.get("/v1/videos/{video_id}/sprites/{number}")
    def sprites(video_id: str, number: int) -> Response:
        return FileResponse(service.media.sprites, media_type="image/jpeg")

    @app.get("/v1/videos/{video_id}/peaks")
    def peaks(video_id: str) -> Json:
        return {"per_s": 50.0, "peaks": service.media.peaks}

    @app.put("/v1/videos/{video_id}/captions")
    async def parse(video_id: str, request: Request) -> Response:
        text = (await request.body()).decode()
        if "-->" not in text:
            return problem_of(422, code="no_captions", detail="This is no SRT or VTT file.")
        cues = [
            {"start_s": 1.0 + 4 * n, "end_s": 4.0 + 4 * n, "text": f"Cue {n + 1} of the file", "words": []}
            for n in range(5)
        ]
        return JSONResponse({"captions": {"cues": cues, "style": "bold", "origin": "file"}})

    @app.post("/v1/videos/{video_id}/{what}")
    async def analyse(video_id: str, what: str, request: Request) -> Response:
        asked = await request.json()
        kind = {"analyses": "framing", "captions": "captions"}[what]
        same = ("start_s", "end_s", "layout")
        for one in service.analyses.values():
            if one["kind"] == kind and one["video"] == video_id and all(one.get(n) == asked.get(n) for n in same):
                return JSONResponse(one, 200)
        one = {
            "id": service.new_id("ana"),
            "video": video_id,
            "kind": kind,
            "status": "running",
            "percent": 10.0,
            "layout": asked.get("layout"),
            "start_s": asked["start_s"],
            "end_s": asked["end_s"],
            "framing": None,
            "captions": None,
            "error": None,
        }
        service.analyses[one["id"]] = one
        if not service.hold_analyses:
            service.finish_analysis(one["id"])
        return JSONResponse(one, 201)

    @app.get("/v1/analyses/{analysis_id}")
    def analysis(analysis_id: str) -> Json:
        return service.analyses[analysis_id]


def page_of(what: str, found: list[Json], limit: int) -> Json:
    """Return the first of what was found, and whether there is more."""
    return {what: found[:limit], "next_cursor": "older" if len(found) > limit else None}


def add_export_routes(app: FastAPI, service: FakeClips) -> None:
    """Answer as docs/clips-api.md says of these."""

    @app.post("/v1/exports")
    async def make_export(request: Request) -> Response:
        asked = await request.json()
        key = request.headers.get("idempotency-key")
        if key in service.made:
            first, export_id = service.made[key]
            if first != asked:
                return problem_of(409, code="key_reused", detail="This key was used for another request.")
            return JSONResponse(service.exports[export_id])
        export: Json = {
            "id": service.new_id("exp"),
            "video": asked["video"],
            "status": "draft",
            "version": 1,
            "percent": 0.0,
            "width": asked.get("width", 1080),
            "height": asked.get("height", 1920),
            "platform": asked.get("platform"),
            "created_at": time.time(),
            "started_at": None,
            "finished_at": None,
            "drafts": asked["clips"],
            "clips": [],
        }
        service.exports[export["id"]] = export
        if key is not None:
            service.made[key] = (asked, export["id"])
        return JSONResponse(export, 201)

    @app.get("/v1/exports")
    def exports(video: str | None = None, limit: int = 20) -> Json:
        bare = [
            one | {"drafts": [draft | {"framing": None, "captions": None} for draft in one["drafts"]]}
            for one in service.exports.values()
        ]
        found = [one for one in bare if video in (None, one["video"])]
        return page_of("exports", found[::-1], limit)

    @app.get("/v1/exports/{export_id}")
    def export(export_id: str) -> Response:
        found = service.exports.get(export_id)
        return JSONResponse(found) if found else problem_of(404, code="not_found", detail="There is no such export.")

    @app.put("/v1/exports/{export_id}")
    async def change(export_id: str, request: Request) -> Response:
        asked = await request.json()
        export = service.exports[export_id]
        if export["status"] != "draft":
            return problem_of(409, code="started", detail="The export was started, and changes no more.")
        if service.conflict is not None:
            service.conflict(export)
            export["version"] += 1
            service.conflict = None
        if asked["version"] != export["version"]:
            return problem_of(
                409, code="changed", detail="The draft was changed.", evidence=f"version {export['version']}"
            )
        export |= {"drafts": asked["clips"], "version": export["version"] + 1, "platform": asked.get("platform")}
        return JSONResponse(export)

    @app.post("/v1/exports/{export_id}/{what}")
    def act(export_id: str, what: str) -> Response:
        export = service.exports[export_id]
        if what == "start" and export["status"] == "draft":
            export |= {"status": "running", "started_at": time.time()}
            export["clips"] = [
                service.make_clip(export, n, draft) for n, draft in enumerate(copy.deepcopy(export["drafts"]))
            ]
            service.tell(export_id, "export_started")
        for clip in export["clips"]:
            if what == "cancel" and clip["status"] not in END:
                service.end(clip, "cancelled")
            if what == "retry" and clip["status"] in END - {"done"}:
                service.retry(clip)
        return JSONResponse(export)

    @app.get("/v1/exports/{export_id}/zip")
    def archive(export_id: str) -> Response:
        return Response(b"PK\x05\x06" + bytes(18), media_type="application/zip")


def add_clip_routes(app: FastAPI, service: FakeClips) -> None:
    """Answer as docs/clips-api.md says of these."""

    @app.get("/v1/clips/{clip_id}")
    def clip(clip_id: str) -> Json:
        return service.clips[clip_id]

    @app.get("/v1/clips/{clip_id}/output")
    def output(clip_id: str, download: int = 0, as_address: bool = False) -> Response:
        if as_address:
            return JSONResponse({"url": None})
        name = f"{service.clips[clip_id]['name']}.mp4" if download else None
        return FileResponse(service.media.short, media_type="video/mp4", filename=name)

    @app.get("/v1/clips/{clip_id}/receipt")
    def receipt(clip_id: str) -> Response:
        return JSONResponse(service.receipt)

    @app.get("/v1/clips/{clip_id}/captions.{form}")
    def captions(clip_id: str, form: str) -> Response:
        return Response("1\n00:00:00,000 --> 00:00:01,000\nx\n", media_type="text/plain")

    @app.post("/v1/clips/{clip_id}/{what}")
    def act(clip_id: str, what: str) -> Response:
        clip = service.clips[clip_id]
        if what == "cancel" and clip["status"] not in END:
            service.end(clip, "cancelled")
        if what == "retry":
            service.retry(clip)
        return JSONResponse(clip)
