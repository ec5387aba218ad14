"""What callers may send of videos, analyses and exports: shapes and bounds, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from reelpress.clip_request import LayoutChoice
from reelpress.jobs.clip_model import MAX_CLIPS
from reelpress.plan.platforms import PlatformName
from reelpress.service.schemas import InputShape

# Framing and captions are values of the engine's own: their JSON is checked against those (clip_requests.py).
FramingShape = Annotated[dict[str, Any], WithJsonSchema({"$ref": "#/components/schemas/Framing"})]
CaptionsShape = Annotated[dict[str, Any], WithJsonSchema({"$ref": "#/components/schemas/Captions"})]
_Seconds = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
_Side = Annotated[int, Field(ge=144, le=4096, multiple_of=2)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VideoShape(_Shape):
    """A long video to make ready for cutting."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"input": {"upload": "5f0c2a7e9b1d4c3f8a6e0d2b4c6f8a1e"}}]}
    )
    input: InputShape
    name: Annotated[str, Field(max_length=255, description="What you call it.")] | None = None


class AnalysisShape(_Shape):
    """A stretch in which to find where the window goes."""

    start_s: _Seconds
    end_s: _Seconds
    layout: LayoutChoice = "auto"
    width: _Side = 1080
    height: _Side = 1920


class SpeechShape(_Shape):
    """A stretch in which to hear what is said."""

    start_s: _Seconds
    end_s: _Seconds
    language: Annotated[str, Field(pattern="^[a-z]{2,3}$", description="Whisper's code, as en.")] | None = None


class DraftShape(_Shape):
    """A clip as it is to be. ``id`` is your own."""

    id: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
    name: Annotated[str, Field(max_length=80)] = ""
    start_s: _Seconds
    end_s: _Seconds
    layout: LayoutChoice = "auto"
    framing: Annotated[FramingShape | None, Field(description="Found when it is rendered, if left out.")] = None
    captions: CaptionsShape | None = None


class _Clips(_Shape):
    clips: Annotated[list[DraftShape], Field(max_length=MAX_CLIPS)]
    width: _Side = 1080
    height: _Side = 1920
    platform: PlatformName | None = None


class ExportShape(_Clips):
    """Clips of a video to export, now or once they are as they should be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "video": "vid_019a9f6c1e2a5d0b3c4f8e7a",
                    "clips": [{"id": "a", "name": "The answer", "start_s": 12.0, "end_s": 57.5}],
                    "start": True,
                }
            ]
        },
    )
    video: Annotated[str, Field(pattern="^vid_[0-9a-f]{1,60}$")]
    webhook: Annotated[str, Field(max_length=2048, description="Told when all clips have ended, signed.")] | None = None
    start: Annotated[bool, Field(description="Start at once, instead of keeping a draft.")] = False


class ExportChangeShape(_Clips):
    """What a draft is to hold from now on; ``version`` is the one that you changed."""

    version: Annotated[int, Field(ge=1, le=2**31)]
