"""All numbers of one moment, immutable: whatever is shown anywhere is a reading of the same snapshot."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec
from gevent.lock import RLock

from exporter import clock
from exporter.clock import Clock
from exporter.contract import Collector, Reading, Values
from exporter.fold import Fold
from exporter.registry import Registry
from exporter.settings import Settings


@dataclass(frozen=True)
class Rendered:
    """A document as collected at `timestamp`; its age is filled in when it is sent."""

    timestamp: int
    stale: bool
    window_seconds: int | None
    value: Any
    body: bytes

    def at(self, now: int) -> bytes:
        """The JSON with its age in whole seconds, so that a body can be kept for a second."""
        age = max(0, now - self.timestamp) // 1000
        window = "null" if self.window_seconds is None else self.window_seconds
        head = f'{{"timestamp":{self.timestamp},"age_seconds":{age},"window_seconds":{window},'
        stale = "true" if self.stale else "false"
        rest = self.body[1:]
        return f'{head}"stale":{stale}'.encode() + (b"," if rest != b"}" else b"") + rest


@dataclass(frozen=True)
class Health:
    """How a collector's last reading went. `last_success` in milliseconds, 0 before the first."""

    success: bool
    duration: float
    last_success: int
    error: str | None = None


@dataclass(frozen=True)
class Snapshot:
    at: int = 0
    seq: int = 0
    documents: Mapping[str, Rendered | None] = field(default_factory=dict)
    values: Mapping[str, Values] = field(default_factory=dict)
    collectors: Mapping[str, Health] = field(default_factory=dict)

    def all_at(self, now: int) -> bytes:
        """{overview, quality, ..., timestamp}"""
        parts = [f'"{name}":'.encode() + (one.at(now) if one else b"null") for name, one in self.documents.items()]
        return b"{" + b",".join(parts) + f',"timestamp":{self.at}}}'.encode()


Failed = Callable[[str, str], None]


class _Good(NamedTuple):
    """A collector's last reading that succeeded, and when."""

    at: int
    reading: Reading
    rendered: Rendered | None


class Snapshots:
    """Takes snapshots; `current` is the newest. `failed` hears (collector, error) of a reading that raised."""

    def __init__(self, registry: Registry, fold: Fold, settings: Settings, now: Clock, failed: Failed):
        self._registry, self._fold, self._settings, self._now = registry, fold, settings, now
        self._failed = failed
        self._lock = RLock()
        self._begun = 0
        self._failure: Exception | None = None
        self._good: dict[str, _Good] = {}
        self.current = Snapshot()

    def collect(self) -> Snapshot:
        """A snapshot that holds all that was committed before this call. Calls that wait for one share it.

        Raises: LedgerGap, or Unavailable where the ledger can't be read; `current` is then still the last one.
        """
        asked = self._begun
        with self._lock:
            if self._begun > asked:
                if self._failure:
                    raise self._failure
                return self.current
            self._begun += 1
            try:
                self._fold.catch_up()
                self.current, self._failure = self._take(), None
            except Exception as error:
                self._failure = error
                raise
            return self.current

    def _take(self) -> Snapshot:
        now = self._now()
        documents: dict[str, Rendered | None] = {}
        values: dict[str, Values] = {}
        health: dict[str, Health] = {}
        stale: set[str] = set()
        for collector in self._registry.reading_order:
            if collector.view is None:
                continue
            began = clock.monotonic()
            error = self._read(collector, now)
            last = self._good[collector.name].at if collector.name in self._good else 0
            health[collector.name] = Health(error is None, clock.monotonic() - began, last, error)
            if error or stale.intersection(collector.joins):
                stale.add(collector.name)
            good = self._fresh(collector.name, now)
            values.update(good.reading.values if good else {})
            if collector.document:
                rendered = good.rendered if good else None
                documents[collector.name] = rendered and replace(rendered, stale=collector.name in stale)
        ordered = {c.name: documents[c.name] for c in self._registry if c.name in documents}
        return Snapshot(now, self._fold.seq, ordered, values, health)

    def _read(self, collector: Collector, now: int) -> str | None:
        """Keeps a good reading; the error's text otherwise."""
        name = collector.name
        error = self._fold.broken.get(name)
        if error is None:
            try:
                joined = {other: self._document(other, now) for other in collector.joins}
                reading = self._fold.views[name].read(now, joined)
                self._good[name] = _Good(now, reading, self._render(collector, reading, now))
            except Exception as raised:
                error = f"{type(raised).__name__}: {raised}"
                self._failed(name, error)
        return error

    def _fresh(self, name: str, now: int) -> "_Good | None":
        """The last good reading, unless it is older than may be shown."""
        good = self._good.get(name)
        return good if good and now - good.at <= self._settings["cache_ttl"] else None

    def _document(self, name: str, now: int) -> Any:
        good = self._fresh(name, now)
        return good.reading.document if good else None

    def _render(self, collector: Collector, reading: Reading, now: int) -> Rendered | None:
        if collector.document is None:
            return None
        window = self._settings[collector.document.window] // 1000 if collector.document.window else None
        return Rendered(now, False, window, reading.document, msgspec.json.encode(reading.document))
