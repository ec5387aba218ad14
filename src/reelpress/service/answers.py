"""Answers: values become JSON in one place, and the same values describe themselves in OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import msgspec
from fastapi.responses import Response

from reelpress.facts.captions import Captions
from reelpress.facts.framing import Framing
from reelpress.facts.values import to_json
from reelpress.service.problems import MEDIA_TYPE, Problem

_REFERENCE = "#/components/schemas/{name}"
_documented: dict[str, type] = {"Problem": Problem}
_ALWAYS = {
    400: "The request cannot be read.", 401: "A key is missing, or is not good.", 403: "The key does not allow this.",
    404: "There is no such thing, or it is another user's.", 413: "The request is too large.",
    422: "The request is not accepted.", 429: "Too many requests, or too many jobs.", 500: "A bug.",
    503: "The database or the store does not answer; ask again.",
}  # fmt: skip


def answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as JSON."""
    return Response(to_json(value), status, dict(headers or {}), "application/json")


def documented(
    answers: Mapping[int, tuple[str, type | None]], *, problems: Mapping[int, str] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI is to say of a route: status, meaning and value of its answers, and its problems."""
    said: dict[int | str, dict[str, Any]] = {}
    for status, (meaning, kind) in answers.items():
        said[status] = {"description": meaning}
        if kind is not None:
            _documented[kind.__name__] = kind
            said[status]["content"] = {"application/json": {"schema": {"$ref": _REFERENCE.format(name=kind.__name__)}}}
    schema = {"$ref": _REFERENCE.format(name="Problem")}
    for status, meaning in {**_ALWAYS, **(problems or {})}.items():
        said.setdefault(status, {"description": meaning, "content": {MEDIA_TYPE: {"schema": schema}}})
    return said


def value_schemas() -> dict[str, Any]:
    """Return the JSON schemas of all values that :func:`documented` was told of."""
    kinds = [*_documented.values(), Framing, Captions]
    _, components = msgspec.json.schema_components(kinds, schema_hook=_schema_of, ref_template=_REFERENCE)
    return dict(components)


def _schema_of(kind: type) -> dict[str, Any]:
    if kind is Fraction:
        return {"type": "string", "pattern": "^-?[0-9]+/[0-9]+$"}
    raise NotImplementedError(kind)
