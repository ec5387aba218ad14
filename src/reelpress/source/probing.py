"""Facts of a source for clips out of it: its header, its beginning, and the stretches that the clips are to be of."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import msgspec

from reelpress.errors import InputError
from reelpress.facts.media import MediaFacts
from reelpress.probe.media import DEFAULT_LIMITS, ProbeLimits, ask
from reelpress.probe.media_request import Request
from reelpress.run.process import CancelToken
from reelpress.source.opening import OpenSource

# A server may be slow; what the child computes is bounded as for a file.
_REMOTE_LIMITS = msgspec.structs.replace(DEFAULT_LIMITS, wall_s=300.0, scan_budget_s=120.0)


def probe_stretches(
    source: OpenSource,
    stretches: Sequence[tuple[float, float]],
    *,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None] | None = None,
    limits: ProbeLimits | None = None,
) -> MediaFacts:
    """Return the facts of a source, from its header, its first second, and these stretches of it.

    Stretches are seconds from the first picture. Of each its first and last three seconds are read and a frame or two
    decoded; rates and fields are what these show. Counts and sums that need the whole file are ``None`` with a reason
    in ``unknown``, except where an index tells them, and ``scan_complete`` is false. A stretch without a picture is
    told in ``damage``. A file whose header tells no length is read through, as :func:`reelpress.probe.media.probe`
    does, since nothing in it can be gone to either.

    ``spend`` is told the CPU seconds. Raises :class:`InputError`, :class:`NetError` and :class:`Cancelled`.
    """
    limits = limits or (DEFAULT_LIMITS if source.path is not None else _REMOTE_LIMITS)
    names, values = source.input_options[::2], source.input_options[1::2]
    request = Request(
        path=b"" if source.path is None else os.fsencode(source.path),
        url=source.url if source.path is None else None,
        size_bytes=source.size_bytes,
        protocols=source.protocols,
        options=tuple((name.removeprefix("-"), value) for name, value in zip(names, values, strict=True)),
        max_pixels=limits.max_pixels,
        scan_budget_s=limits.scan_budget_s,
        stretches=tuple(stretches),
    )
    try:
        facts = ask(request, limits=limits, cancel=cancel, spend=spend)
    except InputError:
        source.check_unchanged()
        if source.failure is not None:
            raise source.failure from None
        raise
    source.check_unchanged()
    places = ((s.begin_byte, s.end_byte) for s in facts.stretches)
    source.expect((begin, end) for begin, end in places if begin is not None and end is not None)
    return facts
