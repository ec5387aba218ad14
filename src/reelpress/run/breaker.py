"""Keeps jobs off a GPU that fails, over all processes of a user on a host; :mod:`reelpress.run.circuit` decides.

There is a circuit per GPU, and one per pair of FFmpeg build and GPU: a device that was lost is lost for every build,
a driver too old is so for one. State is one small JSON file, replaced under a lock; probes run outside the lock. A
GPU left alone costs a job one read of that file.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from reelpress.errors import Cancelled, OutputError
from reelpress.facts.failure import Action, Failure, gpu_action
from reelpress.facts.values import Value
from reelpress.run.circuit import (
    Circuit,
    Event,
    ProbeBegan,
    ProbeEnded,
    Refused,
    Suspected,
    Worked,
    decide,
    is_due,
)
from reelpress.run.host_state import FileLock, explained, private_folder, read_value, replace_value

# Tries the GPU, with a time limit below circuit.PROBE_S, and tells whether it works.
Reprobe = Callable[[str], bool]

_LOCK_S = 5.0  # it is held for about a millisecond


class CircuitReport(Value, frozen=True, kw_only=True):
    """What a doctor and a receipt show of one circuit: times are Unix time; without ``ffmpeg``, of every build."""

    gpu: str
    ffmpeg: str | None
    state: str
    since: float
    why: str | None
    next_probe_at: float | None


class Entry(Value, frozen=True, kw_only=True):
    """One circuit in the file."""

    gpu: str
    ffmpeg: str | None
    circuit: Circuit


Key = tuple[str, str | None]  # GPU, FFmpeg


class Breaker:
    """The circuits of a host's GPUs; ``folder`` is where processes meet.

    Methods raise :class:`OutputError` when the folder cannot be used, and what a ``reprobe`` raises; the probe then
    counts as failed, unless it was :class:`Cancelled`.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = private_folder(folder)
        self._path = self._folder / "breaker.json"
        self._clock = clock

    def may_use(self, gpu: str, ffmpeg: str, *, reprobe: Reprobe) -> bool:
        """Tell whether a job may try this build on this GPU.

        Where it was left alone and has rested, whoever asks first probes it, and meanwhile all others are told no.
        """
        keys: tuple[Key, Key] = ((gpu, None), (gpu, ffmpeg))
        now = self._clock()
        circuits = self._read()
        found = [circuits.get(key, Circuit()) for key in keys]
        if all(each.phase == "closed" for each in found):
            return True
        if not all(each.phase == "closed" or is_due(each, now) for each in found):
            return False
        token = secrets.token_hex(8)
        with self._changing() as circuits:
            begun = [key for key in keys if circuits.get(key, Circuit()).phase != "closed"]
            if not all(is_due(circuits[key], self._clock()) for key in begun):
                return False
            self._apply(circuits, begun, ProbeBegan(token=token))
        return not begun or self._probe(gpu, begun, token, reprobe)

    def failed(self, gpu: str, ffmpeg: str, failure: Failure, *, job: str, reprobe: Reprobe) -> bool:
        """Note how a job failed on a GPU; return whether the GPU may still be used with this build.

        ``job`` names the input the same way each time. A first suspicion is probed at once: a GPU that fails the probe
        is left alone, one that passes keeps the count of this job alone. Failures that say nothing about the GPU
        change nothing.
        """
        action = gpu_action(failure.kind)
        why = f"{failure.kind}: {failure.evidence}"
        device: Key = (gpu, None)
        pair: Key = (gpu, ffmpeg)
        if action is Action.GPU_OFF:
            with self._changing() as circuits:
                self._apply(circuits, [pair], Refused(why=why))
        elif action is Action.SUSPECT:
            token = secrets.token_hex(8)
            name = hashlib.sha256(job.encode("utf-8", "surrogateescape")).hexdigest()[:16]
            with self._changing() as circuits:
                before = circuits.get(device, Circuit())
                self._apply(circuits, [device], Suspected(job=name, why=why))
                is_new = circuits[device].suspicions != before.suspicions
                if is_new and circuits[device].phase == "closed":
                    self._apply(circuits, [device], ProbeBegan(token=token))
                probes = circuits[device].probe == token
            if probes:
                self._probe(gpu, [device], token, reprobe)
        circuits = self._read()
        return all(circuits.get(key, Circuit()).phase == "closed" for key in (device, pair))

    def worked(self, gpu: str) -> None:
        """Note that a job was delivered by this GPU: earlier suspicions were the jobs' own."""
        if self._read().get((gpu, None), Circuit()).suspicions:
            with self._changing() as circuits:
                self._apply(circuits, [(gpu, None)], Worked())

    def snapshot(self) -> tuple[CircuitReport, ...]:
        """Return every circuit that was ever in doubt, for show; those not in it are closed."""
        return tuple(
            CircuitReport(
                gpu=gpu, ffmpeg=ffmpeg, state=circuit.phase, since=circuit.since, why=circuit.why,
                next_probe_at=circuit.next_probe_at,
            )
            for (gpu, ffmpeg), circuit in sorted(self._read().items(), key=lambda item: (item[0][0], item[0][1] or ""))
        )  # fmt: skip

    def _probe(self, gpu: str, keys: list[Key], token: str, reprobe: Reprobe) -> bool:
        passed: bool | None = False
        why = "a trial encode failed"
        try:
            passed = reprobe(gpu)
        except Cancelled:
            passed = None
            raise
        except BaseException as error:
            why = f"the trial encode was broken off: {type(error).__name__}"
            raise
        finally:
            with self._changing() as circuits:
                self._apply(circuits, keys, ProbeEnded(token=token, passed=passed, why=why))
        return bool(passed)

    def _apply(self, circuits: dict[Key, Circuit], keys: list[Key], event: Event) -> None:
        now = self._clock()
        for key in keys:
            circuits[key] = decide(circuits.get(key, Circuit()), event, now)

    def _read(self) -> dict[Key, Circuit]:
        with explained(self._folder):
            entries = read_value(self._path, tuple[Entry, ...]) or ()
        return {(entry.gpu, entry.ffmpeg): entry.circuit for entry in entries}

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[Key, Circuit]]:
        """Hand out the circuits as they are, and write them as they then are."""
        with explained(self._folder):
            lock = FileLock.take(self._folder / "breaker.lock", _LOCK_S)
            if lock is None:
                raise OutputError(
                    f"the state of the GPUs in {self._folder} is locked",
                    evidence=f"for {_LOCK_S:g} s", hint="a stopped process of ours holds it: let it go on, or end it",
                )  # fmt: skip
            with lock:
                circuits = self._read()
                yield circuits
                entries = tuple(Entry(gpu=k[0], ffmpeg=k[1], circuit=circuit) for k, circuit in circuits.items())
                replace_value(self._path, entries)
