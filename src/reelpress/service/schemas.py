"""What callers may send: shapes and bounds, as OpenAPI shows them. Everything else of the service uses plain values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reelpress.jobs.model import InputKind, Priority

Sha256 = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the file, in hexadecimal.")]
_Text = Annotated[str, Field(max_length=64)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InputShape(_Shape):
    """Where the video is: exactly one of ``object``, ``upload``, ``url`` and ``path``."""

    object: Annotated[str, Field(max_length=900, description="Key of an object in the store.")] | None = None
    upload: Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Id of a completed upload.")] | None = None
    url: Annotated[str, Field(max_length=4096, description="http or https address, public.")] | None = None
    path: Annotated[str, Field(max_length=4096, description="File on the workers' machine; admin only.")] | None = None
    name: Annotated[str, Field(max_length=255, description="What you call the file.")] | None = None
    size_bytes: Annotated[int, Field(ge=0, le=10**15, description="Refuse an input of another size.")] | None = None
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _one_source(self) -> InputShape:
        if sum(value is not None for value in (self.object, self.upload, self.url, self.path)) != 1:
            raise ValueError("exactly one of object, upload, url and path is needed")
        return self

    def source(self) -> tuple[InputKind, str]:
        """Return the kind of the input and its name there."""
        kinds: tuple[InputKind, ...] = ("object", "upload", "url", "path")
        return next((kind, value) for kind in kinds if (value := getattr(self, kind)) is not None)


class SettingsShape(_Shape):
    """What to make of the video, named as the options of ``reelpress compress``; what is left out is the server's."""

    codec: _Text | None = None
    crf: _Number | _Text | None = None
    target_vmaf: _Number | _Text | None = None
    preset: _Text | int | None = None
    gpu_preset: _Text | None = None
    max_size: Annotated[str, Field(max_length=16, description="WIDTHxHEIGHT")] | None = None
    max_fps: _Number | _Text | None = None
    audio_bitrate: int | _Text | None = None
    audio_channels: _Text | None = None
    hdr: _Text | None = None
    min_saving: _Number | _Text | None = None
    decode_check: _Text | None = None
    hardware: Literal["auto", "require", "off"] | None = None
    always_encode: bool = False
    transcribe: bool = True


class JobShape(_Shape):
    """A job to do."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "input": {"upload": "5f0c2a7e9b1d4c3f8a6e0d2b4c6f8a1e"},
                    "settings": {"codec": "h264", "max_size": "1280x720"},
                    "labels": {"title": "Holiday"},
                },
                {"input": {"url": "https://example.com/talk.mov"}, "webhook": "https://example.com/hook"},
            ]
        },
    )
    input: InputShape
    settings: SettingsShape = SettingsShape()
    priority: Priority = "normal"
    webhook: Annotated[str, Field(max_length=2048, description="Told when the job ends, signed.")] | None = None
    output_key: Annotated[str, Field(max_length=900, description="Key for the output; chosen if left out.")] | None = (
        None
    )
    labels: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=256)]], Field(max_length=32)
    ] = {}
    reuse: Annotated[bool, Field(description="The answer may be an earlier job's with the same input.")] = True


class UploadShape(_Shape):
    """A file to come."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "talk.mov", "size_bytes": 734003200}]}
    )
    name: Annotated[str, Field(min_length=1, max_length=255)]
    size_bytes: Annotated[int, Field(ge=1, le=10**15)]
    sha256: Sha256 | None = None
