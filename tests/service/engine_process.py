"""A program with the workflow engine alone: argument 1 is its database, 2 its executor, 3 what it is to do."""

from __future__ import annotations

import sys
import threading

from dbos import DBOS, SetWorkflowID

URL, ME, WHAT = sys.argv[1:4]
QUEUE = f"of-{ME}"


def say(line: str) -> None:
    print(line, flush=True)


@DBOS.workflow(name="three_steps")
def three_steps(name: str) -> str:
    try:
        first = DBOS.run_step({"name": "first"}, lambda: f"first by {ME}")
        say(first)
        second = DBOS.run_step({"name": "second"}, second_step)
        say(second)
    except BaseException as error:
        say(f"refused: {type(error).__name__}")
        raise
    return f"{name}: {first}, {second}"


class Left(BaseException):
    """What a step raises that is to leave nothing behind."""


def second_step() -> str:
    if WHAT == "begin and leave":
        raise Left
    if WHAT in ("begin", "begin again"):
        say("in second")
        sys.stdin.readline()  # until the test says so
    return f"second by {ME}"


def main() -> None:
    DBOS(config={
        "name": "reelpress", "system_database_url": URL, "executor_id": ME, "application_version": "1",
        "log_level": "CRITICAL", "notification_listener_polling_interval_sec": 0.2,
    })  # fmt: skip
    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=0.1)
    if WHAT.startswith("begin"):
        with SetWorkflowID("w"):
            DBOS.start_workflow(three_steps, "w")
    else:
        known = DBOS.get_workflow_status("w")
        say(f"known: {known.status if known else None}")
        say(f"result: {DBOS.resume_workflow('w', queue_name=QUEUE).get_result()}")
    threading.Event().wait()


if __name__ == "__main__":
    main()
