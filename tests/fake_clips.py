"""A service of videos, drafts, exports and clips in memory that answers as docs/clips-api.md says, for the wizard."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from fake_media import DURATION_S, FPS, Json, Media, a_framing
from fake_service import FakeService

END = {"done", "failed", "cancelled", "dead"}


class FakeClips(FakeService):
    """The service. Videos and analyses are ready at once, unless a test holds them; clips wait for tests."""

    def __init__(self, media: Media, *, key: str | None = None) -> None:
        self.media = media
        self.videos: dict[str, Json] = {}
        self.analyses: dict[str, Json] = {}
        self.exports: dict[str, Json] = {}
        self.clips: dict[str, Json] = {}
        self.made: dict[str, tuple[Json, str]] = {}  # what was asked with a key, and the export that it made
        self.hold_videos = self.hold_analyses = False
        self.conflict: Callable[[Json], None] | None = None
        self.info: Json = {
            "layouts": ["auto", "still", "track", "fit", "split"],
            "caption_styles": ["plain", "bold", "karaoke"],
            "platforms": {
                "shorts": {"max_duration_s": 180},
                "tiktok": {"max_duration_s": 600},
                "reels": {"max_duration_s": 180},
            },
            "has_transcription": True,
            "has_faces_model": None,
            "sources": {"path": True, "url": True, "upload": True},
            "max_clips": 100,
            "max_upload_bytes": 10**11,
        }
        self._number = itertools.count(1)
        super().__init__(key=key)

    # --- what tests do ---

    def add_video(self, name: str = "talk.mp4", *, ready: bool = True) -> Json:
        """Make a video."""
        video: Json = {
            "id": self.new_id("vid"),
            "name": name,
            "status": "queued",
            "stage": "queued",
            "percent": 0.0,
            "eta_s": None,
            "error": None,
            "created_at": time.time(),
            "facts": None,
            "preview": None,
        }
        self.videos[video["id"]] = video
        if ready:
            self.finish_video(video["id"])
        return video

    def finish_video(self, video_id: str) -> None:
        """Make a video ready."""
        media = self.media
        sprites = {
            "sheets": 1,
            "columns": media.columns,
            "rows": media.rows,
            "tile_width": 160,
            "tile_height": 90,
            "interval_s": 1.0,
            "count": DURATION_S,
        }
        self.videos[video_id] |= {
            "status": "ready",
            "stage": "finished",
            "percent": 100.0,
            "facts": {
                "duration_s": media.duration_s,
                "width": 1280,
                "height": 720,
                "fps": float(FPS),
                "has_audio": True,
                "size_bytes": 12_345_678,
                "codec": "h264",
            },
            "preview": {
                "width": 320,
                "height": 180,
                "sprites": sprites,
                "has_peaks": True,
                "cuts_s": list(media.cuts_s),
            },
        }
        self.tell(video_id, "done")

    def finish_analysis(self, analysis_id: str) -> None:
        """Answer an analysis."""
        one = self.analyses[analysis_id]
        one |= {"status": "done", "percent": 100.0}
        if one["kind"] == "framing":
            one["framing"] = a_framing(one["start_s"], one["end_s"], one["layout"], self.media.cuts_s)
        else:
            words = ("so", "this", "is", "what", "was", "said")
            spoken = [
                {"start_s": one["start_s"] + n * 0.4, "end_s": one["start_s"] + n * 0.4 + 0.35, "text": word}
                for n, word in enumerate(words)
            ]
            cue = {"start_s": one["start_s"], "end_s": one["start_s"] + 2.4, "text": " ".join(words), "words": spoken}
            one["captions"] = {"cues": [cue], "style": "bold", "origin": "transcription"}
        self.tell(analysis_id, "done")

    def progress(self, draft_name: str, percent: float, stage: str = "render", **more: Any) -> None:
        """Let the clip of this name get on."""
        clip = self.clip(draft_name)
        started = clip["status"] == "queued"
        clip |= {
            "status": "running",
            "stage": stage,
            "percent": percent,
            "eta_s": (100 - percent) / 10,
            "speed": 1.7,
            **more,
        }
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
            "size_bytes": self.media.short.stat().st_size,
            "sha256": "ab" * 32,
            "duration_s": clip["end_s"] - clip["start_s"],
            "width": 1080,
            "height": 1920,
            "fps": 25.0,
            "loudness_lufs": -14.1,
            "true_peak_dbtp": -2.3,
            "file_name": f"{clip['name']}.mp4",
        }
        self.end(clip, "done", result=result, percent=100.0, stage="finished")

    def fail(self, draft_name: str) -> None:
        """Let a clip fail."""
        error = {
            "code": "encode_failed",
            "text": "The encoder gave up.",
            "evidence": "x264 [error]: malloc failed",
            "hint": "Try again when more memory is free.",
            "retryable": True,
        }
        self.end(self.clip(draft_name), "failed", error=error)

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

    def new_id(self, prefix: str) -> str:
        """Return an id that nothing has."""
        return f"{prefix}_{next(self._number):012x}{'0' * 16}"

    def end(self, clip: Json, status: str, **more: Any) -> None:
        """Let a clip end, and its export with the last one."""
        clip |= {"status": status, "eta_s": None, **more}
        self.tell(clip["id"], status)
        export = self.exports[clip["export"]]
        statuses = {one["status"] for one in export["clips"]}
        if statuses <= END:
            bad = statuses & {"failed", "dead"}
            export["status"] = "failed" if bad else "cancelled" if "cancelled" in statuses else "done"
            self.tell(export["id"], export["status"])

    def make_clip(self, export: Json, index: int, draft: Json) -> Json:
        """Make a clip of a draft."""
        clip: Json = {
            "id": self.new_id("clip"),
            "export": export["id"],
            "draft": draft["id"],
            "index": index,
            "name": draft["name"],
            "start_s": draft["start_s"],
            "end_s": draft["end_s"],
            "status": "queued",
            "stage": "queued",
            "percent": 0.0,
            "eta_s": None,
            "speed": None,
            "encoder": None,
            "device": None,
            "fallback": None,
            "framing": draft["framing"],
            "warnings": [],
            "run": 1,
            "error": None,
            "result": None,
        }
        self.clips[clip["id"]] = clip
        return clip

    def retry(self, clip: Json) -> None:
        """Queue a clip again."""
        clip |= {
            "status": "queued",
            "stage": "queued",
            "percent": 0.0,
            "error": None,
            "result": None,
            "run": clip["run"] + 1,
        }
        self.exports[clip["export"]]["status"] = "running"
        self.tell(clip["id"], "retried")

    def _app(self) -> FastAPI:
        app = super()._app()
        from fake_clip_routes import add_clip_routes, add_export_routes, add_video_routes

        add_video_routes(app, self)
        add_export_routes(app, self)
        add_clip_routes(app, self)
        return app
