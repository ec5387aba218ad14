"""Streams of events: nothing missed, nothing twice, nothing of others, and a slow reader holds nobody up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from reelpress.jobs.changing import cancel
from reelpress.jobs.house import House
from reelpress.jobs.model import JobEvent, JobInput, JobSpec
from reelpress.jobs.reading import events_since
from reelpress.jobs.submission import submit
from reelpress.jobs.tables import EVENTS, JOBS
from reelpress.jobs.telling import add_event
from reelpress.service import feed
from reelpress.service.feed import Feed, Watcher

SPEC = JobSpec(input=JobInput(kind="url", value="https://example.com/a.mov"))
Message = tuple[str, int | None, dict]


def new_job(house: House, user_id: str = "ann") -> str:
    return submit(house.database, SPEC, user_id=user_id, now=time.time()).job.id


def happen(house: House, job: str, kind: str, user_id: str = "ann") -> None:
    with house.database.writing() as connection:
        add_event(connection, job, user_id, kind, time.time(), {})


def messages(raw: bytes) -> list[Message]:
    found = []
    for block in raw.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((fields["event"], int(fields["id"]) if "id" in fields else None, json.loads(fields["data"])))
    return found


async def until(stream: AsyncIterator[bytes], is_enough: Callable[[list[Message]], bool]) -> list[Message]:
    got: list[Message] = []
    async with asyncio.timeout(20):
        async for raw in stream:
            got += messages(raw)
            if is_enough(got):
                return got
    raise AssertionError(got)


def kinds(got: list[Message]) -> list[str]:
    return [kind for kind, seq, _ in got if seq is not None]


def test_a_stream_replays_what_was_and_goes_on_with_what_happens(house: House) -> None:
    job = new_job(house)

    async def watch() -> list[Message]:
        feed = Feed(house.database)
        async with aclosing(feed.stream("ann", [job], None)) as stream:
            past = await until(stream, lambda got: any(kind == "progress" for kind, *_ in got))
            assert kinds(past) == ["queued"]
            await asyncio.to_thread(happen, house, job, "started")
            await asyncio.to_thread(cancel, house.database, job, now=time.time())
            news = await until(
                stream, lambda got: "cancelled" in kinds(got) and got[-1][2].get("status") == "cancelled"
            )
        feed.stop()
        return past + news

    got = asyncio.run(watch())
    assert kinds(got) == ["queued", "started", "cancelled"]
    seqs = [seq for _, seq, _ in got if seq is not None]
    assert seqs == sorted(set(seqs))
    assert all(data["job"] == job for _, _, data in got)


def test_nothing_falls_between_the_past_and_the_present(house: House) -> None:
    """Events are written all the while watchers come; each sees every number once."""
    job = new_job(house)

    async def one(feed: Feed) -> list[str]:
        async with aclosing(feed.stream("ann", [job], None)) as stream:
            return kinds(await until(stream, lambda got: "last" in kinds(got)))

    async def watch() -> list[list[str]]:
        feed = Feed(house.database)

        async def write() -> None:
            for number in range(60):
                await asyncio.to_thread(happen, house, job, f"e{number}")
            await asyncio.to_thread(happen, house, job, "last")

        async def come_late(number: int) -> list[str]:
            await asyncio.sleep(number * 0.02)
            return await one(feed)

        *seen, _ = await asyncio.gather(*(come_late(number) for number in range(20)), write())
        feed.stop()
        return seen

    expected = ["queued", *(f"e{number}" for number in range(60)), "last"]
    assert all(seen == expected for seen in asyncio.run(watch()))


def test_a_reader_who_comes_back_gets_what_it_missed_and_no_more(house: House) -> None:
    job = new_job(house)
    happen(house, job, "one")
    happen(house, job, "two")

    async def watch(after: int) -> list[str]:
        feed = Feed(house.database)
        async with aclosing(feed.stream("ann", [job], after)) as stream:
            got = await until(stream, lambda got: any(kind == "progress" for kind, *_ in got))
        feed.stop()
        return kinds(got)

    assert asyncio.run(watch(1)) == ["one", "two"]
    assert asyncio.run(watch(3)) == []
    assert asyncio.run(watch(10**9)) == []


def test_events_that_are_thrown_away_while_they_are_read_end_no_reader(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Housekeeping may come between the events and the question whose they are."""
    job = new_job(house)
    happen(house, job, "one")
    happen(house, job, "two")

    def then_thrown_away(connection: sa.Connection, *args: Any, **more: Any) -> list[JobEvent]:
        found = events_since(connection, *args, **more)
        connection.execute(EVENTS.delete().where(EVENTS.c.seq == found[-1].seq))
        return found

    with house.database.writing() as connection:
        whole = feed._numbered(connection, 0)
        monkeypatch.setattr(feed, "events_since", then_thrown_away)
        assert feed._numbered(connection, 0) == whole[:-1]
    assert len(whole) > 2


def test_news_of_others_is_for_others(house: House) -> None:
    mine, other = new_job(house), new_job(house, "bob")

    async def watch() -> list[Message]:
        feed = Feed(house.database)
        async with aclosing(feed.stream("ann", [], None)) as stream:
            await anext(stream)
            waiting = asyncio.ensure_future(until(stream, lambda got: "done" in kinds(got)))
            while not feed.watchers:
                await asyncio.sleep(0)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(happen, house, other, "secret", "bob")
            await asyncio.to_thread(happen, house, mine, "done")
            got = await waiting
        feed.stop()
        return got

    got = asyncio.run(watch())
    assert kinds(got) == ["done"]
    assert {data["job"] for _, _, data in got} == {mine}


def test_progress_comes_as_it_is_written_also_by_a_clock_that_is_behind(house: House) -> None:
    job = new_job(house)

    async def watch() -> None:
        feed = Feed(house.database)
        async with aclosing(feed.stream("ann", [job], None)) as stream:
            await until(stream, lambda got: any(kind == "progress" for kind, *_ in got))
            for percent, behind_s in ((20.0, 0.0), (30.0, 3.0), (40.0, 1.0)):
                with house.database.writing() as connection:
                    values = {"percent": percent, "updated_at": time.time() - behind_s}
                    connection.execute(sa.update(JOBS).where(JOBS.c.id == job).values(**values))
                await until(stream, lambda got, share=percent: got and got[-1][2].get("percent") == share)
        feed.stop()

    asyncio.run(watch())


def test_a_slow_reader_keeps_events_and_loses_stale_progress_and_is_let_go_at_last() -> None:
    async def fill() -> None:
        watcher = Watcher(None, frozenset())
        for number in range(5000):
            watcher.put_progress("job_a", b"%d;" % number)
        for number in range(1, 1001):
            watcher.put_event(number, b"e")
        assert not watcher.is_over
        watcher.put_event(1001, b"e")
        assert watcher.is_over
        assert await watcher.take() == b"e" * 1000 + b"4999;"

    asyncio.run(fill())


def test_streams_end_when_the_server_does_and_the_reader_rests_when_nobody_watches(house: House) -> None:
    async def watch() -> None:
        feed = Feed(house.database)
        streams = [feed.stream(None, [], None) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        assert feed.watchers == 3
        feed.stop()
        for stream in streams:
            async with asyncio.timeout(5):
                assert [raw async for raw in stream] == []
        assert feed.watchers == 0

    asyncio.run(watch())


def test_polling_answers_with_what_came_after_a_number(client: TestClient) -> None:
    job = client.post("/v1/jobs", json={"input": {"url": "https://example.com/a"}}).json()["id"]
    client.post(f"/v1/jobs/{job}/cancel")
    page = client.get(f"/v1/jobs/{job}/events", params={"poll": 0}).json()
    assert [event["kind"] for event in page["events"]] == ["queued", "cancelled"]
    rest = client.get("/v1/events", params={"poll": page["last"], "job": job}).json()
    assert rest == {"events": [], "last": page["last"]}
    assert client.get("/v1/jobs/job_none/events", params={"poll": 0}).status_code == 404


def test_others_events_are_not_there(public: TestClient, key_of: Callable[..., dict[str, str]]) -> None:
    ann, bob = key_of("ann"), key_of("bob")
    job = public.post("/v1/jobs", json={"input": {"url": "https://example.com/a"}}, headers=ann).json()["id"]
    assert public.get(f"/v1/jobs/{job}/events", headers=bob).status_code == 404
    assert public.get("/v1/events", params={"poll": 0, "job": job}, headers=bob).json()["events"] == []
    assert public.get("/v1/events").status_code == 401
