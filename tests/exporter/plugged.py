"""A line with plugins of a test's own."""

from pathlib import Path
from typing import Any

import msgspec

from exporter import registry
from exporter.contract import Collector
from exporter.registry import Registry
from tests.line import Line


class Plugged(Line):
    """A line on which more collectors are installed, or others in place of those of their names."""

    def __init__(self, folder: Path, *plugins: Collector, last: bool = False):
        folder.mkdir(exist_ok=True)
        self.plugins, self.last = plugins, last
        super().__init__(folder)

    def open(self) -> None:
        found = registry.discover()
        names = {plugin.name for plugin in self.plugins}
        others = [collector for collector in found if collector.name not in names]
        order = [*others, *self.plugins] if self.last else [*self.plugins, *others]
        self._registry = Registry(order, found.packages)
        super().open()

    def successes(self) -> dict[str, int]:
        health = self.service.snapshots.collect().collectors
        return {name: int(one.success) for name, one in health.items()}

    def shown(self, name: str) -> Any:
        rendered = self.service.snapshots.collect().documents[name]
        return None if rendered is None else msgspec.json.decode(rendered.at(self.now))
