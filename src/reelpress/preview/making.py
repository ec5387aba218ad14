"""Makes a preview: one run of FFmpeg, then every file is looked at before any gets its name."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from math import ceil
from pathlib import Path

import msgspec

from reelpress.check.structure import check_structure
from reelpress.errors import Cancelled, EncodeError, InputError, OutputError
from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.values import from_json, to_json
from reelpress.plan.model import INPUT
from reelpress.preview.graph import (
    AUDIO_BPS,
    PROXY,
    PROXY_MAX_BPS,
    SHEET_COLUMNS,
    SHEET_ROWS,
    SHEETS,
    TILE_LINE,
    TILE_LONGEST,
    WAVE,
    WAVE_HZ,
    PreviewPlan,
    plan_preview,
    tile_interval_s,
)  # fmt: skip
from reelpress.preview.model import PEAKS_NAME, PREVIEW_NAME, PROXY_NAME, Preview, Sprites
from reelpress.preview.peaks import MAX_PEAKS, write_peaks
from reelpress.probe.host import cores
from reelpress.probe.media import look_at_output
from reelpress.probe.media_request import decoding
from reelpress.probe.scenes import CutReader
from reelpress.run.failures import classify, decode_damage
from reelpress.run.process import CancelToken, Finished, Limits, run
from reelpress.run.report import read_report

# Checking takes this share of the whole; the rest follows FFmpeg's clock.
_CHECK_SHARE = 0.05
_STALL_S = 120.0
_MEMORY_BYTES = 16_000_000_000  # address space
_DISK_SLACK_BYTES = 4 * 2**20
# Where a file does not say how long it is, and by how much more than it says it may last.
_UNKNOWN_DURATION_S = 6 * 3600.0
_UNTOLD_S = 60.0
_INPUT_FAILURES = frozenset({
    FailureKind.INPUT_UNREADABLE, FailureKind.INPUT_REFUSED, FailureKind.NO_DECODER, FailureKind.TOO_MANY_PIXELS,
    FailureKind.DECODE_ERRORS, FailureKind.OUTPUT_LIMIT,
})  # fmt: skip
_OUTPUT_FAILURES = frozenset({FailureKind.OUTPUT_FULL, FailureKind.OUTPUT_DENIED})


def preview_bytes_at_most(facts: MediaFacts) -> int:
    """Return the disk space that making a preview may take, in bytes; about a third of it is rarely reached."""
    seconds = _longest_s(facts)
    sheets = ceil(seconds / tile_interval_s(facts.duration_s) / (SHEET_COLUMNS * SHEET_ROWS))
    sheet_bytes = TILE_LONGEST**2 * SHEET_COLUMNS * SHEET_ROWS
    # sound is there twice for a while: raw, and counted out
    wave = WAVE_HZ * seconds + 4 * MAX_PEAKS
    return ceil(1.05 * _proxy_bytes(seconds) + sheets * sheet_bytes + wave) + _DISK_SLACK_BYTES


def make_preview(
    source: Path,
    facts: MediaFacts,
    folder: Path,
    *,
    ffmpeg: str,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None] | None = None,
    on_share: Callable[[float], None] | None = None,
) -> Preview:
    """Make the preview of a video in a folder that is there, and return it.

    ``facts`` are the source's. ``spend`` is told CPU seconds, ``on_share`` how much is done, from 0 to 1, never less
    than before. What was made is also written to the folder, see :func:`read_preview`; files of an earlier preview are
    replaced. Raises :class:`InputError` when the source holds no video that can be decoded, :class:`OutputError` when
    the folder cannot be written, :class:`EncodeError` when FFmpeg's work is not what it should be, and
    :class:`Cancelled`. Nothing is left behind then.
    """
    track = _video_of(facts)
    plan = plan_preview(facts, track)
    try:
        with tempfile.TemporaryDirectory(prefix=".preview-", dir=folder) as partial:
            work = _Work(source, facts, track, plan, Path(partial), ffmpeg, cancel or CancelToken(), spend, on_share)
            preview = work.make()
            (folder / PREVIEW_NAME).unlink(missing_ok=True)
            for name in preview.files:
                (Path(partial) / name).replace(folder / name)
            # the description comes last: where it is, all it names is
            described = Path(partial) / PREVIEW_NAME
            described.write_bytes(to_json(preview))
            described.replace(folder / PREVIEW_NAME)
    except OSError as error:
        raise OutputError(f"cannot write a preview to {folder}", evidence=error.strerror or str(error)) from error
    work.tell(1.0)
    return preview


def read_preview(folder: Path) -> Preview | None:
    """Return the preview that is in a folder, ``None`` when there is none or some of its files are gone."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        preview = from_json((folder / PREVIEW_NAME).read_bytes(), Preview)
        if all((folder / name).is_file() for name in preview.files):
            return preview
    return None


def _video_of(facts: MediaFacts) -> VideoTrack:
    track = facts.main_video
    if track is None and facts.video:
        codecs = ", ".join(v.codec for v in facts.video)
        raise InputError(
            "The video cannot be decoded.", evidence=codecs, reason="undecodable",
            hint="Check the file in a player; if it plays there, its codec is one this FFmpeg lacks.",
        )  # fmt: skip
    if track is None:
        raise InputError(
            "The file holds no video.", evidence=facts.container, reason="audio_only" if facts.audio else "no_media",
            hint="Give a video; sound alone has no pictures to choose from.",
        )  # fmt: skip
    dolby = track.colour.dolby_vision
    if dolby is not None and dolby.base_layer == "none":
        raise InputError(
            "Dolby Vision without a base layer: decoded without Dolby's own mapping its colours are wrong.",
            evidence=f"profile {dolby.profile}", reason="dolby_vision_only",
            hint="Export the video as HDR10, HLG or SDR.",
        )  # fmt: skip
    return track


def _longest_s(facts: MediaFacts) -> float:
    if facts.duration_s is None:
        return _UNKNOWN_DURATION_S
    return facts.duration_s if facts.scan_complete else 1.1 * facts.duration_s + _UNTOLD_S


def _proxy_bytes(seconds: float) -> float:
    return (PROXY_MAX_BPS + AUDIO_BPS) / 8 * seconds


class _Work:
    """One preview in the making."""

    def __init__(
        self,
        source: Path,
        facts: MediaFacts,
        track: VideoTrack,
        plan: PreviewPlan,
        folder: Path,
        ffmpeg: str,
        cancel: CancelToken,
        spend: Callable[[float], None] | None,
        on_share: Callable[[float], None] | None,
    ) -> None:
        self._source, self._facts, self._track, self._plan = source, facts, track, plan
        self._folder, self._ffmpeg, self._cancel = folder, ffmpeg, cancel
        self._spend, self._on_share = spend or (lambda _: None), on_share or (lambda _: None)
        self._cuts, self._tiles, self._share = CutReader(), 0, 0.0

    def make(self) -> Preview:
        done = self._run_ffmpeg()
        made, notes = self._checked_proxy(done)
        sheets = self._checked_sheets()
        peaks = None
        if made.audio:
            write_peaks(self._folder / "wave", self._folder / PEAKS_NAME, self._cancel)
            peaks = PEAKS_NAME
        video = made.video[0]
        return Preview(
            proxy=PROXY_NAME, width=video.width, height=video.height, duration_s=video.duration_s or 0.0,
            frames=video.frames or 0, has_audio=bool(made.audio), peaks=peaks,
            cuts_s=self._cuts.cuts_s(video.duration_s or 0.0), notes=notes,
            sprites=Sprites(
                files=sheets, columns=SHEET_COLUMNS, rows=SHEET_ROWS, tile_width=self._plan.tile.width,
                tile_height=self._plan.tile.height, interval_s=self._plan.interval_s, count=self._tiles,
            ),
        )  # fmt: skip

    def tell(self, share: float) -> None:
        self._share = max(self._share, min(share, 1.0))
        self._on_share(self._share)

    def _run_ffmpeg(self) -> Finished:
        # a percent sign in the folder's name would be read as part of the pattern
        sheets = str(self._folder).replace("%", "%%") + "/sprites-%03d.jpg"
        paths = {
            INPUT: f"file:{self._source.absolute()}", PROXY: f"file:{self._folder / PROXY_NAME}",
            SHEETS: f"file:{sheets}", WAVE: f"file:{self._folder / 'wave'}",
        }  # fmt: skip
        seconds = _longest_s(self._facts)
        limits = Limits(
            wall_s=1800 + 10 * seconds, stall_s=_STALL_S, memory_bytes=_MEMORY_BYTES,
            file_size_bytes=ceil(1.2 * _proxy_bytes(seconds)) + _DISK_SLACK_BYTES,
        )  # fmt: skip
        command = [self._ffmpeg, *(paths.get(token, token) for token in self._plan.args)]
        done = run(command, limits=limits, cancel=self._cancel, on_line=self._take_line, activity=self._activity)
        self._spend(done.cpu_s)
        failure = classify(done.returncode, done.stderr_tail, done.stopped, output=paths[PROXY])
        if failure is not None:
            raise _as_error(failure)
        return done

    def _take_line(self, line: str) -> None:
        # FFmpeg's own progress begins with the first sheet, which takes a hundred thumbnails: they are counted instead
        self._cuts.feed(line)
        if line == TILE_LINE:
            self._tiles += 1
            if self._track.duration_s:
                self.tell((1 - _CHECK_SHARE) * min(1.0, self._tiles * self._plan.interval_s / self._track.duration_s))

    def _activity(self) -> object:
        with contextlib.suppress(OSError):
            return self._tiles, (self._folder / PROXY_NAME).stat().st_mtime_ns
        return self._tiles

    def _checked_proxy(self, done: Finished) -> tuple[MediaFacts, tuple[str, ...]]:
        path = self._folder / PROXY_NAME
        try:
            made, decoded = look_at_output(
                path, decoding(cores()), duration_s=self._facts.duration_s, cancel=self._cancel, spend=self._spend
            )
        except InputError as error:
            raise EncodeError("The preview cannot be read.", evidence=error.what) from error
        # sound is made even, begins with the pictures, and lasts as long as it lasts
        expect = msgspec.structs.replace(
            self._plan.expect, max_bytes=None, chapters=0, audio=(None,) * len(made.audio), audio_offset_s=0.0,
            duration_s=self._plan.expect.duration_s if self._facts.scan_complete else None,
        )  # fmt: skip
        damage = (*self._facts.damage, *decode_damage(done.stderr_tail))
        report = read_report(done.stderr_tail, self._track.index)
        gates = check_structure(expect, made, decoded, input_damage=damage, report=report)
        failed = [f"{g.name}: expected {g.expected}, got {g.measured}" for g in gates if g.verdict == "failed"]
        if failed:
            raise EncodeError("The preview is not what the video promised.", evidence="; ".join(failed))
        notes = [f"{g.name}: {g.text or g.measured}" for g in gates if g.verdict == "damaged_input"]
        if self._plan.has_audio and not made.audio:
            notes.append("sound: none of it can be decoded or has a time of the pictures")
        return made, tuple(notes)

    def _checked_sheets(self) -> tuple[str, ...]:
        names = tuple(sorted(path.name for path in self._folder.glob("sprites-*.jpg")))
        if len(names) != ceil(self._tiles / (SHEET_COLUMNS * SHEET_ROWS)) or not names:
            raise EncodeError(
                "Thumbnails are missing.", evidence=f"{len(names)} sheets were written for {self._tiles} thumbnails"
            )
        for name in names:
            raw = (self._folder / name).read_bytes()
            if not (raw.startswith(b"\xff\xd8") and raw.endswith(b"\xff\xd9")):
                raise EncodeError("A sheet of thumbnails is incomplete.", evidence=name)
        return names


def _as_error(failure: Failure) -> Exception:
    if failure.kind is FailureKind.CANCELLED:
        return Cancelled("making a preview was cancelled")
    if failure.kind in _INPUT_FAILURES:
        return InputError(
            "The video cannot be decoded.", evidence=failure.evidence, hint=failure.hint, reason="undecodable"
        )
    if failure.kind in _OUTPUT_FAILURES:
        return OutputError("The preview could not be written.", evidence=failure.evidence, hint=failure.hint)
    return EncodeError("The preview could not be made.", evidence=failure.evidence, hint=failure.hint)
