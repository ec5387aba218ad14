"""Who has which share of a service's traffic, and who is to have which: pure.

Names of revisions are kept in tags: ``canary`` is the one on trial, ``stable`` the one that was promoted last,
``previous`` the one before it, ``rejected`` the last one that was rolled back. So nothing has to be remembered
anywhere else, and a rollout that was killed is gone on with by whoever looks next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from reelpress.errors import UsageError
from reelpress.facts.values import Value

_BY_NAME = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
_LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"


class Share(Value, frozen=True, kw_only=True):
    """What one revision has: whole percent, and tags."""

    revision: str
    percent: int = 0
    tags: tuple[str, ...] = ()


def short(name: str) -> str:
    """Return the last part of a resource's name."""
    return name.rpartition("/")[2]


def read_traffic(service: dict[str, Any]) -> tuple[Share, ...]:
    """Return the traffic of a service, as the Admin API's version 2 describes it, the largest share first.

    Traffic to whatever is newest is counted as that revision's.
    """
    newest = short(str(service.get("latestReadyRevision", "")))
    targets = service.get("traffic") or [{"type": _LATEST, "percent": 100}]
    percents: dict[str, int] = {}
    tags: dict[str, tuple[str, ...]] = {}
    for target in targets:
        revision = newest if target.get("type") == _LATEST else short(str(target.get("revision", "")))
        if not revision:
            raise UsageError("This service has no revision that is ready.")
        percents[revision] = percents.get(revision, 0) + int(target.get("percent", 0))
        tags[revision] = tags.get(revision, ()) + ((target["tag"],) if target.get("tag") else ())
    return _ordered(Share(revision=name, percent=percents[name], tags=tags[name]) for name in percents)


def as_targets(shares: Sequence[Share]) -> list[dict[str, Any]]:
    """Return shares as the Admin API takes them: an entry has one tag at most, and percents make 100."""
    targets: list[dict[str, Any]] = []
    for share in shares:
        for number, tag in enumerate(share.tags or ("",)):
            percent = share.percent if number == 0 else 0
            targets.append(
                {"type": _BY_NAME, "revision": share.revision, **({"percent": percent} if percent else {}),
                 **({"tag": tag} if tag else {})}
            )  # fmt: skip
    return targets


def tagged(shares: Sequence[Share], tag: str) -> Share | None:
    """Return who has a tag."""
    return next((share for share in shares if tag in share.tags), None)


def rivals(shares: Sequence[Share]) -> tuple[Share, Share] | None:
    """Return the canary and the revision that it is compared with; ``None`` when there is no canary.

    Raises :class:`UsageError` if the canary has all traffic, so that there is nothing to compare it with.
    """
    canary = tagged(shares, "canary")
    if canary is None:
        return None
    stable = next((share for share in shares if share.revision != canary.revision and share.percent > 0), None)
    if stable is None:
        raise UsageError(f"The canary {canary.revision} has all traffic already.", hint="Promote it, or roll back.")
    return canary, stable


def split(shares: Sequence[Share], percent: int) -> tuple[Share, ...]:
    """Return the shares when the canary has ``percent``, and the stable revision all the rest."""
    pair = rivals(shares)
    if pair is None:
        raise UsageError("There is no canary.")
    canary, stable = pair
    return _reshared(shares, {canary.revision: percent, stable.revision: 100 - percent}, {})


def promoted(shares: Sequence[Share]) -> tuple[Share, ...]:
    """Return the shares when the canary has everything, under the tag ``stable``."""
    canary = tagged(shares, "canary")
    if canary is None:
        raise UsageError("There is no canary.")
    before = next((share for share in shares if share.revision != canary.revision and share.percent > 0), None)
    tags = {"stable": canary.revision, "canary": None, **({"previous": before.revision} if before else {})}
    return _reshared(shares, {canary.revision: 100}, tags)


def rolled_back(shares: Sequence[Share]) -> tuple[Share, ...]:
    """Return the shares when what was good before has everything again.

    That is the stable revision while a canary has a share, or while something else than it serves; else the previous
    one. Raises :class:`UsageError` where no such revision is known.
    """
    canary = tagged(shares, "canary")
    leader = shares[0]
    if canary is not None and canary.percent < 100:
        good: Share | None = next(share for share in shares if share.revision != canary.revision)
    else:
        good = tagged(shares, "stable")
        if good is None or good.percent == 100:
            good = tagged(shares, "previous")
    if good is None:
        raise UsageError(
            "No revision is known that was good before.",
            evidence=f"{leader.revision} has {leader.percent} %",
            hint="Name one: make rollback REVISION=...",
        )
    bad = canary if canary is not None else None if leader.revision == good.revision else leader
    rejected = {} if bad is None or bad.revision == good.revision else {"rejected": bad.revision}
    return _reshared(shares, {good.revision: 100}, {"stable": good.revision, "canary": None, **rejected})


def all_to(shares: Sequence[Share], revision: str) -> tuple[Share, ...]:
    """Return the shares when one revision, named by hand, has everything."""
    known = shares if any(s.revision == revision for s in shares) else (*shares, Share(revision=revision))
    return _reshared(known, {revision: 100}, {"stable": revision, "canary": None})


def _reshared(shares: Sequence[Share], percents: dict[str, int], moved: dict[str, str | None]) -> tuple[Share, ...]:
    """Return the shares with new percents, and tags moved; who has neither any more is left out."""
    new = [
        Share(
            revision=share.revision, percent=percents.get(share.revision, 0),
            tags=tuple(tag for tag in share.tags if tag not in moved)
            + tuple(tag for tag, owner in moved.items() if owner == share.revision),
        )
        for share in shares
    ]  # fmt: skip
    return _ordered(share for share in new if share.percent or share.tags)


def _ordered(shares: Iterable[Share]) -> tuple[Share, ...]:
    """Return shares in the one order in which they can be compared."""
    sorted_tags = (msgspec.structs.replace(share, tags=tuple(sorted(share.tags))) for share in shares)
    return tuple(sorted(sorted_tags, key=lambda share: (-share.percent, share.revision)))
