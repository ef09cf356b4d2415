"""The collectors that are installed, found by their entry points and checked as a whole before anything starts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import entry_points
from typing import TypeVar

from exporter.contract import Collector, Command, Door, FactKind, Guard, Metric, Query, Setting
from exporter.errors import StartupError
from exporter.host_metrics import HOST_METRICS

GROUP = "tcps_exporter.collectors"
_BRACES = re.compile(r"{[^}]*}")
T = TypeVar("T", Collector, Command, Door, FactKind, Metric, Query)


def discover() -> "Registry":
    """Raises: StartupError naming the plugin that can't be loaded."""
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            collector = point.load()
        except (Exception, SystemExit) as error:
            message = f"the collector {point.name} can't be loaded ({point.value}): {type(error).__name__}: {error}"
            raise StartupError(f"{message}; mend it or take its line out of setup.cfg and run make setup") from error
        if not isinstance(collector, Collector) or collector.name != point.name:
            raise StartupError(f"the collector {point.name} ({point.value}): expected a Collector of that name")
        found.append((point.module, collector))
    if not found:
        raise StartupError("no collector is installed; run make setup, or pip install the package again")
    return Registry([collector for _, collector in found], [module for module, _ in found])


class Registry:
    """The manifests together; everything is found here by its name. Raises: StartupError for what can't work.

    `packages` are the modules that the collectors came from.
    """

    def __init__(self, collectors: Sequence[Collector], packages: Sequence[str]):
        self.packages = packages
        self.collectors = _by_name("collector", ((c.name, c) for c in collectors))
        self.facts = _by_name("fact", ((c.name, fact) for c in collectors for fact in c.facts))
        self.commands = _by_name("command", ((c.name, command) for c in collectors for command in c.commands))
        self.queries = _by_name("query", ((c.name, query) for c in collectors for query in c.queries))
        host = [("the host", metric) for metric in HOST_METRICS]
        self.metrics = _by_name("metric", [*((c.name, metric) for c in collectors for metric in c.metrics), *host])
        self.doors = _by_name("door", ((c.name, door) for c in collectors for door in c.doors))
        self.guards = self._guards()
        self._check_facts()
        self._check_routes()
        self.reading_order = self._reading_order()

    @property
    def settings(self) -> tuple[Setting, ...]:
        return tuple(setting for collector in self.collectors.values() for setting in collector.settings)

    def owner(self, fact: str) -> Collector:
        return next(c for c in self.collectors.values() if any(kind.name == fact for kind in c.facts))

    def __iter__(self) -> Iterator[Collector]:
        return iter(self.collectors.values())

    def _guards(self) -> dict[str, list[Guard]]:
        guards: dict[str, list[Guard]] = {}
        for collector in self:
            for guard in collector.guards:
                if guard.command not in self.commands:
                    raise StartupError(f"{collector.name} guards {guard.command}, which no collector offers")
                guards.setdefault(guard.command, []).append(guard)
        return {command: sorted(each, key=lambda guard: guard.raises.rank) for command, each in guards.items()}

    def _check_facts(self) -> None:
        for collector in self:
            for kind in collector.reads:
                if kind not in self.facts:
                    raise StartupError(f"{collector.name} reads {kind}, which no collector writes")
            for command in collector.commands:
                if not command.name.startswith(f"{collector.name}."):
                    raise StartupError(f"the command {command.name} is not named after {collector.name}")

    def _check_routes(self) -> None:
        """No two may answer the same method and path, whatever they call what stands in braces."""
        owners: dict[tuple[str, str], str] = {}
        for collector in self:
            routes = [(command.method, command.path) for command in collector.commands if command.path]
            routes += [("GET", query.path) for query in collector.queries if query.path]
            for method, path in routes:
                route = (method, _BRACES.sub("{}", path))
                if route in owners:
                    raise StartupError(f"{method} {path} is answered by both {owners[route]} and {collector.name}")
                owners[route] = collector.name

    def _reading_order(self) -> list[Collector]:
        for collector in self:
            for other in collector.joins:
                if other not in self.collectors:
                    raise StartupError(f"{collector.name} joins the document of {other}, which is not installed")
                if collector.view and self.collectors[other].view is None:
                    raise StartupError(f"{collector.name} joins the document of {other}, which has no view to make one")
        try:
            order = TopologicalSorter({c.name: c.joins for c in self}).static_order()
            return [self.collectors[name] for name in order]
        except CycleError as error:
            raise StartupError(f"collectors join each other in a circle: {' -> '.join(error.args[1])}") from error


def _by_name(what: str, found: Iterable[tuple[str, T]]) -> dict[str, T]:
    by_name: dict[str, T] = {}
    owners: dict[str, str] = {}
    for owner, one in found:
        if one.name in by_name:
            raise StartupError(f"the {what} {one.name} is offered by both {owners[one.name]} and {owner}")
        by_name[one.name], owners[one.name] = one, owner
    return by_name
