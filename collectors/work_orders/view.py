"""Totals of all time, and how the open orders stand to their SLA."""

from collections.abc import Callable, Mapping
from typing import Any

from collectors.work_orders.facts import KINDS, OrderFact, Standing
from collectors.work_orders.rules import OPEN, warning_at
from exporter.contract import Counter, Fact, Moments, Reading, Settings, Struct, View


class Totals(Struct):
    """For the documents that join it; counts of all time but for `active`."""

    total: int
    active: int


class WorkOrders(View):
    total: Counter
    completed: Counter
    reopened: Counter
    active: int
    deadlines: dict[str, Moments]
    warnings: dict[str, Moments]

    def __init__(self, settings: Settings, since: int):
        self.total, self.completed, self.reopened = Counter(), Counter(), Counter()
        self.active = 0
        self._buckets = tuple(settings.table("buckets"))
        self.deadlines = {bucket: Moments() for bucket in self._buckets}
        self.warnings = {bucket: Moments() for bucket in self._buckets}

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return {kind.name: self.fold for kind in KINDS}

    def fold(self, fact: Fact) -> None:
        data: OrderFact = fact.data
        before, now = data.before, data.now
        if before is None:
            self.total.add(1)
            self._watch(now)
        elif _due(before) != _due(now):
            self._watch(before, withdraw=True)
            self._watch(now)
        self.active += (now.status == "in_progress") - (before is not None and before.status == "in_progress")
        completed = (now.completed_at is not None) - (before is not None and before.completed_at is not None)
        reopened = now.reopened - (before.reopened if before else 0)
        if completed or reopened:
            self.completed.add(completed)
            self.reopened.add(reopened)

    def _watch(self, order: Standing, withdraw: bool = False) -> None:
        due = _due(order)
        if due is None:
            return
        bucket, created, deadline = due
        for moments, moment in ((self.deadlines, deadline), (self.warnings, warning_at(created, deadline))):
            known = moments.get(bucket)
            if known is None:
                known = moments[bucket] = Moments()
            if withdraw:
                known.withdraw(moment)
            else:
                known.add(moment)

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        breached = {(bucket,): self.deadlines[bucket].until(now - 1) for bucket in self._buckets}
        warned = {key: self.warnings[key[0]].until(now) - late for key, late in breached.items()}
        return Reading(
            Totals(total=self.total.value, active=self.active),
            {
                "tcps_work_orders_total": self.total.highest,
                "tcps_work_orders_active": self.active,
                "tcps_work_orders_completed_total": self.completed.highest,
                "tcps_work_orders_reopened_total": self.reopened.highest,
                "tcps_work_orders_sla_breached": breached,
                "tcps_work_orders_sla_warning": warned,
            },
        )


def _due(order: Standing) -> tuple[str, int, int] | None:
    """What an open order is watched by. None: it has no deadline, or has ended."""
    if order.sla_deadline_at is None or order.status not in OPEN:
        return None
    return order.bucket, order.created_at, order.sla_deadline_at
