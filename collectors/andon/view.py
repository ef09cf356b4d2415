"""Open andons and how long the line takes to answer and to resolve. It remembers open ones and the ten newest."""

from collections import Counter as Count
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from collectors.andon.facts import Acknowledged, Escalated, Raised, Resolved
from collectors.andon.rules import SEVERITIES
from exporter.contract import Counter, Durations, Fact, Histogram, Reading, Settings, Struct, View

MINUTE = 60_000
HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
BOUNDS = (
    MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR,
    16 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY,
)  # fmt: skip
NEWEST = 10


class Known(msgspec.Struct):
    """What is remembered of an andon. ended_at None: not resolved."""

    id: str
    failure_type: str
    sku_id: str
    stage: str | None
    severity: str
    status: str
    timestamp: int
    ended_at: int | None = None


class Event(Struct):
    """One of the ten newest; elapsed until now, or until it was resolved."""

    id: str
    failure_type: str
    sku_id: str
    stage: str | None
    severity: str
    status: str
    elapsed_seconds: float
    timestamp: int


class Severities(Struct):
    critical: int
    warning: int
    info: int


class AndonDocument(Struct):
    """Open means not resolved. Means are null where nothing was answered or resolved in the window."""

    total_open: int
    by_severity: Severities
    unacknowledged: int
    mtta_seconds: float | None
    mttr_seconds: float | None
    recent_events: list[Event]


class Andon(View):
    open: dict[str, Known]
    newest: list[Known]
    raised: dict[str, Counter]
    answered_in: Durations
    resolved_in: Durations
    answer_times: Histogram
    resolve_times: Histogram

    def __init__(self, settings: Settings, since: int):
        window = settings["windows.andon"]
        self.open, self.newest = {}, []
        self.raised = {severity: Counter() for severity in SEVERITIES}
        self.answered_in, self.resolved_in = Durations(window, since), Durations(window, since)
        self.answer_times, self.resolve_times = Histogram(BOUNDS), Histogram(BOUNDS)
        self._stopping = settings["stopping_severities"]

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return {
            "andon.raised": self.raise_,
            "andon.acknowledged": self.acknowledge,
            "andon.escalated": self.escalate,
            "andon.resolved": self.resolve,
        }

    def raise_(self, fact: Fact) -> None:
        data: Raised = fact.data
        known = Known(
            data.event_id, data.failure_type, data.sku_id, data.stage, data.severity, "open", fact.occurred_at
        )
        self.open[known.id] = known
        self.raised[known.severity].add(1)
        self.newest.insert(0, known)  # of the same moment the last one first
        self.newest.sort(key=lambda one: one.timestamp, reverse=True)
        del self.newest[NEWEST:]

    def acknowledge(self, fact: Fact) -> None:
        data: Acknowledged = fact.data
        self._mark(data.event_id, "acknowledged")
        self.answered_in.add(fact.occurred_at, data.waited_ms)
        self.answer_times.add(data.waited_ms)

    def escalate(self, fact: Fact) -> None:
        data: Escalated = fact.data
        assert data.event_id in self.open, "only open andons escalate"

    def resolve(self, fact: Fact) -> None:
        data: Resolved = fact.data
        self._mark(data.event_id, "resolved", fact.occurred_at)
        del self.open[data.event_id]
        self.resolved_in.add(fact.occurred_at, data.stopped_ms)
        self.resolve_times.add(data.stopped_ms)

    def _mark(self, name: str, status: str, ended_at: int | None = None) -> None:
        """After a checkpoint was loaded, an open andon and its place among the newest are two objects."""
        for known in (self.open[name], *(one for one in self.newest if one.id == name)):
            known.status, known.ended_at = status, ended_at

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        self.answered_in.advance(now)
        self.resolved_in.advance(now)
        opened = Count(known.severity for known in self.open.values())
        waiting = Count(known.severity for known in self.open.values() if known.status == "open")
        document = AndonDocument(
            total_open=len(self.open),
            by_severity=Severities(**{severity: opened[severity] for severity in SEVERITIES}),
            unacknowledged=waiting.total(),
            mtta_seconds=_seconds(self.answered_in.mean()),
            mttr_seconds=_seconds(self.resolved_in.mean()),
            recent_events=[_event(known, now) for known in self.newest],
        )
        return Reading(document, self._values(opened, waiting))

    def _values(self, opened: Mapping[str, int], waiting: Mapping[str, int]) -> dict[str, Any]:
        oldest: dict[tuple[str, ...], float | None] = {}
        for known in self.open.values():
            key = (known.severity,)
            oldest[key] = min(oldest.get(key) or known.timestamp / 1000, known.timestamp / 1000)
        stopped = {known.sku_id for known in self.open.values() if known.severity in self._stopping}
        return {
            "tcps_andon_events_open": len(self.open),
            "tcps_andon_events_by_severity": {(severity,): opened[severity] for severity in SEVERITIES},
            "tcps_andon_unacknowledged": {(severity,): waiting[severity] for severity in SEVERITIES},
            "tcps_andon_events_total": {(severity,): count.highest for severity, count in self.raised.items()},
            "tcps_andon_oldest_open_timestamp_seconds": oldest,
            "tcps_andon_time_to_acknowledge_seconds": {(): self.answer_times.read()},
            "tcps_andon_time_to_resolve_seconds": {(): self.resolve_times.read()},
            "tcps_skus_stopped": len(stopped),
        }


def _event(known: Known, now: int) -> Event:
    return Event(
        id=known.id, failure_type=known.failure_type, sku_id=known.sku_id, stage=known.stage, severity=known.severity,
        status=known.status, timestamp=known.timestamp,
        elapsed_seconds=max(0, (known.ended_at or now) - known.timestamp) / 1000,
    )  # fmt: skip


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
