"""How near paths come to where people put a window, and how calm they are: the numbers in docs/framing.md.

``python benchmarks/reframe.py [RETARGETVID]`` with the folder of the annotations (by default
``../shared/media/truth/retargetvid``): windows of 120x360 that six people chose in videos of 640x360.

One person's windows stand for what a detector would see: five a second, with noise of 15 px, a fifth of them missing
and one in twenty somewhere else. The path made of that is held against the windows of the other five. Travel is in
px a second, acceleration the mean size of the change of speed, in px/s², both over frames at 30 a second. The second
table takes a window of 202x360 (9:16) instead: how much of people's windows it covers, how often one is wholly inside,
and how often it is lost (covered by less than a quarter).
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reelpress.reframe.path import Manner, median_of_five, solve_path

Line = NDArray[np.float64]  # the middle of a window, in px, for each frame

WIDTH, WINDOW, PRODUCT_WINDOW = 640, 120, 202
FPS, SAMPLES_PER_S = 30, 5
NOISE_PX, MISSING, ELSEWHERE = 15.0, 0.2, 0.05
ALL_VIDEOS, VIDEOS = 200, 50  # every fourth
PEOPLE = 6
LOW, HIGH = WINDOW / 2, WIDTH - WINDOW / 2


def read_tracks(folder: Path, videos: int = VIDEOS) -> list[list[Line]]:
    """Return for each video the tracks of six people, of equal length. Raises :class:`OSError`."""
    people: list[dict[str, Line]] = []
    for person in range(1, PEOPLE + 1):
        with zipfile.ZipFile(folder / f"annotator_{person}.zip") as archive:
            names = sorted(name for name in archive.namelist() if name.endswith("_1-3.txt"))[:: ALL_VIDEOS // videos]
            people.append({Path(name).name: _middles(archive.read(name).decode()) for name in names})
    tracks = []
    for name in people[0]:
        lines = [tracks[name] for tracks in people]
        length = min(map(len, lines))
        tracks.append([line[:length] for line in lines])
    return tracks


def _middles(text: str) -> Line:
    rows = np.array([[int(n) for n in line.split(",")] for line in text.split()], float)
    middles: Line = (rows[:, 0] + rows[:, 2]) / 2
    return middles


def noisy_samples(track: Line, random: np.random.Generator) -> tuple[Line, Line]:
    """Return frame numbers and places as a poor detector would see them."""
    frames = np.arange(0, len(track), FPS // SAMPLES_PER_S)
    seen = track[frames] + random.normal(0, NOISE_PX, len(frames))
    astray = random.random(len(frames)) < ELSEWHERE
    seen[astray] = random.uniform(0, WIDTH, int(astray.sum()))
    there = random.random(len(frames)) >= MISSING
    there[0] = True
    return frames[there].astype(float), seen[there]


def ours(frames: Line, seen: Line, length: int, manner: Manner = Manner(comfort=0.0)) -> Line:  # noqa: B008 - frozen
    """Return the path of this package, on the grid of its keys, read at every frame."""
    keys = solve_path(
        list(frames / FPS), list(seen / WIDTH), [1.0] * len(seen), start_s=0.0, end_s=(length - 1) / FPS,
        low=LOW / WIDTH, high=HIGH / WIDTH, manner=manner,
    )  # fmt: skip
    times, places = zip(*keys, strict=True)
    path: Line = np.interp(np.arange(length) / FPS, times, places) * WIDTH
    return path


def noisy_linear(frames: Line, seen: Line, length: int) -> Line:
    """Return straight lines between what was seen."""
    return np.interp(np.arange(length), frames, seen)


def smoothed(frames: Line, seen: Line, length: int) -> Line:
    """Return a median of five and an exponential mean, forward and back."""
    middle = np.array(median_of_five(list(seen)))
    for _ in range(2):
        for index in range(1, len(middle)):
            middle[index] = 0.35 * middle[index] + 0.65 * middle[index - 1]
        middle = middle[::-1]
    path: Line = np.interp(np.arange(length), frames, middle)
    return path


Method = Callable[[Line, Line, int], Line]
METHODS: Mapping[str, Method] = {
    "centre": lambda _frames, _seen, length: np.full(length, WIDTH / 2),
    "noisy linear": noisy_linear,
    "median of five, exponential mean": smoothed,
    "best still window of that person": lambda _frames, seen, length: np.full(length, np.median(seen)),
    "ours": ours,
}


def overlap(one: Line, two: Line) -> float:
    """Return the mean intersection over union of windows of 120 px, in per cent."""
    shared = np.clip(WINDOW - np.abs(one - two), 0, None)
    return float(np.mean(shared / (2 * WINDOW - shared)) * 100)


def movement(path: Line) -> tuple[float, float]:
    """Return travel in px/s and acceleration in px/s²."""
    return float(np.mean(np.abs(np.diff(path))) * FPS), float(np.mean(np.abs(np.diff(path, 2))) * FPS**2)


def covered(path: Line, human: Line) -> Line:
    """Return which share of a person's window a window of 9:16 around the path shows, frame by frame."""
    middle = np.clip(path, PRODUCT_WINDOW / 2, WIDTH - PRODUCT_WINDOW / 2)
    left = np.maximum(middle - PRODUCT_WINDOW / 2, human - WINDOW / 2)
    right = np.minimum(middle + PRODUCT_WINDOW / 2, human + WINDOW / 2)
    shares: Line = np.clip(right - left, 0, None) / WINDOW
    return shares


def score(tracks: Sequence[Sequence[Line]], method: Method | None, *, seed: int = 1) -> dict[str, float]:
    """Return what a method achieves over all videos, seen through each person in turn; ``None`` is that person."""
    random = np.random.default_rng(seed)
    rows = []
    for people in tracks:
        for who, seer in enumerate(people):
            others = [track for other, track in enumerate(people) if other != who]
            frames, seen = noisy_samples(seer, random)
            path = seer if method is None else np.clip(method(frames, seen, len(seer)), LOW, HIGH)
            shares = np.concatenate([covered(path, other) for other in others])
            rows.append([
                np.mean([overlap(path, other) for other in others]), *movement(path),
                shares.mean(), (shares > 0.999).mean(), (shares < 0.25).mean(),
            ])  # fmt: skip
    names = ("iou_percent", "travel_px_per_s", "acceleration_px_per_s2", "coverage", "wholly_inside", "lost")
    return {name: round(float(value), 3) for name, value in zip(names, np.mean(rows, axis=0), strict=True)}


def main() -> None:
    """Print the table, then the same as JSON."""
    default = Path(__file__).resolve().parents[2] / "shared" / "media" / "truth" / "retargetvid"
    tracks = read_tracks(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
    results = {name: score(tracks, method) for name, method in METHODS.items()}
    results["the person itself"] = score(tracks, None)
    print(f"{'':<34}  IoU %  px/s  px/s²  coverage  inside  lost")
    for name, found in results.items():
        iou, travel, acceleration, coverage, inside, lost = found.values()
        print(f"{name:<34} {iou:6.1f} {travel:5.1f} {acceleration:6.1f} {coverage:9.3f} {inside:7.3f} {lost:5.3f}")
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    print(json.dumps({"date": today, "videos": len(tracks), "results": results}, indent=1))


if __name__ == "__main__":
    main()
