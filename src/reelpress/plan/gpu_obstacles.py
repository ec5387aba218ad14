"""Why a GPU does not take part in a job, or in a step of it, in one line each. Pure."""

from __future__ import annotations

from reelpress.facts.host import FfmpegFacts, GpuFacts, GpuPath, HostFacts
from reelpress.facts.media import VideoTrack
from reelpress.plan.encoders import EncoderRow
from reelpress.plan.ladder import Shape

# What the encoder makes of these, by the names of what it is fed.
FED_AS = {"yuv420p": "yuv420p", "yuv420p10le": "p010le"}
_FULL_SCALER_SINCE = 9  # FFmpeg 5.1's scale_cuda takes no more than 4x4 pixels of the source, however large it is
_MOST_SHRINK_OF_OLD_SCALER = 2
_KEEPS_HDR_SINCE = 8  # nvenc writes mastering display and light level since 7.1


def software_steps(shape: Shape) -> str | None:
    """Return why pictures must be decoded and prepared in software, or ``None`` where a GPU does all of it right."""
    track = shape.track
    checks = (
        # FFmpeg neither turns CUDA frames nor keeps the flag: the video would lie on its side
        (track.rotation_deg != 0 or track.mirrored, "the picture is turned, which FFmpeg does not do to GPU frames"),
        # GPU frames are cut at the right and the bottom alone
        (track.crop is not None or track.is_cut_left_or_top, "it is cropped, which FFmpeg does not do to GPU frames"),
        (bool(shape.before_scale), "it is deinterlaced"),
        (
            track.colour.is_hdr and shape.colour.keeps_hdr is None,
            "HDR is tone-mapped, for which FFmpeg has no GPU filter",
        ),
        (shape.colour.tags is None, f"{track.pix_fmt} pictures are converted in software"),
    )
    return next((text for hit, text in checks if hit), None) or no_nvdec(track)


def no_nvdec(track: VideoTrack) -> str | None:
    """Return why NVDEC would not decode a track's pictures right, whatever is done to them then, or ``None``."""
    checks = (
        (track.changes_size, "its picture changes size midway"),
        # an upload of what NVDEC refuses leaves out the last row of colour of an odd height
        (bool(track.width % 2 or track.height % 2), "its picture has an odd size"),
        (min(track.width, track.height) < 64, "its picture is too small for NVDEC"),
        (max(track.width, track.height) > 8192, "its picture is too large for NVDEC"),
    )
    return next((text for hit, text in checks if hit), None)


def no_encode(shape: Shape, row: EncoderRow) -> str | None:
    """Return why an encoder does not take this job's pictures, or ``None``."""
    width, height = shape.size.width, shape.size.height
    if width < row.min_width or height < row.min_height:
        return f"{width}x{height} is smaller than {row.name} takes"
    if max(width, height) > row.max_side:
        return f"{width}x{height} is larger than {row.name} takes"
    if shape.colour.pix_fmt not in FED_AS:
        return f"{row.name} is not fed {shape.colour.pix_fmt}"
    return None


def keeps_colour(shape: Shape, build: FfmpegFacts) -> bool:
    """Tell whether what makes a picture HDR stays with it, where that was asked for."""
    return shape.colour.keeps_hdr is None or build.major >= _KEEPS_HDR_SINCE


def aliases(shape: Shape, build: FfmpegFacts) -> bool:
    """Tell whether an FFmpeg would scale this job's pictures too coarsely on a GPU."""
    shrink = max(shape.track.display_width / shape.size.width, shape.track.display_height / shape.size.height)
    return build.major < _FULL_SCALER_SINCE and shrink > _MOST_SHRINK_OF_OLD_SCALER


def why_none_encodes(shape: Shape, host: HostFacts, row: EncoderRow) -> str:
    """Return in one line why no GPU encodes: what the best-placed GPU said."""
    too_old = tuple(
        f"FFmpeg {build.version}, which encodes with {row.name} here, would leave out what makes it HDR"
        for build in host.ffmpegs
        if not keeps_colour(shape, build)
        and any(p.state != "fails" for _, p in _encode_paths(host, row, shape.colour.pix_fmt) if p.ffmpeg == build.path)
    )
    return why_no_gpu(host, row, shape.colour.pix_fmt, too_old)


def why_no_gpu(host: HostFacts, row: EncoderRow, pix_fmt: str, too_old: tuple[str, ...] = ()) -> str:
    """Return in one line why no GPU encodes; ``too_old`` says of FFmpegs that could why they do not."""
    if host.gpu_note is not None:
        return host.gpu_note
    suspended = [f"{gpu.name}: {gpu.suspended}" for gpu in host.gpus if gpu.suspended]
    paths = _encode_paths(host, row, pix_fmt)
    told = [f"{gpu.name}: {path.why_not}" for gpu, path in paths if path.state == "fails"]
    return next(iter((*suspended, *too_old, *told)), f"no FFmpeg here was seen to encode with {row.name}")


def _encode_paths(host: HostFacts, row: EncoderRow, pix_fmt: str) -> list[tuple[GpuFacts, GpuPath]]:
    wanted = ("encode", row.name, pix_fmt)
    return [(gpu, path) for gpu in host.gpus for path in gpu.paths if (path.kind, path.name, path.pix_fmt) == wanted]
