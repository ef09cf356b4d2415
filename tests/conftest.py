"""What every test may use: options, the rule about skipped tests, and the fixtures."""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.line import Line

ROOT = Path(__file__).parent.parent
TOOLS = ROOT / ".tools"

# --- skipped tests -----------------------------------------------------------------------------------------------
# With CI=true a skipped test is a failure, unless its node id starts with a key here; the value says why it may.

ALLOWED_SKIPS: dict[str, str] = {}


def _reason_to_skip(nodeid: str) -> str | None:
    return next((reason for prefix, reason in ALLOWED_SKIPS.items() if nodeid.startswith(prefix)), None)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    expected_failure = hasattr(report, "wasxfail")
    if os.environ.get("CI") != "true" or not report.skipped or expected_failure or _reason_to_skip(report.nodeid):
        return
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} may not be skipped in CI ({why}); see ALLOWED_SKIPS in tests/conftest.py"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for prefix, reason in ALLOWED_SKIPS.items():
        terminalreporter.write_line(f"may be skipped: {prefix}: {reason}")


# --- options -----------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


# --- the surroundings --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real inputs with known answers, beside the repository; for tests marked real_data."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def tool() -> Callable[[str], Path]:
    """Finds a Debian program by name, `tool("promtool")`: unpacked by `make tools`, or else on PATH."""

    def find(name: str) -> Path:
        places = os.pathsep.join([str(TOOLS / "usr/bin"), str(TOOLS / "usr/sbin"), os.environ.get("PATH", "")])
        found = shutil.which(name, path=places)
        if found is None:
            pytest.skip(f"no {name} in .tools or on PATH: run make tools")
        return Path(found)

    return find


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """The service on a fresh database, its clock standing at 2026-11-24T06:00Z until the test moves it."""
    line = Line(tmp_path)
    yield line
    line.close()
