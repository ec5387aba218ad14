"""The base of every value, and the one way values become JSON and come back."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_learning = threading.Lock()


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen, keyword-only value; compared by content, safe to share between threads."""


def _encode(value: object) -> object:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _decode(kind: type, raw: object) -> object:
    if kind is Fraction and isinstance(raw, str):
        return Fraction(raw)
    raise NotImplementedError(f"no JSON form for {kind.__name__}")


def to_json(value: object) -> bytes:
    """Return compact UTF-8 JSON; a fraction is written as ``"30000/1001"``.

    Bytes of file names that are no UTF-8, and halves of characters, are written as U+FFFD.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_encode)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(to_plain(value)))


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401 - the JSON data model
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def from_json(raw: bytes | str, kind: type[T]) -> T:
    """Return the value that JSON describes.

    Raises ``msgspec.ValidationError`` when the JSON does not fit ``kind``.
    """
    return _decoder(kind).decode(raw)  # type: ignore[no-any-return]


def from_plain(plain: object, kind: type[T]) -> T:
    """Return the value that plain dicts, lists and scalars describe, raising what :func:`from_json` raises."""
    _decoder(kind)
    return msgspec.convert(plain, kind, dec_hook=_decode)


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:  # noqa: ANN401 - types, and what stands for types
    """Return what decodes a type.

    msgspec 0.22 crashes the process where two threads meet a type for the first time at once: one uses what the other
    has learned but half of. So it learns one at a time, and here alone.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        with _learning:
            decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind, dec_hook=_decode))
    return decoder


def to_plain(value: object) -> Any:  # noqa: ANN401 - the JSON data model: dict, list, str, int, float, bool or None
    """Return the value as plain dicts, lists and scalars."""
    return msgspec.to_builtins(value, enc_hook=_encode)
