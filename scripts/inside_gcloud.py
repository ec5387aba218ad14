"""Asks gcloud itself, without a network: run by the SDK's own Python, with its libraries, a JSON request on stdin.

``lines`` are argument lists (without ``gcloud``) for gcloud's own parser, and nothing is executed; ``record`` are
commands whose grammar is wanted; ``builds`` are Cloud Build files for gcloud's own loader; ``messages`` are ``[api,
version, type, json]`` for its generated classes. Each answer is an error's text, or ``null``; of ``record`` it is
the grammar.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
from typing import Any

LIB = os.environ["GCLOUD_LIB"]
sys.path[:0] = [LIB, f"{LIB}/third_party"]
# nobody's configuration, no account
os.environ["CLOUDSDK_CONFIG"] = tempfile.mkdtemp(prefix="gcloud-")
os.environ["CLOUDSDK_CORE_DISABLE_PROMPTS"] = "1"

from googlecloudsdk import gcloud_main  # noqa: E402
from googlecloudsdk.calliope import arg_parsers  # noqa: E402

# What a flag's own parser is tried with, to tell what kinds of values it takes.
SAMPLES = {
    "text": ("some text",), "whole": ("3",), "decimal": ("0.5",), "duration": ("15m", "15s"), "size": ("2Gi",),
    "word": ("default",),
}  # fmt: skip


def parsed(cli: Any, argv: list[str]) -> str | None:  # noqa: ANN401 - gcloud has no types
    """Return why gcloud refuses a line, or ``None``."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            found = cli._CLI__parser.parse_args(argv)
            if found.CONCEPT_ARGS is not None:
                found.CONCEPT_ARGS.ParseConcepts()
    except SystemExit as error:
        return None if error.code == 0 else f"refused with {error.code}"
    except Exception as error:  # noqa: BLE001 - whatever gcloud raises is its refusal
        return f"{type(error).__name__}: {error}"
    return None


def grammar(cli: Any, path: str) -> dict[str, Any] | None:  # noqa: ANN401
    """Return the grammar of a command; ``None`` if there is none of that name."""
    element = cli._TopElement()
    for part in path.split():
        element = element.LoadSubElement(part)
        if element is None:
            return None
    if element.is_group:
        return {"group": sorted({*element.groups, *element.commands})}
    flags, places = {}, []
    for action in element.ai.parser._actions:
        if action.option_strings:
            for name in action.option_strings:
                flags[name] = flag(action)
        elif action.nargs != 0:
            # a place that may be left out, takes the rest, or is needed
            places.append(action.nargs if action.nargs in ("?", "*", "+") else "1")
    needed = [group_of(argument) for argument in element.ai.arguments if getattr(argument, "is_required", False)]
    if places[:1] == ["?"] and "" in (name for names in needed for name in names):
        # a resource of several parts: its name is needed, the other parts have defaults
        places[0] = "1"
    return {"flags": flags, "places": places, "one_of": [names for names in needed if names and "" not in names]}


def group_of(argument: Any) -> list[str]:  # noqa: ANN401
    """Return the flags of which one is needed; a place, which has no name, is the empty text."""
    if not hasattr(argument, "arguments") and not getattr(argument, "option_strings", []):
        return [""]
    names = list(getattr(argument, "option_strings", []))
    for inner in getattr(argument, "arguments", []):
        names += group_of(inner)
    return names


def flag(action: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what a flag takes."""
    if action.nargs == 0:
        return {"takes": "nothing"}
    kind = action.type
    if action.choices:
        return {"takes": "choice", "choices": sorted(str(choice) for choice in action.choices)}
    if isinstance(kind, arg_parsers.ArgDict):
        spec = sorted(kind.spec) if kind.spec else None
        needed = sorted(kind.required_keys or [])
        return {"takes": "mapping", "keys": spec, "needed": needed, "bare": bool(kind.allow_key_only)}
    if isinstance(kind, arg_parsers.ArgList):
        return {"takes": "list"}
    if "file" in action.option_strings[0] and not takes(kind, "/nonexistent"):
        return {"takes": "file"}
    accepted = [name for name, texts in SAMPLES.items() if any(takes(kind, text) for text in texts)]
    return {"takes": "text"} if "text" in accepted or not accepted else {"takes": "value", "kinds": accepted}


def takes(kind: Any, text: str) -> bool:  # noqa: ANN401
    """Whether a flag's own parser accepts a text."""
    if kind is None:
        return True
    try:
        kind(text)
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


def build_file(path: str) -> str | None:
    """Return why gcloud's loader refuses a Cloud Build file, or ``None``."""
    from googlecloudsdk.api_lib.cloudbuild import cloudbuild_util, config

    try:
        config.LoadCloudbuildConfigFromPath(path, cloudbuild_util.GetMessagesModule())
    except Exception as error:  # noqa: BLE001 - as above
        return f"{type(error).__name__}: {error}"
    return None


def message(api: str, version: str, name: str, text: str) -> str | None:
    """Return what of a JSON text is none of a message's fields, or ``None``."""
    from apitools.base.py import encoding
    from googlecloudsdk.api_lib.util import apis

    try:
        found = encoding.JsonToMessage(getattr(apis.GetMessagesModule(api, version), name), text)
        strangers = list(encoding.UnrecognizedFieldIter(found))
    except Exception as error:  # noqa: BLE001 - as above
        return f"{type(error).__name__}: {error}"
    return f"unknown fields: {strangers}" if strangers else None


def main() -> None:
    """Answer one request."""
    asked = json.load(sys.stdin)
    cli = gcloud_main.CreateCLI([])
    answer = {
        "version": pathlib.Path(LIB, "..", "VERSION").read_text().strip(),
        "lines": [parsed(cli, argv) for argv in asked.get("lines", [])],
        "record": {path: grammar(cli, path) for path in asked.get("record", [])},
        "builds": [build_file(path) for path in asked.get("builds", [])],
        "messages": [message(*parts) for parts in asked.get("messages", [])],
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
