"""Whether the gate of ``reelpress compare`` rejects what is good, or lets through what is spoilt.

    python benchmarks/compare_gate.py --media DIR --page benchmarks/results/compare_gate.md

Real files, cut to a few seconds, and clips of FFmpeg's are copied in every way that does no harm (``gate_copies.py``:
other containers, later starts, other times, rotation, shapes, ranges, depths, sound) and spoilt in every way that does
(``gate_damage.py``). Each is measured against what it was made of, whole, and judged as the command does: VMAF's mean
at least 93 and the worst second's at least 85, no finding of damage, and measured at all. A right copy that is rejected
or not measured is a miss; so is damage that passes.

Pieces and copies stand in a temporary folder one at a time. ``--only`` takes sources and recipes whose name or kind has
the text in it; ``--most`` lowers the number of sources for each recipe. ``--read`` measures nothing and writes the page
of earlier runs, of which the last counts where two tried the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from reelpress.errors import ReelpressError
from reelpress.facts.quality import Comparison, Measuring
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.measure import measure

from gate_copies import COPIES
from gate_damage import DAMAGES, Damage
from gate_recipes import Copy
from gate_sources import SOURCES, Material, MaterialError, ffmpeg_path, make, prepare
from x264_search import machine

ROOT = Path(__file__).resolve().parent.parent
MIN_VMAF, MIN_WORST = 93.0, 85.0
HOST = probe_host()
SPREAD = 3


@dataclass(frozen=True)
class Outcome:
    """What became of one copy: ``passed``, ``rejected``, ``unmeasured`` or ``not made``, and why."""

    group: str  # "copy" or "damage"
    kind: str
    name: str
    source: str
    verdict: str
    why: str
    vmaf: float | None = None
    worst: float | None = None
    findings: tuple[str, ...] = ()
    wall_s: float = 0.0

    @property
    def missed(self) -> bool:
        """Whether this is not what it should be."""
        wanted = {"passed"} if self.group == "copy" else {"rejected"}
        return self.verdict not in wanted | {"not made"}


def judge(compared: Comparison) -> tuple[str, str]:
    """Return the gate's verdict and its reason."""
    why = [f"{f.code}: {f.text}" for f in compared.damage]
    if compared.verdict != "measured" or compared.vmaf is None:
        return ("rejected", "; ".join(why)) if why else ("unmeasured", compared.cause or "no score")
    worst = compared.vmaf.worst_second.score if compared.vmaf.worst_second else compared.vmaf.min
    if compared.vmaf.mean < MIN_VMAF:
        why.append(f"VMAF {compared.vmaf.mean:.2f}")
    if worst < MIN_WORST:
        why.append(f"worst second {worst:.2f}")
    return ("rejected", "; ".join(why)) if why else ("passed", "")


def try_one(recipe: Copy | Damage, material: Material, folder: Path) -> Outcome | None:
    """Make one copy, measure and judge it; ``None`` where the recipe does not apply to the source."""
    group = "copy" if isinstance(recipe, Copy) else "damage"
    about = (group, recipe.kind, recipe.name, material.name)
    began = time.monotonic()
    reference, facts = material.path, material.facts
    try:
        arguments = recipe.make(material)
        if arguments is None:
            return None
        if isinstance(recipe, Copy) and recipe.reference is not None:
            other = recipe.reference(material)
            if other is None:
                return None
            reference = make(other, folder / "reference.mkv")
            facts = probe(reference)
        out = make(arguments, folder / f"made{recipe.suffix}")
    except MaterialError as error:
        return Outcome(*about, "not made", str(error)[-200:])
    try:
        compared = measure(reference, facts, out, probe(out), how=Measuring(whole=True), host=HOST)
    except ReelpressError as error:
        return Outcome(*about, "unmeasured" if group == "copy" else "rejected", f"{error.code}: {error.what}")
    finally:
        out.unlink(missing_ok=True)
    verdict, why = judge(compared)
    scores = compared.vmaf
    worst = scores.worst_second.score if scores and scores.worst_second else None
    codes = tuple(f"{f.code} ({f.severity})" for f in compared.findings)
    spent = round(time.monotonic() - began, 1)
    return Outcome(*about, verdict, why, scores.mean if scores else None, worst, codes, spent)


def run(media: Path, most: int | None, only: str, sources: str, group: str) -> Iterator[Outcome]:
    """Try all recipes on all sources; a recipe ends with the number of sources it is to be tried on."""
    tried: Counter[str] = Counter()
    every: tuple[Copy | Damage, ...] = (
        *(COPIES if group != "damage" else ()), *(DAMAGES if group != "copy" else ()),
    )  # fmt: skip
    for number, source in enumerate(s for s in SOURCES if sources in s.name):
        with tempfile.TemporaryDirectory(prefix="compare-gate-") as made:
            folder = Path(made)
            try:
                material = prepare(source, media, folder)
            except (MaterialError, OSError, ReelpressError) as error:
                print(f"{source.name} could not be prepared: {error}", file=sys.stderr)
                continue
            for place, recipe in enumerate(every):
                if only not in f"{recipe.kind}: {recipe.name}":
                    continue
                # every source has other recipes, so that none is tried on the first few alone
                if not (sources or only) and (place * 5 + number * 7) % SPREAD and number < len(SOURCES) * 2 // 3:
                    continue
                if not _fits(recipe, material) or tried[recipe.name] >= min(recipe.most, most or recipe.most):
                    continue
                outcome = try_one(recipe, material, folder)
                if outcome is not None:
                    tried[recipe.name] += outcome.verdict != "not made"
                    yield outcome


def _fits(recipe: Copy | Damage, material: Material) -> bool:
    if isinstance(recipe, Copy):
        return True
    return recipe.needs(material) if recipe.needs is not None else material.damage


def write_page(outcomes: Sequence[Outcome], page: Path) -> None:
    """Write the results page."""
    about = machine(ffmpeg_path())
    lines = [
        "# What the gate rejects", "",
        "Made by `benchmarks/compare_gate.py`, which says how. Do not edit.", "",
        f"{about['date']}, {about['cpu']}, {about['cores']} cores, FFmpeg {about['ffmpeg']}.", "",
    ]  # fmt: skip
    for group, good, heading in (
        ("copy", "passed", "Right copies: none may be rejected"),
        ("damage", "rejected", "Damage: all must be rejected"),
    ):  # fmt: skip
        mine = [o for o in outcomes if o.group == group and o.verdict != "not made"]
        right = sum(o.verdict == good for o in mine)
        lines += [
            f"## {heading}", "", f"{len(mine)} tried on {len({o.source for o in mine})} sources, {right} {good}.", "",
            f"| kind | recipes | tried | {good} | " + ("rejected" if group == "copy" else "passed") + " | unmeasured |",
            "|---|---|---|---|---|---|",
        ]  # fmt: skip
        bad = "rejected" if group == "copy" else "passed"
        for kind in dict.fromkeys(o.kind for o in mine):
            of_kind = [o for o in mine if o.kind == kind]
            count = Counter(o.verdict for o in of_kind)
            names = len({o.name for o in of_kind})
            lines.append(
                f"| {kind} | {names} | {len(of_kind)} | {count[good]} | {count[bad]} | {count['unmeasured']} |"
            )
        missed = [o for o in mine if o.missed]
        lines += ["", *([f"### The {len(missed)} misses", ""] if missed else ["No miss."])]
        lines += [f"- {o.kind}: {o.name}, of *{o.source}*: {o.verdict}. {o.why}".rstrip() for o in missed]
        lines.append("")
    unmade = [o for o in outcomes if o.verdict == "not made"]
    if unmade:
        lines += [f"{len(unmade)} more could not be made by FFmpeg and count nowhere.", ""]
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def read(runs: Sequence[Path]) -> list[Outcome]:
    """Return what earlier runs found, each copy of each source once."""
    found = {}
    for run_of in runs:
        for each in json.loads(run_of.read_text(encoding="utf-8")):
            outcome = Outcome(**{**each, "findings": tuple(each["findings"])})
            found[outcome.group, outcome.kind, outcome.name, outcome.source] = outcome
    return list(found.values())


def main() -> int:
    """Try everything, print a line each, write the page; the answer is 1 where something was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media" / "files")
    parser.add_argument("--page", type=Path, help="write the results page")
    parser.add_argument("--json", type=Path, help="write every outcome")
    parser.add_argument("--most", type=int, help="sources for each recipe, at most")
    parser.add_argument("--only", default="", help="recipes whose kind or name has this in it")
    parser.add_argument("--source", default="", help="sources whose name has this in it")
    parser.add_argument("--group", choices=("copy", "damage", "both"), default="both")
    parser.add_argument("--read", type=Path, action="append", help="results of an earlier run; repeatable")
    wished = parser.parse_args()
    if wished.read:
        outcomes = read(wished.read)
        if wished.page:
            write_page(outcomes, wished.page)
        return int(any(o.missed for o in outcomes))
    outcomes = []
    for outcome in run(wished.media, wished.most, wished.only, wished.source, wished.group):
        outcomes.append(outcome)
        mark = "MISS" if outcome.missed else "    "
        scores = "" if outcome.vmaf is None else f" {outcome.vmaf:.2f}/{outcome.worst or 0:.2f}"
        print(
            f"{mark} {outcome.verdict:<10} {outcome.kind}: {outcome.name} [{outcome.source}]{scores} {outcome.why}"
            f" {','.join(outcome.findings)} {outcome.wall_s} s",
            flush=True,
        )
        if wished.json:
            wished.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1) + "\n", encoding="utf-8")
        if wished.page:
            write_page(outcomes, wished.page)
    count = Counter((o.group, o.verdict) for o in outcomes)
    print(dict(count))
    return int(any(o.missed for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
