"""What kind of picture a video shows, from measures of a few frames, and what follows for its size. Pure."""

from __future__ import annotations

from reelpress.facts.quality import ContentFacts
from reelpress.plan.model import Reason

# Drawn pictures (slides, screens, terminals) are flat but for sharp edges: 0.01 to 0.06 of their pixels differ from a
# plane through their neighbours, of film, animation and cameras 0.42 to 0.96 (eleven real files, docs/resolution.md).
DRAWN_BUSY = 0.25
DRAWN_EDGE = 60  # of 255, where it is cut off; text has 140 and more
# Grain leaves no pixel flat, and is another in every frame. 0.93 lies between the most textured camera without it and
# the cleanest animation with visible grain added (noise of a standard deviation of 2.3).
GRAIN_BUSY = 0.93
GRAIN_SIGMA = 1.0
GRAIN_CHANGE = 0.7  # of sigma; noise that is new in each frame has 1.13, a still texture none
DARK_LUMA = 45.0  # of 255: night scenes, where banding shows and VMAF hardly sees it
# Where every second frame says nothing new: mean change of luma from frame to frame, of 255, over frames and in the
# five percent that move most. Faces at a desk change by 0.1 to 0.4 at 30 frames a second, sports and games by 3 to 10.
STILL_CHANGE, STILL_CHANGE_P95 = 0.3, 1.0
FAST_FPS = 45.0  # below this there is no half rate worth having


def is_drawn(content: ContentFacts) -> bool:
    """Tell slides and screens from pictures of a camera or a renderer."""
    return content.busy_share < DRAWN_BUSY and content.edge_peak >= DRAWN_EDGE


def is_grainy(content: ContentFacts) -> bool:
    """Tell whether noise that differs from frame to frame covers the picture."""
    return (
        content.busy_share >= GRAIN_BUSY
        and content.noise_sigma >= GRAIN_SIGMA
        and content.change >= GRAIN_CHANGE * content.noise_sigma
    )


def is_dark(content: ContentFacts) -> bool:
    """Tell night scenes, by the mean of luma."""
    return content.luma < DARK_LUMA


def may_halve_rate(content: ContentFacts, fps: float) -> bool:
    """Tell whether a fast video moves so little that half its frames would do."""
    return fps >= FAST_FPS and content.change <= STILL_CHANGE and content.change_p95 <= STILL_CHANGE_P95


def keeps_size(content: ContentFacts) -> Reason | None:
    """Return why a video keeps its size whatever a score says of smaller ones, or ``None``."""
    if is_drawn(content):
        text = "It is flat with sharp edges, as slides and screens are: text needs its pixels, whatever a score says."
        return Reason(code="resolution_drawn", text=text, fact=f"{content.busy_share:.0%} busy")
    if is_grainy(content):
        text = "Grain or noise covers the picture. Scaling smooths it away and VMAF hardly minds, so the size stays."
        return Reason(code="resolution_grain", text=text, fact=f"sigma {content.noise_sigma:.1f} of 255")
    return None
