"""What jobs cost, asked over HTTP and by the command, which must agree."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from reelpress.cli.app import app
from reelpress.facts.values import to_json
from reelpress.jobs.database import encode
from reelpress.jobs.tables import LEDGER, SPENDING
from reelpress.observe.budget import periods_of
from reelpress.observe.entry import Entry
from reelpress.receipt import CostParts, Stage

from receipts import file_record, receipt


def fill(database, *, slow_since=None) -> None:
    """Write lines of two users over five days, ending now."""
    now = time.time()
    with database.writing() as connection:
        for number in range(60):
            user, at = ("ann", "=bob()")[number % 2], now - number * 7200
            engine_s = 30.0 if slow_since is not None and at >= slow_since else 10.0
            entry = Entry(
                job=f"j{number}", run=1, user_id=user, kind="compress", finished_at=at, status="done",
                encoder="libx264", device="cpu", duration_s=60.0, engine_s=engine_s, usd=0.01,
                usd_parts=CostParts(cpu=0.01),
            )  # fmt: skip
            values = {"job": entry.job, "run": 1, "user_id": user, "finished_at": at, "encoder": "libx264",
                      "size_class": "small", "usd": entry.usd, "entry": encode(entry)}  # fmt: skip
            connection.execute(LEDGER.insert().values(**values))
        connection.execute(SPENDING.insert().values(period=periods_of(now)[1], usd=0.6))


def run(*argv: str, **env: str):
    return CliRunner().invoke(app, argv, standalone_mode=False, env={"REELPRESS_URL": None, **env})


def test_users_see_what_theirs_cost_and_admin_what_all_do(public, public_house, key_of) -> None:
    fill(public_house.database)
    everything = {"since": 0, "by": "user"}
    own = public.get("/v1/costs", params=everything, headers=key_of("ann")).json()
    assert [line["key"] for line in own["report"]["lines"]] == ["ann"]
    assert own["budget"] is None
    named = public.get("/v1/costs", params={**everything, "user": "=bob()"}, headers=key_of("ann")).json()
    assert [line["key"] for line in named["report"]["lines"]] == ["ann"]
    all_of_them = public.get("/v1/costs", params=everything, headers=key_of("root", "admin")).json()
    assert all_of_them["report"]["total"]["jobs"] == 60
    assert all_of_them["report"]["total"]["usd"] == pytest.approx(0.6)
    assert public.get("/v1/costs").status_code == 401
    for wrong in ({"since": "x"}, {"since": -1}, {"by": "hour"}, {"until": "inf"}):
        assert public.get("/v1/costs", params=wrong, headers=key_of("ann")).status_code == 422


def test_the_command_says_in_80_columns_what_the_database_has(house) -> None:
    fill(house.database)
    folder = str(house.settings.data)
    shown = run("costs", "--data-dir", folder, "--by", "user", REELPRESS_BUDGET="1", REELPRESS_BUDGET_ACTION="cpu")
    assert shown.exception is None or not shown.exit_code
    lines = shown.output.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].split() == ["=bob()", "30", "0", "0", "30.0", "min", "0.3000", "0.010000"]
    assert any(line.startswith("total ") and "0.6000" in line for line in lines)
    assert "budget: 0.6 of 1 USD" in shown.output
    assert "on the other device: not known" in shown.output
    as_json = json.loads(run("costs", "--data-dir", folder, "--since", "3d", "--json").output)
    assert as_json["report"]["total"]["jobs"] == 36
    table = list(csv.DictReader(io.StringIO(run("costs", "--data-dir", folder, "--by", "user", "--csv").output)))
    assert table[0]["key"] == "'=bob()"  # no formula
    assert float(table[0]["cpu"]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("costs", "--since", "yesterday"), "--since cannot be"),
        (("costs", "--since", "1d", "--until", "2d"), "not after"),
        (("costs", "--json", "--csv"), "exclude"),
        (("costs", "--data-dir", "nowhere"), "no database"),
        (("costs", "--receipts", "."), "no receipts"),
        (("perf", "check", "--data-dir", "nowhere"), "no database"),
        (("perf", "check", "--factor", "1"), "--factor cannot be"),
        (("perf", "baseline", "--receipts", "."), "a baseline is a file"),
    ],
)
def test_what_cannot_be_meant_is_refused(argv, said, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*argv)
    assert said in str(done.exception)
    assert not (tmp_path / "nowhere").exists()


def test_a_baseline_never_replaces_receipts(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    stage = Stage(name="encode", wall_s=1.0, cpu_s=1.0, usd=0.0)
    kept = to_json(receipt(stages=(stage,), started_at=datetime.now(UTC).isoformat())) + b"\n"
    (tmp_path / "receipts.json").write_bytes(kept)
    for place in (".", "receipts.json"):
        done = run("perf", "baseline", "--receipts", place, "-o", "./receipts.json")
        assert "holds receipts" in str(done.exception)
        assert (tmp_path / "receipts.json").read_bytes() == kept
    for _ in range(2):
        assert run("perf", "baseline", "--receipts", ".", "-o", "baseline.json").exit_code == 0
    assert "folder does not exist" in str(run("perf", "baseline", "--receipts", ".", "-o", "no/b.json").exception)


def test_a_slower_week_fails_the_check_by_the_database_and_by_a_file(house, tmp_path) -> None:
    slow_since = time.time() - 86_400 * 2
    fill(house.database, slow_since=slow_since)
    place = ("--data-dir", str(house.settings.data))
    file = tmp_path / "baseline.json"
    assert "no baseline yet" in str(run("perf", "check", *place).exception)
    made = run("perf", "baseline", *place, "--until", "2d", "-o", str(file))
    assert "libx264      small" in made.output
    assert run("perf", "check", *place, "--since", "2d").return_value == 1
    assert run("perf", "check", *place, "--since", "2d", "--factor", "4").return_value == 0
    assert run("perf", "check", *place, "--since", "2d", "--min-samples", "50").return_value == 0
    told = run("perf", "check", *place, "--since", "2d", "--baseline", str(file))
    assert "3.00x" in told.output
    assert "slower than 2x" in told.output
    file.write_text("{}")
    assert "is no baseline" in str(run("perf", "check", *place, "--baseline", str(file)).exception)
    days = [json.loads(line) for line in run("perf", "history", *place, "--json").output.splitlines()]
    assert sum(day["speed"]["samples"] for day in days) == 60
    assert run("perf", "history", *place, "--size", "huge").output == "No job made anything in this time.\n"


def costing(usd: float, **changes):
    """A receipt of a job that is no other's."""
    parts = CostParts(cpu=usd)
    return receipt(source=file_record(size_bytes=10**6), usd=usd, usd_parts=parts, **{"clip": None, **changes})


def total_of(folder: Path) -> dict:
    done = run("costs", "--receipts", str(folder), "--since", "2026-11-01", "--json")
    return json.loads(done.output)["report"]["total"]


def test_receipts_are_enough_without_a_service(tmp_path) -> None:
    lines = to_json(costing(0.02, job="a")) + b"\n" + to_json(costing(0.02, job="b"))
    (tmp_path / "receipts.ndjson").write_bytes(lines + b"\nno json\n[]\n")
    (tmp_path / "other.json").write_text('{"event": "receipt", "schema": 0}')
    (tmp_path / "folder.json").mkdir()
    assert total_of(tmp_path)["usd"] == pytest.approx(0.04)
    assert run("costs", "--receipts", str(tmp_path), "--since", "2027-01-01").output == "No job ended in this time.\n"


def test_a_job_is_counted_once_in_however_many_files_its_receipt_is(tmp_path) -> None:
    one = costing(0.02)
    (tmp_path / "log.ndjson").write_bytes(to_json(one) + b"\n" + to_json(costing(0.02, job="another")) + b"\n")
    (tmp_path / "one.json").write_bytes(to_json(one))
    # tried again under the same name
    (tmp_path / "again.json").write_bytes(to_json(costing(0.02, started_at="2026-11-21T01:00:00+00:00")))
    total = total_of(tmp_path)
    assert (total["jobs"], total["usd"]) == (3, pytest.approx(0.06))


def test_receipts_are_read_however_they_are_written(tmp_path) -> None:
    (tmp_path / "indented.json").write_bytes(msgspec.json.format(to_json(costing(0.02, job="a")), indent=2))
    listed = [json.loads(to_json(costing(0.02, job=name))) for name in "bc"]
    (tmp_path / "listed.json").write_text(json.dumps(listed, indent=1))
    odd = [to_json(costing(0.02, job=name, input="a\u2028b\x85c.mp4")) for name in "de"]
    (tmp_path / "odd.jsonl").write_bytes(b"\r\n".join(odd))
    assert total_of(tmp_path)["jobs"] == 5


@pytest.mark.parametrize("when", ["yesterday", "", "9999-12-31T23:59:59.9+00:00"])
def test_a_receipt_without_a_time_is_passed_over(when, tmp_path) -> None:
    (tmp_path / "good.json").write_bytes(to_json(costing(0.02)))
    (tmp_path / "bad.json").write_bytes(to_json(costing(0.02, job="bad", started_at=when)))
    assert total_of(tmp_path)["jobs"] == 1
