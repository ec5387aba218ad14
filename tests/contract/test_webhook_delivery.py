"""Webhooks over real HTTP, out of both kinds of database."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook

from reelpress.net.client import public_client
from reelpress.net.wire import Patience
from reelpress.service.logs import JsonLines
from reelpress.webhooks import outbox
from reelpress.webhooks.delivery import Delivery, Outcome, deliver
from reelpress.webhooks.outbox import LEASE_S
from reelpress.webhooks.sender import Sender
from reelpress.webhooks.signing import new_secret

from peer import RESET, Internet, Pause, Peer, said, wait_until

SECRET = new_secret()
PAYLOAD = json.dumps({"type": "job.done", "name": "Übung 🎬"}, ensure_ascii=False)


def send(url: str, **options) -> Outcome:
    options = {"allow_private": True, **options}
    return deliver(Delivery(id="evt_1", url=url, payload=PAYLOAD, secret=SECRET), now=time.time(), **options)


def test_an_event_arrives_signed(request):
    with Peer(lambda _: said(b"thanks", "204 x", Content_Length="")) as peer:
        outcome = send(f"{peer.url}/hook?a=b")
    asked = peer.asked[0]
    assert (outcome.verdict, outcome.status, outcome.error) == ("delivered", 204, None)
    assert (asked.method, asked.target, asked.headers["content-type"]) == ("POST", "/hook?a=b", "application/json")
    assert asked.headers["user-agent"].startswith("Reelpress/")
    assert Webhook(SECRET).verify(asked.body, asked.headers) == json.loads(PAYLOAD)


@pytest.mark.parametrize(
    ("answer", "verdict", "status", "error"),
    [
        (lambda _: said(b"ok"), "delivered", 200, None),
        (lambda _: said(status="202 x"), "delivered", 202, None),
        (lambda _: said(b"sorry", "500 x"), "again", 500, "HTTP 500"),
        (lambda _: said(status="404 x"), "again", 404, "HTTP 404"),
        (lambda _: said(status="410 Gone"), "never", 410, "gone for good"),
        (lambda _: said(status="302 x", Location="/other"), "again", 302, "redirects are not followed"),
        (lambda _: said(status="308 x", Location="https://other.example/"), "again", 308, "redirects are not followed"),
        (lambda _: [RESET], "again", None, "broke"),
        (lambda _: [], "again", None, "does not speak HTTP"),
        (lambda _: [Pause(60)], "again", None, "in time"),
        (lambda _: [*said(b"", Content_Length="9"), Pause(60)], "delivered", 200, None),
    ],
)
def test_what_an_answer_means(answer, verdict, status, error):
    patience = Patience(silence_s=0.3, answer_s=0.5, total_s=0.8, least_bytes_per_s=0)
    with Peer(answer) as peer:
        outcome = send(peer.url, patience=patience)
        assert len(peer.asked) == 1
    assert (outcome.verdict, outcome.status) == (verdict, status)
    assert (error is None and outcome.error is None) or error in outcome.error
    assert outcome.duration_ms >= 0


def test_an_overloaded_receiver_says_when():
    for status, seconds in (("429 x", 90), ("503 x", 90), ("500 x", 0)):
        with Peer(lambda _, status=status: said(status=status, Retry_After="90")) as peer:
            assert send(peer.url).retry_after_s == seconds


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "http://2130706433/",
     "http://localhost/", "ftp://a.example/", "http://user:pass@a.example/", "nonsense", ""],
)  # fmt: skip
def test_addresses_that_may_not_be_called_are_not_tried_again(url):
    outcome = send(url, allow_private=False)
    assert (outcome.verdict, outcome.status) == ("never", None)
    assert outcome.error


def test_a_receiver_that_turned_private_is_not_called():
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    with Peer(lambda _: said(b"ok")) as peer:
        network = Internet(peer)
        for verdict in ("delivered", "never"):
            client = public_client(resolve=lambda _host, _port: answers.pop(0), network=network)
            assert send("http://hooks.example/", client=client).verdict == verdict
    assert network.called == [("93.184.216.34", 80)]


def test_a_secret_that_is_none_sends_nothing():
    with Peer(lambda _: said(b"ok")) as peer:
        outcome = deliver(Delivery(id="e", url=peer.url, payload="{}", secret="abc"), now=0.0, allow_private=True)
        assert peer.asked == []
    assert outcome.verdict == "never"


def test_little_of_an_answer_is_read_and_nothing_of_it_steers_a_terminal():
    def endless(_):
        yield from said(Content_Length="", Transfer_Encoding="chunked")
        while True:
            yield b"1000\r\n" + b"\x1b[2J\x00\xff<b>".ljust(4096, b"x") + b"\r\n"

    with Peer(endless) as peer:
        excerpt = send(peer.url).response_excerpt
    assert excerpt.startswith("\ufffd[2J\ufffd\ufffd<b>xxx")
    assert len(excerpt) == 1000


# The outbox

T0 = 1_700_000_000.0


@pytest.fixture
def engine(database_url):
    engine = sa.create_engine(database_url, connect_args={"timeout": 30} if database_url.startswith("sqlite") else {})
    yield engine
    engine.dispose()


@pytest.fixture
def table(engine):
    metadata = sa.MetaData()
    table = outbox.define(metadata)
    metadata.create_all(engine)
    return table


def put(engine, table, number: int, *, user: str = "ann", url: str = "http://a.example/", now: float = T0) -> None:
    with engine.begin() as connection:
        outbox.add(
            connection, table, event_id=f"evt_{number}", user_id=user, job_id=f"job_{number}", url=url, kind="job.done",
            payload=PAYLOAD, now=now,
        )  # fmt: skip


def all_of(engine, table, user: str = "ann"):
    with engine.connect() as connection:
        return outbox.deliveries_of(connection, table, user_id=user)


FAILED = Outcome(verdict="again", status=500, duration_ms=12, error="HTTP 500", response_excerpt="sorry")
DONE = Outcome(verdict="delivered", status=200, duration_ms=12)


def test_an_event_goes_with_the_transaction_that_adds_it(engine, table):
    with engine.connect() as connection:
        outbox.add(connection, table, event_id="e", user_id="ann", job_id=None, url="", kind="", payload="", now=T0)
        connection.rollback()
    assert all_of(engine, table) == []


def test_an_event_is_added_once(engine, table):
    put(engine, table, 1)
    put(engine, table, 1, url="http://other.example/")
    (event,) = all_of(engine, table)
    assert (event.url, event.state, event.attempts, event.tries) == ("http://a.example/", "pending", 0, ())


def test_a_leased_event_is_nobody_elses_until_the_lease_ends(engine, table):
    put(engine, table, 1)
    assert outbox.due(engine, table, me="a", now=T0 - 1, limit=8) == []
    (event,) = outbox.due(engine, table, me="a", now=T0, limit=8)
    assert (event.id, event.attempts, event.payload) == ("evt_1", 1, PAYLOAD)
    assert outbox.due(engine, table, me="b", now=T0 + LEASE_S - 1, limit=8) == []
    (again,) = outbox.due(engine, table, me="b", now=T0 + LEASE_S, limit=8)
    assert again.attempts == 2
    # The first comes back too late, under whatever name.
    assert not outbox.settle(engine, table, event, DONE, me="a", now=T0 + LEASE_S, next_at=None)
    assert not outbox.settle(engine, table, event, DONE, me="b", now=T0 + LEASE_S, next_at=None)
    assert outbox.settle(engine, table, again, FAILED, me="b", now=T0 + 61, next_at=T0 + 100)
    assert outbox.due(engine, table, me="a", now=T0 + 99, limit=8) == []
    (third,) = outbox.due(engine, table, me="a", now=T0 + 100, limit=8)
    assert [one.outcome for one in third.tries] == [FAILED]
    assert outbox.settle(engine, table, third, DONE, me="a", now=T0 + 101, next_at=None)
    (ended,) = all_of(engine, table)
    assert (ended.state, ended.attempts, ended.finished_at) == ("delivered", 3, T0 + 101)
    assert [(one.at, one.outcome) for one in ended.tries] == [(T0 + 61, FAILED), (T0 + 101, DONE)]
    assert outbox.due(engine, table, me="a", now=T0 + 10**9, limit=8) == []


def test_users_take_turns(engine, table):
    for number in range(20):
        put(engine, table, number, now=T0 + number)
    put(engine, table, 20, user="bob", now=T0 + 50)
    found = outbox.due(engine, table, me="a", now=T0 + 100, limit=3)
    assert {event.id for event in found} == {"evt_0", "evt_1", "evt_20"}


def test_a_user_sees_only_their_own_and_of_one_job_if_asked(engine, table):
    put(engine, table, 1)
    put(engine, table, 2, user="bob")
    put(engine, table, 3, now=T0 + 1)
    assert [event.id for event in all_of(engine, table)] == ["evt_1", "evt_3"]
    with engine.connect() as connection:
        for job, ids in (("job_3", ["evt_3"]), ("job_2", [])):
            found = outbox.deliveries_of(connection, table, user_id="ann", job_id=job)
            assert [event.id for event in found] == ids


def test_only_what_ended_long_ago_is_purged(engine, table):
    for number in (1, 2, 3):
        put(engine, table, number)
    first, second = outbox.due(engine, table, me="a", now=T0, limit=2)
    outbox.settle(engine, table, first, DONE, me="a", now=T0 + 10, next_at=None)
    outbox.settle(engine, table, second, FAILED, me="a", now=T0 + 20, next_at=None)
    assert outbox.purge(engine, table, older_than=T0 + 20) == 1
    assert {event.id for event in all_of(engine, table)} == {"evt_1", "evt_2", "evt_3"} - {first.id}


LEASER = """
import sys
import sqlalchemy as sa
from reelpress.webhooks import outbox
engine = sa.create_engine(sys.argv[1], connect_args={"timeout": 30} if sys.argv[1].startswith("sqlite") else {})
table = outbox.define(sa.MetaData())
sys.stdin.readline()
while events := outbox.due(engine, table, me=sys.argv[2], now=float(sys.argv[3]), limit=3):
    print(*(event.id for event in events), flush=True)
"""


def test_processes_never_have_one_event_at_a_time(engine, table, database_url):
    with engine.begin() as connection:
        for number in range(200):
            outbox.add(
                connection, table, event_id=f"evt_{number}", user_id=f"user_{number % 7}", job_id=None,
                url="http://a.example/", kind="job.done", payload="{}", now=T0,
            )  # fmt: skip
    children = [
        subprocess.Popen(
            [sys.executable, "-c", LEASER, database_url, f"p{number}", str(T0)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    found = [child.communicate()[0].split() for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert sorted(event for some in found for event in some) == sorted(f"evt_{number}" for number in range(200))


# The sender


def sender(engine, table, **options) -> Sender:
    return Sender(engine, table, lambda user: SECRET, **{"allow_private": True, **options})


def test_what_is_due_is_sent_and_written_down(engine, table):
    with Peer(lambda asked: said(b"ok") if asked.target == "/ok" else said(status="410 x")) as peer:
        put(engine, table, 1, url=f"{peer.url}/ok")
        put(engine, table, 2, url=f"{peer.url}/gone")
        put(engine, table, 3, url="http://user:pass@a.example/")
        assert sender(engine, table).run_once(T0) == 3
        assert sender(engine, table).run_once(T0 + 10**6) == 0
    states = {event.id: (event.state, len(event.tries)) for event in all_of(engine, table)}
    assert states == {"evt_1": ("delivered", 1), "evt_2": ("failed", 1), "evt_3": ("failed", 1)}
    ok = next(asked for asked in peer.asked if asked.target == "/ok")
    assert ok.headers["webhook-id"] == "evt_1"


def test_what_is_logged_of_a_delivery_names_user_and_job(engine, table, caplog):
    """By the names under which log lines show them."""
    with Peer(lambda _: said(b"ok")) as peer, caplog.at_level("INFO", "reelpress"):
        put(engine, table, 1, user="ann", url=peer.url)
        assert sender(engine, table).run_once(T0) == 1
    lines = [JsonLines().parts(record) for record in caplog.records if record.getMessage().startswith("webhook ")]
    assert [(line["job"], line["user"]) for line in lines] == [(all_of(engine, table)[0].job_id, "ann")]


def test_a_receiver_that_is_down_for_a_while_gets_its_event(engine, table):
    answers = [said(status="500 x"), [RESET], said(status="503 x", Retry_After="600"), said(b"ok")]
    with Peer(lambda _: answers.pop(0)) as peer:
        put(engine, table, 1, url=peer.url)
        at = []
        while (event := all_of(engine, table)[0]).state == "pending":
            at.append(event.next_at - T0)
            assert sender(engine, table).run_once(event.next_at - 0.001) == 0
            assert sender(engine, table).run_once(event.next_at) == 1
    assert event.state == "delivered"
    assert [one.outcome.status for one in event.tries] == [500, None, 503, 200]
    assert 4 <= at[1] - at[0] <= 7
    assert 24 <= at[2] - at[1] <= 37
    assert at[3] - at[2] >= 600
    assert {asked.headers["webhook-id"] for asked in peer.asked} == {"evt_1"}


def test_a_receiver_that_is_down_for_a_day_does_not(engine, table):
    with Peer(lambda _: said(status="500 x")) as peer:
        put(engine, table, 1, url=peer.url)
        while (event := all_of(engine, table)[0]).state == "pending":
            sender(engine, table).run_once(event.next_at)
    assert event.state == "failed"
    assert event.attempts == len(event.tries) == len(peer.asked)
    assert 10 < len(event.tries) < 15
    assert event.finished_at - event.tries[0].at >= 86_400


def test_private_receivers_are_refused_by_default(engine, table):
    with Peer(lambda _: said(b"ok")) as peer:
        put(engine, table, 1, url=peer.url)
        assert sender(engine, table, allow_private=False).run_once(T0) == 1
        assert peer.asked == []
    assert all_of(engine, table)[0].state == "failed"


def test_the_thread_sends_goes_on_after_an_error_and_stops(engine, table, caplog):
    secrets = iter([RuntimeError("no"), SECRET])

    def secret_of(user: str) -> str:
        found = next(secrets, SECRET)
        if isinstance(found, Exception):
            raise found
        return found

    with Peer(lambda _: said(b"ok")) as peer:
        put(engine, table, 1, user="ann", url=peer.url)
        working = sender(engine, table, clock=lambda: T0)
        working._secret_of = secret_of
        working.start()
        assert wait_until(lambda: "webhooks: unexpected" in caplog.text)
        put(engine, table, 2, user="ann", url=peer.url)
        try:
            assert wait_until(lambda: bool(peer.asked))
        finally:
            working.stop()
    assert peer.asked[0].headers["webhook-id"] == "evt_2"
    assert SECRET not in caplog.text
