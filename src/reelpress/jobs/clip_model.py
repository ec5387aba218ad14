"""What jobs around vertical clips are asked for and have found out, as values (docs/clips-api.md).

A *video* is a long source made ready for cutting, an *analysis* looks at a stretch of it, an *export* is a set of clips
of it, and each *clip* is a job of its own. Times are programme seconds of the video.
"""

from __future__ import annotations

from typing import Literal

from reelpress.clip_request import LayoutChoice
from reelpress.facts.captions import Captions
from reelpress.facts.framing import Framing
from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value
from reelpress.plan.platforms import PlatformName

MAX_CLIPS = 100


class StoredObject(Value, frozen=True, kw_only=True):
    """One object that a job put into the store."""

    key: str
    size_bytes: int
    sha256: str
    content_type: str


class ClipDraft(Value, frozen=True, kw_only=True):
    """A clip as its maker wants it. ``id`` is the maker's own, unique in the export.

    ``framing`` ``None`` has the clip analysed when it is rendered, within ``layout``.
    """

    id: str
    name: str = ""
    start_s: float
    end_s: float
    layout: LayoutChoice = "auto"
    framing: Framing | None = None
    captions: Captions | None = None


class AnalysisWanted(Value, frozen=True, kw_only=True, tag_field="kind", tag="analysis"):
    """What to find out about a stretch: where the window goes, for clips of a size, or what is said."""

    about: Literal["framing", "captions"]
    start_s: float
    end_s: float
    layout: LayoutChoice = "auto"
    width: int = 1080
    height: int = 1920
    language: str | None = None


class ClipWanted(Value, frozen=True, kw_only=True, tag_field="kind", tag="clip"):
    """One clip of an export, the ``index``-th, as it was when the export was started."""

    draft: ClipDraft
    index: int
    width: int
    height: int
    platform: PlatformName | None


class VideoSource(Value, frozen=True, kw_only=True):
    """Where workers read a video: an object of the store, or a file of this machine that must stay as it was.

    ``value`` is the key, or the path. ``version`` changes with the content: an ETag, or size and time of the file.
    """

    kind: Literal["object", "path"]
    value: str
    size_bytes: int
    version: str
    name: str
    is_ours: bool  # put into the store by the service, and deleted with the video


class Sprites(Value, frozen=True, kw_only=True):
    """Thumbnails in ``sheets`` pictures of ``columns`` by ``rows``, ``count`` in all, one every ``interval_s``."""

    sheets: int
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    interval_s: float
    count: int


class StoredPreview(Value, frozen=True, kw_only=True):
    """A small copy of a video, thumbnails and peaks of its sound, in the store, and where its cuts are."""

    proxy: StoredObject
    width: int
    height: int
    sheets: tuple[StoredObject, ...]
    sprites: Sprites | None
    peaks: StoredObject | None
    cuts_s: tuple[float, ...]


class VideoDetails(Value, frozen=True, kw_only=True):
    """What is known of a video."""

    source: VideoSource
    facts: MediaFacts
    preview: StoredPreview | None = None


class AnalysisDetails(Value, frozen=True, kw_only=True):
    """What was found out about a stretch: one of the two."""

    framing: Framing | None = None
    captions: Captions | None = None


class ClipFile(Value, frozen=True, kw_only=True):
    """The finished clip: ``file_name`` is what it is called when it is saved; loudness was measured on it."""

    file_name: str
    size_bytes: int
    sha256: str
    duration_s: float | None
    width: int | None
    height: int | None
    fps: float | None
    loudness_lufs: float | None
    true_peak_dbtp: float | None


class ClipDetails(Value, frozen=True, kw_only=True):
    """What is known of a clip so far: what encodes it, how it was framed, what to mind, and the file."""

    encoder: str | None = None
    device: str | None = None
    fallback: str | None = None  # why it is not the encoder that was tried first
    framing: Framing | None = None
    warnings: tuple[str, ...] = ()
    file: ClipFile | None = None


class Export(Value, frozen=True, kw_only=True):
    """The document of an export. ``version`` grows with every change; nothing changes once it is started."""

    id: str
    video: str
    width: int
    height: int
    platform: PlatformName | None
    drafts: tuple[ClipDraft, ...]
    version: int
