"""A worker of a fleet: takes jobs from a shared folder until none is left. ``python fleet.py FOLDER``.

A job is a file in ``todo``, taken by moving it: who moves it has it. Its line holds the faults of its programs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec

from reelpress.engine import compress_file
from reelpress.facts.host import HostFacts
from reelpress.facts.values import from_json, to_json

from world import REQUEST, policy_of


def work(folder: Path) -> None:
    host = from_json((folder / "host.json").read_bytes(), HostFacts)
    # patience beyond what all of them take together: whoever waits has his turn
    policy = msgspec.structs.replace(policy_of(folder / "cache", patience_s=600.0), stall_timeout_s=10.0)
    while (name := _take(folder)) is not None:
        os.environ["FAKENV_FAULTS"] = json.loads((folder / "taken" / name).read_text())["faults"]
        out = folder / "out" / f"{name}.mp4"
        receipt = compress_file(folder / "source.mp4", out, host=host, request=REQUEST, policy=policy)
        fresh = folder / "done" / f"{name}.new"
        fresh.write_bytes(to_json(receipt))
        fresh.rename(folder / "done" / name)


def _take(folder: Path) -> str | None:
    for path in sorted((folder / "todo").iterdir()):
        try:
            path.rename(folder / "taken" / path.name)
        except FileNotFoundError:
            continue
        return path.name
    return None


if __name__ == "__main__":
    work(Path(sys.argv[1]))
