"""Many inputs: find them, give each an output, run a bounded number at once, all-settled."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from reelpress.engine import compress_file, default_target
from reelpress.errors import UsageError
from reelpress.events import Event, OnEvent
from reelpress.facts.host import HostFacts
from reelpress.facts.prediction import Predicted
from reelpress.facts.values import Value
from reelpress.look import Look
from reelpress.policy import RunPolicy, cores_for
from reelpress.probe.media import for_many_files
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.parts import PART_SUFFIX
from reelpress.run.process import CancelToken
from reelpress.run.room import Room
from reelpress.run.same_file import marks_of, place_of

# What counts as a video inside a folder; a file named on its own is taken whatever its name.
VIDEO_SUFFIXES = frozenset(
    {
        ".3g2", ".3gp", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".ivf", ".m2ts", ".m2v", ".m4v", ".mkv",
        ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm",
        ".wmv",
    }
)  # fmt: skip
_MP4_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".qt"})  # what players take for an MP4 or its twin
COMPRESSED_SUFFIX = ".compressed.mp4"


class Item(Value, frozen=True, kw_only=True):
    """One input and where its output goes."""

    source: Path
    target: Path
    predicted: Predicted | None = None  # by a quote


def collect(inputs: Sequence[Path], output: Path | str | None) -> tuple[Item, ...]:
    """Turn what was named into items: folders are searched through, outputs never collide.

    ``output`` is a file for one input, a folder for several or where it ends in a slash, ``None`` for beside each
    input. A folder of outputs inside a folder of inputs is not searched. Raises
    :class:`UsageError` before any work when that cannot be meant, as where an output is another's input.
    """
    is_folder = output is not None and str(output).endswith(os.sep)
    output = None if output is None else Path(output)
    sources: list[tuple[Path, Path]] = []
    for named in inputs:
        if _is_dir(named):
            found = sorted(_videos(named, output))
            if not found:
                raise UsageError(f"{named} holds no videos.", hint=f"looked for {' '.join(sorted(VIDEO_SUFFIXES))}")
            sources += [(path, _below(named, path)) for path in found]
        else:
            sources.append((named, Path(named.name)))
    many = len(sources) > 1 or any(_is_dir(p) for p in inputs)
    if output is None:
        items = [Item(source=source, target=default_target(source)) for source, _ in sources]
    elif many or _is_dir(output) or is_folder:
        if os.path.exists(output) and not _is_dir(output):  # noqa: PTH110 - as in _is_dir
            raise UsageError(f"-o {output} is a file, but there are several inputs.", hint="Name a folder.")
        items = [Item(source=source, target=output / relative.with_suffix(".mp4")) for source, relative in sources]
    else:
        _refuse_ending(output)
        items = [Item(source=sources[0][0], target=output)]
    return _without_collisions(items, ".mp4" if output is not None else COMPRESSED_SUFFIX)


def _refuse_ending(output: Path) -> None:
    """Refuse a name that promises another container: players and services go by it."""
    if output.suffix.lower() in VIDEO_SUFFIXES - _MP4_SUFFIXES:
        hint = f"Name it {output.with_suffix('.mp4').name}."
        raise UsageError(f"-o {output} would be an MP4, whatever its name says.", hint=hint)


def _is_dir(path: Path) -> bool:
    """Tell whether a path is a folder; one that cannot be looked at is none, and the engine will say why."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where the name is too long or a folder is closed


def _below(named: Path, path: Path) -> Path:
    """Return what an output is called in its folder: its input's path below the folder that was named."""
    return path.relative_to(named) if path != named else Path(Path(os.path.realpath(named)).name or "folder")


def _videos(folder: Path, output: Path | None) -> list[Path]:
    found: list[Path] = []
    outputs = None if output is None else os.path.realpath(output)  # Path.resolve raises where links go in circles
    # a folder that cannot be listed stands for what is in it: its receipt says that nothing of it was done
    for root, folders, names in os.walk(folder, onerror=lambda error: found.append(Path(os.fsdecode(error.filename)))):
        folders[:] = sorted(name for name in folders if os.path.realpath(Path(root) / name) != outputs)
        for name in names:
            path = Path(root) / name
            ours = name.endswith((PART_SUFFIX, COMPRESSED_SUFFIX))
            if path.suffix.lower() in VIDEO_SUFFIXES and not ours and not name.startswith(".") and _may_be_file(path):
                found.append(path)
    return found


def _may_be_file(path: Path) -> bool:
    """Tell whether a path is a file; one that cannot be looked at may be one, and the engine will say why."""
    try:
        return path.is_file()
    except OSError:
        return True


def _without_collisions(items: list[Item], suffix: str) -> tuple[Item, ...]:
    """Give ``a.mov`` and ``a.avi`` different outputs: the second kind of name says which it came from."""
    counts: dict[Path, int] = {}
    for item in items:
        counts[item.target] = counts.get(item.target, 0) + 1
    fixed = [
        item if counts[item.target] == 1
        else Item(source=item.source, target=item.target.with_name(f"{item.source.name}{suffix}"))
        for item in items
    ]  # fmt: skip
    refuse_clashes(fixed)
    return tuple(fixed)


def refuse_clashes(items: Sequence[Item]) -> None:
    """Raise :class:`UsageError` where an output would take the place of another item's output, or of its input."""
    read = {mark: item for item in items for mark in marks_of(item.source)}
    made: dict[str, Item] = {}
    for item in items:
        other = made.setdefault(place_of(item.target), item)
        if other is not item:
            raise UsageError(
                f"{other.source} and {item.source} would both become {item.target}.",
                hint="Compress them in two runs with different -o folders.",
            )
        marks = marks_of(item.target)
        other = next((read[mark] for mark in marks if mark in read), item)
        if other is not item and not marks & marks_of(item.source):  # its own source: its job refuses that
            raise UsageError(
                f"{item.source} would become {item.target}, which is itself an input.",
                hint="Leave that out, or name another output. Of a folder, what Reelpress made beside inputs is none.",
            )


def _size(source: Path) -> int:
    try:
        return source.stat().st_size
    except (OSError, ValueError):  # its job will say so, which takes no time
        return 0


def run_batch(
    items: Sequence[Item],
    *,
    host: HostFacts,
    request: Request,
    policy: RunPolicy,
    jobs: int | None = None,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
    cancel: CancelToken | None = None,
    stop_if: Callable[[], bool] = lambda: False,
    look: Future[Look] | None = None,
) -> tuple[Receipt, ...]:
    """Run all items and return their receipts in the same order.

    ``jobs`` are worked on at once; ``None`` lets the cores decide, of which small inputs are given one and others two.
    What many short files would each pay for alone is paid once: a process that looks at them, and facts about GPUs.
    Once ``stop_if`` is true, asked ten times a second, everything that runs is cancelled, and when nothing of it is
    left the receipts are returned, those of unfinished items ``cancelled``. A ``KeyboardInterrupt`` that strikes here
    does the same; a program that installs handlers and passes ``stop_if`` leaves nothing to where it strikes.
    ``look`` is a look at the first item that was begun earlier.
    """
    token = cancel or CancelToken()
    lock = threading.Lock()
    places = jobs or host.cores
    shares = [1 if jobs else min(places, cores_for(_size(item.source), host)) for item in items]
    width = max(1, min(places // min(shares, default=1), len(items)))
    room = Room(places)

    def emit(event: Event) -> None:
        if on_event is not None:
            with lock:
                on_event(event)

    def one(item: Item, share: int) -> Receipt:
        at_once = max(1, min(places // share, len(items)))
        with room.taken(share):
            if not token.is_cancelled:
                with contextlib.suppress(OSError, ValueError):  # the job says what is wrong with it
                    item.target.parent.mkdir(parents=True, exist_ok=True)
            return compress_file(
                item.source, item.target, host=host, request=request, overwrite=overwrite, on_event=emit,
                policy=msgspec.structs.replace(policy, at_once=at_once), cancel=token,
                look=look if item is items[0] else None, predicted=item.predicted,
            )  # fmt: skip

    probes = for_many_files() if len(items) > 1 else contextlib.nullcontext()
    with probes, ThreadPoolExecutor(max_workers=width, thread_name_prefix="reelpress") as pool:
        futures: list[Future[Receipt]] = [pool.submit(one, *each) for each in zip(items, shares, strict=True)]
        pending = set(futures)
        while pending:
            try:
                if stop_if():
                    token.cancel()
                # short waits keep the main thread able to receive signals
                _, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:
                token.cancel()
        return tuple(future.result() for future in futures)
