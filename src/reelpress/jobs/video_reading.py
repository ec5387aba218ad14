"""What analyses and clips share: the video that they are of, open for as long as their stages need it."""

from __future__ import annotations

import contextlib
from typing import Self

from reelpress.errors import InputError
from reelpress.facts.values import Value
from reelpress.jobs.clip_model import VideoDetails
from reelpress.jobs.database import persist
from reelpress.jobs.desk import Desk
from reelpress.jobs.reading import details_of
from reelpress.source.opening import OpenSource


class Ready(Value, frozen=True, kw_only=True):
    """That the video could be opened; it is opened anew by whoever goes on."""

    size_bytes: int


class VideoReading:
    """The video of a claim's job, opened when it is first asked for, and let go at the end of the context."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._held = contextlib.ExitStack()
        self._details: VideoDetails | None = None
        self._source: OpenSource | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def details(self) -> VideoDetails:
        """What is known of the video. Raises :class:`InputError` when it was deleted."""
        if self._details is None:
            self._details = self._read()
        return self._details

    @property
    def source(self) -> OpenSource:
        """The open video. Raises :class:`InputError` when it is gone, or not the one that was made ready."""
        if self._source is None:
            desk = self._desk
            opened = desk.house.sources.opened(desk.spec.input.value, self.details.source, cancel=desk.cancel)
            self._source = self._held.enter_context(opened)
        return self._source

    def make_ready(self) -> Ready:
        """Open the video; the stage that everything else rests on."""
        self._desk.make_folder()
        return Ready(size_bytes=self.source.size_bytes or self.details.source.size_bytes)

    def _read(self) -> VideoDetails:
        video_id, database = self._desk.spec.input.value, self._desk.house.database

        def read() -> VideoDetails | None:
            with database.reading() as connection:
                return details_of(connection, [video_id], VideoDetails).get(video_id)

        found = persist(read, give_up=self._desk.is_cancelled)
        if found is None:
            raise InputError("The video was deleted.", evidence=video_id, reason="missing")
        return found
