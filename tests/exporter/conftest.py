"""Fixtures of the host's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exporter.notes import sql
from tests.exporter.plugged import Plugged
from tests.exporter.plugin import NOTES


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Plugged]:
    """A line with a plugin that writes notes."""
    line = Plugged(tmp_path, NOTES)
    line.service.store.write(sql("CREATE TABLE note (text TEXT UNIQUE)"))
    yield line
    line.close()
