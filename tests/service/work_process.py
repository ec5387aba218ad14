"""A worker in a process of its own, to be killed: settings come from the environment; SIGTERM drains it.

With a file as its argument, it is killed as that says when a job of it begins a stage: "PID STAGE SECONDS".
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
from pathlib import Path

TOLD = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: TOLD.set())  # before all that takes a second to import

from reelpress.jobs import task  # noqa: E402
from reelpress.jobs.encoding import Encoding  # noqa: E402
from reelpress.jobs.ending import on_end  # noqa: E402
from reelpress.jobs.house import House  # noqa: E402
from reelpress.jobs.worker import Worker  # noqa: E402
from reelpress.service_settings import load_service  # noqa: E402

faulthandler.enable()


def die_as_told(order: Path) -> None:
    begin_stage = task.begin_stage

    def begin(database, claim, stage, percent, *, now):
        begin_stage(database, claim, stage, percent, now=now)
        pid, wanted, after_s = order.read_text().split()
        if (pid, wanted) == (str(os.getpid()), stage):
            timer = threading.Timer(float(after_s), os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()

    task.begin_stage = begin


def main() -> None:
    if len(sys.argv) > 1:
        die_as_told(Path(sys.argv[1]))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    settings = load_service(env_file=None)
    house = House.open(settings)
    worker = Worker(house, Encoding.here(), capacity=settings.worker_jobs or 1, on_end=on_end(house))
    worker.start()
    print(worker.id, flush=True)
    TOLD.wait()
    worker.drain(settings.grace_s)
    house.close()


if __name__ == "__main__":
    main()
