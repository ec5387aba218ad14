"""Who calls ``POST /process-video``, and what its headers say of the delivery."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials

from reelpress.facts.values import Value
from reelpress.service.access import BEARER, KEY_HEADER, Caller, service_account_or_caller


class Sender(Value, frozen=True, kw_only=True):
    """Who pushes. ``deadline_s`` is how long it will wait for the answer; ``task`` the name Cloud Tasks gave it.

    ``is_last`` says that it drops the task after this delivery, whatever the answer is.
    """

    is_cloud_tasks: bool
    deadline_s: float
    task: str | None
    tries: int
    is_last: bool


def sender_of(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    header: Annotated[str | None, Depends(KEY_HEADER)],
) -> tuple[Sender, Caller | None]:
    """Return who pushes: Cloud Tasks by its verified token and headers, or whoever has a key of this service.

    Raises :class:`RequestRefused`: 401 for a token or key that is not good.
    """
    settings = request.app.state.house.settings
    task = request.headers.get("x-cloudtasks-taskname")
    given = request.headers.get("x-cloudtasks-taskretrycount", "0")
    tries = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
    caller = service_account_or_caller(request, request.app.state.verifier, bearer, header)
    is_tasks = caller is None and task is not None
    sender = Sender(
        is_cloud_tasks=is_tasks, deadline_s=settings.push_deadline_s, task=task, tries=tries,
        is_last=is_tasks and tries + 1 >= (settings.push_max_attempts or math.inf),
    )  # fmt: skip
    return sender, caller
