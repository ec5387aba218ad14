"""Writes the golden plans anew from today's planner; review the diff before committing it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "golden")]

from reelpress.facts.values import to_plain  # noqa: E402
from reelpress.plan.compress import plan  # noqa: E402

from cases import CASES  # type: ignore[import-not-found]  # noqa: E402
from clip_cases import CLIP_CASES, planned  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    """Rewrite every golden file and remove those without a case."""
    folder = ROOT / "tests" / "golden" / "plans"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.json"):
        if old.stem not in CASES.keys() | CLIP_CASES.keys():
            old.unlink()
    plans = {name: plan(*case) for name, case in CASES.items()}
    plans |= {name: planned(*case) for name, case in CLIP_CASES.items()}
    for name, decided in plans.items():
        text = json.dumps(to_plain(decided), indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n")
    print(f"{len(plans)} golden plans written")


if __name__ == "__main__":
    main()
