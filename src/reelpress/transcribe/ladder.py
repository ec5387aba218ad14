"""Which device and batch a model runs with, and what comes after memory ran out: smaller batches, then the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from reelpress.facts.values import Value
from reelpress.transcribe.audio import Samples
from reelpress.transcribe.engine import Engine
from reelpress.transcribe.exchange import FailedError
from reelpress.transcribe.guards import Heard
from reelpress.transcribe.windows import Span

T = TypeVar("T")
Load = Callable[[str], Engine]  # of a device; raises what Engine raises

_SIGNS = ("out of memory", "out_of_memory", "alloc_failed", "failed to allocate", "bad_alloc")


class Rung(Value, frozen=True, kw_only=True):
    """A device, and how many clips it gets at once."""

    device: str
    batch_size: int


def rungs(device: str, *, gpus: int, batch_size: int) -> list[Rung]:
    """Return the rungs from the top down. Raises :class:`FailedError` when a GPU is demanded and none is there."""
    cpu = Rung(device="cpu", batch_size=1)
    if device == "cpu" or (device == "auto" and not gpus):
        return [cpu]
    if not gpus:
        raise FailedError(
            "no GPU for the transcription", "CTranslate2 sees none",
            "choose the device auto or cpu; a GPU needs NVIDIA's driver and the CUDA libraries that CTranslate2 names",
        )  # fmt: skip
    sizes = [batch_size]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return [*(Rung(device="cuda", batch_size=size) for size in sizes), *([cpu] if device == "auto" else [])]


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, on whichever device."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS)


class Ladder:
    """Hears with the best rung that works; once it stepped down it stays there. ``notes`` say why it did."""

    def __init__(self, rungs: Sequence[Rung], load: Load) -> None:
        self._rungs, self._load = list(rungs), load
        self._engine: Engine | None = None
        self.device: str | None = None
        self.compute_type: str | None = None
        self.notes: list[str] = []

    def language(self, samples: Samples) -> tuple[str, float]:
        """Return the language that is spoken and its probability. Raises :class:`FailedError`."""
        return self._do(lambda engine: engine.language(samples))

    def hear(self, samples: Samples, clips: Sequence[Span], language: str) -> Iterator[tuple[int, list[Heard]]]:
        """Yield what is said, batch by batch, with how many clips are done. Raises :class:`FailedError`."""
        done = 0
        while done < len(clips):
            rest = clips[done:]
            heard = self._do(partial(self._hear_batch, samples, rest, language))
            done += min(self._rungs[0].batch_size, len(rest))
            yield done, heard

    def _hear_batch(self, samples: Samples, clips: Sequence[Span], language: str, engine: Engine) -> list[Heard]:
        return engine.hear(samples, clips[: self._rungs[0].batch_size], language)

    def _do(self, task: Callable[[Engine], T]) -> T:
        while True:
            try:
                return task(self._loaded())
            except (RuntimeError, MemoryError, ValueError) as error:
                self._step_down(error)

    def _loaded(self) -> Engine:
        if self._engine is None:
            self.device = self._rungs[0].device
            self._engine = self._load(self.device)
            self.compute_type = self._engine.compute_type
        return self._engine

    def _step_down(self, error: Exception) -> None:
        is_memory, here = is_out_of_memory(error), self._rungs[0]
        evidence = " ".join(str(error).split())[:300] or type(error).__name__
        below = self._rungs[1:]
        if not is_memory or self._engine is None:  # a smaller batch helps neither
            below = [rung for rung in below if rung.device != here.device]
        if not below:
            if is_memory:
                raise FailedError(
                    "memory ran out", evidence, "choose a smaller model, or give it more memory"
                ) from error
            hint = "the model may be damaged, or not made for CTranslate2; download it again"
            raise FailedError("the model does not work", evidence, hint) from error
        self._rungs = below
        if below[0].device != here.device:
            self._engine = None
        self.notes.append(f"{here.device} with batches of {here.batch_size}: {evidence}; then {_named(below[0])}")


def _named(rung: Rung) -> str:
    return f"{rung.device} with batches of {rung.batch_size}"
