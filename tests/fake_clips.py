"""A service of videos, drafts, exports and clips in memory that answers as docs/clips-api.md says, for the wizard."""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from clips import X264, make
from fake_service import FakeService, problem_of

DURATION_S = 24
FPS = 25
CUTS_S = (6.0, 13.2, 19.0)
END = {"done", "failed", "cancelled", "dead"}
Json = dict[str, Any]


class Media:
    """What the service has of one video: its proxy, thumbnails, waveform, and what stands for a finished short."""

    def __init__(self, folder: Path, *, source: Path | None = None, cuts_s: tuple[float, ...] = CUTS_S) -> None:
        self.folder, self.cuts_s = folder, cuts_s
        self.proxy, self.short, self.sprites = folder / "proxy.mp4", folder / "short.mp4", folder / "sprites.jpg"
        self.duration_s = float(DURATION_S)
        if source is None:
            drawn = ("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={FPS}:duration={DURATION_S}")
            tone = ("-f", "lavfi", "-i", f"sine=frequency=300:duration={DURATION_S}")
            make(self.proxy, *drawn, *tone, *X264, "-g", "25", "-c:a", "aac", "-movflags", "+faststart")
        else:
            shape = "scale=-2:360,fps=25,format=yuv420p"
            make(self.proxy, "-i", f"file:{source}", "-t", str(DURATION_S), "-vf", shape, *X264, "-g", "25", "-c:a", "aac")
        self.columns = self.rows = 5
        size = "scale=160:90,tile=5x5"
        make(self.sprites, "-i", f"file:{self.proxy}", "-vf", f"fps=1,{size}", "-frames:v", "1", "-update", "1")
        shape = "crop=ih*9/16:ih,scale=270:480"
        make(self.short, "-i", f"file:{self.proxy}", "-t", "2", "-vf", shape, *X264, "-c:a", "aac", "-movflags", "+faststart")
        self.peaks = [int(60 + 60 * ((n * 37) % 100) / 100 * ((n // 50) % 3) / 2) for n in range(DURATION_S * 50)]


@cache
def media_in(folder: Path) -> Media:
    """Return the pattern that tests cut, made once."""
    return Media(folder)


def a_window(x: float, y: float = 0.5, *, t_s: float = 0.0, zoom: float = 1.0) -> Json:
    """Return a window that holds still."""
    return {"path": [{"t_s": t_s, "x": x, "y": y}], "zoom": zoom}


def a_framing(start_s: float, end_s: float, layout: str, cuts_s: tuple[float, ...] = CUTS_S) -> Json:
    """Return what analysis finds: a still shot, one that follows, and one where nothing was found."""
    edges = [start_s, *(cut for cut in cuts_s if start_s < cut < end_s), end_s]
    shots = []
    for n, (start, end) in enumerate(itertools.pairwise(edges)):
        shot: Json = {"start_s": start, "end_s": end, "layout": "still", "note": None, "subjects": 0, "rule": "faces"}
        if n % 3 == 1:
            path = [{"t_s": start, "x": 0.3, "y": 0.5}, {"t_s": (start + end) / 2, "x": 0.3, "y": 0.5}, {"t_s": end, "x": 0.7, "y": 0.5}]
            shot |= {"layout": "track", "windows": [{"path": path, "zoom": 1.0}], "subjects": 1}
        elif n % 3 == 2:
            shot |= {"windows": [a_window(0.5)], "rule": "centre", "note": "Nobody was found; the middle is used."}
        else:
            shot |= {"windows": [a_window(0.4, t_s=start)], "subjects": 2}
        if layout == "fit":
            shot |= {"layout": "fit", "windows": []}
        elif layout == "split":
            shot |= {"layout": "split", "windows": [a_window(0.2, t_s=start), a_window(0.8, t_s=start)]}
        elif layout in ("still", "track"):
            shot["layout"] = layout
        shots.append(shot)
    return {"shots": shots, "detector": "haar"}


class FakeClips(FakeService):
    """The service. Videos are ready at once and analyses done at once, unless a test holds them; clips wait for tests."""

    def __init__(self, media: Media, *, key: str | None = None) -> None:
        self.media = media
        self.videos: dict[str, Json] = {}
        self.analyses: dict[str, Json] = {}
        self.exports: dict[str, Json] = {}
        self.clips: dict[str, Json] = {}
        self.hold_videos = self.hold_analyses = False
        self.conflict: Callable[[Json], None] | None = None
        self.info: Json = {
            "layouts": ["auto", "still", "track", "fit", "split"], "caption_styles": ["plain", "bold", "karaoke"],
            "platforms": {"shorts": {"max_duration_s": 180}, "tiktok": {"max_duration_s": 600}, "reels": {"max_duration_s": 180}},
            "has_transcription": True, "has_faces_model": None,
            "sources": {"path": True, "url": True, "upload": True}, "max_clips": 100, "max_upload_bytes": 10**11,
        }  # fmt: skip
        self._number = itertools.count(1)
        super().__init__(key=key)

    # --- what tests do ---

    def add_video(self, name: str = "talk.mp4", *, ready: bool = True) -> Json:
        """Make a video."""
        video: Json = {
            "id": self._id("vid"), "name": name, "status": "queued", "stage": "queued", "percent": 0.0, "eta_s": None,
            "error": None, "created_at": time.time(), "facts": None, "preview": None,
        }  # fmt: skip
        self.videos[video["id"]] = video
        if ready:
            self.finish_video(video["id"])
        return video

    def finish_video(self, video_id: str) -> None:
        """Make a video ready."""
        media = self.media
        sprites = {
            "sheets": 1, "columns": media.columns, "rows": media.rows, "tile_width": 160, "tile_height": 90,
            "interval_s": 1.0, "count": DURATION_S,
        }  # fmt: skip
        self.videos[video_id] |= {
            "status": "ready", "stage": "finished", "percent": 100.0,
            "facts": {"duration_s": media.duration_s, "width": 1280, "height": 720, "fps": float(FPS), "has_audio": True, "size_bytes": 12_345_678, "codec": "h264"},
            "preview": {"width": 320, "height": 180, "sprites": sprites, "has_peaks": True, "cuts_s": list(media.cuts_s)},
        }  # fmt: skip
        self.tell(video_id, "done")

    def finish_analysis(self, analysis_id: str) -> None:
        """Answer an analysis."""
        one = self.analyses[analysis_id]
        one |= {"status": "done", "percent": 100.0}
        if one["kind"] == "framing":
            one["framing"] = a_framing(one["start_s"], one["end_s"], one["layout"], self.media.cuts_s)
        else:
            words = ("so", "this", "is", "what", "was", "said")
            spoken = [{"start_s": one["start_s"] + n * 0.4, "end_s": one["start_s"] + n * 0.4 + 0.35, "text": word} for n, word in enumerate(words)]
            cue = {"start_s": one["start_s"], "end_s": one["start_s"] + 2.4, "text": " ".join(words), "words": spoken}
            one["captions"] = {"cues": [cue], "style": "bold", "origin": "transcription"}
        self.tell(analysis_id, "done")

    def progress(self, draft_name: str, percent: float, stage: str = "render", **more: Any) -> None:
        """Let the clip of this name get on."""
        clip = self.clip(draft_name)
        started = clip["status"] == "queued"
        clip |= {"status": "running", "stage": stage, "percent": percent, "eta_s": (100 - percent) / 10, "speed": 1.7, **more}
        if started:
            self.tell(clip["id"], "started")
        self.send_progress(clip["id"], clip)

    def encoder(self, draft_name: str, encoder: str, device: str, reason: str | None = None) -> None:
        """Say what encodes a clip, and why it is not what was hoped for."""
        clip = self.clip(draft_name)
        clip |= {"encoder": encoder, "device": device, "fallback": reason}
        self.tell(clip["id"], "encoder", {"encoder": encoder, "device": device, "fallback": reason})

    def finish(self, draft_name: str) -> None:
        """Let a clip be done."""
        clip = self.clip(draft_name)
        result = {
            "size_bytes": self.media.short.stat().st_size, "sha256": "ab" * 32, "duration_s": clip["end_s"] - clip["start_s"],
            "width": 1080, "height": 1920, "fps": 25.0, "loudness_lufs": -14.1, "true_peak_dbtp": -2.3, "file_name": f"{clip['name']}.mp4",
        }  # fmt: skip
        self._end(clip, "done", result=result, percent=100.0, stage="finished")

    def fail(self, draft_name: str) -> None:
        """Let a clip fail."""
        error = {
            "code": "encode_failed", "text": "The encoder gave up.", "evidence": "x264 [error]: malloc failed",
            "hint": "Try again when more memory is free.", "retryable": True,
        }  # fmt: skip
        self._end(self.clip(draft_name), "failed", error=error)

    def clip(self, draft_name: str) -> Json:
        """Return the newest clip of this name."""
        return next(clip for clip in reversed(self.clips.values()) if clip["name"] == draft_name)

    def tell(self, job: str, kind: str, data: Json | None = None) -> None:
        """Send a numbered event."""
        event = {"seq": len(self.events) + 1, "job": job, "kind": kind, "at": time.time(), "data": data or {}}
        self.events.append(event)
        self._send(f"id: {event['seq']}\nevent: {kind}\ndata: {json.dumps(event)}\n\n")

    def send_progress(self, job: str, state: Json) -> None:
        """Send mere progress."""
        shown = {name: state.get(name) for name in ("status", "stage", "percent", "eta_s", "speed")}
        self._send(f"event: progress\ndata: {json.dumps({'job': job, 'updated_at': time.time(), **shown})}\n\n")

    # --- how it works ---

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._number):012x}{'0' * 16}"

    def _end(self, clip: Json, status: str, **more: Any) -> None:
        clip |= {"status": status, "eta_s": None, **more}
        self.tell(clip["id"], status)
        export = self.exports[clip["export"]]
        statuses = {one["status"] for one in export["clips"]}
        if statuses <= END:
            bad = statuses & {"failed", "dead"}
            export["status"] = "failed" if bad else "cancelled" if "cancelled" in statuses else "done"
            self.tell(export["id"], export["status"])

    def _clip(self, export: Json, index: int, draft: Json) -> Json:
        clip: Json = {
            "id": self._id("clip"), "export": export["id"], "draft": draft["id"], "index": index, "name": draft["name"],
            "start_s": draft["start_s"], "end_s": draft["end_s"], "status": "queued", "stage": "queued", "percent": 0.0,
            "eta_s": None, "speed": None, "encoder": None, "device": None, "fallback": None, "framing": draft["framing"], "warnings": [],
            "run": 1, "error": None, "result": None,
        }  # fmt: skip
        self.clips[clip["id"]] = clip
        return clip

    def _retry(self, clip: Json) -> None:
        clip |= {"status": "queued", "stage": "queued", "percent": 0.0, "error": None, "result": None, "run": clip["run"] + 1}
        self.exports[clip["export"]]["status"] = "running"
        self.tell(clip["id"], "retried")

    def _app(self) -> FastAPI:
        app = super()._app()
        self._video_routes(app)
        self._export_routes(app)
        self._clip_routes(app)
        return app

    def _video_routes(self, app: FastAPI) -> None:
        @app.get("/v1/clips-info")
        def info() -> Json:
            return self.info

        @app.post("/v1/videos")
        async def make_video(request: Request) -> Response:
            asked = await request.json()
            self.submitted.append(asked)
            (kind, value), *_ = asked["input"].items()
            if kind == "path" and "missing" in value:
                return problem_of(422, code="no_file", detail="There is no such file.", hint="Look at the path again.")
            name = asked.get("name") or str(value).rsplit("/", 1)[-1]
            return JSONResponse(self.add_video(name, ready=not self.hold_videos), 201)

        @app.get("/v1/videos")
        def videos() -> Json:
            return {"videos": list(self.videos.values())[::-1], "next_cursor": None}

        @app.get("/v1/videos/{video_id}")
        def video(video_id: str) -> Response:
            found = self.videos.get(video_id)
            return JSONResponse(found) if found else problem_of(404, code="not_found", detail="There is no such video.")

        @app.delete("/v1/videos/{video_id}")
        def delete_video(video_id: str) -> Response:
            if any(one["video"] == video_id and one["status"] == "running" for one in self.exports.values()):
                return problem_of(409, code="in_use", detail="An export of it is unfinished.")
            del self.videos[video_id]
            return Response(status_code=204)

        @app.get("/v1/videos/{video_id}/preview")
        def preview(video_id: str) -> Response:
            return FileResponse(self.media.proxy, media_type="video/mp4")

        @app.get("/v1/videos/{video_id}/sprites/{number}")
        def sprites(video_id: str, number: int) -> Response:
            return FileResponse(self.media.sprites, media_type="image/jpeg")

        @app.get("/v1/videos/{video_id}/peaks")
        def peaks(video_id: str) -> Json:
            return {"per_s": 50.0, "peaks": self.media.peaks}

        @app.put("/v1/videos/{video_id}/captions")
        async def parse(video_id: str, request: Request) -> Response:
            text = (await request.body()).decode()
            if "-->" not in text:
                return problem_of(422, code="no_captions", detail="This is no SRT or VTT file.")
            cues = [
                {"start_s": 1.0 + 4 * n, "end_s": 4.0 + 4 * n, "text": f"Cue {n + 1} of the file", "words": []} for n in range(5)
            ]  # fmt: skip
            return JSONResponse({"captions": {"cues": cues, "style": "bold", "origin": "file"}})

        @app.post("/v1/videos/{video_id}/{what}")
        async def analyse(video_id: str, what: str, request: Request) -> Response:
            asked = await request.json()
            kind = {"analyses": "framing", "captions": "captions"}[what]
            same = ("start_s", "end_s", "layout")
            for one in self.analyses.values():
                if one["kind"] == kind and one["video"] == video_id and all(one.get(n) == asked.get(n) for n in same):
                    return JSONResponse(one, 200)
            one = {
                "id": self._id("ana"), "video": video_id, "kind": kind, "status": "running", "percent": 10.0, "layout": asked.get("layout"),
                "start_s": asked["start_s"], "end_s": asked["end_s"], "framing": None, "captions": None, "error": None,
            }  # fmt: skip
            self.analyses[one["id"]] = one
            if not self.hold_analyses:
                self.finish_analysis(one["id"])
            return JSONResponse(one, 201)

        @app.get("/v1/analyses/{analysis_id}")
        def analysis(analysis_id: str) -> Json:
            return self.analyses[analysis_id]

    def _export_routes(self, app: FastAPI) -> None:
        @app.post("/v1/exports")
        async def make_export(request: Request) -> Response:
            asked = await request.json()
            export: Json = {
                "id": self._id("exp"), "video": asked["video"], "status": "draft", "version": 1, "percent": 0.0, "width": asked.get("width", 1080),
                "height": asked.get("height", 1920), "platform": asked.get("platform"), "created_at": time.time(),
                "started_at": None, "finished_at": None, "drafts": asked["clips"], "clips": [],
            }  # fmt: skip
            self.exports[export["id"]] = export
            return JSONResponse(export, 201)

        @app.get("/v1/exports")
        def exports(video: str | None = None) -> Json:
            bare = [
                one | {"drafts": [draft | {"framing": None, "captions": None} for draft in one["drafts"]]}
                for one in self.exports.values()
            ]
            found = [one for one in bare if video in (None, one["video"])]
            return {"exports": found[::-1], "next_cursor": None}

        @app.get("/v1/exports/{export_id}")
        def export(export_id: str) -> Response:
            found = self.exports.get(export_id)
            return JSONResponse(found) if found else problem_of(404, code="not_found", detail="There is no such export.")

        @app.put("/v1/exports/{export_id}")
        async def change(export_id: str, request: Request) -> Response:
            asked = await request.json()
            export = self.exports[export_id]
            if export["status"] != "draft":
                return problem_of(409, code="started", detail="The export was started, and changes no more.")
            if self.conflict is not None:
                self.conflict(export)
                export["version"] += 1
                self.conflict = None
            if asked["version"] != export["version"]:
                return problem_of(409, code="changed", detail="The draft was changed.", evidence=f"version {export['version']}")
            export |= {"drafts": asked["clips"], "version": export["version"] + 1, "platform": asked.get("platform")}
            return JSONResponse(export)

        @app.post("/v1/exports/{export_id}/{what}")
        def act(export_id: str, what: str) -> Response:
            export = self.exports[export_id]
            if what == "start" and export["status"] == "draft":
                export |= {"status": "running", "started_at": time.time()}
                export["clips"] = [self._clip(export, n, draft) for n, draft in enumerate(copy.deepcopy(export["drafts"]))]
                self.tell(export_id, "export_started")
            for clip in export["clips"]:
                if what == "cancel" and clip["status"] not in END:
                    self._end(clip, "cancelled")
                if what == "retry" and clip["status"] in END - {"done"}:
                    self._retry(clip)
            return JSONResponse(export)

        @app.get("/v1/exports/{export_id}/zip")
        def archive(export_id: str) -> Response:
            return Response(b"PK\x05\x06" + bytes(18), media_type="application/zip")

    def _clip_routes(self, app: FastAPI) -> None:
        @app.get("/v1/clips/{clip_id}")
        def clip(clip_id: str) -> Json:
            return self.clips[clip_id]

        @app.get("/v1/clips/{clip_id}/output")
        def output(clip_id: str, download: int = 0) -> Response:
            name = f"{self.clips[clip_id]['name']}.mp4" if download else None
            return FileResponse(self.media.short, media_type="video/mp4", filename=name)

        @app.get("/v1/clips/{clip_id}/receipt")
        def receipt(clip_id: str) -> Response:
            return JSONResponse(self.receipt)

        @app.get("/v1/clips/{clip_id}/captions.{form}")
        def captions(clip_id: str, form: str) -> Response:
            return Response("1\n00:00:00,000 --> 00:00:01,000\nx\n", media_type="text/plain")

        @app.post("/v1/clips/{clip_id}/{what}")
        def act(clip_id: str, what: str) -> Response:
            clip = self.clips[clip_id]
            if what == "cancel" and clip["status"] not in END:
                self._end(clip, "cancelled")
            if what == "retry":
                self._retry(clip)
            return JSONResponse(clip)

