"""Holds each encode of a job against what was asked of it, and says at which setting to make it again.

The decision is :mod:`reelpress.plan.gate`'s; here are the measuring, and the notes that the receipt gets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from reelpress.bookkeeping import Book
from reelpress.errors import QualityError
from reelpress.facts.gate import GateWish, Scored, Try
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Window
from reelpress.plan.gate import Seen, best_of, missed, next_try, scale_of, setting_of, shifted
from reelpress.plan.model import Attempt, Encode, Reason
from reelpress.receipt import AttemptRecord, Gate, Quality, Verdict

# Measures an output, in the places where the try before was measured, if there was one. What it cannot measure is an
# answer, too.
Score = Callable[[Path, MediaFacts, tuple[Window, ...]], Scored]
_WORDS = {"vmaf": "VMAF", "vmaf_worst": "VMAF of the worst second", "size_ratio": "share of the input's size"}

# Such findings are wrong of a few honest encodes: they are for people to look at, and no reason to refuse.
_DOUBT = "Measuring took the output for damaged, which is no miss; look at it: "


class Gatekeeper:
    """The gate of one job. ``source_bytes`` is the size that ``max_size_ratio`` is a ratio of."""

    def __init__(self, wish: GateWish, decided: Encode, *, source_bytes: int, score: Score, book: Book) -> None:
        self.wish, self._plan, self._source_bytes, self._score, self._book = wish, decided, source_bytes, score, book
        self._scale = scale_of(decided)
        self._shift = 0.0
        self._seen: list[Seen] = []
        self._tries: list[Try] = []
        self._scored: list[Scored | None] = []
        self._windows: tuple[Window, ...] = ()
        self._why: str | None = None

    def gates(self, attempt: Attempt, output: Path, facts: MediaFacts) -> tuple[Gate, ...]:
        """Measure an output that is right in all else, and note it as a try."""
        wish, scored = self.wish, None
        if wish.asks_quality:
            with self._book.stage("score"):
                scored = self._score(output, facts, self._windows)
            self._windows = self._windows or scored.windows
        vmaf = scored.vmaf if scored is not None else None
        worst = vmaf.worst_second.score if vmaf is not None and vmaf.worst_second is not None else None
        if vmaf is not None and worst is None:
            worst = vmaf.mean  # shorter than a second: all of it is the worst
        seen = Seen(
            shift=self._shift, vmaf=vmaf.mean if vmaf is not None else None, worst=worst,
            size_ratio=facts.size_bytes / self._source_bytes if self._source_bytes else None,
        )  # fmt: skip
        cause = scored.cause if scored is not None and vmaf is None else None
        self._note(attempt.encoder, setting_of(attempt.args), seen, facts.size_bytes, scored, unmeasured=cause)
        return _gates(wish, seen, scored)

    def outgrew(self, record: AttemptRecord, limit_bytes: int | None, why: str) -> None:
        """Note a try that was ended, or thrown away, because it is larger than pays."""
        ratio = limit_bytes / self._source_bytes if limit_bytes is not None and self._source_bytes else None
        seen = Seen(shift=self._shift, size_ratio=ratio, outgrew=True)
        self._note(record.encoder, setting_of(record.argv), seen, None, None, stopped=why)

    @property
    def cares(self) -> bool:
        """Whether an encode that is too large to pay is for this gate to go on from."""
        return self.wish.max_size_ratio is not None or len(self._seen) > 0

    def revise(self) -> Encode | None:
        """Return the plan for the next try after a miss; ``None`` where there is to be none."""
        following = next_try(self.wish, self._seen, self._scale)
        told = self._told(len(self._tries) - 1)
        if following.shift is None:
            self._why = following.why
            return None
        self._shift = following.shift
        decided = shifted(self._plan, following.shift)
        setting = setting_of(decided.attempts[0].args)
        text = f"{told}: {following.why}, so it is encoded again at {setting:g}."
        self._book.reasons = (*self._book.reasons, Reason(code="quality_retry", text=text, fact=None))
        return decided

    @property
    def best(self) -> int | None:
        """Which try is the best so far to deliver, though it missed; ``None`` where all were stopped."""
        return best_of(self.wish, self._seen)

    @property
    def latest(self) -> int:
        """The number of the latest try, from 0."""
        return len(self._tries) - 1

    @property
    def size_alone(self) -> bool:
        """Whether all that is wrong with the last try is that it does not pay, which nothing was asked about."""
        return self._seen[-1].outgrew and self.wish.max_size_ratio is None

    def settle(self, delivered: int | None, *, is_miss: bool = False) -> None:
        """Write what was measured into the book: of the try that is delivered, and of all."""
        self._tries = [
            msgspec.structs.replace(one, delivered=number == delivered) for number, one in enumerate(self._tries)
        ]
        scored = self._scored[delivered] if delivered is not None else None
        self._book.quality = _quality(scored, tuple(self._tries))
        if scored is not None and scored.vmaf is None:
            self._book.notes = (*self._book.notes, f"quality is unmeasured: {scored.cause}")
        if scored is not None:
            told = (f"{_DOUBT}{text}" for text in scored.findings)
            self._book.notes = (*self._book.notes, *told)
        if is_miss and delivered is not None:
            text = f"Delivered although it missed what was asked, {self._told(delivered)}; {self._why}."
            self._book.notes = (*self._book.notes, text)

    def error(self) -> QualityError:
        """Return the error of a job that delivers nothing because of this gate."""
        told = "; ".join(self._told(number) for number in range(len(self._tries)))
        return QualityError(
            "No encode within the budget was as good and as small as asked; the input is untouched.",
            evidence=f"{told}; {self._why}" if self._why else told,
            hint="Lower --min-vmaf, raise --max-size-ratio or --vmaf-retries, or take --on-miss deliver.",
        )

    def _note(
        self, encoder: str, setting: float, seen: Seen, size_bytes: int | None, scored: Scored | None, *,
        unmeasured: str | None = None, stopped: str | None = None,
    ) -> None:  # fmt: skip
        self._seen.append(seen)
        self._scored.append(scored)
        self._tries.append(
            Try(
                encoder=encoder, setting=setting, size_bytes=size_bytes,
                size_ratio=round(seen.size_ratio, 4) if seen.size_ratio is not None and not seen.outgrew else None,
                vmaf=seen.vmaf, vmaf_worst=seen.worst, missed=missed(self.wish, seen), unmeasured=unmeasured,
                stopped=stopped,
            )
        )  # fmt: skip
        self.settle(None)  # should the job end here, by a cancel or a full disk

    def _told(self, number: int) -> str:
        one, wish = self._tries[number], self.wish
        parts = [f"too large ({one.stopped})"] if one.stopped is not None else []
        if one.vmaf is not None and wish.min_vmaf is not None:
            parts.append(f"VMAF {one.vmaf:.2f} ({wish.min_vmaf:g} wanted)")
        if one.vmaf_worst is not None and wish.min_vmaf_worst is not None:
            parts.append(f"worst second {one.vmaf_worst:.2f} ({wish.min_vmaf_worst:g} wanted)")
        if one.size_ratio is not None and wish.max_size_ratio is not None:
            parts.append(f"{one.size_ratio:.1%} of the input ({wish.max_size_ratio:.1%} at most)")
        return f"{one.encoder} at {one.setting:g}: {', '.join(parts) or 'unmeasured'}"


def _gates(wish: GateWish, seen: Seen, scored: Scored | None) -> tuple[Gate, ...]:
    """Return the gates that were asked for, each with its verdict; what is not measured is not failed."""
    failed = missed(wish, seen)
    how = _how(scored)
    asked = (
        ("vmaf", wish.min_vmaf, seen.vmaf, "at least {:g}", "{:.2f}", how),
        ("vmaf_worst", wish.min_vmaf_worst, seen.worst, "at least {:g}", "{:.2f}", how),
        ("size_ratio", wish.max_size_ratio, seen.size_ratio, "at most {:.1%}", "{:.1%}", "Of the input's bytes."),
    )
    gates = []
    for name, limit, value, wanted, form, text in asked:
        if limit is None:
            continue
        verdict: Verdict = "unmeasured" if value is None else "failed" if name in failed else "passed"
        measured = "unknown" if value is None else form.format(value)
        gates.append(Gate(name=name, verdict=verdict, expected=wanted.format(limit), measured=measured, text=text))
    return tuple(gates)


def _how(scored: Scored | None) -> str:
    """Return in a sentence how a score was taken, or why there is none."""
    if scored is None or scored.vmaf is None:
        return (scored.cause if scored is not None else None) or "Nothing was measured."
    where = "the whole" if scored.whole else f"{scored.seconds:.1f} s in {len(scored.windows)} places"
    return f"{scored.frames} frames of {where}, model {scored.model}."


def _quality(scored: Scored | None, tries: tuple[Try, ...]) -> Quality:
    if scored is None:
        text = "No visual score was asked for." if not any(t.vmaf for t in tries) else "Nothing was delivered."
        return Quality(method="unmeasured", score=None, text=text, tries=tries)
    if scored.vmaf is None:
        return Quality(method="unmeasured", score=None, text=_how(scored), scored=scored, tries=tries)
    method = f"{scored.model}, {'whole' if scored.whole else 'sampled'}"
    return Quality(method=method, score=scored.vmaf.mean, text=_how(scored), scored=scored, tries=tries)


def kept_too_large(wish: GateWish) -> Gate | None:
    """Return the gate of an input that is kept or remuxed where less was asked for: it is not met."""
    if wish.max_size_ratio is None or wish.max_size_ratio >= 1:
        return None
    expected = f"at most {wish.max_size_ratio:.1%}"
    text = "Encoding was not found to pay, and the input as it is is larger than asked (--always-encode tries)."
    return Gate(name="size_ratio", verdict="failed", expected=expected, measured="all of it", text=text)
