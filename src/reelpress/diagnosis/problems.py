"""The reasons why paths of one GPU do not work, each said once for all that it keeps from working. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reelpress.diagnosis.causes import Cause, Surroundings, cause_of
from reelpress.facts.host import GpuFacts, GpuPath
from reelpress.facts.values import Value

# Nothing is wrong: it is not made for that.
LIMITS = frozenset({"not_in_build", "not_on_this_gpu", "untried"})
# Nothing is wrong: others use it.
BUSY = frozenset({"sessions_used_up", "in_exclusive_use", "memory_full"})
_OF_THE_CHIP = frozenset({"not_on_this_gpu", "no_encoder"})
_ALL_OF = {"encode": "all encoding", "decode": "all decoding", "filter": "all filters"}


class Problem(Value, frozen=True, kw_only=True):
    """One thing that is wrong with one GPU or the machine: what it keeps from working, and what to change.

    ``evidence`` is what the driver or FFmpeg said.
    """

    code: str
    where: str
    what: str
    change: str | None
    evidence: str | None = None


_Key = tuple[str, str]  # kind and label


class _Failure(Value, frozen=True, kw_only=True):
    path: GpuPath
    cause: Cause

    @property
    def key(self) -> _Key:
        return _key(self.path)


def _key(path: GpuPath) -> _Key:
    return path.kind, label(path)


def label(path: GpuPath) -> str:
    """Return the short name of a path: ``h264``, ``hevc 10-bit``, ``scale``."""
    name = path.name.removesuffix("_nvenc").removesuffix("_cuda")
    return f"{name} 10-bit" if "10le" in path.pix_fmt else name


def problems_of(gpu: GpuFacts, names: Mapping[str, str], around: Surroundings) -> tuple[Problem, ...]:
    """Return why paths of a GPU do not work, what is wrong before what is only not offered.

    ``names`` are what to call each FFmpeg, by its path.
    """
    failures = _failures(gpu, names, around)
    groups: dict[tuple[str, str], list[_Failure]] = {}
    for failure in failures:
        # what is not understood is told as it is; each known cause is one, in whatever words it was said
        words = failure.cause.what if failure.cause.code == "other" else ""
        groups.setdefault((failure.cause.code, words), []).append(failure)
    return tuple(
        Problem(
            code=code, where=_where(code, group, failures, gpu, names), what=group[0].cause.what,
            change=group[0].cause.change, evidence=group[0].path.why_not,
        )
        for (code, _), group in sorted(groups.items(), key=lambda item: item[0][0] in LIMITS)
    )  # fmt: skip


def _failures(gpu: GpuFacts, names: Mapping[str, str], around: Surroundings) -> list[_Failure]:
    encodes_with = [path.ffmpeg for path in gpu.paths if (path.kind, path.state) == ("encode", "works")]
    found = []
    for path in gpu.paths:
        if path.state != "works":
            other = next((names.get(ffmpeg, ffmpeg) for ffmpeg in encodes_with if ffmpeg != path.ffmpeg), None)
            found.append(_Failure(path=path, cause=cause_of(path, gpu, around, other)))
    # without NVDEC's library, that FFmpeg finds no way to decode says nothing of the chip
    blind = next((f.cause for f in found if f.path.kind == "decode" and f.cause.code == "video_capability"), None)
    if blind is not None:
        is_decode = ("decode", "not_on_this_gpu")
        found = [_Failure(path=f.path, cause=blind) if (f.path.kind, f.cause.code) == is_decode else f for f in found]
    # what the chip lacks no FFmpeg has; that one of them would not even ask is nothing to tell besides
    works = {_key(path) for path in gpu.paths if path.state == "works"}
    lacking = {failure.key for failure in found if failure.cause.code in _OF_THE_CHIP} - works
    return [failure for failure in found if failure.cause.code != "not_in_build" or failure.key not in lacking]


def _where(code: str, group: list[_Failure], failures: list[_Failure], gpu: GpuFacts, names: Mapping[str, str]) -> str:
    """Name what fails, and with which FFmpeg where that makes a difference."""
    limited = {f.key for f in failures if f.cause.code in LIMITS and f.cause.code != code}
    subjects: dict[str, list[str]] = {}
    for ffmpeg, name in names.items():
        failing = dict.fromkeys(f.key for f in group if f.path.ffmpeg == ffmpeg or code in _OF_THE_CHIP)
        ours = {_key(path): path.state for path in gpu.paths if path.ffmpeg == ffmpeg}
        offered = {key for key, state in ours.items() if state == "works" or key not in limited}
        if failing:
            subjects.setdefault(_subject(list(failing), offered), []).append(name)
    if code in _OF_THE_CHIP:
        return next(iter(subjects))
    return "; ".join(
        what if len(users) == len(names) else f"{what} with {' and '.join(users)}" for what, users in subjects.items()
    )


def _subject(failing: list[_Key], offered: set[_Key]) -> str:
    parts = []
    for kind, everything in _ALL_OF.items():
        ours = [name for of, name in failing if of == kind]
        if len(ours) > 1 and {key for key in offered if key[0] == kind} <= set(failing):
            parts.append(everything)
        elif ours:
            parts.append(f"{kind} {', '.join(ours)}")
    return "; ".join(parts)
