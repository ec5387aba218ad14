"""A worker in a process of its own, to be killed: settings come from the environment; SIGTERM drains it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from reelpress.jobs.encoding import Encoding
from reelpress.jobs.ending import on_end
from reelpress.jobs.house import House
from reelpress.jobs.worker import Worker
from reelpress.service_settings import load_service


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    settings = load_service(env_file=None)
    house = House.open(settings)
    worker = Worker(house, Encoding.here(), capacity=settings.worker_jobs or 1, on_end=on_end(settings))
    worker.start()
    print(worker.id, flush=True)
    told.wait()
    worker.drain(settings.grace_s)
    sys.stdout.flush()
    os._exit(0)  # threads of jobs that were handed back stand still for ever


if __name__ == "__main__":
    main()
