"""``reelpress clips``: ranges and lists to clips, events to a display or NDJSON, receipts to text and exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path, PurePosixPath

from reelpress.api import policy_from
from reelpress.cli.clips_screen import ClipLines, print_clips
from reelpress.cli.compress import exit_code
from reelpress.cli.render import JsonLines, print_error
from reelpress.cli.stopping import stop_signals
from reelpress.cli.written import refuse_written, write_receipts
from reelpress.clips.export import export_clips
from reelpress.clips.naming import output_names
from reelpress.clips.specs import ClipSpec, parse_range, read_specs
from reelpress.clips.summary import summary_of
from reelpress.clips.wishes import platforms_from, requests_of, require_extra, wishes_from
from reelpress.errors import OutputError, PrivateAddressError, UsageError
from reelpress.probe.host import probe_host
from reelpress.receipt import Receipt
from reelpress.reframe.face_model import find_face_model
from reelpress.run.process import CancelToken
from reelpress.settings import load
from reelpress.source.opening import OpenSource, open_source

_TICK_S = 0.1


def run_clips(
    video: str,
    ranges: Sequence[str],
    listed: Path | None,
    output: Path,
    look: Mapping[str, str | None],
    *,
    platforms: Sequence[str],
    flags: Mapping[str, str | None],
    receipt_dir: Path | None,
    overwrite: bool,
    allow_private: bool,
    as_json: bool,
) -> int:
    """Cut everything that was named and return the exit code. Raises what :func:`export_clips` does."""
    started_s = time.monotonic()
    require_extra()
    specs = _specs(ranges, listed)
    settings = load(flags)
    wanted = platforms_from(platforms)
    clips = requests_of(specs, wishes_from(settings, **look), settings)
    face_model = find_face_model(settings.face_model, settings.cache_path)
    if receipt_dir is not None:
        _make_folder(receipt_dir)
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    reader = JsonLines(sys.stdout) if as_json else ClipLines(sys.stderr, len(clips))
    with stop_signals() as stop_if, _opened(video, allow_private=allow_private, stop_if=stop_if) as source:
        names = output_names([clip.name for clip in clips], PurePosixPath(source.name).stem)
        if receipt_dir is not None:
            read = [path for path in (listed, source.path) if path is not None]
            for name in names:
                refuse_written("--receipt-dir", _receipt_path(receipt_dir, name), read)
        with reader:
            receipts = export_clips(
                source, clips, output, host=host, policy=policy_from(settings), jobs=settings.jobs, platforms=wanted,
                face_model=face_model, cache_dir=settings.cache_path, overwrite=overwrite, on_event=reader.on_event,
                stop_if=stop_if,
            )  # fmt: skip
        code = exit_code(receipts)
        summary = summary_of(
            receipts, source=source, folder=output, exit_code=code, wall_s=time.monotonic() - started_s
        )
    try:
        if receipt_dir is not None:
            _write_receipts(receipt_dir, names, receipts)
    finally:  # what became of the clips is told all the same
        if isinstance(reader, JsonLines):
            reader.on_event(summary)
        else:
            print_clips(names, receipts, summary, sys.stdout)
            for name, receipt in zip(names, receipts, strict=True):
                print_error(name, receipt, sys.stderr)
    return code


def _specs(ranges: Sequence[str], listed: Path | None) -> list[ClipSpec]:
    """Return the clips of the command line, then those of the file. Raises :class:`UsageError`."""
    specs = []
    for number, text in enumerate(ranges, start=1):
        try:
            specs.append(parse_range(text))
        except UsageError as error:
            raise UsageError(f"--clip, number {number}: {error.what}", hint=error.hint) from None
    if listed is not None:
        specs += read_specs(listed)
    if not specs:
        raise UsageError(
            "There are no clips to cut.", hint="Name one with --clip 0:12-0:57, or list them with --clips."
        )
    return specs


def _opened(video: str, *, allow_private: bool, stop_if: Callable[[], bool]) -> OpenSource:
    """Open the source in a thread, so that a server that takes its time can be left by Ctrl-C."""
    if not video:
        raise UsageError("The video's name is empty.", hint="Name a file or an address.")
    cancel = CancelToken()
    with ThreadPoolExecutor(max_workers=1) as pool:
        opening = pool.submit(open_source, video, allow_private=allow_private, cancel=cancel)
        while True:
            try:
                return opening.result(timeout=_TICK_S)
            except NotYet:
                if opening.done():
                    raise
                if stop_if():
                    cancel.cancel()
            except PrivateAddressError as error:
                error.hint = f"{error.hint}, or allow this one with --allow-private"
                raise


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {path} cannot be made.", evidence=str(error)) from error


def _write_receipts(folder: Path, names: Sequence[str], receipts: Sequence[Receipt]) -> None:
    for name, receipt in zip(names, receipts, strict=True):
        write_receipts(_receipt_path(folder, name), [receipt])


def _receipt_path(folder: Path, name: str) -> Path:
    return folder / f"{Path(name).stem}.json"
