"""When alerts fire over recorded data: an expression that holds for as long as the alert asks. Pure."""

from __future__ import annotations

import msgspec

from monitoring.server import Series


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """One time that an alert fires, from the first to the last moment, in seconds since 1970."""

    alert: str
    labels: dict[str, str]
    start: float
    end: float


def firings(alert: str, series: list[Series], *, hold_s: float, step_s: float) -> list[Firing]:
    """Return when an alert fires whose expression has these values at every ``step_s``, as Prometheus decides.

    An alert is pending from the first evaluation that finds something, and fires from the first one that is ``hold_s``
    later; one evaluation that finds nothing ends both.
    """
    found = []
    for line in series:
        began = last = None
        for at, _ in (*line.values, (float("inf"), "")):
            if began is None:
                began = at
            elif last is not None and at - last > 1.5 * step_s:
                if last - began >= hold_s:
                    found.append(Firing(alert=alert, labels=line.metric, start=began + hold_s, end=last))
                began = at
            last = at
    return sorted(found, key=lambda firing: (firing.start, firing.alert))
