"""What we rest on of DBOS, asked of DBOS itself on both kinds of database; a new version must pass this first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("engine_process.py")


class Executor:
    """A process with the engine; what it says is read line by line."""

    def __init__(self, url: str, name: str, what: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), url, name, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def start(database_url):
    begun = []

    def make(name, what):
        executor = Executor(database_url, name, what)
        begun.append(executor)
        return executor

    yield make
    for executor in begun:
        executor.process.kill()
        executor.process.wait(timeout=30)
        executor.process.stdin.close()
        executor.process.stdout.close()


def test_a_dead_executors_workflow_goes_on_after_its_finished_steps(start):
    one = start("one", "begin")
    assert [one.says(), one.says()] == ["first by one", "in second"]
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.wait(timeout=30)
    two = start("two", "resume")
    assert two.says() == "known: PENDING"
    said = {two.says() for _ in range(3)}
    assert said == {"first by one", "second by two", "result: w: first by one, second by two"}


def test_a_zombies_step_is_refused(start):
    """Stopped, overtaken and woken, it learns at its next write that the workflow is another's."""
    one = start("one", "begin")
    assert [one.says(), one.says()] == ["first by one", "in second"]
    two = start("two", "resume")
    assert two.says() == "known: PENDING"
    said = {two.says() for _ in range(3)}
    assert said == {"first by one", "second by two", "result: w: first by one, second by two"}
    one.go_on()
    assert one.says() == "refused: DBOSWorkflowConflictIDError"
    three = start("three", "resume")
    assert three.says() == "known: SUCCESS"
    assert three.says() == "result: w: first by one, second by two"


def test_a_step_that_is_left_leaves_nothing_behind(start):
    one = start("one", "begin and leave")
    assert [one.says(), one.says()] == ["first by one", "refused: Left"]
    two = start("two", "resume")
    assert two.says() == "known: PENDING"
    said = {two.says() for _ in range(3)}
    assert said == {"first by one", "second by two", "result: w: first by one, second by two"}


def test_a_workflow_of_the_same_id_is_not_begun_twice(start):
    one = start("one", "begin")
    assert [one.says(), one.says()] == ["first by one", "in second"]
    one.go_on()
    assert one.says() == "second by one"
    two = start("two", "begin again")
    two.go_on()
    three = start("three", "resume")
    assert three.says() == "known: SUCCESS"
    assert three.says() == "result: w: first by one, second by one"
