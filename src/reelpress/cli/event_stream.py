"""Server-sent events as they come over the line."""

from __future__ import annotations

from collections.abc import Iterator


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, str | None, str]]:
    """Yield name, number and data of server-sent events."""
    name, number, data = "message", None, list[str]()
    for line in lines:
        field, _, text = line.partition(":")
        text = text.removeprefix(" ")
        if not line:
            if data:
                yield name, number, "\n".join(data)
            name, number, data = "message", None, []
        elif field == "event":
            name = text
        elif field == "id":
            number = text
        elif field == "data":
            data.append(text)
