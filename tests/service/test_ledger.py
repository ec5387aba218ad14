"""The ledger, what was spent, and the budget that keeps jobs from being begun, on both kinds of database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from reelpress.facts.values import to_json
from reelpress.jobs.changing import retry
from reelpress.jobs.desk import BudgetSpentError, Desk
from reelpress.jobs.ending import on_end
from reelpress.jobs.exports import forget_rows
from reelpress.jobs.ledger import Charging, entries, forget_lines, last_entry, lines, spent_usd
from reelpress.jobs.model import JobError, JobResult
from reelpress.jobs.performance import check_speed, last_check, newest_baseline
from reelpress.jobs.reading import events_since
from reelpress.jobs.spending import budget_now, explained, steps_told
from reelpress.jobs.tables import LEDGER, WEBHOOKS
from reelpress.jobs.work import begin_stage, finish
from reelpress.observe.budget import Budget
from reelpress.observe.prices import Tariff
from reelpress.observe.telemetry import Telemetry
from reelpress.receipt import CostParts, Stage
from reelpress.service_settings import load_service

from job_table import claim, enlist, open_empty, put, row
from receipts import file_record, receipt

NOW = datetime(2026, 11, 30, 23, tzinfo=UTC).timestamp()
HOUR_S = 3600.0
BY_THE_CLOCK = Charging(tariff=Tariff(name="own", text="", cpu_usd_per_wall_s=0.01))


@pytest.fixture
def database(database_url, tmp_path):
    opened = open_empty(database_url, tmp_path)
    enlist(opened, "w1", "w2", "w3", "w4")
    yield opened
    opened.close()


def made(usd: float = 0.5, wall_s: float = 10.0, **changes) -> str:
    stages = (Stage(name="encode", wall_s=wall_s, cpu_s=1.0, usd=usd),)
    return to_json(
        receipt(
            source=file_record(size_bytes=10**6), stages=stages, usd=usd, usd_parts=CostParts(cpu=usd), clip=None,
            **changes,
        )
    ).decode()  # fmt: skip


def telling(**settings):
    named = {"webhook_url": "https://ops.example/hook", **settings}
    environ = {f"REELPRESS_{name.upper()}": str(value) for name, value in named.items()}
    house = SimpleNamespace(settings=load_service(environ=environ, env_file=None), telemetry=Telemetry())
    return on_end(house, BY_THE_CLOCK)


def work(database, told, *, usd=0.5, at=NOW, worker="w1", status="done", text=None, **more):
    put(database, now=at)
    taken = claim(database, worker, now=at + 2, **more)
    if taken is None:
        return None
    begin_stage(database, taken, "fetch", 0, now=at + 3)
    begin_stage(database, taken, "compress", 10, now=at + 5)
    finish(database, taken, status, now=at + 15, receipt=text or made(usd), on_end=told)
    return taken.job


def read(database, reads, *arguments, **more):
    with database.reading() as connection:
        return reads(connection, *arguments, **more)


def of_kind(database, kind):
    return [event for event in read(database, events_since, 0, user_id=None) if event.kind == kind]


def test_a_job_leaves_one_line_that_outlives_it(database) -> None:
    job = work(database, telling())
    (entry,) = read(database, entries)
    assert (entry.job, entry.user_id, entry.encoder, entry.status) == (job.id, "ann", "libx264", "done")
    assert [(s.name, s.wall_s, s.usd) for s in entry.stages] == [("fetch", 2.0, 0.02), ("encode", 10.0, 0.5)]
    assert entry.usd == pytest.approx(0.52)
    assert entry.queue_wait_s == pytest.approx(2.0)
    with database.writing() as connection:
        forget_rows(connection, [job.id])
    assert read(database, last_entry) == 1
    assert read(database, spent_usd, "2026-11") == pytest.approx(0.52)


def test_each_run_has_its_line_and_the_same_end_told_twice_is_one(database) -> None:
    told = telling()
    put(database, now=NOW)
    taken = claim(database, now=NOW)
    for _ in range(2):
        finish(database, taken, "failed", now=NOW, error=JobError(code="stalled", text="x"), on_end=told)
    retry(database, taken.job.id, now=NOW)
    finish(database, claim(database, now=NOW), "done", now=NOW, receipt=made(), on_end=told)
    found = read(database, entries)
    assert [(e.run, e.status, e.error_code, e.encoder) for e in found] == [
        (1, "failed", "stalled", "none"), (2, "done", None, "libx264"),
    ]  # fmt: skip


def test_the_work_of_an_earlier_job_is_not_charged_again(database) -> None:
    told = telling()
    put(database, now=NOW)
    taken = claim(database, now=NOW)
    result = JobResult(
        outcome="encoded", encoder="libx264", device="cpu", input_key=None, input_bytes=5, output=None, receipt=None,
        saved_share=None, reused_from="job_1",
    )  # fmt: skip
    finish(database, taken, "done", now=NOW, result=result, receipt=made(), on_end=told)
    (entry,) = read(database, entries)
    assert (entry.usd, entry.encoder, entry.made) == (0.0, "none", False)


def test_lines_are_read_by_time_user_and_number(database) -> None:
    told = telling()
    for hour in range(4):
        work(database, told, at=NOW + hour * HOUR_S)
    assert len(read(database, entries, since=NOW + HOUR_S, until=NOW + 2 * HOUR_S)) == 1
    with database.reading() as connection:
        assert [seq for seq, _ in lines(connection, since=NOW + HOUR_S, until=NOW + 2 * HOUR_S)] == [2]
        assert [seq for seq, _ in lines(connection, after_seq=2)] == [3, 4]
        assert [seq for seq, _ in lines(connection, limit=3)] == [1, 2, 3]
        assert list(lines(connection, user_id="bob")) == []
        assert [seq for seq, _ in lines(connection)] == [1, 2, 3, 4]
    with database.writing() as connection:
        assert forget_lines(connection, older_than=NOW + 2 * HOUR_S) == 2


def test_many_workers_add_up_to_the_cent(database) -> None:
    told = telling(budget=1)
    jobs = []
    for _ in range(24):
        put(database, now=NOW)
        jobs.append(claim(database, f"w{1 + len(jobs) % 4}", now=NOW))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda one: finish(database, one, "done", now=NOW, receipt=made(0.05), on_end=told), jobs))
    assert read(database, spent_usd, "2026-11") == pytest.approx(24 * 0.05)
    assert read(database, spent_usd, "2026-11-30") == pytest.approx(24 * 0.05)
    # every step once, whoever reached it
    assert [event.data["step_percent"] for event in of_kind(database, "budget")] == [50, 80, 100, 120]
    with database.reading() as connection:
        hooks = connection.execute(sa.select(WEBHOOKS.c.kind, WEBHOOKS.c.user_id)).all()
    assert [tuple(hook) for hook in hooks if hook.kind == "budget.step"] == [("budget.step", "local")] * 4


def test_a_step_is_told_once_for_each_amount_and_the_highest_of_those_passed_at_once(database) -> None:
    work(database, telling(budget=1), usd=0.9)
    work(database, telling(budget=1), usd=0.0)
    assert [event.data["step_percent"] for event in of_kind(database, "budget")] == [80]
    assert of_kind(database, "budget")[0].data["text"] == "0.92 of 1 USD for 2026-11 are spent (92%)."
    work(database, telling(budget=10), usd=4.1)
    assert [event.data["amount_usd"] for event in of_kind(database, "budget")] == [1.0, 10.0]
    assert read(database, steps_told, "2026-11") == [(1.0, 1), (1.0, 2), (10.0, 1)]


def test_a_spent_budget_pauses_claims_until_the_next_month_or_a_higher_one(database) -> None:
    told = telling()
    budget = Budget(amount_usd=1.0, at_100="pause", at_120="pause")
    running = put(database, now=NOW)
    under_way = claim(database, "w2", now=NOW, budget=budget)
    work(database, told, usd=1.5)
    waiting = put(database, now=NOW)
    assert claim(database, now=NOW + 60, budget=budget) is None
    assert claim(database, now=NOW + 60, budget=budget, only=waiting.id) is None
    with database.reading() as connection:
        shown = explained(connection, [row(database, waiting.id), row(database, running.id)], budget, now=NOW + 60)
    assert [bool(job.waits_for) for job in shown] == [True, False]
    # what ran goes on to its end
    assert finish(database, under_way, "done", now=NOW + 60, receipt=made(), on_end=told).status == "done"
    assert claim(database, now=NOW + 60, budget=Budget(amount_usd=9, at_100="pause")) is not None
    put(database, now=NOW)
    assert claim(database, now=NOW + 60, budget=budget) is None
    assert claim(database, now=NOW + 2 * HOUR_S, budget=budget) is not None  # it is December


def test_a_spent_budget_takes_gpus_from_further_claims(database) -> None:
    budget = Budget(amount_usd=1.0, at_100="cpu", at_120="cpu")
    put(database, now=NOW)
    assert claim(database, now=NOW, budget=budget).cpu_only is None
    work(database, telling(), usd=1.1)
    put(database, now=NOW)
    taken = claim(database, now=NOW, budget=budget)
    assert "of 1 USD for 2026-11 are spent" in taken.cpu_only
    desk = Desk.__new__(Desk)
    desk.claim = taken
    assert (desk.hardware("auto"), desk.hardware("off")) == ("off", "off")
    with pytest.raises(BudgetSpentError):
        desk.hardware("require")
    assert read(database, budget_now, budget, NOW).state == 3


def test_what_a_job_would_have_cost_elsewhere_is_known_once_three_ran_there(database) -> None:
    told = telling()
    for usd in (0.1, 0.2, 0.3):
        work(database, told, text=made(usd, encoder="h264_nvenc", device="nvidia", gpu="L4"))
    work(database, told)
    *there, here = read(database, entries)
    assert [entry.usd_other for entry in there] == [None] * 3
    assert here.usd_other == pytest.approx(0.22)  # the median, with its fetching
    with database.reading() as connection:
        kept = connection.execute(sa.select(LEDGER.c.encoder, LEDGER.c.usd_per_s)).all()
    assert tuple(kept[0]) == ("h264_nvenc", pytest.approx(0.012))


def test_jobs_that_became_slower_are_told_of_once_by_one_process(database) -> None:
    told = telling()

    def check(at, **more):
        return check_speed(database, now=at, window_h=1.0, factor=2.0, min_samples=3, every_s=60, **more)

    for number in range(3):
        work(database, told, at=NOW + number, text=made(wall_s=10.0))
    first = check(NOW + 100)
    assert first.comparisons == ()
    assert read(database, newest_baseline).speeds[0].per_programme_s.p50 == 1.0
    later = NOW + 2 * HOUR_S
    for number in range(3):
        work(database, told, at=later + number, text=made(wall_s=25.0))
    with ThreadPoolExecutor(4) as pool:
        found = [each for each in pool.map(lambda _: check(later + 100), range(4)) if each is not None]
    (second,) = found
    assert [c.regressed for c in second.regressed] == [True]
    assert check(later + 200).regressed == ()  # told once
    (event,) = of_kind(database, "performance_regressed")
    assert event.data["ratios"][0] == 2.5
    assert read(database, last_check)[0].regressed
    assert check(later + 200) is None
    for number in range(3):
        work(database, told, at=later + 2 * HOUR_S + number, text=made(wall_s=11.0))
    assert not check(later + 2 * HOUR_S + 100).comparisons[0].regressed
