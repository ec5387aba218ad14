"""Archives as they are sent: announced lengths, checksums, names, ZIP64, and what comes of files that change."""

from __future__ import annotations

import asyncio
import gc
import io
import shutil
import subprocess
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("obstore", reason="the extra `service` is not installed")

from reelpress.errors import ReelpressError
from reelpress.service.zipping import ZipEntry, zip_stream


def entry(name: str, content: bytes, *, size: int | None = None, block: int = 7) -> ZipEntry:
    async def blocks() -> AsyncIterator[bytes]:
        for at in range(0, len(content), block):
            yield content[at : at + block]

    return ZipEntry(name=name, size_bytes=len(content) if size is None else size, blocks=blocks, modified_at=1.8e9)


def received(*entries: ZipEntry) -> tuple[int, bytes]:
    length, stream = zip_stream(entries)

    async def gather() -> bytes:
        return b"".join([block async for block in stream])

    return length, asyncio.run(gather())


def contents(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_goes_in_comes_out_and_the_length_was_announced() -> None:
    files = {"a.mp4": bytes(range(256)) * 9, "empty.txt": b"", "b.mp4": b"x"}
    length, raw = received(*(entry(name, content) for name, content in files.items()))
    assert len(raw) == length
    assert contents(raw) == files


def test_no_files_are_an_empty_archive() -> None:
    length, raw = received()
    assert (len(raw), contents(raw)) == (length, {})


def test_names_are_safe_unique_and_keep_their_letters() -> None:
    wild = ["../../etc/passwd", "Übung 日本.mp4", "A.mp4", "a.mp4", "a.mp4", "a (2).mp4", "\x00"]
    length, raw = received(*(entry(name, b"1") for name in wild))
    assert len(raw) == length
    names = list(contents(raw))
    assert names[0] == "passwd"
    assert names[1] == "Übung 日本.mp4"
    assert len({name.casefold() for name in names}) == len(wild)
    assert not any("/" in name or "\x00" in name for name in names)
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.getinfo("Übung 日本.mp4").flag_bits & 0x800  # the flag for UTF-8


@pytest.mark.parametrize("limit", [0, 40, 99, 100, 101, 250, 1000])
def test_large_sizes_and_places_are_announced_right(
    limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # what begins at 2 GiB begins here at `limit` bytes: ZIP64 of sizes, of places, of the directory
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    files = {"one.mp4": b"1" * 100, "two.mp4": b"2" * 101, "three.mp4": b"3" * 99}
    length, raw = received(*(entry(name, content) for name, content in files.items()))
    assert len(raw) == length
    assert contents(raw) == files
    if shutil.which("unzip"):
        archive = tmp_path / "clips.zip"
        archive.write_bytes(raw)
        told = subprocess.run(["unzip", "-t", archive], capture_output=True, text=True, timeout=30, check=False)
        assert told.returncode == 0, told.stdout


def test_hundreds_of_gigabytes_are_announced_without_reading_any() -> None:
    length, _ = zip_stream([entry(f"{n}.mp4", b"", size=100 * 2**30) for n in range(3)])
    # by hand: sizes of all are in ZIP64 (20 + 24), places of the last two as well
    local = 3 * (30 + 5 + 20 + 24) + 300 * 2**30
    central = 3 * (46 + 5) + (4 + 16) + 2 * (4 + 24)
    assert length == local + central + 56 + 20 + 22


@pytest.mark.parametrize("promised", [5, 7])
def test_a_file_that_changed_breaks_the_archive_off(promised: int) -> None:
    length, stream = zip_stream([entry("a.mp4", b"123456", size=promised), entry("b.mp4", b"b")])
    sent = bytearray()

    async def take() -> None:
        async for block in stream:
            sent.extend(block)

    with pytest.raises(ReelpressError, match=r"a\.mp4"):
        asyncio.run(take())
    assert len(sent) < length
    assert not zipfile.is_zipfile(io.BytesIO(bytes(sent)))


def test_no_more_is_held_than_one_block() -> None:
    held: list[int] = []

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    _, stream = zip_stream([ZipEntry(name="long.mp4", size_bytes=2_000_000, blocks=blocks)])

    async def take() -> None:
        held.extend([len(block) async for block in stream])

    asyncio.run(take())
    assert max(held) < 101_000


def test_who_stops_listening_leaves_nothing_open() -> None:
    closed: list[bool] = []

    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    async def take_two() -> None:
        _, stream = zip_stream([ZipEntry(name="long.mp4", size_bytes=2**40, blocks=blocks)])
        assert await anext(stream)
        assert await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        gc.collect()  # what an archive left open has to say, it says now

    asyncio.run(take_two())
    assert closed == [True]
