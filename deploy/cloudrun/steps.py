"""A command to be run, as a value: shown as a line of shell, or run. What is shown is what is run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence

from cloudrun.deployment import ROOT
from reelpress.errors import UsageError
from reelpress.facts.values import Value


class Step(Value, frozen=True, kw_only=True):
    """One command. ``why`` is shown above it.

    With ``look``, that command is run first, and its exit code 0 means that the thing is there already: then ``there``
    is run in place of ``argv``, or nothing if it is empty. ``stdin`` names a variable whose value is written to the
    command's standard input and shown nowhere. When one fails that ``goes_on``, those behind it are run all the same.
    """

    argv: tuple[str, ...]
    why: str = ""
    look: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    stdin: str | None = None
    goes_on: bool = False

    def commands(self) -> list[tuple[str, ...]]:
        """Return all that may be run."""
        return [argv for argv in (self.look, self.argv, self.there) if argv]


def script(steps: Sequence[Step]) -> str:
    """Return the steps as a shell script that does the same; secrets are in it by name only."""
    lines = ["#!/bin/sh", "# To be run in the repository's root.", "set -eu"]
    for step in steps:
        lines += ["", *([f"# {step.why}"] if step.why else [])]
        feed = f'printf %s "${step.stdin}" | ' if step.stdin else ""
        if not step.look:
            lines.append(feed + shlex.join(step.argv) + (" || failed=$?" if step.goes_on else ""))
            continue
        lines.append(f"if {shlex.join(step.look)} >/dev/null 2>&1; then")
        lines.append(f"  {feed + shlex.join(step.there) if step.there else ':'}")
        lines += ["else", f"  {feed}{shlex.join(step.argv)}", "fi"]
    ends = ["", 'exit "${failed:-0}"'] if any(step.goes_on for step in steps) else []
    return "\n".join([*lines, *ends]) + "\n"


def run(steps: Sequence[Step], environ: Mapping[str, str] | None = None) -> int:
    """Run the steps one after the other, up to the first that fails; return its exit code, or 0.

    Raises :class:`UsageError` before anything is run if a secret is not in the environment.
    """
    environ = os.environ if environ is None else environ
    missing = sorted({step.stdin for step in steps if step.stdin and not environ.get(step.stdin)})
    if missing:
        raise UsageError(f"Missing in the environment: {', '.join(missing)}.")
    failed = 0
    for step in steps:
        argv = step.argv
        if step.look and _call(step.look, environ, quiet=True) == 0:
            argv = step.there
        if not argv:
            continue
        print(f"+ {shlex.join(argv)}", file=sys.stderr, flush=True)
        code = _call(argv, environ, fed=environ[step.stdin] if step.stdin else None)
        if code != 0 and not step.goes_on:
            return code
        failed = failed or code
    return failed


def _call(argv: Sequence[str], environ: Mapping[str, str], *, quiet: bool = False, fed: str | None = None) -> int:
    out = subprocess.DEVNULL if quiet else None
    try:
        done = subprocess.run(
            argv, check=False, env=dict(environ), stdout=out, stderr=out, cwd=ROOT,
            **({"stdin": subprocess.DEVNULL} if fed is None else {"input": fed.encode()}),
        )  # fmt: skip
    except FileNotFoundError:
        raise UsageError(f"{argv[0]} is not installed here.") from None
    return int(done.returncode)
