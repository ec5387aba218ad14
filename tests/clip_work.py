"""Framings in few words, and clips cut quickly, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reelpress.clip_engine import cut_clip
from reelpress.clip_request import ClipRequest
from reelpress.facts.framing import Framing, Layout, PathKey, Shot, Window
from reelpress.facts.host import HostFacts
from reelpress.probe.media import probe
from reelpress.receipt import Receipt
from reelpress.source.opening import open_source
from reelpress.source.probing import probe_stretches


def window(*keys: tuple[float, float, float], zoom: float = 1.0) -> Window:
    """A window whose middle is at (time, x, y)."""
    return Window(path=tuple(PathKey(t_s=t, x=x, y=y) for t, x, y in keys), zoom=zoom)


def shot(start_s: float, end_s: float, layout: Layout, *windows: Window) -> Shot:
    return Shot(start_s=start_s, end_s=end_s, layout=layout, windows=windows, rule="hand")


def framed(*shots: Shot) -> Framing:
    return Framing(shots=shots)


def middle(start_s: float = 0.0, end_s: float = 1000.0) -> Framing:
    return framed(shot(start_s, end_s, "still", window((start_s, 0.5, 0.5))))


def cut(source: Path, target: Path, host: HostFacts, start_s: float, end_s: float, **wishes: Any) -> Receipt:
    """Cut one clip, small and quickly; without a framing it is the middle of the picture.

    ``by_stretch`` has the source probed as one behind an address is.
    """
    by_stretch = wishes.pop("by_stretch", False)
    more = {key: wishes.pop(key) for key in ("on_event", "cancel", "policy", "overwrite") if key in wishes}
    told = {"width": 180, "height": 320, "preset": "ultrafast", "hardware": "off", "framing": middle(), **wishes}
    request = ClipRequest(start_s=start_s, end_s=end_s, **told)
    with open_source(source) as opened:
        facts = probe_stretches(opened, [(start_s, end_s)]) if by_stretch else probe(source)
        return cut_clip(opened, facts, target, host=host, request=request, **more)


Cut = Callable[..., Receipt]
