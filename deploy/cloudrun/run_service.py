"""One Cloud Run service by the Admin API's version 2: its traffic, read and set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from cloudrun.google_api import GoogleApi
from cloudrun.traffic import Share, as_targets, read_traffic, short
from reelpress.errors import NetError, UsageError

RUN_URL = "https://run.googleapis.com"
_CONFLICT = 409


class RunService:
    """A service. ``name`` is ``projects/P/locations/L/services/S``."""

    def __init__(
        self, api: GoogleApi, name: str, *, tries: int = 6, settle_s: float = 300.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._api, self._name, self._tries, self._settle_s, self._sleep = api, name, tries, settle_s, sleep

    @property
    def short_name(self) -> str:
        """The last part of the name."""
        return short(self._name)

    def traffic(self) -> tuple[Share, ...]:
        """Return who has which share. Raises :class:`NetError`."""
        return read_traffic(self._read())

    def newest(self) -> str:
        """Return the revision that was made last, ready or not. Raises :class:`NetError`."""
        return short(str(self._read().get("latestCreatedRevision", "")))

    def check_ready(self, revision: str) -> None:
        """Raise :class:`UsageError` if a revision is not ready to serve, or is not there."""
        try:
            found = self._api.get(f"/v2/{self._name}/revisions/{revision}")
        except NetError as error:
            if error.status == 404:
                raise UsageError(f"There is no revision {revision}.") from error
            raise
        ready: dict[str, Any] = next((c for c in found.get("conditions", []) if c.get("type") == "Ready"), {})
        if ready.get("state") != "CONDITION_SUCCEEDED":
            raise UsageError(
                f"Revision {revision} is not ready.", evidence=str(ready.get("message") or ready.get("state"))
            )

    def change(self, to: Callable[[Sequence[Share]], tuple[Share, ...]]) -> tuple[Share, ...]:
        """Set the traffic to what ``to`` makes of the present one, and return what it is then.

        A change is bound to what was read (its ``etag``). Whatever comes back, the service is read again: an answer
        that was lost may have been a success. Raises :class:`NetError` when it could not be done, and what
        ``to`` raises.
        """
        first = before = self._read()
        wanted = to(read_traffic(first))
        failure: NetError | None = None
        for number in range(1, self._tries + 1):
            if read_traffic(before) == wanted:
                return wanted
            if read_traffic(before) != read_traffic(first):
                # somebody else changed it: what follows is to be thought of anew
                first, wanted = before, to(read_traffic(before))
            body = {"name": self._name, "etag": before.get("etag"), "traffic": as_targets(wanted)}
            try:
                self._wait(self._api.patch(f"/v2/{self._name}", body, {"updateMask": "traffic"}))
            except NetError as error:
                if error.status is not None and not error.retryable and error.status != _CONFLICT:
                    raise
                failure = error
                self._sleep(min(0.5 * 2**number, 10.0))
            before = self._read()
        if read_traffic(before) == wanted:
            return wanted
        raise failure or NetError("The traffic is not as it was set.", reason="changed")

    def _read(self) -> dict[str, Any]:
        return self._api.get(f"/v2/{self._name}")

    def _wait(self, operation: dict[str, Any]) -> None:
        waited_s = 0.0
        while not operation.get("done"):
            if waited_s >= self._settle_s:
                raise NetError("The change has not been made in time.", reason="timed_out")
            self._sleep(1.0)
            waited_s += 1.0
            operation = self._api.get(f"/v2/{operation['name']}")
        if "error" in operation:
            evidence = str(operation["error"].get("message"))
            raise NetError("The change could not be made.", reason="refused", retryable=True, evidence=evidence)
