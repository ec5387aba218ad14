"""Hundreds of broken files, each from a seed: every one gets an answer in time, and what is delivered is whole.

``REELPRESS_MUTATIONS=5000`` makes more of them. A failure names base and seed: ``mutate(base, seed)`` makes it again.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import reelpress
from reelpress.engine import facts_and_plan
from reelpress.errors import InputError
from reelpress.facts.host import HostFacts
from reelpress.probe.host import probe_host
from reelpress.settings import Settings, load, request_from

import clips
import reel

pytestmark = pytest.mark.faults

MUTATIONS = int(os.environ.get("REELPRESS_MUTATIONS") or (510 if os.environ.get("REELPRESS_THOROUGH") else 70))
ENGINE_EVERY = 4  # the others are probed and planned only
AT_MOST_S = 60.0  # for one of them, on a busy machine; about 1 s is usual
WORKERS = 2
MANY = 60  # of one base: so many end in different ways

SOUND = ("-c:a", "aac", "-ac", "1", "-b:a", "48k")
BASES: dict[str, tuple[str, ...]] = {
    "faststart.mp4": (*clips.X264, "-bf", "2", "-crf", "12", *SOUND, "-movflags", "+faststart"),
    "plain.mov": (*clips.X264, "-crf", "12", "-c:a", "pcm_s16le", "-ar", "8000"),
    "fragments.mp4": (*clips.X264, "-g", "5", "-crf", "12", *SOUND, "-movflags", "+frag_keyframe+empty_moov"),
    "film.mkv": (*clips.X264, "-bf", "2", "-crf", "12", *SOUND),
    "camera.ts": (*clips.X264, "-g", "5", "-crf", "12", *SOUND),
    "old.avi": ("-c:v", "mpeg4", "-q:v", "4", "-c:a", "mp2", "-b:a", "64k"),
    "page.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "400k", "-c:a", "libopus"),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("bases")
    made = {}
    for name, options in BASES.items():
        pictures, sound = clips.picture("96x64", "15", 0.8), clips.tone(seconds=0.8)
        made[name] = clips.make(folder / name, *pictures, *sound, *options).read_bytes()
    return made


# How to break a file -------------------------------------------------------------------------------------------------

Break = Callable[[bytearray, random.Random], bytearray]
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b"\0\1\0\0")


def _span(raw: bytearray, rng: random.Random, most: int = 4096) -> slice:
    start = rng.randrange(len(raw))
    return slice(start, start + rng.randint(1, most))


def truncate(raw: bytearray, rng: random.Random) -> bytearray:
    return raw[: rng.randrange(1, len(raw))]


def behead(raw: bytearray, rng: random.Random) -> bytearray:
    return raw[rng.randrange(1, min(len(raw), 2000)) :]


def flip_bits(raw: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 4, 30, 300))):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return raw


def flip_bits_of_the_head(raw: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 3, 10))):
        raw[rng.randrange(min(len(raw), 1500))] ^= 1 << rng.randrange(8)
    return raw


def zero_a_range(raw: bytearray, rng: random.Random) -> bytearray:
    span = _span(raw, rng)
    raw[span] = bytes(len(raw[span]))
    return raw


def overwrite_a_range(raw: bytearray, rng: random.Random) -> bytearray:
    span = _span(raw, rng, 256)
    raw[span] = rng.randbytes(len(raw[span]))
    return raw


def drop_a_range(raw: bytearray, rng: random.Random) -> bytearray:
    del raw[_span(raw, rng)]
    return raw or bytearray(b"\0")


def repeat_a_range(raw: bytearray, rng: random.Random) -> bytearray:
    span = _span(raw, rng)
    raw[span.start : span.start] = raw[span] * rng.choice((1, 2, 20))
    return raw


def swap_halves(raw: bytearray, rng: random.Random) -> bytearray:
    middle = len(raw) // 2 + rng.randint(-64, 64)
    return raw[middle:] + raw[:middle]


def extreme_numbers(raw: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 3))):
        at = rng.randrange(max(1, min(len(raw), 4000) - 4))
        raw[at : at + 4] = rng.choice(EXTREMES)
    return raw


ANYWHERE: tuple[Break, ...] = (
    truncate, behead, flip_bits, flip_bits_of_the_head, zero_a_range, overwrite_a_range, drop_a_range, repeat_a_range,
    swap_halves, extreme_numbers,
)  # fmt: skip

FOLDERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"moof", b"traf", b"mvex", b"udta"})


@dataclass(frozen=True)
class Box:
    kind: bytes
    start: int
    end: int
    siblings: int  # where its siblings begin


def boxes(raw: bytes, start: int = 0, end: int | None = None) -> list[Box]:
    """Every box of an ISO BMFF file, at any depth."""
    found, place, stop = [], start, len(raw) if end is None else end
    while place + 8 <= stop:
        size, kind = int.from_bytes(raw[place : place + 4], "big"), bytes(raw[place + 4 : place + 8])
        if not 8 <= size <= stop - place:
            break
        found.append(Box(kind, place, place + size, start))
        if kind in FOLDERS:
            found += boxes(raw, place + 8, place + size)
        place += size
    return found


def _some_box(raw: bytearray, rng: random.Random) -> Box:
    return rng.choice(boxes(bytes(raw)))


def resize_a_box(raw: bytearray, rng: random.Random) -> bytearray:
    box = _some_box(raw, rng)
    size = rng.choice((0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF, box.end - box.start + rng.randint(-20, 20)))
    raw[box.start : box.start + 4] = max(0, size).to_bytes(4, "big")
    return raw


def rename_a_box(raw: bytearray, rng: random.Random) -> bytearray:
    box = _some_box(raw, rng)
    raw[box.start + 4 : box.start + 8] = rng.choice((b"free", b"moov", b"mdat", b"stsd", b"trak", rng.randbytes(4)))
    return raw


def drop_a_box(raw: bytearray, rng: random.Random) -> bytearray:
    box = _some_box(raw, rng)
    del raw[box.start : box.end]
    return raw or bytearray(b"\0")


def repeat_a_box(raw: bytearray, rng: random.Random) -> bytearray:
    box = _some_box(raw, rng)
    raw[box.start : box.start] = raw[box.start : box.end] * rng.choice((1, 3))
    return raw


def hollow_a_box(raw: bytearray, rng: random.Random) -> bytearray:
    box = _some_box(raw, rng)
    inside = slice(box.start + 8, box.end)
    raw[inside] = rng.choice((bytes(len(raw[inside])), b"\xff" * len(raw[inside]), rng.randbytes(len(raw[inside]))))
    return raw


def shuffle_siblings(raw: bytearray, rng: random.Random) -> bytearray:
    everyone = boxes(bytes(raw))
    level = rng.choice(sorted({box.siblings for box in everyone}))
    family = [box for box in everyone if box.siblings == level]
    pieces = [bytes(raw[box.start : box.end]) for box in family]
    rng.shuffle(pieces)
    raw[family[0].start : family[-1].end] = b"".join(pieces)
    return raw


def extreme_numbers_in_a_box(raw: bytearray, rng: random.Random) -> bytearray:
    small = [box for box in boxes(bytes(raw)) if box.kind not in FOLDERS | {b"mdat"} and box.end - box.start >= 12]
    for _ in range(rng.choice((1, 2, 5))):
        box = rng.choice(small)
        at = box.start + 8 + 4 * rng.randrange((box.end - box.start - 8) // 4)
        raw[at : at + 4] = rng.choice(EXTREMES)
    return raw


IN_BOXES: tuple[Break, ...] = (
    resize_a_box, rename_a_box, drop_a_box, repeat_a_box, hollow_a_box, shuffle_siblings, extreme_numbers_in_a_box,
)  # fmt: skip


def mutate(name: str, base: bytes, seed: int) -> tuple[str, bytes]:
    """Return how a base was broken, and the broken file; the same for the same seed."""
    rng = random.Random(f"{name} {seed}")
    ways = ANYWHERE + 2 * IN_BOXES if boxes(base) and name.endswith((".mp4", ".mov")) else ANYWHERE
    done = rng.choice(ways)
    return done.__name__, bytes(done(bytearray(base), rng))


# What becomes of them ------------------------------------------------------------------------------------------------


def settings() -> Settings:
    flags = {"preset": "ultrafast", "threads": "1", "timeout_s": "40", "stall_timeout_s": "20"}
    return load(flags, environ={}, env_file=None)


def planned(path: Path, host: HostFacts) -> str:
    """Probe and plan; return what is to be done."""
    try:
        _, plan = facts_and_plan(path, host=host, request=request_from(settings()))
    except InputError as error:
        refusal = error
    else:
        return f"plan: {type(plan).__name__.lower()}"
    assert refusal.reason, "a refusal has its word"
    assert refusal.hint
    return f"refused as {refusal.reason}"


def delivered(path: Path, seed: int) -> str:
    """Run the whole engine; return what became of it."""
    out = path.parent / "out.mp4"
    receipt = reelpress.compress(path, out, settings=settings(), always_encode=bool(seed // ENGINE_EVERY % 2))
    assert receipt.status in reel.STATUSES - {"cancelled"}
    assert receipt.exit_code in {0, 1, 3}, f"{receipt.error_code}: {receipt.error} {receipt.evidence}"
    assert (receipt.status == "rejected") == (receipt.exit_code == 3)
    assert bool(receipt.error) == (receipt.status in {"rejected", "failed"})
    assert (receipt.output is not None) == out.exists() == (receipt.status in {"encoded", "copied"})
    assert reel.names_in(path.parent) == sorted([path.name, *(["out.mp4"] if out.exists() else [])])
    if receipt.output is not None:
        assert receipt.result is not None
        assert not [gate for gate in receipt.gates if gate.verdict == "failed"]
        assert out.stat().st_size == receipt.result.size_bytes
        track = reelpress.probe_file(out).main_video
        assert track is not None
        assert track.frames
        assert receipt.status == "copied" or reel.is_whole(out)
    return f"{receipt.status}, exit {receipt.exit_code}"


@pytest.mark.parametrize("name", BASES)
def test_every_broken_file_gets_an_answer(tmp_path: Path, bases: dict[str, bytes], name: str):
    host = probe_host(ffmpeg=None, cache_dir=tmp_path / "cache")
    seeds = range(-(-MUTATIONS // len(BASES)))
    assert planned_base(tmp_path, name, bases[name], host) == "plan: encode", "the unbroken one is fine"

    def one(seed: int) -> tuple[str, float, str | None]:
        way, raw = mutate(name, bases[name], seed)
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        path = folder / name
        path.write_bytes(raw)
        start = time.monotonic()
        try:
            outcome = planned(path, host) if seed % ENGINE_EVERY else delivered(path, seed)
            took_s = time.monotonic() - start
            assert took_s < AT_MOST_S, f"took {took_s:.0f} s"
            assert path.read_bytes() == raw, "the source is as it was"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            problem = f"{path} ({way}): {type(error).__name__}: {error}"
            return "PROBLEM", time.monotonic() - start, problem
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        return outcome, took_s, None

    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(one, seeds))
    tally = Counter(outcome for outcome, _, _ in answers)
    slowest = max(range(len(answers)), key=lambda n: answers[n][1])
    print(f"\n{name}: {len(answers)} mutations, slowest {answers[slowest][1]:.1f} s (seed {slowest})")
    for outcome, count in tally.most_common():
        print(f"  {count:4} {outcome}")
    problems = [problem for _, _, problem in answers if problem is not None]
    assert not problems, "\n".join(problems)
    # MPEG-TS finds its way again after most damage: of a few dozen mutations all may be encoded.
    endings = 3 if len(answers) >= MANY else 2
    assert len(tally) >= endings, "mutations that all end alike break too much or too little"


def planned_base(folder: Path, name: str, raw: bytes, host: HostFacts) -> str:
    whole = folder / name
    whole.write_bytes(raw)
    return planned(whole, host)


@pytest.mark.by_turns
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.avi", "film.webm"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_film_cut_short_is_delivered_and_said_to_be_short(tmp_path: Path, name: str, share: float):
    codecs = ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus") if name.endswith(".webm") else clips.X264
    options = (*codecs, "-crf", "12", "-b:a", "48k", *(("-movflags", "+faststart") if name.endswith(".mp4") else ()))
    whole = clips.make(tmp_path / name, *clips.picture("160x90", "15", 30), *clips.tone(seconds=30), *options)
    raw = whole.read_bytes()
    whole.write_bytes(raw[: int(len(raw) * share)])
    receipt = reelpress.compress(whole, tmp_path / "out.mp4", settings=settings(), always_encode=True)
    assert (receipt.status, receipt.exit_code) == ("encoded", 1), receipt.error
    assert {gate.verdict for gate in receipt.gates} <= {"passed", "damaged_input", "unmeasured"}
    complete = next(gate for gate in receipt.gates if gate.name == "input_complete")
    assert complete.verdict == "damaged_input"
    assert any("file ends early" in warning for warning in receipt.warnings)
    assert reel.is_whole(tmp_path / "out.mp4")
