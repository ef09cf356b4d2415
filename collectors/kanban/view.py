"""How many work orders are in progress and queued in each bucket, against its limit."""

from collections.abc import Callable, Mapping
from typing import Any

from collectors.kanban.facts import BucketRemoved, LimitChanged
from exporter.contract import Fact, Reading, Settings, Struct, View

ORDERS = tuple(
    f"work_orders.{what}"
    for what in (
        "created", "queued", "blocked", "started", "progressed", "completed", "reopened", "cancelled", "changed",
        "noted",
    )
)  # fmt: skip


class Bucket(Struct):
    """How much is in progress, against the limit in force."""

    current: int
    limit: int | None
    available: int | None
    utilization: float


class Kanban(View):
    limits: dict[str, int | None]
    current: dict[str, int]
    queued: dict[str, int]

    def __init__(self, settings: Settings, since: int):
        self.limits = {}
        self.current, self.queued = {}, {}

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        own = {"kanban.limit_changed": self.change, "kanban.bucket_removed": self.remove}
        return own | dict.fromkeys(ORDERS, self.move)

    def change(self, fact: Fact) -> None:
        data: LimitChanged = fact.data
        self.limits[data.bucket] = data.now

    def remove(self, fact: Fact) -> None:
        data: BucketRemoved = fact.data
        self.limits.pop(data.bucket, None)

    def move(self, fact: Fact) -> None:
        before, now = fact.data.before, fact.data.now
        if before is not None:
            if before.status == now.status and before.bucket == now.bucket:
                return
            self._count(before, -1)
        self._count(now, 1)

    def _count(self, order: Any, by: int) -> None:
        if order.status == "in_progress":
            self.current[order.bucket] = self.current.get(order.bucket, 0) + by
        elif order.status == "queued":
            self.queued[order.bucket] = self.queued.get(order.bucket, 0) + by

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        buckets = {name: bucket(self.current.get(name, 0), limit) for name, limit in self.limits.items()}
        total = sum(each.current for each in buckets.values())
        return Reading(
            document=buckets | {"total_wip": total},
            values={
                "tcps_kanban_wip": {(name,): each.current for name, each in buckets.items()},
                "tcps_kanban_wip_limit": {(name,): limit for name, limit in self.limits.items()},
                "tcps_kanban_queued": {(name,): self.queued.get(name, 0) for name in buckets},
            },
        )


def bucket(current: int, limit: int | None) -> Bucket:
    """Unlimited: limit and available null, utilization 0. A limit of 0 is fully used by any work."""
    if limit is None:
        return Bucket(current=current, limit=None, available=None, utilization=0.0)
    used = current / limit if limit else float(current > 0)
    return Bucket(current=current, limit=limit, available=max(0, limit - current), utilization=used)
