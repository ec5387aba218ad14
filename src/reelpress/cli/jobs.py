"""What the commands of ``reelpress jobs`` do. Each returns an exit code and raises what keeps it from its work."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from reelpress.cli.job_lines import exit_code, name_of, print_error, print_event, print_job, short
from reelpress.cli.remote import Service, path_of
from reelpress.cli.render import human_bytes, print_receipt
from reelpress.cli.sending import forget, input_of, say_sent
from reelpress.cli.watching import watch
from reelpress.errors import ExitCode, InputError, OutputError, ReelpressError, UsageError
from reelpress.facts.values import to_json
from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.model import UNFINISHED, Job, Status
from reelpress.receipt import Receipt
from reelpress.run.partial import PartialFile

_MOST_WATCHED = 10_000


@contextlib.contextmanager
def _service(url: str, key: str | None) -> Iterator[Service]:
    with Service(url, key) as service:
        if service.is_exposed:
            click.echo(f"note: the key goes to {service.url} unencrypted; use https", err=True)
        yield service


def run_submit(
    inputs: Sequence[str],
    body: Mapping[str, Any],
    *,
    labels: Sequence[str],
    watches: bool,
    url: str,
    key: str | None,
    as_json: bool,
) -> int:
    """Submit a job for each input; the first that is refused ends it, with those before it submitted."""
    if not all(inputs):
        raise UsageError("An input's name is empty.", hint="Name a file, key:KEY or an address.")
    if "output_key" in body and len(inputs) > 1:
        raise UsageError("--output-key is for one INPUT.", hint="Submit them one by one.")
    body = {**body, "labels": _labels(labels)}
    submitted = []
    with _service(url, key) as service:
        for text in inputs:
            source, memory = input_of(service, text, say_sent(short(Path(text).name)))
            job = service.submit({**body, "input": source}, secrets.token_hex(16))
            if memory is not None:
                forget(memory)
            submitted.append(job)
            if not watches:
                _show(job, as_json=as_json)
        return _watch(service, [job.id for job in submitted], as_json=as_json) if watches else int(ExitCode.DONE)


def _labels(texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if not text.partition("=")[0] or "=" not in text:
            raise UsageError(f"--label cannot be {text!r}.", hint="accepted: NAME=TEXT")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def run_list(statuses: Sequence[str], limit: int, *, url: str, key: str | None, as_json: bool) -> int:
    """List jobs."""
    for status in statuses:
        if status not in get_args(Status):
            raise UsageError(f"--status cannot be {status!r}.", hint=f"accepted: {', '.join(get_args(Status))}")
    with _service(url, key) as service:
        found, counts = service.jobs(statuses, limit)
    for job in found:
        _show(job, as_json=as_json)
    total = sum(count for status, count in counts.items() if not statuses or status in statuses)
    if not as_json and not found:
        click.echo("There is no such job." if counts else "There are no jobs yet.", err=True)
    elif not as_json and total > len(found):
        click.echo(f"{len(found)} of {total} jobs; --limit shows more.", err=True)
    return int(ExitCode.DONE)


def run_watch(job_ids: Sequence[str], *, url: str, key: str | None, as_json: bool) -> int:
    """Follow jobs, or all that are unfinished."""
    with _service(url, key) as service:
        if not job_ids:
            job_ids = [job.id for job in service.jobs(UNFINISHED, _MOST_WATCHED)[0]]
            if not job_ids and not as_json:
                click.echo("No job is waiting or running.", err=True)
        return _watch(service, list(dict.fromkeys(job_ids)), as_json=as_json) if job_ids else int(ExitCode.DONE)


def _watch(service: Service, job_ids: Sequence[str], *, as_json: bool) -> int:
    try:
        return exit_code(watch(service, job_ids, as_json=as_json))
    except KeyboardInterrupt:
        click.echo("The jobs go on without this; `reelpress jobs cancel` stops them.", err=True)
        raise


def run_act(what: str, job_ids: Sequence[str], *, url: str, key: str | None, as_json: bool) -> int:
    """Cancel or retry each job; one that is refused does not keep the others from it."""
    worst = int(ExitCode.DONE)
    with _service(url, key) as service:
        for job_id in job_ids:
            try:
                _show(service.act(job_id, what), as_json=as_json)
            except ReelpressError as error:
                if len(job_ids) == 1:
                    raise
                click.echo("\n  ".join([f"reelpress: {job_id}: {error.what}", *error.lines()[1:]]), err=True)
                worst = max(worst, int(error.exit_code))
    return worst


def run_logs(job_id: str, *, url: str, key: str | None, as_json: bool) -> int:
    """Show a job's events and its error."""
    with _service(url, key) as service:
        job, events = service.job(job_id), service.history(job_id)
    for event in events:
        if as_json:
            click.echo(to_json(event))
        else:
            print_event(event)
    if not as_json:
        print_job(job)
        if job.error is not None:
            print_error(job.error)
    return int(ExitCode.DONE)


def run_receipt(job_id: str, *, url: str, key: str | None, as_json: bool) -> int:
    """Show a job's receipt."""
    with _service(url, key) as service:
        content = service.ask("GET", f"{path_of(job_id)}/receipt")
    if as_json:
        click.echo(content.strip())
        return int(ExitCode.DONE)
    try:
        print_receipt(msgspec.json.decode(content, type=Receipt), sys.stdout)
    except msgspec.ValidationError as error:
        raise InputError(
            "This receipt is of another version of Reelpress.", evidence=str(error), hint="Read it with --json."
        ) from error
    return int(ExitCode.DONE)


def run_download(
    job_id: str,
    output: Path | None,
    transcript: str | None,
    *,
    overwrite: bool,
    url: str,
    key: str | None,
    as_json: bool,
) -> int:
    """Download a job's output or transcript, and put it in place once its hash is right."""
    with _service(url, key) as service:
        job = service.job(job_id)
        wanted = _wanted(job, transcript)
        stem = Path(name_of(job)).stem or job.id
        target = output or Path(f"{stem}.{transcript or 'mp4'}".replace("/", "_"))
        if os.path.lexists(target) and not overwrite:
            raise OutputError(f"{target} exists.", hint="Name another with -o, or pass --overwrite.")
        path = f"/v1/jobs/{job.id}/transcript/{transcript}" if transcript else f"/v1/jobs/{job.id}/output"
        with PartialFile.open(target, overwrite=overwrite) as partial, service.download(path) as blocks:
            digest = hashlib.sha256()
            try:
                with partial.path.open("r+b") as out:
                    for block in blocks:
                        digest.update(block)
                        out.write(block)
            except OSError as error:
                raise OutputError(f"{target} could not be written.", evidence=error.strerror) from error
            if digest.hexdigest() != wanted.sha256:
                raise OutputError(
                    "What came is not what the job made.",
                    evidence=f"SHA-256 is {digest.hexdigest()}, not {wanted.sha256}",
                    hint="Download it again; if it stays so, the object in the store was changed.",
                )
            partial.publish()
    if as_json:
        facts = {"job": job.id, "file": str(target), "size_bytes": wanted.size_bytes, "sha256": wanted.sha256}
        click.echo(to_json(facts))
    else:
        click.echo(f"{target}: {human_bytes(wanted.size_bytes)}, hash verified")
    return int(ExitCode.DONE)


def _wanted(job: Job, transcript: str | None) -> StoredObject:
    if job.result is None:
        raise InputError(f"The job has delivered nothing: it is {job.status}.", hint=f"reelpress jobs watch {job.id}")
    found = job.result.transcript.get(transcript) if transcript else job.result.output
    if found is None:
        what = f"no {transcript} transcript" if transcript else "no output: its input is the best there is"
        raise InputError(f"The job has {what}.", evidence=job.result.transcript_note if transcript else None)
    return found


def _show(job: Job, *, as_json: bool) -> None:
    if as_json:
        click.echo(to_json(job))
    else:
        print_job(job)
