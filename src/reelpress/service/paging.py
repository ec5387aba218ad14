"""Where a page of a list ends and the next begins; and telling this process's worker that there is something new."""

from __future__ import annotations

import base64

from fastapi import Request

from reelpress.jobs.model import Job
from reelpress.service.problems import RequestRefused


def wake(request: Request) -> None:
    """Have the worker of this process, where there is one, look for jobs now."""
    if request.app.state.worker is not None:
        request.app.state.worker.wake()


def cursor_of(job: Job) -> str:
    """Return what leads to the jobs after this one."""
    return base64.urlsafe_b64encode(f"{job.created_at!r} {job.id}".encode()).decode().rstrip("=")


def before_cursor(cursor: str) -> tuple[float, str]:
    """Return the time and the id that a cursor stands for. Raises :class:`RequestRefused` 422."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        at, last = text.split(" ")
        return float(at), "".join(filter(str.isprintable, last))  # Postgres takes no NUL
    except ValueError:
        raise RequestRefused(
            422, "bad_cursor", "The cursor is not one of ours.", hint="Take next_cursor of the page before."
        ) from None
