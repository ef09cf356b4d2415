"""The service without its web: store, ledger, views, snapshots and jobs, put together once, started and stopped."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, TextIO

import gevent
import msgspec

from exporter import __version__, clock, migrations
from exporter.clock import Clock
from exporter.commands import Commands
from exporter.contract import Fact, Job
from exporter.errors import Refusal, StartupError, Unavailable
from exporter.fold import Fold
from exporter.ledger import Ledger, Staged
from exporter.logs import Log
from exporter.queries import Look
from exporter.registry import Registry
from exporter.settings import Settings
from exporter.snapshot import Snapshots
from exporter.statements import Rows
from exporter.store import Store
from exporter.tallies import Tallies
from exporter.telemetry import Telemetry, revision

CHECKPOINT_SECONDS = 60


class Service:
    """`open` makes it ready for commands, `start` lets it collect and work by itself, `stop` ends it cleanly.

    It is what doors and jobs are given (contract.Actions). `state`: opening, folding, ready, stopping. `out` is where
    its log goes. Raises: StartupError.
    """

    def __init__(self, settings: Settings, registry: Registry, out: TextIO | None = None, now: Clock = clock.now):
        self.settings, self.registry, self.now = settings, registry, now
        self.tallies = Tallies(registry.metrics.values(), settings)
        self.log = Log(out, settings["log_format"], self._dropped) if out else None
        self.state = "opening"
        self.fault: str | None = None
        self.started_at = now()
        self._build = {(__version__, revision()): 1}
        self._greenlets: list[Any] = []
        self.ledger = Ledger(registry.facts, self._committed)
        self.store = Store(settings["database"], settings["write_queue"], self.ledger)
        self.commands = Commands(registry, self.store, self.ledger, settings, now, self._refused)
        self.fold = Fold(registry, self.store, self.ledger, settings, now, self._fold_failed)
        self.snapshots = Snapshots(registry, self.fold, settings, now, self._read_failed)
        self.telemetry = Telemetry(list(registry.metrics.values()), self._values, self.ledger)

    def open(self) -> None:
        """Migrates, reads the ledger's head and lets the collectors prepare. Raises: StartupError."""
        where = migrations.folders(self.registry.packages)
        with self.store.read() as rows:
            pending = migrations.pending(rows, where)
        if pending:
            migrations.migrate(self.store.path, where)
        try:
            self.store.write(lambda rows: self.ledger.open(rows, self.now()))
        except ValueError as error:
            raise StartupError(f"{self.store.path} is damaged: {error}; restore a backup") from error
        self.commands.prepare([c.prepare for c in self.registry if c.prepare], "configuration")
        self.state = "folding"

    def examine(self) -> list[str]:
        """What is wrong with the database, a line a fault. Unlike `open` it changes nothing."""
        where = migrations.folders(self.registry.packages)
        with self.store.read() as rows:
            if migrations.pending(rows, where):
                return []  # a new or older database: serve begins or migrates it
            faults = self.store.examine(rows) + self.ledger.examine(rows)
        try:
            self.commands.rehearse([c.prepare for c in self.registry if c.prepare])
        except StartupError as error:
            faults.append(str(error))
        return faults

    def catch_up(self) -> None:
        """Folds the ledger to its head and takes the first snapshot: from then on the service answers."""
        self.fold.load()
        self.snapshots.collect()
        self.state = "ready"

    def start(self) -> None:
        """Everything that time calls for, each in a greenlet of its own."""
        self._greenlets.append(gevent.spawn(self._collect))
        self._greenlets.append(gevent.spawn(self._keep))
        for collector in self.registry:
            for job in collector.jobs:
                self._greenlets.append(gevent.spawn(self._repeat, job))

    def stop(self) -> None:
        """Ends jobs, keeps a checkpoint, writes what waits and lets go of the database."""
        folded = self.state == "ready"
        self.state = "stopping"
        gevent.killall(self._greenlets)
        if folded:
            self._checkpoint()
        self.store.close()
        self.telemetry.close()
        if self.log:
            self.log.close()

    @property
    def progress(self) -> float:
        """How much of the ledger is folded, 0 to 1."""
        head = self.ledger.head
        return self.fold.seq / head if head else 0.0

    def require_ready(self) -> None:
        """Raises: Unavailable with the progress, until the views hold the whole ledger."""
        if self.state != "ready":
            details = {"state": self.state, "progress": round(self.progress, 3)}
            raise Unavailable(f"the service is {self.state}", code=self.state, retry_after=2, details=details)

    def call(self, command: str, body: Mapping[str, Any] | msgspec.Struct, by: str) -> Any:
        return self.commands.call(command, body, by)

    def call_all(self, calls: list[tuple[str, Mapping[str, Any]]], by: str) -> list[Any]:
        return self.commands.call_all(list(calls), by)

    def ask(self, query: str, **params: Any) -> Any:
        """What the query answers, true at once. Raises: Refusal."""
        with self.store.read() as rows:
            return self.look(rows).ask(query, **params)

    def look(self, rows: Rows) -> Look:
        return Look(rows, self.settings, self.now(), self.registry.queries)

    def read(self) -> AbstractContextManager[Rows]:
        return self.store.read()

    def _values(self) -> Mapping[str, Any]:
        """The newest snapshot's values, and what the host tells of itself."""
        snapshot = self.snapshots.current
        health = snapshot.collectors
        return {
            **snapshot.values,
            **self.tallies.values(),
            "tcps_build_info": self._build,
            "tcps_collector_success": {(n,): int(h.success) for n, h in health.items()},
            "tcps_collector_duration_seconds": {(n,): h.duration for n, h in health.items()},
            "tcps_collector_last_success_timestamp_seconds": {
                (n,): h.last_success / 1000 for n, h in health.items() if h.last_success
            },
            "tcps_view_lag_facts": self.ledger.head - self.fold.seq,
            "tcps_store_bytes": self.store.size(),
        }

    def _collect(self) -> None:
        while True:
            gevent.sleep(self.settings["refresh_interval"] / 1000)
            try:
                self.snapshots.collect()
                self.fault = None
            except Exception as error:
                self.fault = f"{type(error).__name__}: {error}"
                self.event("error", "collection", f"the numbers are not up to date: {error}")

    def _keep(self) -> None:
        waited = 0
        while True:
            gevent.sleep(1)
            waited += 1
            if self.store.fault:
                self._try_store()
            if waited >= CHECKPOINT_SECONDS or self.fold.due:
                waited = 0
                self._checkpoint()

    def _try_store(self) -> None:
        """A fault ends with the next write; whoever waits for health before sending any would wait for ever."""
        with suppress(Refusal):
            self.store.write(self.ledger.touch)

    def _checkpoint(self) -> None:
        """Without one the next start only takes longer, so its failure holds up nothing."""
        try:
            self.fold.checkpoint()
        except Exception as error:
            self.event("error", "checkpoint", f"{type(error).__name__}: {error}")

    def _repeat(self, job: Job) -> None:
        work = job.start(self)
        while work:
            gevent.sleep(job.every / 1000)
            try:
                work()
            except Exception as error:
                self.event("error", f"job {job.name}", f"{type(error).__name__}: {error}")

    def _dropped(self, lines: int) -> None:
        self.tallies.add("tcps_sink_failures_total", ("stdout",), lines)

    def _committed(self, written: list[tuple[int, Staged]]) -> None:
        if self.log:
            self.log.facts(written)

    def _refused(self, command: str, by: str, refusal: Refusal) -> None:
        if refusal.tally:
            self.tallies.add(*refusal.tally)
        if self.log:
            self.log.refused(command, by, refusal)

    def _fold_failed(self, collector: str, error: Exception, fact: Fact) -> None:
        self.event("error", "collector", f"{collector} can't fold {fact.kind} #{fact.seq}: {error!r}")

    def _read_failed(self, collector: str, error: str) -> None:
        self.event("error", "collector", f"{collector} can't be read: {error}")

    def event(self, level: str, event: str, message: str) -> None:
        if self.log:
            self.log.event(level, event, message)
