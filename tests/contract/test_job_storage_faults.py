"""Whole jobs on a store that fails in every way, at every request in turn: done with the right object, or clearly not.

What the engine does is done once for all: here the store is asked. ``REELPRESS_THOROUGH=1`` spoils every request in
every way; else each way spoils every twenty-fourth, each beginning with another.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from reelpress.engine import compress_file
from reelpress.jobs import desk
from reelpress.jobs import stages as stages_module
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.house import House
from reelpress.jobs.model import JobSpec
from reelpress.jobs.task import Task
from reelpress.look import look_at
from reelpress.request import Request
from reelpress.run.process import CancelToken
from reelpress.service_settings import load_service
from reelpress.settings import load
from reelpress.storage.scratch import Scratch

import clips
import holdings
from conftest import HASTY, SECRET, s3_store
from faulty import FAULTS, Proxy
from job_table import NOW, claim, enlist, open_empty, put, row, set_row

pytestmark = pytest.mark.usefixtures("clean_environment")
IMPATIENT = msgspec.structs.replace(HASTY, request_s=0.5, stall_s=0.5, copy_s=0.6)
STEP = 1 if os.environ.get("REELPRESS_THOROUGH") else 24
MOST_REQUESTS = 60
HANGS_AFTER_S = 60.0


@pytest.fixture(scope="module")
def encoding():
    return Encoding.here(load(environ={}, env_file=None))


@pytest.fixture(scope="module")
def made(tmp_path_factory, encoding):
    """A clip, and what the engine makes of it: its look, its output, its receipt."""
    folder = tmp_path_factory.mktemp("made")
    clip = clips.plain(folder / "in.mp4", "-qp", "10", seconds=1)
    output = folder / "out.mp4"
    receipt = compress_file(clip, output, host=encoding.host, request=Request(), policy=encoding.policy)
    assert receipt.status == "encoded", receipt
    return clip, output, receipt, look_at(clip, CancelToken())


@pytest.fixture
def engine(made, monkeypatch):
    """The engine, which has done it all before."""
    _clip, output, receipt, look = made

    def compress(_source, target, **_options):
        shutil.copyfile(output, target)
        return receipt

    monkeypatch.setattr(stages_module, "compress_file", compress)
    monkeypatch.setattr(desk, "look_at", lambda _path, _cancel: look)
    monkeypatch.setattr(stages_module, "PAUSES_S", (0, 0, 0))


def do_job(folder: Path, store, encoding):
    """Do one job on this store as a worker does, and return it."""
    settings = load_service({"data_dir": str(folder)}, environ={}, env_file=None)
    settings.scratch.mkdir(parents=True)
    database = open_empty("sqlite", folder)
    enlist(database, "w1")
    job = put(database)
    spec = msgspec.structs.replace(job.spec, input=msgspec.structs.replace(job.spec.input, value="in.mp4"))
    assert isinstance(spec, JobSpec)
    set_row(database, job.id, spec=msgspec.json.encode(spec).decode())
    taken = claim(database, now=NOW)
    house = House(settings, database, store, Scratch(settings.scratch))
    task = Task(house, encoding, taken, on_end=lambda _connection, _job: None)
    thread = threading.Thread(target=task.run, args=(lambda _name, work: work(),), daemon=True)
    thread.start()
    thread.join(HANGS_AFTER_S)
    assert not thread.is_alive(), "the job hangs"
    ended = row(database, job.id)
    database.close()
    return ended, settings


@pytest.mark.by_turns
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "from there on"])
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_job_is_done_rightly_or_clearly_not(s3_server, tmp_path, made, engine, encoding, fault, for_ever):
    clip, output, _receipt, _look = made
    direct = f"http://{s3_server[0]}:{s3_server[1]}"
    patience = IMPATIENT if fault == "drip" else HASTY
    at, statuses = 1 + sorted(FAULTS).index(fault) % STEP, []
    while at < MOST_REQUESTS:
        prefix = f"{tmp_path.name}/{at}"
        truth = s3_store(direct, prefix)
        holdings.put(truth, "in.mp4", clip.read_bytes())
        with Proxy(s3_server, fault, at, for_ever=for_ever) as proxy:
            job, settings = do_job(tmp_path / str(at), s3_store(proxy.endpoint, prefix, patience), encoding)
        if not proxy.hit:
            assert job.status == "done", job.error
        judge(job, truth, output.read_bytes())
        assert not list((settings.scratch / "jobs").glob("*")), "files of the job were left"
        statuses.append(job.status)
        if not proxy.hit:
            break
        at += STEP
    else:
        pytest.fail("the fault was still met")
    if not for_ever and fault in ("500", "reset", "truncated"):
        assert set(statuses) == {"done"}, "what passes must not fail a job"


def judge(job, truth, output: bytes) -> None:
    assert job.status in ("done", "failed"), job
    if job.status == "done":
        assert holdings.get(truth, job.result.output.key) == output
        return
    told = f"{job.error.text} {job.error.evidence} {job.error.hint}"
    assert job.error.code not in ("bug", "output_failed"), job.error
    assert SECRET not in told
    assert "127.0.0.1" not in told
    # whatever stands under a final name is right
    for key in holdings.keys(truth):
        if key.endswith(".mp4") and "/outputs/" in key:
            assert holdings.get(truth, key) == output
