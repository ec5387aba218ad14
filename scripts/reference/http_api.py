"""docs/http-api.md: every route of the service and every shape, from the OpenAPI document that it answers with."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import reelpress
from reelpress.jobs.house import House
from reelpress.service.answers import _ALWAYS
from reelpress.service.app import create_app
from reelpress.service.problems import _CODE_OF_STATUS, _OF_REFUSED, _OF_STORAGE
from reelpress.service_settings import load_service

from reference.python_api import plain

Json = dict[str, Any]
_HEAD = """# HTTP API: routes and shapes

What the service answers on `/openapi.json`, as a page; written by `make docs`. How it is used, from a file to a
result, is in [service.md](service.md); clips are in [clips-api.md](clips-api.md).

Requests carry a key as `Authorization: Bearer` or `X-API-Key` ([who may](service.md#who-may)). Times are Unix seconds,
durations end in `_s`, sizes in `_bytes`. Unknown fields of a request are refused."""
_TAGS = {
    "jobs": "Jobs", "outputs": "Outputs", "events": "Events", "uploads": "Uploads", "videos": "Videos",
    "analyses": "Framing and captions", "exports": "Exports", "clips": "Clips", "quotes": "Quotes",
    "costs": "Costs",
    "webhooks": "Webhooks", "push": "What other services call", "system": "The service itself",
}  # fmt: skip


def openapi_document() -> Json:
    """Return the document of a service with the settings' defaults."""
    with tempfile.TemporaryDirectory() as folder:
        house = House.open(load_service({"data_dir": folder}, environ={}, env_file=None))
        try:
            return create_app(house).openapi()
        finally:
            house.close()


def http_api_page() -> str:
    """Return docs/http-api.md. Raises ``SystemExit`` for a route of a group that has no heading here."""
    document = openapi_document()
    operations = [
        (operation["tags"][0], f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    if without := {tag for tag, _, _ in operations} - set(_TAGS):
        raise SystemExit(f"scripts/reference/http_api.py has no heading for {sorted(without)}")
    lines = [_HEAD, "", *_problems()]
    for tag, heading in _TAGS.items():
        lines += ["", f"## {heading}"]
        for _, name, operation in (each for each in operations if each[0] == tag):
            lines += ["", f"### `{name}`", "", *_operation(operation)]
    lines += ["", "## Shapes"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += ["", f"### {name}", "", *_shape(schema)]
    return "\n".join(lines) + "\n"


def _problems() -> Iterator[str]:
    yield from (
        "## Problems",
        "",
        "Everything that is no success is a [Problem](#problem) as `application/problem+json`.",
    )
    yield from ("Any route may answer with these; what a route says besides stands there.", "")
    yield from _table(("status", "meaning"), ((str(status), meaning) for status, meaning in _ALWAYS.items()))
    yield from ("", "`code` says which, for programs:", "")
    by_status: dict[int, list[str]] = {}
    for status, code in sorted(problem_codes()):
        by_status.setdefault(status, []).append(f"`{code}`")
    yield from _table(("status", "codes"), ((str(status), ", ".join(codes)) for status, codes in by_status.items()))
    yield (
        "\nOf the object store `code` is `storage_failed` with "
        + ", ".join(
            f"{status} ({', '.join(reason for reason, of in _OF_STORAGE.items() if of == status)})"
            for status in sorted(set(_OF_STORAGE.values()))
        )
        + "."
    )


def problem_codes() -> set[tuple[int, str]]:
    """Return every status and code that the code of the service names where it refuses something."""
    found = {(status, code) for status, code in _CODE_OF_STATUS.items()}
    source = Path(reelpress.__file__).parent
    for path in (*(source / "service").glob("*.py"), *(source / "jobs").glob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            said = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
            match getattr(call.func, "id", None), said:
                case "RequestRefused" | "problem_answer", [int(status), str(code), *_]:
                    found.add((status, code))
                case "JobRefused", [str(code), *_]:
                    found.add((_OF_REFUSED.get(code, 409), code))
    return found


def _operation(operation: Json) -> Iterator[str]:
    yield plain(operation.get("description", operation["summary"]).strip())
    if parameters := operation.get("parameters"):
        yield ""
        yield from _table(
            ("parameter", "in", "type", "meaning"),
            ((f"`{p['name']}`", p["in"], _kind(p["schema"]), _said(p)) for p in parameters),
        )
    if body := operation.get("requestBody"):
        kinds = " or ".join(
            f"`{media}`" + (f", {_kind(content['schema'])}" if "$ref" in content.get("schema", {}) else "")
            for media, content in body["content"].items()
        )
        yield f"\nTakes {kinds}."
    said = (
        (status, answer["description"], _content(answer))
        for status, answer in operation["responses"].items()
        if answer["description"] != _ALWAYS.get(int(status))
    )
    yield ""
    yield from _table(("answer", "meaning", "content"), said)


def _content(answer: Json) -> str:
    return ", ".join(
        _kind(content["schema"]) if "$ref" in content.get("schema", {}) else f"`{media}`"
        for media, content in answer.get("content", {}).items()
    )


def _shape(schema: Json) -> Iterator[str]:
    if said := schema.get("description"):
        yield from (plain(" ".join(said.split())), "")
    if "enum" in schema or "anyOf" in schema:
        yield _kind(schema)
        return
    required = set(schema.get("required", ()))
    rows = (
        (f"`{name}`" + (" *" if name in required else ""), _kind(of), _said(of))
        for name, of in schema.get("properties", {}).items()
    )
    yield from _table(("field (* always)", "type", "meaning"), rows)


def _said(of: Json) -> str:
    """Return description, bounds and default of a field or parameter."""
    schema = of.get("schema", of)
    parts = [plain(of.get("description", ""))]
    for one in (schema, *(each for each in schema.get("anyOf", ()) if each.get("type") != "null")):
        parts[0] = parts[0] or one.get("description", "")
        bounds = (
            ("minimum", "At least {:,.12g}."), ("maximum", "At most {:,.12g}."),
            ("maxLength", "At most {:,.12g} characters."), ("maxItems", "At most {:,.12g} of them."),
        )  # fmt: skip
        parts += [words.format(one[key]) for key, words in bounds if key in one]
    default = schema.get("default")
    parts += [
        f"Default `{default}`." if default not in ("", None) and isinstance(default, str | bool | int | float) else ""
    ]
    return _cell(" ".join(part for part in parts if part))


def _kind(schema: Json) -> str:  # noqa: PLR0911 - one line for each form of JSON Schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return "list of " + ", ".join(_kind(each) for each in schema["prefixItems"])
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    return str(schema.get("type", "anything"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
