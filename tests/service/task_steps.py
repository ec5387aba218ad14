"""Claims at work without a workflow engine: what runs their steps, and remembers what they leave."""

from __future__ import annotations

import contextlib
import threading

from reelpress.jobs.task import LeftToOthers, Task

from job_table import claim


class Steps:
    """Runs steps as the workflow engine does, and remembers what came of them."""

    def __init__(self):
        self.left = []

    def __call__(self, name, work):
        try:
            value = work()
        except Exception as error:
            self.left.append((name, error))
            raise
        self.left.append((name, value))
        return value


def begin(task):
    steps = Steps()

    def run():
        with contextlib.suppress(LeftToOthers):
            task.run(steps)

    threading.Thread(target=run, daemon=True).start()
    return steps


def task_of(house, encoding, worker="w1", on_end=lambda _connection, _job: None):
    taken = claim(house.database, worker)
    assert taken is not None
    return Task(house, encoding, taken, on_end=on_end)
