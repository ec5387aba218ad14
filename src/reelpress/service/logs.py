"""Log lines: JSON for machines, text on a terminal, with the ids of job and user, and without secrets."""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Any, TextIO

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from reelpress.facts.values import to_json

_JOB = re.compile(r"\bjob_[0-9a-f]{20,40}\b")
_HIDDEN = "[hidden]"
# What must not be read in a log, wherever in a line it turns up; the first group stays.
_SECRETS = (
    re.compile(r"(\brp_[0-9A-Za-z]{1,20}_)[\w-]+"),  # API keys: the id is no secret
    re.compile(r"(\bwhsec_)[\w+/=-]+"),
    re.compile(r"(?i)((?:authorization|x-api-key|cookie)['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic)\s+)?)[^\s'\",}]+"),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"),
    re.compile(r"(\b)eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"),  # tokens
    re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#@'\"]+@"),  # names and passwords in addresses
    re.compile(r"(\bhttps?://[^\s?'\"]+\?)[^\s'\"]+"),  # queries: where signatures are
)
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
_NOISY = ("httpx", "httpcore", "dbos", "alembic", "uvicorn.error")


def redact(text: str) -> str:
    """Return a text with its secrets hidden."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1{_HIDDEN}", text)
    return text


class _Lines(logging.Formatter):
    """What the two forms share: times in UTC, and everything redacted."""

    converter = time.gmtime  # type: ignore[assignment]  # what logging itself documents

    def parts(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return what a line says, in the order of the line."""
        message = redact(record.getMessage())
        job = getattr(record, "job", None) or (found[0] if (found := _JOB.search(message)) else None)
        at = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"
        said = {
            "at": at, "level": record.levelname.lower(), "logger": record.name, "message": message, "job": job,
            "user": getattr(record, "user", None), "ms": getattr(record, "ms", None), **_trace(),
        }  # fmt: skip
        if record.exc_info:
            said["exception"] = redact(self.formatException(record.exc_info))
        return {name: value for name, value in said.items() if value is not None}


def _trace() -> dict[str, str]:
    """Say which trace the work belongs to that writes the line, and which span of it."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace": format_trace_id(context.trace_id), "span": format_span_id(context.span_id)}


class JsonLines(_Lines):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return to_json(self.parts(record)).decode()


class TextLines(_Lines):
    """For eyes; what strangers put into names cannot begin a line or colour a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = self.parts(record)
        message = said["message"].translate(_CONTROLS)
        rest = "".join(f" {name}={said[name]}" for name in ("user", "ms") if name in said)
        line = f"{said['at'][11:19]} {said['level']:<7} {message}{rest.translate(_CONTROLS)}"
        return f"{line}\n{said['exception']}" if "exception" in said else line


def set_up_logs(form: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (standard error); ``form`` is ``auto``, ``json`` or ``text``."""
    out = stream or sys.stderr
    as_text = form == "text" or (form == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextLines() if as_text else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # else each try to reach a collector that is away
