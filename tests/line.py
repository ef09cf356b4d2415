"""A line for tests: the whole service without its web, on a real database, with a clock that the test moves."""

from pathlib import Path
from typing import Any

import msgspec

from exporter import registry
from exporter.host_settings import configured
from exporter.service import Service

NOW = 1_795_500_000_000  # 2026-11-24T06:00:00Z
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class Line:
    """`now` (ms) is what its clock says. `document` and `metrics` read a snapshot taken at that moment."""

    def __init__(self, folder: Path, **flags: Any):
        self.now = NOW
        self.folder = folder
        self._registry = registry.discover()
        database = {"database": f"sqlite:///{folder}/line.db"}
        self.settings = configured(self._registry.settings, environ={}, flags=database | flags)
        self.open()

    def open(self) -> None:
        self.service = Service(self.settings, self._registry, now=lambda: self.now)
        self.service.open()
        self.service.catch_up()

    def restart(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.service.stop()

    def call(self, command: str, **body: Any) -> Any:
        """The result as plain data. Raises: Refusal."""
        return msgspec.to_builtins(self.service.call(command, body, by="tester"))

    def document(self, name: str) -> Any:
        rendered = self.service.snapshots.collect().documents[name]
        assert rendered is not None
        return msgspec.json.decode(rendered.at(self.now))

    def metrics(self) -> dict[str, float]:
        """Samples by their line, such as tcps_kanban_wip{bucket="cost"}."""
        self.service.snapshots.collect()
        lines = self.service.telemetry.render().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}
