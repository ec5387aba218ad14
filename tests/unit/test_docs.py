"""The documents say what the program does: generated pages are current, contracts name everything that exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import get_args

import click
import pytest

from reelpress import events
from reelpress.cli.app import app
from reelpress.clips.summary import ExportSummary
from reelpress.diagnosis.findings import Build, Findings
from reelpress.diagnosis.gpu import BuildReport, GpuReport, NeededApi, SlotReport
from reelpress.diagnosis.problems import Problem
from reelpress.errors import ExitCode
from reelpress.facts.failure import FailureKind
from reelpress.facts.host import GpuPath
from reelpress.probe.gpu_finding import GpuFinding
from reelpress.receipt import AttemptRecord, CostParts, FileRecord, Gate, Receipt, Status, Verdict
from reelpress.run.breaker import CircuitReport

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "scripts"))

import write_docs  # noqa: E402


@pytest.mark.parametrize("name", write_docs.PAGES)
def test_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text() == write_docs.PAGES[name](), "run `make docs`"


def test_the_command_line_page_has_every_command() -> None:
    def names(command: click.Command, name: str) -> list[str]:
        inner = command.commands.items() if isinstance(command, click.Group) else ()
        return [name, *(found for word, one in inner for found in names(one, f"{name} {word}"))]

    headings = set(re.findall(r"^## `(.*)`$", (DOCS / "cli.md").read_text(), re.MULTILINE))
    assert set(names(app, "reelpress")) == headings


def named(page: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_A-Z]+)`", (DOCS / page).read_text()))


DOCTOR = (Findings, Build, GpuFinding, GpuReport, BuildReport, Problem, SlotReport, NeededApi, CircuitReport, GpuPath)
CONTRACTS = (ExportSummary, Receipt, CostParts, FileRecord, AttemptRecord, Gate, *DOCTOR)


@pytest.mark.parametrize("kind", CONTRACTS)
def test_json_contract_names_every_field(kind: type) -> None:
    assert set(kind.__struct_fields__) - named("json.md") == set()


def test_json_contract_names_every_event() -> None:
    kinds = {kind.__struct_config__.tag for kind in get_args(events.Event)} | {"doctor", "export"}
    assert kinds - named("json.md") == set()


@pytest.mark.parametrize("kind", get_args(events.Event))
def test_json_contract_names_every_field_of_events(kind: type) -> None:
    assert set(kind.__struct_fields__) - named("json.md") - {"event"} == set()


def test_every_word_of_the_contracts_is_explained() -> None:
    assert set(get_args(Status)) - named("errors.md") == set()
    assert set(get_args(Verdict)) - named("json.md") == set()
    assert {kind.value for kind in FailureKind} - named("errors.md") == set()
    codes = re.findall(r"^\| (\d+) \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert {int(code) for code in codes} == {int(code) for code in ExitCode}


def test_links_between_documents_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *DOCS.rglob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_document_or_module_names_a_registry_or_this_machine() -> None:
    hosts = re.compile("pypi" + r"\.org|files\." + "pythonhosted|npm" + r"js\.", re.IGNORECASE)
    files = [p for p in ROOT.rglob("*") if p.suffix in (".md", ".py", ".toml", ".lock") and ".venv" not in p.parts]
    assert [p.name for p in files if hosts.search(p.read_text(errors="replace"))] == []
