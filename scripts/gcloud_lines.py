"""Every gcloud line of the repository, and whether gcloud takes it.

``collect`` finds them: what the targets of deploy/ run, code blocks of documents, scripts, build files. ``ask`` has the
real gcloud parse them where it is installed; ``refusal`` reads them by the grammar recorded from it, where it is not.
Run as a program it records that grammar anew: ``make gcloud-grammar``.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GRAMMAR = ROOT / "tests" / "deploy" / "gcloud_grammar.json"
sys.path.insert(0, str(ROOT / "deploy"))

from cloudrun.deployment import read_deployment  # noqa: E402
from cloudrun.settings_file import SECRETS  # noqa: E402
from cloudrun.targets import TARGETS  # noqa: E402

# A document may name commands that do not exist, to say so: these must be refused, and nothing else may be.
FALSE_HEADING = "Commands that do not exist"
_DEPLOYMENT = {
    "PROJECT": "my-project", "REGION": "europe-west1", "BUCKET": "my-bucket", "BUDGET_USD": "100",
    "BILLING_ACCOUNT": "012345-6789AB-CDEF01", "GITHUB_OWNER": "me", "GITHUB_REPOSITORY": "reelpress",
}  # fmt: skip
_VARIANTS = (
    {"DEPLOY_ENV": "dev"},
    {
        "DEPLOY_ENV": "prod",
        "SCRATCH": "my-scratch",
        "CLOUDSQL_INSTANCE": "my-project:europe-west1:db",
        "API_PUBLIC": "true",
    },
    {"DEPLOY_ENV": "prod", "NETWORK": "default", "SUBNET": "default", "MIN_INSTANCES": "1"},
)
_SETTINGS = {
    "ENABLE_GPU_ACCELERATION": "true",
    "REELPRESS_WEBHOOK_URL": "https://a.example/?b=1,2",
    "AWS_ACCESS_KEY_ID": "x",
}
# Commands that lines in documents use now and then: recorded even while none does.
_ALSO = (
    "alpha monitoring policies create", "builds submit", "builds triggers run", "eventarc triggers create",
    "monitoring dashboards create", "monitoring dashboards update", "pubsub subscriptions create",
    "pubsub topics create",
    "run revisions list", "run services add-iam-policy-binding", "run services proxy", "sql databases create",
    "sql instances create", "sql users create", "storage buckets notifications create", "storage buckets update",
    "storage cp", "storage ls", "tasks queues pause", "tasks queues resume", "run services logs read",
    "auth application-default login", "auth login", "config set", "projects create", "billing projects link",
    "services enable", "run services update", "run services describe", "alpha monitoring channels create",
    "storage buckets add-iam-policy-binding", "run jobs execute", "tasks list", "storage objects describe",
)  # fmt: skip
# What may stand between the brackets of a command's value in a shell line.
_INSIDE = r"(?:[^()]|\([^()]*\))*"
_KINDS = {
    "whole": r"-?\d+", "decimal": r"-?\d*\.?\d+", "duration": r"(\d+(\.\d+)?(s|m|h|d|ms|us|w))+",
    "size": r"\d+([KMGTP]i?B?|B)?", "word": r"default",
}  # fmt: skip


def collect() -> dict[str, list[list[str]]]:
    """Return the argument lists of all lines, without ``gcloud``, by where they stand."""
    found: dict[str, list[list[str]]] = {f"make {name}": lines for name, lines in _of_targets()}
    for path in _files():
        lines = _in_text(path.read_text(errors="replace"), path.suffix)
        if lines:
            found[str(path.relative_to(ROOT))] = lines
    return found


def collect_false() -> list[list[str]]:
    """Return the commands that documents name because they do not exist."""
    found = []
    for path in _files():
        if path.suffix == ".md" and FALSE_HEADING in path.read_text():
            section = path.read_text().partition(FALSE_HEADING)[2].partition("\n## ")[0]
            found += [shlex.split(span)[1:] for span in re.findall(r"^\| `(gcloud [^`]+)`", section, re.MULTILINE)]
    return found


def _of_targets() -> Iterator[tuple[str, list[list[str]]]]:
    for name, target in TARGETS.items():
        lines = []
        for variant in _VARIANTS:
            deployment = read_deployment({**_DEPLOYMENT, **variant}, file=Path("/nonexistent"))
            environ = dict.fromkeys(SECRETS, "x")
            settings = _SETTINGS if target.reads_settings else {}
            argvs = itertools.chain.from_iterable(s.commands() for s in target.plan(deployment, settings, environ))
            lines += [list(argv[1:]) for argv in argvs if argv[0] == "gcloud"]
        yield name, lines


def _files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    suffixes = {".md", ".sh", ".yaml", ".yml", ".service", ""}
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    return [p for p in paths if p.suffix in suffixes and p.is_file() and "tests" not in p.relative_to(ROOT).parts]


def _in_text(text: str, suffix: str) -> list[list[str]]:
    if suffix == ".md":
        blocks = re.findall(r"^ *```(?:sh|bash|console|shell)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        text = "\n".join(blocks)
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        bare = re.sub(r"^\s*(?:\$ |@|- |if |! )*", "", line)
        for inner in [bare, *re.findall(rf"\$\((gcloud {_INSIDE})\)", line)]:
            found += _commands(inner)
    return found


def _commands(line: str) -> list[list[str]]:
    """Return the argument lists of a shell line's gcloud commands."""
    if not re.search(r"(^|[|&;(\s])gcloud\s", line):
        return []
    lexer = shlex.shlex(re.sub(rf"\$\({_INSIDE}\)", "VALUE", line), posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        words = list(lexer)
    except ValueError:
        return []
    parts = [
        list(group)
        for is_end, group in itertools.groupby(words, lambda w: bool(re.fullmatch(r"[|&;()<>]+", w)))
        if not is_end
    ]
    return [
        [_without_variables(word) for word in part[part.index("gcloud") + 1 :]]
        for part in parts
        if "gcloud" in part[:2]
    ]


def _without_variables(word: str) -> str:
    """Return a word as it might be when the shell has put in its variables: gcloud looks at files and projects."""
    word = re.sub(r"^(--[a-z-]*file[a-z-]*=).*\$.*", r"\1/dev/null", word)
    return re.sub(r"^--project=.*\$.*", "--project=my-project", word)


def ask(**request: Any) -> dict[str, Any] | None:  # noqa: ANN401 - JSON
    """Return gcloud's own answers (see inside_gcloud.py), or ``None`` where it is not installed."""
    program = shutil.which("gcloud")
    if program is None:
        return None
    sdk = Path(program).resolve().parent.parent
    bundled = sdk / "platform" / "bundledpythonunix" / "bin" / "python3"
    done = subprocess.run(
        [str(bundled if bundled.exists() else sys.executable), str(ROOT / "scripts" / "inside_gcloud.py")],
        input=json.dumps(request), capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GCLOUD_LIB": str(sdk / "lib")},
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def command_of(argv: list[str], known: dict[str, Any]) -> str | None:
    """Return the longest beginning of a line that is a known command."""
    words = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z][a-z0-9-]*", word), argv))
    paths = (" ".join(words[:count]) for count in range(len(words), 0, -1))
    return next((path for path in paths if path in known), None)


def refusal(argv: list[str], grammar: dict[str, Any]) -> str | None:
    """Return why a line is none of the recorded grammar, or ``None``."""
    path = command_of(argv, grammar["commands"])
    if path is None:
        return f"no command of the recorded grammar: {' '.join(argv)[:80]}"
    command = grammar["commands"][path]
    flags = {**grammar["everywhere"], **command["flags"]}
    given: list[str] = []
    places = 0
    words = iter(argv[len(path.split()) :])
    for word in words:
        if not word.startswith("-") or word == "-":
            places += 1
            continue
        name, equals, value = word.partition("=")
        if name not in flags:
            return f"{path} has no {name}"
        given.append(name)
        if flags[name]["takes"] == "nothing":
            if equals and value not in ("true", "false"):
                return f"{name} takes nothing"
        elif wrong := _wrong(name, flags[name], value if equals else next(words, "")):
            return wrong
    for group in command["one_of"]:
        if not set(group) & set(given):
            return f"{path} needs one of {', '.join(group)}"
    least = sum(place in ("1", "+") for place in command["places"])
    most = None if {"*", "+"} & set(command["places"]) else len(command["places"])
    return None if least <= places and (most is None or places <= most) else f"{path}: {places} arguments"


def _wrong(name: str, flag: dict[str, Any], value: str) -> str | None:
    """Return why a flag does not take a value, or ``None``."""
    wrong = f"{name} does not take {value!r}"
    match flag["takes"]:
        case "choice":
            return None if value in flag["choices"] else wrong
        case "value":
            return None if any(re.fullmatch(_KINDS[kind], value) for kind in flag["kinds"]) else wrong
        case "file":
            return None if value == "-" or (ROOT / value).exists() or "/" not in value else f"{name}: no file {value}"
        case "mapping":
            delimiter, text = (value[1], value[3:]) if re.match(r"\^.\^", value) else (",", value)
            pairs = [part.partition("=") for part in text.split(delimiter)]
            keys = {key for key, _, _ in pairs}
            if not flag["bare"] and not all(equals for _, equals, _ in pairs):
                return wrong
            unknown = flag["keys"] is not None and not keys <= set(flag["keys"])
            return wrong if unknown or not set(flag["needed"]) <= keys else None
    return None if value else wrong


def record() -> None:
    """Write the grammar of every command that is used."""
    lines = [argv for argvs in collect().values() for argv in argvs]
    wanted = set()
    for argv in lines:
        words = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z][a-z0-9-]*", word), argv))
        wanted |= {" ".join(words[:count]) for count in range(1, len(words) + 1)}
    answer = ask(record=sorted(wanted | set(_ALSO)))
    if answer is None:
        raise SystemExit("gcloud is not installed here")
    commands = {path: found for path, found in answer["record"].items() if found and "flags" in found}
    shared = set.intersection(*(set(found["flags"]) for found in commands.values()))
    everywhere = {name: next(iter(commands.values()))["flags"][name] for name in sorted(shared)}
    for found in commands.values():
        found["flags"] = {name: flag for name, flag in sorted(found["flags"].items()) if name not in shared}
    text = {"version": answer["version"], "everywhere": everywhere, "commands": commands}
    GRAMMAR.parent.mkdir(exist_ok=True)
    GRAMMAR.write_text(re.sub(r"\n {6,}|\n {4,}(?=[}\]])", " ", json.dumps(text, indent=2)) + "\n")
    print(f"{GRAMMAR.relative_to(ROOT)}: {len(commands)} commands of gcloud {answer['version']}")


if __name__ == "__main__":
    record()
