"""A preview as a value. Files are names within its folder; times are programme seconds, 0 is the first picture."""

from __future__ import annotations

from reelpress.facts.values import Value

PROXY_NAME = "proxy.mp4"
PEAKS_NAME = "peaks.json"
PREVIEW_NAME = "preview.json"


class Sprites(Value, frozen=True, kw_only=True):
    """Thumbnails on sheets, row by row: number ``n`` shows the picture at ``n * interval_s``.

    Every sheet is a JPEG of ``columns`` x ``rows`` tiles; the last one ends in black ones where ``count`` is reached.
    """

    files: tuple[str, ...]
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    interval_s: float
    count: int


class Preview(Value, frozen=True, kw_only=True):
    """What was made of a video.

    ``proxy`` is an MP4 of ``width`` x ``height``, upright, whose pictures have the times that they have in the source.
    ``peaks`` is JSON, ``{"per_s": float, "peaks": [0..127, ...]}``: the loudest sample of each stretch of
    ``1 / per_s`` seconds; ``None`` for a video without sound. ``cuts_s`` are when new shots begin.
    ``notes`` say what of the source is not in it, and why.
    """

    proxy: str
    width: int
    height: int
    duration_s: float
    frames: int
    has_audio: bool
    sprites: Sprites
    peaks: str | None
    cuts_s: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files, the preview's own description left out."""
        return (self.proxy, *self.sprites.files, *((self.peaks,) if self.peaks is not None else ()))
