"""What the check decodes of an output: damage where it says that it looks is seen, up to the very last picture."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from reelpress.check import decode
from reelpress.check.decode import decode_output
from reelpress.check.packets import PacketTable
from reelpress.facts.host import HostFacts

import clips

_SECONDS = 14
_RATE = clips.RATE


@pytest.fixture(scope="module", params=[9999, 100], ids=["one keyframe", "one in four seconds"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with sound that is longer than what is decoded whole for being short."""
    keyframes = ("-preset", "veryfast", "-g", str(request.param), "-sc_threshold", "0", "-movflags", "+faststart")
    return clips.make(
        tmp_path_factory.mktemp("decode") / "long.mp4", *clips.picture(seconds=_SECONDS),
        *clips.tone(seconds=_SECONDS), *clips.X264, "-c:a", "aac", *keyframes,
    )  # fmt: skip


def spoil(source: Path, out: Path, first: int, count: int, kind: str = "video") -> Path:
    """Fill packets with ones, in the order of decoding; of pictures lengths and the kind of unit remain."""
    with av.open(str(source)) as opened:
        places = [(p.pos, p.size) for p in opened.demux(**{kind: 0}) if p.size]
    data = bytearray(source.read_bytes())
    start = first % len(places)
    for at, size in places[start : start + count]:
        data[at + 5 : at + size] = b"\xff" * (size - 5)
    out.write_bytes(data)
    return out


def errors(host: HostFacts, path: Path) -> tuple[str, ...]:
    decoded, _ = decode_output(
        host.ffmpegs[0].path, path, float(_SECONDS), whole=False, has_audio=True, threads=2, cancel=None
    )
    return decoded.errors


def test_a_right_output_gives_no_errors(host: HostFacts, video: Path) -> None:
    assert errors(host, video) == ()


# the start; after the keyframe before the middle; the first and the last of the end
@pytest.mark.parametrize("first", [2, 102, 305, _RATE * (_SECONDS - 1), -12, -2])
def test_damage_is_seen_at_the_start_in_the_middle_and_up_to_the_last_picture(
    host: HostFacts, video: Path, tmp_path: Path, first: int
) -> None:
    assert errors(host, spoil(video, tmp_path / "spoilt.mp4", first, 2))


def test_without_tables_the_same_places_are_decoded(
    host: HostFacts, video: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(decode, "packet_table", lambda _path: PacketTable())
    assert errors(host, video) == ()
    assert errors(host, spoil(video, tmp_path / "spoilt.mp4", -2, 2))


def test_damage_to_the_sound_of_the_end_is_seen(host: HostFacts, video: Path, tmp_path: Path) -> None:
    assert errors(host, spoil(video, tmp_path / "spoilt.mp4", -5, 4, kind="audio"))
