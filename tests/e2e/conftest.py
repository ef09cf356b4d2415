"""Services for end-to-end tests: each a real process with a database of its own, ended by SIGTERM with exit 0."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Service, wait_until

Launch = Callable[..., Service]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts services in the test's own folder; whatever of them still runs at the end must end cleanly."""
    started: list[Service] = []

    def start(*arguments: str, folder: Path = tmp_path, **more: Any) -> Service:
        started.append(Service(folder, *arguments, **more))
        return started[-1].ready()

    yield start
    with ExitStack() as ends:
        for service in started:
            ends.push(service.__exit__)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service with the default settings for all tests of a file."""
    with Service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def demo_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two weeks of the demo line, which nobody goes on with: numbers that stand still."""
    folder = tmp_path_factory.mktemp("demo")
    with Service(folder, "--demo", "--database", "sqlite:///tcps.db", env={"TCPS_DEMO_DAYS": "14"}) as line:
        wait_until(line.has_told_its_history, "the end of the demo's history", 60)
    with Service(folder) as service:
        yield service
