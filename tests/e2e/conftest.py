"""Services for end-to-end tests: each a real process with a database of its own, ended by SIGTERM with exit 0."""

import shutil
import time
from collections.abc import Callable, Iterator
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
    stop_all(started)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service with the default settings for all tests of a file."""
    service = Service(tmp_path_factory.mktemp("service"))
    yield service.ready()
    stop_all([service])


@pytest.fixture(scope="session")
def told_line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that holds two weeks of the demo line, which nobody goes on with: numbers that stand still."""
    folder = tmp_path_factory.mktemp("demo")
    service = Service(folder, "--demo", "--database", "sqlite:///tcps.db", env={"TCPS_DEMO_DAYS": "14"}).ready()

    def quiet() -> bool:
        """Once its history is told, the simulation goes on at a pace of seconds."""
        before = service.log().count("\n")
        time.sleep(1)
        return before > 3000 and service.log().count("\n") - before < 20

    wait_until(quiet, "the end of the demo's history", 60)
    service.stop()
    return service.database


@pytest.fixture(scope="module")
def demo_line(told_line: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a copy of that database."""
    folder = tmp_path_factory.mktemp("line")
    shutil.copy(told_line, folder / "tcps.db")
    service = Service(folder)
    yield service.ready()
    stop_all([service])


def stop_all(services: list[Service]) -> None:
    """Ends every one, and only then complains of those that didn't end cleanly."""
    faults = []
    for service in services:
        try:
            if service.running():
                service.stop()
        except AssertionError as fault:
            faults.append(str(fault))
        finally:
            service.kill()
    assert not faults, faults
