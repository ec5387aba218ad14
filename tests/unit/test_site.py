"""The documentation site: it builds strictly, tells of everything that is there, and what it tells to do works."""

from __future__ import annotations

import ast
import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelpress.facts.failure import FailureKind

import clips

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(site)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=300, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


def pages_of(site: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(site.rglob("index.html")):
        yield path.relative_to(site).parent.as_posix(), path.read_text()


def test_every_document_is_a_page(site: Path) -> None:
    expected = {"." if path.stem == "index" else path.relative_to(DOCS).with_suffix("").as_posix()
                for path in DOCS.rglob("*.md")}  # fmt: skip
    assert {name for name, _ in pages_of(site)} == expected


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for name, text in pages_of(site):
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?([^\s\">]+)", text)
        loaded += [link for link in re.findall(r"<link[^>]*>", text) if "canonical" not in link]
        assert not [each for each in loaded if "//" in each], name


def test_markdown_is_read_as_it_is_on_github(site: Path) -> None:
    """Python-Markdown leaves tables, lists and fences as text where an empty line or two spaces are missing."""
    for name, page in pages_of(site):
        article = re.search(r"<article.*?</article>", page, re.DOTALL)
        assert article is not None, name
        prose = re.sub(r"<(pre|code)\b.*?</\1>", "", article[0], flags=re.DOTALL)
        text = html.unescape(re.sub("<[^>]+>", "", prose))
        left = re.findall(r"^.*(?:\|---|`|\*\*\w|\]\([a-z]).*$|^\s*(?:-|\d+\.) .*$", text, re.MULTILINE)
        assert not left, f"{name}: {left[:3]}"


def test_links_that_lead_nowhere_and_pages_that_nobody_finds_end_the_build(tmp_path: Path) -> None:
    targets = ("nowhere.md", "other.md#no-such-heading", "../README.md", "/absolute.md")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n" + "\n".join(f"[there]({each})" for each in targets))
    for name in ("other", "forgotten"):
        (tmp_path / "docs" / f"{name}.md").write_text("# Heading\n")
    config = f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nextra_css: []\nnav: [index.md, other.md]\n"
    (tmp_path / "mkdocs.yml").write_text(config)
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert [each for each in (*targets, "forgotten.md") if each not in done.stderr] == []
    assert done.stderr.count("WARNING") == len(targets) + 1


def causes_in_code() -> set[str]:
    """Return every code that the doctor gives a cause."""
    calls = (
        node
        for path in (ROOT / "src" / "reelpress" / "diagnosis").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    )
    return {
        word.value.value
        for call in calls
        for word in call.keywords
        if word.arg == "code" and isinstance(word.value, ast.Constant)
    }


def test_every_cause_of_the_doctor_has_a_section_and_no_other() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    sections = dict(re.findall(r"^### `(\w+)`\n\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == causes_in_code()
    assert len(sections) > 20
    assert [code for code, text in sections.items() if "**Says**" not in text or "**Change**" not in text] == []


def test_troubleshooting_quotes_what_the_doctor_says() -> None:
    source = " ".join(path.read_text() for path in (ROOT / "src" / "reelpress" / "diagnosis").glob("*.py"))
    source += (ROOT / "src" / "reelpress" / "probe" / "nvml.py").read_text()
    said = re.sub(r"\s+", " ", (DOCS / "troubleshooting.md").read_text())
    quotes = [quote for quote in re.findall(r"\*\*Says\*\* \"([^\"]+)\"", said) if "13.1" not in quote]
    assert len(quotes) > 12
    plain = re.sub(r"\{library\}", "libcuda.so.1", source)
    plain += re.sub(r"\{library\}", "libnvidia-encode.so.1", source)
    assert [quote for quote in quotes if quote not in plain] == []


def test_falling_back_tells_of_classes_that_there_are() -> None:
    page = (DOCS / "fallback.md").read_text()
    asked = page.partition("## The cases")[2].partition("## How it is told")[0]
    rows = [row.split("|") for row in asked.splitlines() if row.startswith("| ")]
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row[2])}
    assert len(named) > 10
    assert named - {kind.value for kind in FailureKind} == set()


ROWS = re.findall(r"^\| ([NS]\d+) \|(.*)\|(.*)\|(.*)\|(.*)\|$", (DOCS / "features.md").read_text(), re.MULTILINE)


def test_every_requirement_has_its_row() -> None:
    assert [row[0] for row in ROWS] == [*(f"N{n}" for n in range(1, 18)), *(f"S{n}" for n in range(1, 9))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_requirement_lives_and_is_tested_where_it_says(row: tuple[str, ...]) -> None:
    _, _, lives, tested, _ = row
    for cell in (lives, tested):
        files = [name for name in re.findall(r"`([^`]+)`", cell) if "/" in name or "." in name]
        assert files
        assert [name for name in files if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", ["security.md", "add-an-encoder.md", "fallback.md", "limits.md"])
def test_files_that_pages_name_are_there(page: str) -> None:
    text = (DOCS / page).read_text().partition("```diff")[0]
    named = set(re.findall(r"`((?:tests|src|scripts|benchmarks|deploy)/[\w./-]+)`", text))
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_walk_to_a_new_encoder_leads_there(tmp_path: Path) -> None:
    page = (DOCS / "add-an-encoder.md").read_text()
    for file, name in re.findall(r"^\| [^|]+ \| `(src/[^`]+)` \| `(\w+)` \|$", page, re.MULTILINE):
        assert name in (ROOT / file).read_text(), file
    change = page.partition("```diff\n")[2].partition("```")[0]
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "apply", "-"], input=change, text=True, cwd=tmp_path, check=True)
    clips.with_sound(tmp_path / "in.mp4")
    env = os.environ | {"PYTHONPATH": str(tmp_path / "src"), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-m", "reelpress", "compress", "in.mp4", "-o", "out.mp4"]
    argv += ["--codec", "vp9", "--always-encode"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "encoded with libvpx-vp9" in done.stdout
