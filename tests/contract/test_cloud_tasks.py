"""The fake Cloud Tasks keeps to what Google's documentation says."""

from __future__ import annotations

import json
import urllib.request

import pytest

from reelpress.errors import TokenError
from reelpress.service.oidc import Verifier

from cloud_tasks import Backoff, CloudTasks
from peer import RESET, Pause, Peer, said, wait_until

QUICK = Backoff(min_s=0.01, max_s=0.02)


@pytest.fixture
def queue():
    with CloudTasks() as queue:
        yield queue


def verifier(queue: CloudTasks, audience: str, **options) -> Verifier:
    def fetch(url: str) -> bytes:
        with urllib.request.urlopen(url) as response:
            return response.read()

    return Verifier(audience=[audience], email=queue.email, jwks_url=queue.jwks_url, fetch_jwks=fetch, **options)


def test_intervals_are_those_of_the_documentation():
    backoff = Backoff(min_s=10, max_s=300, doublings=3)
    assert [backoff.before_retry(number) for number in range(1, 9)] == [10, 20, 40, 80, 160, 240, 300, 300]


def test_a_task_is_dispatched_as_google_does(queue):
    with Peer(lambda _: said(b'{"status": "done"}')) as peer:
        url = f"{peer.url}/process-video?a=b"
        task = queue.create_task(url, {"video_id": "v1", "r2_key": "in/a.mov", "user_id": "u1"})
        assert task.wait() == "done"
    (asked,) = peer.asked
    assert (asked.method, asked.target) == ("POST", "/process-video?a=b")
    assert json.loads(asked.body) == {"video_id": "v1", "r2_key": "in/a.mov", "user_id": "u1"}
    headers = asked.headers
    assert headers["user-agent"] == "Google-Cloud-Tasks"
    assert headers["content-type"] == "application/json"
    assert headers["x-cloudtasks-queuename"] == "videos"
    assert headers["x-cloudtasks-taskname"] == task.name
    assert (headers["x-cloudtasks-taskretrycount"], headers["x-cloudtasks-taskexecutioncount"]) == ("0", "0")
    assert float(headers["x-cloudtasks-tasketa"]) > 1_700_000_000
    assert "x-cloudtasks-taskpreviousresponse" not in headers
    assert task.attempts[0].answer == b'{"status": "done"}'
    caller = verifier(queue, url).verify(headers["authorization"].removeprefix("Bearer "))
    assert caller.email == queue.email


def test_everything_but_2xx_is_tried_again_and_counted(queue):
    answers = [said(status=status) for status in ("500 x", "404 x", "302 x", "503 x", "400 x")] + [[RESET], said()]
    with Peer(lambda _: answers.pop(0)) as peer:
        assert queue.create_task(peer.url, b"x", backoff=QUICK).wait() == "done"
    counts = [
        (asked.headers["x-cloudtasks-taskretrycount"], asked.headers["x-cloudtasks-taskexecutioncount"],
         asked.headers.get("x-cloudtasks-taskpreviousresponse"))
        for asked in peer.asked
    ]  # fmt: skip
    assert counts == [
        ("0", "0", None), ("1", "0", "500"), ("2", "1", "404"), ("3", "2", "302"), ("4", "2", "503"), ("5", "3", "400"),
        ("6", "3", None),
    ]  # fmt: skip
    assert all("x-cloudtasks-taskretryreason" in asked.headers for asked in peer.asked[1:])


def test_attempts_end(queue):
    with Peer(lambda _: said(status="500 x")) as peer:
        task = queue.create_task(peer.url, b"x", max_attempts=3, backoff=QUICK)
        assert task.wait() == "failed"
        assert len(peer.asked) == 3
    assert [attempt.status for attempt in task.attempts] == [500] * 3


def test_retry_after_counts_for_429_and_503(queue):
    answers = [said(status=status, Retry_After="1") for status in ("429 x", "500 x", "503 x")] + [said()]
    with Peer(lambda _: answers.pop(0)) as peer:
        task = queue.create_task(peer.url, b"x", backoff=QUICK)
        assert task.wait() == "done"
    assert task.pauses_s == [1.0, 0.02, 1.0]


@pytest.mark.parametrize("drip", [False, True])
def test_the_deadline_drops_the_connection(queue, drip):
    def slow(_):
        yield from said(Content_Length="99999") if drip else [Pause(0)]
        while True:
            yield Pause(0.05)
            if drip:
                yield b"x"

    with Peer(lambda asked: slow(asked) if len(peer.asked) == 1 else said()) as peer:
        task = queue.create_task(peer.url, b"x", deadline_s=0.4, backoff=QUICK)
        assert task.wait() == "done"
    assert [(attempt.status, attempt.error) for attempt in task.attempts] == [(None, "DEADLINE_EXCEEDED"), (200, "")]
    assert "x-cloudtasks-taskpreviousresponse" not in peer.asked[1].headers


def test_a_server_that_is_not_there_is_tried_again(queue):
    with Peer(lambda _: said()) as peer:
        pass
    task = queue.create_task(peer.url, b"x", max_attempts=2, backoff=QUICK)
    assert task.wait() == "failed"
    assert task.attempts[0].error == "UNAVAILABLE: ConnectionRefusedError"


def test_a_task_may_be_delivered_while_it_runs_and_after_it_is_done(queue):
    with Peer(lambda _: [Pause(0.2), *said()]) as peer:
        task = queue.create_task(peer.url, b"x")
        assert wait_until(lambda: len(peer.asked) == 1)
        assert queue.run(task).status == 200
        assert task.wait() == "done"
        assert queue.run(task).status == 200
    assert [asked.headers["x-cloudtasks-taskretrycount"] for asked in peer.asked] == ["0", "1", "2"]
    assert {asked.headers["x-cloudtasks-taskname"] for asked in peer.asked} == {task.name}


def test_no_more_run_at_once_than_the_queue_lets():
    running, most = [], []

    def answer(asked):
        running.append(asked)
        most.append(len(running))
        yield Pause(0.05)
        running.remove(asked)
        yield from said()

    with CloudTasks(concurrent=2) as queue, Peer(answer) as peer:
        assert [task.wait() for task in [queue.create_task(peer.url, b"%d" % n) for n in range(6)]] == ["done"] * 6
    assert max(most) <= 2


def test_what_google_refuses_is_refused(queue):
    with Peer(lambda _: said()) as peer:
        queue.create_task(peer.url, b"x", name="v1").wait()
        with pytest.raises(ValueError, match="ALREADY_EXISTS"):
            queue.create_task(peer.url, b"x", name="v1")
        for options in ({"deadline_s": 1801}, {"deadline_s": 0}):
            with pytest.raises(ValueError, match="30 minutes"):
                queue.create_task(peer.url, b"x", **options)
        with pytest.raises(ValueError, match="too large"):
            queue.create_task(peer.url, b"x" * 200_000)


def test_tokens_of_a_new_key_are_verified_and_those_of_the_old_are_not(queue):
    now = [0.0]
    checks = verifier(queue, "https://a.example/", clock=lambda: now[0])
    old = queue.token("https://a.example/")
    assert checks.verify(old)
    queue.rotate_key()
    now[0] = 100.0
    assert checks.verify(queue.token("https://a.example/"))
    with pytest.raises(TokenError):
        checks.verify(old)
    for claims in ({"email": "x@y"}, {"exp": 1}, {"aud": "https://b.example/"}):
        with pytest.raises(TokenError):
            checks.verify(queue.token("https://a.example/", **claims))
