"""What a media file is: :func:`probe` has a child process look, under limits, and returns facts or says why not."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from reelpress.errors import Cancelled, InputError
from reelpress.facts.media import Decoded, MediaFacts
from reelpress.facts.values import Value, from_json, to_json
from reelpress.probe import nursery
from reelpress.probe.media_request import Answer, Decoding, Request
from reelpress.probe.start import child_argv, nursery_argv
from reelpress.run.ahead import Ahead
from reelpress.run.process import CancelToken, Finished, Limits, run

# What to do about each refusal; the keys are the values of ``InputError.reason``.
HINTS = {
    "missing": "check the name and the working directory",
    "empty": "the upload or the recording never wrote anything; get the file again",
    "not_a_file": "give a regular file, not a directory, device or pipe",
    "denied": "check the permissions of it and of the folders it is in",
    "not_media": "check that this is the video itself and that the download finished",
    "playlist": "give the video itself; files that name other files are never followed",
    "image": "give a video; still pictures are not compressed here",
    "unsupported_format": "convert it to mp4, mov, mkv or webm with the program that made it",
    "encrypted": "give a copy without DRM",
    "unreadable": "get the file again; a recording that was cut off may be repaired by the camera's own software",
    "too_costly": "the file asks for more time or memory than probing allows; raise the limits if you trust it",
    "crashed": "the file makes the media libraries crash; convert it elsewhere first if you trust it",
}


class ProbeLimits(Value, frozen=True, kw_only=True):
    """What looking at one file may cost; ``memory_bytes`` is address space.

    After ``scan_budget_s`` of reading packets the rest is taken from the header, and the facts say so.
    """

    wall_s: float = 60.0
    cpu_s: int | None = 45
    memory_bytes: int = 2 * 1024**3
    scan_budget_s: float = 20.0
    max_pixels: int = 16384 * 16384

    def of_child(self) -> Limits:
        """Return these as limits of the child process."""
        return Limits(wall_s=self.wall_s, cpu_s=self.cpu_s, memory_bytes=self.memory_bytes, file_size_bytes=0)


DEFAULT_LIMITS = ProbeLimits()
_OUTPUT_MEMORY_BYTES = 16 * 1024**3  # of address space, of which every thread takes more than it uses


def probe(
    path: str | os.PathLike[str],
    *,
    limits: ProbeLimits = DEFAULT_LIMITS,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None] | None = None,
) -> MediaFacts:
    """Return the facts of a media file; ``spend`` is told the CPU seconds that looking took.

    The name is taken as it is: no URL, no pattern, no option. Raises :class:`InputError`, whose ``reason`` is a key
    of ``HINTS``, when the file cannot be used or its bytes crash, stall or exhaust the child, and :class:`Cancelled`.
    """
    return ask(request_for(path, limits), limits=limits, cancel=cancel, spend=spend)


def ask(
    request: Request,
    *,
    limits: ProbeLimits,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None] | None = None,
) -> MediaFacts:
    """Have a child answer a request. Raises as :func:`probe` does."""
    return _ask(request, limits, cancel, spend)[0]


def look_at_output(
    path: str | os.PathLike[str],
    decoding: Decoding,
    *,
    duration_s: float | None,
    cancel: CancelToken | None,
    spend: Callable[[float], None],
) -> tuple[MediaFacts, Decoded]:
    """Return the facts of a file of ours, and what a software decoder made of it.

    ``duration_s`` is how long it may be; the longer, the longer this may take. Raises as :func:`probe` does.
    """
    request, limits = request_for_output(path, decoding), output_limits(duration_s)
    return both(_ask(request, limits, cancel, spend))


def request_for_output(path: str | os.PathLike[str], decoding: Decoding) -> Request:
    """Return the request to look at an output and to decode it."""
    return msgspec.structs.replace(request_for(path, DEFAULT_LIMITS), decoding=decoding)


def output_limits(duration_s: float | None) -> ProbeLimits:
    """Return what looking at an output of ours may cost: decoders with a thread for every core have their own."""
    return ProbeLimits(wall_s=60 + 2 * (duration_s or 600), cpu_s=None, memory_bytes=_OUTPUT_MEMORY_BYTES)


def both(told: tuple[MediaFacts, Decoded | None]) -> tuple[MediaFacts, Decoded]:
    """Return what was told of an output."""
    facts, decoded = told
    return facts, decoded or Decoded(whole=True, errors=("there is no picture to decode",))


def _ask(
    request: Request, limits: ProbeLimits, cancel: CancelToken | None, spend: Callable[[float], None] | None
) -> tuple[MediaFacts, Decoded | None]:
    kept = nursery.kept()
    finished = None if kept is None else kept.ask(request, limits.of_child(), cancel)
    if finished is None:
        finished = run(child_argv(), limits=limits.of_child(), cancel=cancel, stdin=to_json(request))
    if spend is not None:
        spend(finished.cpu_s)
    return read_answer(finished, limits)


@contextlib.contextmanager
def named(file: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{file}: {error.what}", evidence=error.evidence, hint=error.hint, reason=error.reason
        ) from error


def for_many_files(ahead: Ahead | None = None) -> AbstractContextManager[None]:
    """Have looks cost less while inside, in the whole process: one child imports what the others then need not.

    One that was started ahead is taken over.
    """
    return nursery.nursery(nursery_argv(), ahead)


def request_for(path: str | os.PathLike[str], limits: ProbeLimits) -> Request:
    """Return the request to look at a file."""
    return Request(
        path=os.fsencode(Path(path).absolute()), max_pixels=limits.max_pixels, scan_budget_s=limits.scan_budget_s
    )


def read_answer(finished: Finished, limits: ProbeLimits) -> tuple[MediaFacts, Decoded | None]:
    """Return what a child told: facts, and of an output what decoding it came to. Raises as :func:`probe` does."""
    if finished.stopped == "cancelled":
        raise Cancelled("probing was cancelled")
    if finished.returncode != 0:
        raise _broken_child(finished, limits)
    try:
        answer = from_json(finished.stdout, Answer)
    except msgspec.DecodeError as error:
        raise _refusal("crashed", "the probe's answer cannot be read", str(error)) from error
    if answer.refused is not None:
        raise _refusal(answer.refused.kind, answer.refused.what, answer.refused.evidence)
    if answer.facts is None:
        raise _refusal("crashed", "the probe gave no answer", finished.stderr_tail[-300:])
    return answer.facts, answer.decoded


def _refusal(reason: str, what: str, evidence: str | None) -> InputError:
    return InputError(what, evidence=evidence, hint=HINTS.get(reason), reason=reason)


def _broken_child(finished: Finished, limits: ProbeLimits) -> InputError:
    """Say why the child gave no answer: a limit, or a crash."""
    if finished.stopped is not None:
        return _refusal("too_costly", "looking at the file takes too long", finished.stop_reason)
    is_signal = finished.returncode in {-signal.SIGXCPU, -signal.SIGKILL}
    if is_signal and limits.cpu_s is not None and finished.cpu_s >= limits.cpu_s:
        evidence = f"it used {finished.cpu_s:.1f} s of processor time"
        return _refusal("too_costly", "looking at the file takes too long", evidence)
    if "MemoryError" in finished.last_line:
        return _refusal("too_costly", "looking at the file takes more memory than allowed", finished.last_line)
    return _refusal("crashed", "looking at the file crashed the probe", finished.how_it_ended)
