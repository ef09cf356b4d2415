"""How work flows: lead and cycle times, throughput, and how old the work in progress is."""

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from collectors.flow import documents as doc
from exporter.contract import DAY, HOUR, Durations, Fact, Histogram, Moments, Reading, Settings, View

ORDERS = tuple(
    f"work_orders.{what}"
    for what in (
        "created", "queued", "blocked", "started", "progressed", "completed", "reopened", "cancelled", "changed",
        "noted",
    )
)  # fmt: skip
MINUTE = 60_000
BOUNDS = (
    15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY,
    10 * DAY, 14 * DAY, 21 * DAY, 30 * DAY, 45 * DAY, 60 * DAY, 90 * DAY,
)  # fmt: skip
BANDS = (DAY, 2 * DAY, 3 * DAY)
BAND_NAMES = ("0-24h", "24-48h", "48-72h", "72h+")
SHARES = (0.5, 0.85, 0.95)
AGE_BANDS = ("under_p50", "p50_to_p85", "over_p85")
OLDEST = 10


class Active(msgspec.Struct, gc=False):
    """A work order in progress. `since` is when work began, or when it was demanded if that was never told."""

    since: int
    bucket: str
    priority: int
    stage: str | None


class Flow(View):
    active: dict[str, Active]
    oldest: list[tuple[int, str]]
    begun: dict[str, Moments]
    lead: Durations
    cycle: Durations
    lead_times: dict[str, Histogram]
    cycle_times: dict[str, Histogram]
    reopened: int

    def __init__(self, settings: Settings, since: int):
        self._buckets = list(settings.table("buckets"))
        self._throughput_window = settings["windows.throughput"]
        reach = max(self._throughput_window, 14 * DAY)
        self.active, self.oldest = {}, []
        self.begun = {bucket: Moments() for bucket in self._buckets}
        self.lead = Durations(settings["windows.lead_time"], since, reach)
        self.cycle = Durations(settings["windows.cycle_time"], since, bounds=BANDS)
        self.lead_times = {bucket: Histogram(BOUNDS) for bucket in self._buckets}
        self.cycle_times = {bucket: Histogram(BOUNDS) for bucket in self._buckets}
        self.reopened = 0

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return dict.fromkeys(ORDERS, self.fold)

    def fold(self, fact: Fact) -> None:
        name, before, now = fact.data.work_order_id, fact.data.before, fact.data.now
        if before is not None:
            if before.status == "in_progress":
                self._leave(name)
            if before.completed_at is not None:
                self._sample(before, withdraw=True)
            self.reopened += now.reopened - before.reopened
        else:
            self.reopened += now.reopened
        if now.status == "in_progress":
            self._enter(name, now)
        if now.completed_at is not None:
            self._sample(now)

    def _enter(self, name: str, order: Any) -> None:
        since = order.created_at if order.started_at is None else order.started_at
        self.active[name] = Active(since, order.bucket, order.priority, order.current_stage)
        insort(self.oldest, (since, name))
        self.begun.setdefault(order.bucket, Moments()).add(since)

    def _leave(self, name: str) -> None:
        known = self.active.pop(name)
        del self.oldest[bisect_left(self.oldest, (known.since, name))]
        self.begun[known.bucket].withdraw(known.since)

    def _sample(self, order: Any, withdraw: bool = False) -> None:
        """An order has one sample, at its last completion, however often it was reopened."""
        ended, started = order.completed_at, order.started_at
        self._count(self.lead, self.lead_times, order.bucket, ended, ended - order.created_at, withdraw)
        if started is not None and started <= ended:
            self._count(self.cycle, self.cycle_times, order.bucket, ended, ended - started, withdraw)

    def _count(
        self, window: Durations, times: dict[str, Histogram], bucket: str, ended: int, took: int, withdraw: bool
    ) -> None:
        histogram = times.get(bucket)
        if histogram is None:
            histogram = times[bucket] = Histogram(BOUNDS)
        if withdraw:
            window.withdraw(ended, took)
            histogram.withdraw(took)
        else:
            window.add(ended, took)
            histogram.add(took)

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        self.lead.advance(now)
        self.cycle.advance(now)
        cycle = self.cycle.quantiles(SHARES)
        throughput = self._throughput(now)
        document = doc.FlowDocument(
            active_work_orders=[self._item(name, now) for _, name in self.oldest[:OLDEST]],
            throughput_rate=throughput,
            cycle_time_distribution=dict(zip(BAND_NAMES, self.cycle.bands, strict=True)),
            cycle_time_hours=_hours(self.cycle, cycle),
            lead_time_hours=_hours(self.lead, self.lead.quantiles(SHARES)),
            bottlenecks=_bottlenecks(documents["kanban"] or {}),
            aging=self._aging(now, cycle),
            reopened=self.reopened,
        )
        mean = self.lead.mean()
        values: dict[str, Any] = {
            "tcps_lead_time_avg": None if mean is None else mean / HOUR,
            "tcps_cycle_time_p50": document.cycle_time_hours.p50,
            "tcps_cycle_time_p95": document.cycle_time_hours.p95,
            "tcps_throughput_per_hour": throughput.per_hour,
            "tcps_work_order_lead_time_seconds": {(b,): self.lead_times[b].read() for b in self._buckets},
            "tcps_work_order_cycle_time_seconds": {(b,): self.cycle_times[b].read() for b in self._buckets},
            "tcps_work_orders_aging": self._bands(now, cycle),
        }
        return Reading(document, values)

    def _throughput(self, now: int) -> doc.Throughput:
        window = self._throughput_window
        completed = self.lead.between(now - window, now)
        last, before = self.lead.between(now - 7 * DAY, now), self.lead.between(now - 14 * DAY, now - 7 * DAY)
        trend: doc.Direction = "stable"
        if before and last != before:
            trend = "increasing" if last > before else "decreasing"
        return doc.Throughput(
            skus_per_day=completed * DAY / window, per_hour=completed * HOUR / window, trend=trend, n=completed
        )

    def _item(self, name: str, now: int) -> doc.Item:
        known = self.active[name]
        return doc.Item(
            id=name, bucket=known.bucket, priority=known.priority, current_stage=known.stage,
            elapsed_hours=max(0, now - known.since) / HOUR,
        )  # fmt: skip

    def _aging(self, now: int, cycle: list[float | None]) -> doc.Aging:
        past = [0 if age is None else bisect_left(self.oldest, (now - age, "")) for age in cycle[:2]]
        p50, p85 = (None if age is None else age / HOUR for age in cycle[:2])
        oldest = self._item(self.oldest[0][1], now) if self.oldest else None
        return doc.Aging(p50_hours=p50, p85_hours=p85, past_p50=past[0], past_p85=past[1], oldest=oldest)

    def _bands(self, now: int, cycle: list[float | None]) -> dict[tuple[str, ...], int]:
        """Work in progress by age against the cycle times of the window; without any, nothing is known to be old."""
        bands: dict[tuple[str, ...], int] = {}
        for bucket in self._buckets:
            begun = self.begun[bucket]
            past = [0 if age is None else begun.until(math.ceil(now - age) - 1) for age in cycle[:2]]
            counts = (len(begun.times) - past[0], past[0] - past[1], past[1])
            bands |= {(bucket, band): count for band, count in zip(AGE_BANDS, counts, strict=True)}
        return bands


def _hours(window: Durations, quantiles: list[float | None]) -> doc.Quantiles:
    p50, p85, p95, mean = (None if value is None else value / HOUR for value in [*quantiles, window.mean()])
    return doc.Quantiles(p50=p50, p85=p85, p95=p95, mean=mean, n=window.count())


def _bottlenecks(kanban: Mapping[str, Any]) -> list[doc.Bottleneck]:
    """Buckets used beyond 80 %, the fullest first."""
    used = [doc.Bottleneck(bucket=name, utilization=b.utilization) for name, b in kanban.items() if name != "total_wip"]
    return sorted((b for b in used if b.utilization > 0.8), key=lambda b: (-b.utilization, b.bucket))
