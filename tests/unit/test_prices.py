"""Price lists and what a job is charged by them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from reelpress.api import policy_from
from reelpress.bookkeeping import Book
from reelpress.errors import UsageError
from reelpress.observe.prices import by_cpu_hour, choose_rates, price_book, storage_rates, tariff
from reelpress.receipt import CostParts
from reelpress.settings import load

from factories import gpu_host, host

DOCS = Path(__file__).resolve().parents[2] / "docs"


def chosen(named, *, own_file=None, environ=None, has_gpu=False, gpu_hour=None):
    return choose_rates(
        named, own_file=own_file, usd_per_cpu_hour=0.0864, usd_per_gpu_hour=gpu_hour, environ=environ or {},
        has_gpu=has_gpu,
    )  # fmt: skip


def on(rates, **more):
    return tariff(rates, **{"cores": 4, "memory_mb": 16_384, "has_gpu": True, **more})


def test_every_list_says_where_and_when_it_was_seen() -> None:
    book = price_book()
    for row in (*book.compute, *book.storage):
        assert row.source.startswith("https://")
        assert re.fullmatch(r"20[0-9]{2}-[01][0-9]", row.seen)


def test_the_document_has_the_figures_of_the_lists() -> None:
    page = (DOCS / "costs.md").read_text()
    for row in price_book().compute:
        line = next(line for line in page.splitlines() if line.startswith(f"| `{row.name}` |"))
        cells = [cell.strip().split(" ")[0] for cell in line.split("|")]
        gpu = "-" if row.usd_per_gpu_s is None else row.usd_per_gpu_s
        assert [float(cells[2]), float(cells[3])] == [row.usd_per_vcpu_s, row.usd_per_gib_s]
        assert cells[4] == gpu or float(cells[4]) == gpu
        assert cells[5] == row.seen
    for row in price_book().storage:
        line = next(line for line in page.splitlines() if line.startswith(f"| `{row.name}` |"))
        cells = [cell.strip() for cell in line.split("|")]
        assert (float(cells[2]), float(cells[3]), cells[4]) == (
            row.usd_per_gib_month,
            row.usd_per_gib_egress,
            row.seen,
        )


def test_an_instance_is_charged_whole_by_the_clock_and_shared_by_its_jobs() -> None:
    rates = chosen("cloud-run-l4")
    parts = on(rates).cost(wall_s=60, cpu_s=1, gpu_s=10)
    assert parts.cpu == pytest.approx(60 * 4 * 0.000018)
    assert parts.memory == pytest.approx(60 * 16 * 0.000002)
    assert parts.gpu == pytest.approx(60 * 0.0001867)
    shared = on(rates, at_once=4).cost(wall_s=60, cpu_s=1)
    assert shared.usd == pytest.approx(parts.usd / 4)
    assert "shared by 4 jobs" in on(rates, at_once=4).text


def test_memory_that_is_not_known_is_no_free_memory() -> None:
    assert on(chosen("cloud-run-cpu"), memory_mb=None).cost(wall_s=60, cpu_s=1).memory is None


def test_time_on_a_gpu_without_a_price_is_said_and_not_invented() -> None:
    here = gpu_host()
    book = Book(policy_from(load({"prices": "cpu-hour"}, environ={}, env_file=None)).tariff(here))
    with book.stage("encode"):
        book.spend(36.0, gpu_s=10.0)
    receipt = book.receipt("j", "in", here)
    assert receipt.usd == pytest.approx(36 * 0.0864 / 3600, abs=1e-8)
    assert receipt.usd_parts.gpu is None
    assert "no price is known for gpu" in receipt.usd_basis
    assert receipt.stages[0].gpu_s == 10.0
    priced = on(chosen("cpu-hour", gpu_hour=0.72)).cost(wall_s=99, cpu_s=0, gpu_s=10)
    assert priced.gpu == pytest.approx(10 * 0.72 / 3600)


def test_a_job_without_a_gpu_costs_what_its_cpu_seconds_cost_as_before() -> None:
    book = Book(policy_from(load({}, environ={}, env_file=None)).tariff(host()))
    with book.stage("encode"):
        book.spend(3600.0)
    receipt = book.receipt("j", "in", host())
    assert receipt.usd == 0.0864
    assert receipt.usd_parts == CostParts(cpu=0.0864)
    assert receipt.usd_basis == "CPU seconds of child processes at 0.0864 USD per core and hour"


def test_auto_knows_cloud_run_by_its_environment() -> None:
    assert chosen("auto").name == "cpu-hour"
    assert chosen("auto", environ={"K_SERVICE": "video"}).name == "cloud-run-cpu"
    assert chosen("auto", environ={"K_SERVICE": "video"}, has_gpu=True).name == "cloud-run-l4"
    assert on(chosen("own:0.36/h")).cost(wall_s=10, cpu_s=99).usd == pytest.approx(0.001)


def test_an_instance_without_a_gpu_is_charged_none_whatever_an_hour_of_one_costs() -> None:
    without = chosen("auto", environ={"K_SERVICE": "video"}, gpu_hour=0.72)
    assert on(without, has_gpu=False).cost(wall_s=60, cpu_s=1).gpu == 0.0
    assert "GPU" not in on(without, has_gpu=False).text
    # the price stands in for a list's own, whatever became of the GPU, and for one that a list does not say
    of_list = on(chosen("cloud-run-l4", gpu_hour=0.72), has_gpu=False).cost(wall_s=60, cpu_s=1)
    of_machine = on(chosen("cloud-run-cpu", gpu_hour=0.72, has_gpu=True)).cost(wall_s=60, cpu_s=1)
    assert of_list.gpu == of_machine.gpu == pytest.approx(60 * 0.72 / 3600)


def test_a_price_of_a_machine_as_a_whole_has_its_gpu(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text("[[compute]]\nname = 'a'\ntitle = ''\nbilled = 'instance'\nusd_per_machine_s = 0.5\n")
    whole = on(chosen("a", own_file=str(file), gpu_hour=0.72, has_gpu=True)).cost(wall_s=60, cpu_s=1, gpu_s=9)
    assert whole.usd == 30.0


@pytest.mark.parametrize("named", ["cloud-run-t4", "own:free/h", "own:-1/h", "own:1", "CLOUD RUN"])
def test_a_list_that_is_none_is_refused_with_those_that_are(named: str) -> None:
    with pytest.raises(UsageError) as raised:
        chosen(named)
    assert "cloud-run-l4" in (raised.value.hint or "")


def test_an_own_file_goes_before_ours(tmp_path: Path) -> None:
    page = (DOCS / "costs.md").read_text()
    example = tmp_path / "prices.toml"
    example.write_text(page.split("```toml\n")[1].split("```")[0])
    assert chosen("our-g2", own_file=str(example)).usd_per_gpu_s == 0.00011
    assert chosen("cloud-run-l4", own_file=str(example)).usd_per_gpu_s == 0.0001867
    minio = storage_rates("our-minio", "s3://videos", endpoint="http://minio", own_file=str(example))
    assert minio is not None
    assert minio.usd_per_gib_month == 0.004


@pytest.mark.parametrize(
    "text",
    [
        "[[compute]]\nname = 'a'\n",
        "[[compute]]\nname = 'a'\ntitle = ''\nbilled = 'often'\n",
        "[[compute]]\nname = 'a'\ntitle = ''\nbilled = 'used'\nusd_per_vcpu_s = -1.0\n",
        "[[compute]]\nname = 'a'\ntitle = ''\nbilled = 'used'\nusd_per_cpu_s = 1.0\n",
        "[[gpus]]\nname = 'a'\n",
        "compute = 3\n",
        "compute = ['x']\n",
        "storage = {name = 'a'}\n",
        "not toml",
    ],
)
def test_a_file_that_is_no_price_list_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(UsageError):
        price_book(str(file))


def test_stores_are_known_by_address_and_endpoint() -> None:
    def named(url: str, endpoint: str | None = None, choice: str = "auto") -> str | None:
        found = storage_rates(choice, url, endpoint=endpoint)
        return None if found is None else found.name

    assert named("gs://videos/x") == "gcs"
    assert named("s3://videos") == "s3"
    assert named("s3://videos", "https://s3.eu-west-1.amazonaws.com") == "s3"
    assert named("s3://videos", "https://0123.r2.cloudflarestorage.com") == "r2"
    assert named("s3://videos", "https://r2.cloudflarestorage.com.evil.example") is None
    assert named("s3://videos", "http://127.0.0.1:9000") is None
    assert named("file:///srv") is None
    assert named("gs://videos", choice="none") is None
    assert named("file:///srv", choice="r2") == "r2"
    with pytest.raises(UsageError):
        named("gs://videos", choice="glacier")


def test_parts_add_up_and_what_is_not_known_stays_so() -> None:
    one, other = CostParts(cpu=1.0, memory=2.0, gpu=None), CostParts(cpu=1.0, memory=1.0, gpu=5.0)
    assert one + other == CostParts(cpu=2.0, memory=3.0, gpu=None)
    assert (one + other).usd == 5.0
    assert msgspec.json.decode(msgspec.json.encode(one), type=CostParts) == one
    assert by_cpu_hour(3600.0).usd_per_vcpu_s == 1.0
