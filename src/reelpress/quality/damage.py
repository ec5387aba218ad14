"""What is wrong with an encode's pictures themselves: garbled, of other colours, of other levels. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding
from reelpress.quality.telling import few, frames, runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reelpress.quality.align import Matched

    Floats = NDArray[np.float32]

_SAMPLE = 400  # frames that levels are judged by
# Full range taken for limited or the other way round stretches luma by 255/219 or 219/255, and moves black by 16.
_STRETCHES = (255 / 219, 219 / 255)
_OFF_SHARE, _OFF_LEVELS = 0.07, 5.0  # what encodes down to CRF 51 keep to: see docs/compare.md
_LEAST_SPREAD = 6.0  # levels: of flatter pictures no factor can be told
_FLAT_LEVELS = 2.0  # by which a plain picture's mean may miss what a wrong range makes of it
# A wrong picture differs by so many levels (root mean square of small pictures), and so many times the usual.
_WRONG_LEVELS, _WRONG_COLOURS, _WRONG_TIMES = 10.0, 5.0, 4.0
_WRONG_SPOT, _SPOT_SHARE = 45.0, 0.02  # the same of the worst fiftieth of its area
_ALL_WRONG = 22.0  # no encode differs by as much throughout


def levels_of(matched: Sequence[Matched]) -> tuple[float, float]:
    """Return factor and offset that lead from the reference's luma to the encode's."""
    import numpy as np

    xs, ys = [], []
    for one in matched:
        picked = np.unique(np.linspace(0, len(one) - 1, min(len(one), _SAMPLE)).astype(np.int64))
        xs.append(_patches(one.wanted.luma[one.shown[picked]]))
        ys.append(_patches(one.made.luma[picked]))
    x, y = np.concatenate(xs), np.concatenate(ys)
    spread = float(x.std())
    if spread < _LEAST_SPREAD:
        return _flat(float(x.mean()), float(y.mean()))
    inside = (y > 20) & (y < 230)  # what was cut off at an end of the scale would bend the line
    if inside.sum() > 0.2 * len(x) and float(x[inside].std()) >= _LEAST_SPREAD:
        x, y = x[inside], y[inside]
    factor = float(((x - x.mean()) * (y - y.mean())).mean() / x.var())
    return factor, float(y.mean() - factor * x.mean())


def _flat(wanted: float, made: float) -> tuple[float, float]:
    """Return factor and offset of a plain picture, whose mean alone is known: those of a wrong range where they fit."""
    for stretch, offset in ((_STRETCHES[0], -16 * _STRETCHES[0]), (_STRETCHES[1], 16.0)):
        if abs(made - wanted) >= _OFF_LEVELS and abs(wanted * stretch + offset - made) <= _FLAT_LEVELS:
            return stretch, offset
    return 1.0, made - wanted


def _patches(planes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return means of patches large enough that a coarse encode has them right, too."""
    frames, height, width = planes.shape
    patches: NDArray[np.float64] = planes.reshape(frames, height // 4, 4, width // 4, 4).mean(axis=(2, 4))
    return patches.reshape(-1)


def judge_levels(levels: tuple[float, float]) -> list[Finding]:
    """Judge factor and offset of luma."""
    factor, offset = levels
    grey = factor * 126 + offset - 126  # in the middle of the scale
    if abs(factor - 1) < _OFF_SHARE and abs(grey) < _OFF_LEVELS:
        return []
    evidence = f"luma times {factor:.3f} {offset:+.1f}"
    stretch = next((s for s in _STRETCHES if abs(factor / s - 1) < 0.045), None)
    if stretch is not None:
        how = "stretched as if limited range were shown as full" if stretch > 1 else "squeezed as if full were limited"
        return [Finding(code="range_wrong", text=f"Brightness is {how}.", evidence=evidence)]
    return [Finding(code="levels_wrong", text="Brightness is not the reference's.", evidence=evidence)]


class Errors:
    """How much each frame differs from the one it shows: luma and colours, and the worst part of the area."""

    def __init__(self, matched: Matched, levels: tuple[float, float]) -> None:
        import numpy as np

        frames = len(matched)
        self.luma, self.colour, self.spot = (np.zeros(frames, np.float32) for _ in range(3))
        for at in range(0, frames, 500):
            part = slice(at, at + 500)
            shown = matched.shown[part]
            luma = _gap(matched.made.luma[part], matched.wanted.luma[shown], levels)
            colours = [
                _gap(plane[part], other[shown], (1.0, 0.0))
                for plane, other in ((matched.made.cb, matched.wanted.cb), (matched.made.cr, matched.wanted.cr))
            ]
            self.luma[part] = np.sqrt((luma**2).mean(axis=1))
            self.colour[part] = np.max([np.sqrt((c**2).mean(axis=1)) for c in colours], axis=0)
            spots = [
                np.sort(np.abs(plane), axis=1)[:, -max(1, round(_SPOT_SHARE * plane.shape[1])) :].mean(axis=1)
                for plane in (luma, *colours)
            ]
            self.spot[part] = np.max(spots, axis=0)


def _gap(made: NDArray[np.uint8], wanted: NDArray[np.uint8], levels: tuple[float, float]) -> Floats:
    import numpy as np

    left, right = (plane.reshape(len(plane), -1).astype(np.float32) for plane in (made, wanted))
    return np.asarray(left - (right * levels[0] + levels[1]), np.float32)


def judge_pictures(matched: Sequence[Matched], levels: tuple[float, float]) -> list[Finding]:
    """Tell which pictures are not those of the reference."""
    import numpy as np

    errors = [Errors(one, levels) for one in matched]
    luma, colour, spot = (
        float(np.median(np.concatenate([getattr(one, name) for one in errors]))) for name in ("luma", "colour", "spot")
    )
    if max(luma, colour) > _ALL_WRONG:
        evidence = f"luma differs by {luma:.1f} levels, colours by {colour:.1f}"
        return [Finding(code="pictures_wrong", text="The pictures are not those of the reference.", evidence=evidence)]
    found = []
    if colour > max(_WRONG_LEVELS, 1.5 * luma + 4):
        text = "Colours are not the reference's."
        found.append(Finding(code="colours_wrong", text=text, evidence=f"they differ by {colour:.1f} levels"))
    for one, error in zip(matched, errors, strict=True):
        wrong = (
            (error.luma > max(_WRONG_LEVELS, _WRONG_TIMES * luma + 3))
            | (error.colour > max(_WRONG_COLOURS, _WRONG_TIMES * colour + 3))
            | (error.spot > max(_WRONG_SPOT, _WRONG_TIMES * spot))
        )
        found += _told(one, wrong, error)
    return found


def _told(one: Matched, wrong: NDArray[np.bool_], error: Errors) -> list[Finding]:
    found = []
    for first, last in runs(wrong):
        at_s, count = float(one.made.at_s[first]), last - first + 1
        text = f"{frames(count)} from {at_s:.2f} s on {'is' if count == 1 else 'are'} not what the reference shows."
        part = slice(first, last + 1)
        evidence = (
            f"luma differs by {error.luma[part].max():.0f} levels, colours by {error.colour[part].max():.0f}, "
            f"the worst spot by {error.spot[part].max():.0f}"
        )
        found.append(Finding(code="pictures_wrong", text=text, at_s=round(at_s, 3), evidence=evidence))
    return few(found, "Pictures are not what the reference shows")
