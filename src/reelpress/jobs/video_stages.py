"""A long video made ready for cutting: fetched once, looked at, given a preview, kept where every worker reads it."""

from __future__ import annotations

import os
from pathlib import Path

from reelpress.errors import InputError
from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value
from reelpress.jobs.claiming import Claim
from reelpress.jobs.clip_model import Sprites, StoredObject, StoredPreview, VideoDetails, VideoSource
from reelpress.jobs.desk import JSON, MP4, Desk, OnShare
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.fetching import fetch_input
from reelpress.jobs.house import House
from reelpress.jobs.kinds import Delivered, Do
from reelpress.jobs.local_paths import check_path
from reelpress.jobs.model import VIDEO_STARTS, Starts
from reelpress.jobs.sources import version_of_file, version_of_object
from reelpress.jobs.videos import place_of
from reelpress.preview import Preview, make_preview, preview_bytes_at_most, read_preview
from reelpress.run.process import CancelToken
from reelpress.storage.scratch import Need

_TYPES = {".mp4": MP4, ".jpg": "image/jpeg", ".json": JSON}


class Here(Value, frozen=True, kw_only=True):
    """The input on this machine: a name in the job's folder, or the path of a file that stays where it is."""

    path: str
    is_foreign: bool
    size_bytes: int
    version: str  # of a file that stays where it is; the SHA-256 of one that was brought
    key: str | None
    name: str
    etag: str | None = None  # of the object it was brought from: what it is now may be another content


class VideoStages(Desk):
    """The stages of a claim on a video."""

    def __init__(self, house: House, encoding: Encoding, claim: Claim, cancel: CancelToken, on_share: OnShare) -> None:
        super().__init__(house, encoding, claim, cancel, on_share, place=place_of(claim.job.id))

    @property
    def starts(self) -> Starts:
        """How far the job is when each stage begins."""
        return VIDEO_STARTS

    def run(self, do: Do) -> Delivered:
        """Do all stages."""
        here = do("fetch", self.fetch, Here)
        facts = do("probe", lambda: self.probe(here), MediaFacts)
        preview = do("preview", lambda: self.preview(here, facts), Preview)
        return Delivered(details=do("store", lambda: self.store(here, facts, preview), VideoDetails))

    def fetch(self) -> Here:
        """Bring the input here, unless it is a file of this machine."""
        self.make_folder()
        settings, place = self.house.settings, self.spec.input
        if place.kind == "path":
            return self._at_path()
        got = fetch_input(
            self.house, place, self.folder, cancel=self.cancel, max_bytes=settings.max_upload_bytes,
            on_share=lambda share: self.tell("fetch", share),
        )  # fmt: skip
        return Here(
            path=got.path, is_foreign=False, size_bytes=got.size_bytes, version=got.sha256, key=got.key,
            name=got.name, etag=got.etag,
        )  # fmt: skip

    def probe(self, here: Here) -> MediaFacts:
        """Look at the input, and refuse what is beyond the limits."""
        facts = self.look(self._file(here)).facts
        if facts.main_video is None:
            raise InputError("There is no video in this file.", evidence=facts.container, reason="no_video")
        return facts

    def preview(self, here: Here, facts: MediaFacts) -> Preview:
        """Make the small copy, the thumbnails and the peaks."""
        source, folder = self._file(here), self._preview_folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        need = Need(input_bytes=0, output_bytes=preview_bytes_at_most(facts))
        with self.house.scratch.reserve(need, job_folder=folder):
            return make_preview(
                source, facts, folder, ffmpeg=self.encoding.host.ffmpegs[0].path, cancel=self.cancel,
                on_share=lambda share: self.tell("preview", share),
            )  # fmt: skip

    def store(self, here: Here, facts: MediaFacts, preview: Preview) -> VideoDetails:
        """Put the video, unless it is where workers read it anyway, and its preview into the store."""
        if read_preview(self._preview_folder) != preview:  # it was made on another machine
            preview = self.preview(here, facts)
        source = self._source(here)
        names = preview.files
        stored: dict[str, StoredObject] = {}
        for number, name in enumerate(names):
            path = self._preview_folder / name
            stored[name] = self.put(path, f"{self.key_folder}/{name}", _TYPES[path.suffix])
            self.tell("store", (number + 1) / len(names))
        sprites = preview.sprites
        return VideoDetails(
            source=source, facts=facts,
            preview=StoredPreview(
                proxy=stored[preview.proxy], width=preview.width, height=preview.height,
                sheets=tuple(stored[name] for name in sprites.files),
                sprites=Sprites(
                    sheets=len(sprites.files), columns=sprites.columns, rows=sprites.rows,
                    tile_width=sprites.tile_width, tile_height=sprites.tile_height, interval_s=sprites.interval_s,
                    count=sprites.count,
                ),
                peaks=stored[preview.peaks] if preview.peaks is not None else None, cuts_s=preview.cuts_s,
            ),
        )  # fmt: skip

    @property
    def _preview_folder(self) -> Path:
        return self.folder / "preview"

    def _source(self, here: Here) -> VideoSource:
        if here.is_foreign:
            return VideoSource(
                kind="path", value=here.path, size_bytes=here.size_bytes, version=here.version, name=here.name,
                is_ours=False,
            )  # fmt: skip
        key = here.key
        if key is None:
            path = self._file(here)
            key = f"{self.key_folder}/source{path.suffix}"
            self.put(path, key, "application/octet-stream", sha256=here.version)
        version = version_of_object(self.house.store, key, cancel=self.cancel)
        if here.etag not in (None, version):  # the facts and the preview are of what it was
            raise InputError("The input changed since this job began.", evidence=key)
        return VideoSource(
            kind="object", value=key, size_bytes=here.size_bytes, version=version, name=here.name,
            is_ours=here.key is None,
        )  # fmt: skip

    def _at_path(self) -> Here:
        path = check_path(self.spec.input.value, self.house.settings.local_paths)
        version, size_bytes = version_of_file(path)
        most = self.house.settings.max_upload_bytes
        if size_bytes > most:
            raise InputError("The input is too large.", evidence=f"{size_bytes} bytes, {most} allowed")
        name = self.spec.input.name or os.fsencode(path.name).decode(errors="replace")
        return Here(path=str(path), is_foreign=True, size_bytes=size_bytes, version=version, key=None, name=name)

    def _file(self, here: Here) -> Path:
        """Return the input as a file of this machine, fetching it again where it is not here."""
        path = Path(here.path) if here.is_foreign else self.folder / here.path
        if not here.is_foreign and path.is_file() and path.stat().st_size == here.size_bytes:
            return path
        again = self.fetch()
        if again.version != here.version:
            raise InputError("The input changed since this job began.", evidence=f"{again.size_bytes} bytes now")
        return Path(again.path) if again.is_foreign else self.folder / again.path
