"""What every test tier shares: where modules of the tests are, and the rule that CI skips no tier."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
sys.path[:0] = [
    str(TESTS),
    *(
        str(TESTS / folder)
        for folder in ("golden", "media", "corpus", "fake_nvidia", "gpu", "contract", "transcribe", "service", "deploy")
    ),
]

import forked_program  # noqa: E402

import driver  # noqa: E402
from databases import database_url, new_postgres, postgres_server, postgres_url  # noqa: E402, F401 - fixtures of all tiers

# A run started in the background ignores these, and so would every child whose dying by them is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(_number, signal.SIG_DFL)

# How long an example takes is nobody's fault on a busy machine.
hypothesis.settings.register_profile("untimed", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")

# for machines with a GPU: `make test-gpu`
collect_ignore = [] if os.environ.get("REELPRESS_TEST_GPU") else ["hardware"]

TIERS = (
    "unit",
    "golden",
    "media",
    "faults",
    "contract",
    "service",
    "browser",
    "transcribe",
    "corpus",
    "fake_nvidia",
    "gpu",
    "deploy",
    "monitoring",
)
_BUILDS = ("bundled", "path")
_BUILD_PARAMS = ("host", "ffmpeg_path", "build", "one", "origin")
_WHOLE_RUN = 3000  # tests; a folder or two have fewer
_ran: Counter[str] = Counter()
_skipped: Counter[str] = Counter()


@pytest.fixture(scope="session")
def fake_nvidia(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> driver.FakeNvidia:
    """The fake NVIDIA driver, built once for as long as its sources stay as they are."""
    cache = pytestconfig.cache
    try:
        libraries = driver.build(cache.mkdir("fake_nvidia") if cache else tmp_path_factory.mktemp("built"))
    except driver.CannotBuildError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must build the fake NVIDIA driver: {error}")
        pytest.skip(f"the fake NVIDIA driver cannot be built: {error}")
    return driver.FakeNvidia(libraries, tmp_path_factory.mktemp("fake_nvidia"))


@pytest.fixture(scope="session", autouse=True)
def _looks_cost_less() -> Iterator[None]:
    """One process that looks at files are forked from, as in a worker: thousands of starts of Python less."""
    from reelpress.probe.media import for_many_files

    with for_many_files():
        yield
    forked_program.close()


@pytest.fixture
def no_nursery() -> Iterator[None]:
    """Nobody keeps a process to look with: each look starts one of its own, unless the test keeps one."""
    from reelpress.probe import nursery
    from reelpress.probe.start import nursery_argv

    kept, keepers = nursery._kept, nursery._keepers
    if kept is not None:
        kept.close()
    nursery._kept, nursery._keepers = None, 0
    yield
    nursery._kept, nursery._keepers = kept and nursery.Nursery(nursery_argv()), keepers


@pytest.fixture
def no_descriptor_left(no_nursery: None) -> Iterator[None]:
    """The test closes what it opens; who keeps a process looks at it now and then, with a descriptor."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper model that knows nothing."""
    from whisper_model import make_model

    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def _turn(item: pytest.Item, params: dict[str, object]) -> int:
    """Return the sum of the places that a combination's values have in their parametrizations."""
    turn = 0
    for mark in item.iter_markers("parametrize"):
        names = [name.strip() for name in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
        if not {*names} & {*_BUILD_PARAMS}:
            mine = [params[name] for name in names]
            cases = [list(getattr(case, "values", case if len(names) > 1 else [case])) for case in mark.args[1]]
            turn += cases.index(mine)
    return turn


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a whole run, cases that are there for both FFmpegs are taken with one and the other in turn.

    Those marked ``thorough`` are left out then, and of those marked ``by_turns`` every second combination of their
    other parameters, as on a chessboard. ``REELPRESS_THOROUGH=1`` takes all, and so does a run of some of the tests.
    """
    if len(items) < _WHOLE_RUN or os.environ.get("REELPRESS_THOROUGH"):
        return
    turns: dict[str, dict[tuple[str, ...], str]] = {}
    kept, left = [], []
    for item in items:
        if item.get_closest_marker("thorough"):
            left.append(item)
            continue
        params: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
        if item.get_closest_marker("by_turns") and _turn(item, params) % 2:
            left.append(item)
            continue
        build = next((str(params[name]) for name in _BUILD_PARAMS if params.get(name) in _BUILDS), None)
        if build is None:
            kept.append(item)
            continue
        of_module = turns.setdefault(str(item.path), {})
        others = (item.name.partition("[")[0], *(str(v) for k, v in sorted(params.items()) if k not in _BUILD_PARAMS))
        turn = of_module.setdefault(others, _BUILDS[len(of_module) % 2])
        (kept if build == turn else left).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names that are no UTF-8 stand in what tests log, and reports go from process to process as UTF-8."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    tier = report.nodeid.split("/")[1] if "/" in report.nodeid else ""
    if report.when == "call" and not report.skipped:
        _ran[tier] += 1
    elif report.skipped:
        _skipped[tier] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for tier in TIERS:
        if _ran[tier] or _skipped[tier]:
            terminalreporter.write_line(f"tier {tier}: {_ran[tier]} ran, {_skipped[tier]} skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a tier of which more was skipped than ran is a failure, whatever the reason."""
    if hasattr(session.config, "workerinput"):  # one of several processes, which has seen a part
        return
    idle = [t for t in TIERS if _skipped[t] > _ran[t]]
    if os.environ.get("CI") == "true" and idle and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nCI must not skip a tier: {', '.join(idle)}")
