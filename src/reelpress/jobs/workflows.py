"""Runs of jobs as durable workflows: the one door to DBOS.

DBOS keeps what each step of a job returned, so that whoever goes on after a crash begins at the stage that was under
way, and refuses what a worker that lost a job still writes. Which job is next is decided by the worker and not by
DBOS's queues: their limit on jobs per worker is one number for all workers, and machines differ.
"""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime

from dbos import DBOS, DBOSConfig, SetWorkflowID

from reelpress.errors import OutputError
from reelpress.jobs.database import database_url
from reelpress.jobs.task import Task
from reelpress.service_settings import ServiceSettings

# Workflows are resumed by programs of the same value alone; it changes when the stages of a job change their order.
WORKFLOW_VERSION = "1"

_MOST_AT_ONCE = 500
_TASKS: dict[str, Task] = {}
_LAUNCHED = threading.Event()


@DBOS.workflow(name="reelpress_job")
def job_workflow(workflow_id: str) -> None:
    """Do one run of a job. The claim it rests on stands in this process alone."""
    task = _TASKS[workflow_id]
    task.run(lambda name, work: DBOS.run_step({"name": name}, work))


class Workflows:
    """The workflows of one worker. There is one at most in a process, since DBOS has one executor per process."""

    def __init__(self, worker: str) -> None:
        self._worker, self._queue = worker, f"of-{worker}"

    def launch(self, settings: ServiceSettings) -> None:
        """Bring DBOS up, with its tables beside ours or in a file of its own.

        Raises :class:`OutputError` for a file that is no database.
        """
        url = database_url(settings.database_url, settings.data, name="workflows.sqlite")
        if url.get_backend_name() == "sqlite":
            _turn_on_wal(url.database or "")
        config: DBOSConfig = {
            "name": "reelpress", "system_database_url": url.render_as_string(hide_password=False),
            "executor_id": self._worker, "application_version": WORKFLOW_VERSION, "log_level": "ERROR",
            "notification_listener_polling_interval_sec": 0.2,
        }  # fmt: skip
        DBOS(config=config)
        DBOS.listen_queues([self._queue])
        DBOS.launch()
        _LAUNCHED.set()
        DBOS.register_queue(self._queue, polling_interval_sec=0.1)

    def begin(self, task: Task) -> str:
        """Begin the workflow of a task, or go on with one that another worker began, and return its id."""
        workflow_id = task.claim.workflow_id
        known = DBOS.get_workflow_status(workflow_id)
        if known is not None and known.status not in ("PENDING", "ENQUEUED", "DELAYED"):
            # an earlier claim's workflow came to an end that its job did not: begin it anew
            workflow_id, known = f"{workflow_id}.{task.claim.fence}", None
        _TASKS[workflow_id] = task
        if known is None:
            with SetWorkflowID(workflow_id):
                DBOS.start_workflow(job_workflow, workflow_id)
        else:
            DBOS.resume_workflow(workflow_id, queue_name=self._queue)
        return workflow_id

    def forget(self, workflow_id: str, task: Task) -> None:
        """Let go of a task that is done, unless a later claim of this same worker took its place."""
        if _TASKS.get(workflow_id) is task:
            del _TASKS[workflow_id]

    def leave(self) -> None:
        """Take this worker's queue away. Raises ``SQLAlchemyError`` where the database cannot be had."""
        DBOS.delete_queue(self._queue)


def forget_workflows(older_than: float) -> int:
    """Delete what is kept of workflows that ended before ``older_than``, in epoch seconds, and return how many.

    They go by their own age and not with their jobs: a process without a worker forgets jobs, too, and has no DBOS.
    """
    if not _LAUNCHED.is_set():
        return 0
    before, count = datetime.fromtimestamp(older_than, UTC).isoformat(), 0
    while ended := DBOS.list_workflows(
        completed_before=before, limit=_MOST_AT_ONCE, load_input=False, load_output=False
    ):
        DBOS.delete_workflows([workflow.workflow_id for workflow in ended])
        count += len(ended)
    return count


def _turn_on_wal(path: str) -> None:
    """Make SQLite's journal one that readers do not wait for; DBOS leaves it as it is. Kept in the file."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.DatabaseError as error:
            raise OutputError(f"The database {path} cannot be opened.", evidence=str(error)) from None
