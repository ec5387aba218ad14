"""Every gcloud line of the repository is one that gcloud takes; and a wrong one is found, both ways."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

import gcloud_lines

# What must be refused by the real parser and by the recorded grammar alike: commands of the plans that do not exist,
# and one wrong thing each in lines that are right without it.
WRONG = (
    "billing export list",
    "monitoring time-series list",
    "run deploy w --image=i --gpu-types=nvidia-l4",
    "run deploy w --image=i --concurrency=many",
    "run deploy w --image=i --execution-environment=gen3",
    "run deploy w --image=i --set-secrets=REELPRESS_DATABASE_URL",
    "run deploy w --image=i --add-volume=name=scratch,kind=in-memory",
    "run deploy w --image=i --no-traffic=canary",
    "run jobs deploy d --image=i --gpu=1",
    "run services describe",
    "tasks queues create q --location=r --max-attempts=often",
    "tasks queues create q --location=r --dispatch-deadline=1800s",
    "billing budgets create --display-name=d --budget-amount=1USD",
    "monitoring dashboards create",
    "alpha monitoring policies create --policy-from-file=no/such/file.json",
)


@pytest.fixture(scope="module")
def lines() -> dict[str, list[list[str]]]:
    return gcloud_lines.collect()


@pytest.fixture(scope="module")
def grammar() -> dict[str, Any]:
    return json.loads(gcloud_lines.GRAMMAR.read_text())  # type: ignore[no-any-return]


def test_lines_are_found_where_they_are_known_to_be(lines: dict[str, list[list[str]]]) -> None:
    for name in ("make deploy-worker-gpu", "make create-queue", "docs/deploy.md", "deploy/cloudbuild.prod.yaml"):
        assert lines.get(name), name


def test_the_recorded_grammar_takes_every_line(lines: dict[str, list[list[str]]], grammar: dict[str, Any]) -> None:
    refused = {
        f"{where}: {' '.join(argv)}": why
        for where, argvs in lines.items()
        for argv in argvs
        if (why := gcloud_lines.refusal(argv, grammar))
    }
    assert refused == {}, "if gcloud takes them, run `make gcloud-grammar`"


@pytest.mark.parametrize("line", WRONG)
def test_the_recorded_grammar_refuses(line: str, grammar: dict[str, Any]) -> None:
    assert gcloud_lines.refusal(line.split(), grammar) is not None


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed: the recorded grammar stands in")
def test_gcloud_itself_takes_every_line_and_refuses_every_wrong_one(lines: dict[str, list[list[str]]]) -> None:
    right = sorted({tuple(argv) for argvs in lines.values() for argv in argvs})
    wrong = [line.split() for line in WRONG] + gcloud_lines.collect_false()
    answer = gcloud_lines.ask(lines=[*right, *wrong])
    assert answer is not None
    refused = [(" ".join(argv), why) for argv, why in zip(right, answer["lines"], strict=False) if why]
    assert refused == []
    taken = [argv for argv, why in zip(wrong, answer["lines"][len(right) :], strict=True) if why is None]
    assert taken == []


def test_documents_name_the_commands_of_the_plans_that_do_not_exist(grammar: dict[str, Any]) -> None:
    false = gcloud_lines.collect_false()
    assert ["billing", "export", "list"] in false
    assert ["monitoring", "time-series", "list"] in false
    assert [argv for argv in false if gcloud_lines.refusal(argv, grammar) is None] == []


@pytest.mark.parametrize(
    ("text", "suffix", "found"),
    [
        ("```sh\ngcloud run deploy w \\\n  --image=i | tee log\n```", ".md", [["run", "deploy", "w", "--image=i"]]),
        (
            '```sh\nfor p in *; do\n  gcloud a b --file="$p" --url="$(gcloud run c --format=\'value(x)\')"\ndone\n```',
            ".md",
            [["a", "b", "--file=/dev/null", "--url=VALUE"], ["run", "c", "--format=value(x)"]],
        ),
        ("see gcloud run deploy", ".md", []),
        (
            "  - |\n    if gcloud run services list; then gcloud a b; fi",
            ".yaml",
            [["run", "services", "list"], ["a", "b"]],
        ),
        ("\t@URL=$$(gcloud run services describe w) x", "", [["run", "services", "describe", "w"]]),
    ],
)
def test_lines_are_read_as_a_shell_reads_them(text: str, suffix: str, found: list[list[str]]) -> None:
    assert gcloud_lines._in_text(text, suffix) == found
