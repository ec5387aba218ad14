"""docs/api.md: every public name of the package, with its signature, its fields and what its docstring says."""

from __future__ import annotations

import enum
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

import reelpress

# Which names belong together; a public name that is in none of them is an error.
GROUPS = {
    "Compress": ("compress", "acompress", "compress_many", "probe_file"),
    "Cut clips": ("cut_clips", "acut_clips", "ClipRequest", "ExportControl"),
    "The first plan's names": ("compress_video", "is_gpu_available", "get_gpu_info", "VideoCompressionError"),
    "Values": ("Receipt", "GateWish", "MediaFacts", "CancelToken"),
    "Errors": (
        "ReelpressError", "UsageError", "InputError", "HardwareError", "OutputError", "EncodeError", "Cancelled",
        "ExitCode",
    ),
    "Version": ("__version__",),
}  # fmt: skip
_HEAD = """# Python API

```python
import reelpress

receipt = reelpress.compress("holiday.mov", "holiday.mp4")
print(receipt.status, receipt.encoder, receipt.saved_share)
```

These names are the public ones, and `import reelpress` loads each when it is first used. What becomes of an input is
told by its receipt's `status`, not raised; what is raised comes from one tree of [errors](errors.md). Values are frozen
[msgspec](https://jcristharif.com/msgspec/) structs, whose JSON is that of [json.md](json.md). Written by `make docs`
from the docstrings.
"""
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")
_LITERAL = re.compile(r"``([^`]+)``")
_MODULES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z]\w*)")


def api_page() -> str:
    """Return docs/api.md. Raises ``SystemExit`` for a public name without a group or without a docstring."""
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(reelpress.__all__):
        raise SystemExit(f"in scripts/reference/python_api.py or reelpress.__all__ alone: "
                         f"{sorted(set(grouped) ^ set(reelpress.__all__))}")  # fmt: skip
    lines = [_HEAD.rstrip()]
    for group, names in GROUPS.items():
        lines += ["", f"## {group}"]
        for name in names:
            lines += ["", f"### `{name}`", "", *_described(name, getattr(reelpress, name))]
    return "\n".join(lines) + "\n"


def _described(name: str, thing: object) -> Iterator[str]:
    if isinstance(thing, str):
        yield f"The version of the package, as `{name}`: text like `1.2.3`."
    elif inspect.isclass(thing):
        yield from _class(name, thing)
    else:
        yield from _callable(name, thing)


def _callable(name: str, thing: Callable[..., Any]) -> Iterator[str]:
    yield from ("```python", _signature(name, thing), "```", "", _text(name, thing))
    for annotation in typing.get_type_hints(thing, include_extras=True).values():
        if typing.get_origin(annotation) is typing.Unpack:
            options = typing.get_args(annotation)[0]
            yield from ("", f"Options. {_text(options.__name__, options)}", "")
            yield from _rows(("option", "type"), ((f"`{n}`", _type(t)) for n, t in options.__annotations__.items()))


def _class(name: str, kind: type) -> Iterator[str]:
    yield _text(name, kind)
    if issubclass(kind, enum.Enum):
        yield ""
        yield from _rows(("name", "value"), ((f"`{each.name}`", f"`{each.value}`") for each in kind))
    elif issubclass(kind, msgspec.Struct):
        yield ""
        yield from _rows(("field", "type", "default"), (_field(each) for each in msgspec.structs.fields(kind)))
    elif issubclass(kind, reelpress.ReelpressError):
        yield f"\nExit code {int(kind.exit_code)}, code `{kind.code}`."
    for attribute, value in vars(kind).items():
        if attribute.startswith("_") or issubclass(kind, enum.Enum):
            continue
        if isinstance(value, property) and value.fget is not None:
            yield f"\n**`{attribute}`**: {_text(attribute, value)}"
        elif inspect.isfunction(value):
            yield f"\n**`{_signature(attribute, value)}`**: {_text(attribute, value)}"


def _field(field: msgspec.structs.FieldInfo) -> tuple[str, str, str]:
    made = field.default_factory if field.default is msgspec.NODEFAULT else None
    default = "" if field.required else f"`{made.__name__}()`" if made is not None else f"`{field.default!r}`"
    annotation = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
    return (
        f"`{field.encode_name}`",
        _type(annotation),
        default if len(default) < 40 else f"`{type(field.default).__name__}(...)`",
    )


def _rows(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _type(annotation: object) -> str:
    text = getattr(annotation, "__forward_arg__", annotation)
    return f"`{_MODULES.sub('', str(text))}`".replace("|", "\\|")


def _signature(name: str, thing: Callable[..., Any]) -> str:
    signature = (
        str(inspect.signature(thing)).replace("'", "").replace('"', "").replace("(self, ", "(").replace("(self)", "()")
    )
    whole = f"{name}{signature}"
    if len(whole) <= 100:
        return whole
    parameters, _, returned = whole[len(name) + 1 :].rpartition(") -> ")
    parts = re.split(r", (?![^\[(]*[\])])", parameters)
    return "\n".join((f"{name}(", *(f"    {part}," for part in parts), f") -> {returned}"))


def _text(name: str, thing: object) -> str:
    said = inspect.getdoc(thing) if not inspect.isclass(thing) or thing.__doc__ else None
    if not said:
        raise SystemExit(f"{name} is public and says nothing of itself")
    return plain(said)


def plain(docstring: str) -> str:
    """Return a docstring's reStructuredText as Markdown: names and literals in code font."""
    return _ROLE.sub(r"`\1`", _LITERAL.sub(r"`\1`", docstring))
