"""Who is in a shot: faces of single samples become people who stay; hits that nothing supports are dropped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reelpress.reframe.evidence import Face, Sample

_LOST_AFTER_S = 1.3
_LEAST_HITS = 3
_LEAST_SURE = 1.6  # the sum over all hits: two of a kind, and one that both cascades saw
_LEAST_SUPPORT = 0.3  # of the samples from the first hit to the last
_SAME_PLACE = 0.2  # of the picture's width, between where one face was last and the next was first
_SEEN_AT_ONCE = 0.1  # of a track's samples, at most, in which another was seen too: a double hit
_LEAST_STAY_S = 1.5  # or a quarter of the shot
_LEAST_RELATIVE_HEIGHT = 0.45  # of the largest person's face: who is much smaller stands in the background


@dataclass
class Person:
    """One person's face in one shot: where it was, and when."""

    times_s: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    @property
    def height(self) -> float:
        """The usual height of the face, as a share of the picture."""
        return sorted(face.height for face in self.faces)[len(self.faces) // 2]

    @property
    def width(self) -> float:
        """The usual width of the face."""
        return sorted(face.width for face in self.faces)[len(self.faces) // 2]

    @property
    def stay_s(self) -> float:
        """How long from the first hit to the last."""
        return self.times_s[-1] - self.times_s[0]

    def is_there(self, t_s: float) -> bool:
        """Tell whether the person was seen before or at a time, and after or at it."""
        return self.times_s[0] <= t_s <= self.times_s[-1]

    def middle(self, t_s: float) -> tuple[float, float]:
        """Return where the face is at a time: straight between hits."""
        after = next((i for i, at in enumerate(self.times_s) if at >= t_s), len(self.times_s) - 1)
        before = max(0, after - 1) if self.times_s[after] > t_s else after
        (x0, y0), (x1, y1) = self.faces[before].middle, self.faces[after].middle
        length = self.times_s[after] - self.times_s[before]
        share = min(1.0, max(0.0, (t_s - self.times_s[before]) / length)) if length > 0 else 0.0
        return x0 + (x1 - x0) * share, y0 + (y1 - y0) * share


def find_people(samples: Sequence[Sample]) -> list[Person]:
    """Return the people of a shot whom framing is to mind, the most important first."""
    tracks: list[Person] = []
    for sample in samples:
        free = [track for track in tracks if sample.t_s - track.times_s[-1] <= _LOST_AFTER_S]
        pairs = sorted(
            (
                (_distance(track.faces[-1], face), i, j)
                for i, track in enumerate(free)
                for j, face in enumerate(sample.faces)
            ),
        )
        taken: set[int] = set()
        continued: set[int] = set()
        for distance, i, j in pairs:
            if distance <= 1.0 and i not in continued and j not in taken:
                free[i].times_s.append(sample.t_s)
                free[i].faces.append(sample.faces[j])
                continued.add(i)
                taken.add(j)
        for j, face in enumerate(sample.faces):
            if j not in taken:
                tracks.append(Person(times_s=[sample.t_s], faces=[face]))
    return _important(_joined([track for track in tracks if _is_supported(track, samples)]), samples)


def _is_supported(track: Person, samples: Sequence[Sample]) -> bool:
    during = sum(track.is_there(sample.t_s) for sample in samples)
    hits = len(track.times_s)
    return (
        hits >= _LEAST_HITS
        and sum(face.sure for face in track.faces) >= _LEAST_SURE
        and max(face.sure for face in track.faces) > 0.5
        and hits >= _LEAST_SUPPORT * during
    )


def _joined(tracks: Sequence[Person]) -> list[Person]:
    """Return the tracks with those made one that may be one person: never seen at once, and near the same place.

    A face is lost while its owner looks away, or stands up.
    """
    people: list[Person] = []
    for track in sorted(tracks, key=lambda track: -len(track.times_s)):
        near = [
            (_gap(track, person), index)
            for index, person in enumerate(people)
            if len(set(track.times_s) & set(person.times_s)) <= _SEEN_AT_ONCE * len(track.times_s)
        ]
        if near and min(near)[0] <= _SAME_PLACE:
            person = people[min(near)[1]]
            hits = dict(zip([*track.times_s, *person.times_s], [*track.faces, *person.faces], strict=True))
            person.times_s = sorted(hits)
            person.faces = [hits[t_s] for t_s in person.times_s]
        else:
            people.append(Person(times_s=list(track.times_s), faces=list(track.faces)))
    return people


def _gap(track: Person, person: Person) -> float:
    """Return how far to the side a person is from a track where the two are nearest in time."""
    return min(
        (abs(t_s - other_s), abs(face.middle[0] - other.middle[0]))
        for t_s, face in ((track.times_s[0], track.faces[0]), (track.times_s[-1], track.faces[-1]))
        for other_s, other in zip(person.times_s, person.faces, strict=True)
    )[1]


def _important(tracks: Sequence[Person], samples: Sequence[Sample]) -> list[Person]:
    """Return who stays and is not far behind, the largest and longest seen first."""
    shot_s = samples[-1].t_s - samples[0].t_s if samples else 0.0
    stay_s = min(_LEAST_STAY_S, shot_s / 4)
    staying = [track for track in tracks if track.stay_s >= stay_s]
    staying.sort(key=lambda track: -track.height * len(track.times_s))
    kept: list[Person] = []
    for track in staying:
        small = track.height < _LEAST_RELATIVE_HEIGHT * staying[0].height
        if not small and not any(_is_body_of(track, other) for other in kept):
            kept.append(track)
    return kept


def _is_body_of(track: Person, other: Person) -> bool:
    """Tell whether a track is but a collar or a chest: right below a face, and there when that is."""
    t_s = (max(track.times_s[0], other.times_s[0]) + min(track.times_s[-1], other.times_s[-1])) / 2
    (x, y), (face_x, face_y) = track.middle(t_s), other.middle(t_s)
    below = y - face_y
    return abs(x - face_x) < other.width and 0.3 * other.height < below < 2.5 * other.height


def _distance(one: Face, two: Face) -> float:
    """Return how far apart two faces are, where 1 is the most that one person moves between samples."""
    (x0, y0), (x1, y1) = one.middle, two.middle
    size = max(one.width, two.width), max(one.height, two.height)
    ratio = max(one.height, two.height) / max(1e-6, min(one.height, two.height))
    if ratio > 1.8:
        return 9.0
    return max(abs(x0 - x1) / size[0], abs(y0 - y1) / size[1])
