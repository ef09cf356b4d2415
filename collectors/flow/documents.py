"""The document of flow. Durations are hours of calendar time."""

from typing import Literal

from exporter.contract import Struct

Direction = Literal["increasing", "stable", "decreasing"]


class Item(Struct):
    """A work order in progress, and how long work on it has gone on."""

    id: str
    bucket: str
    priority: int
    current_stage: str | None
    elapsed_hours: float


class Throughput(Struct):
    """Completions in windows.throughput (n), a day and an hour; `trend` is the last 7 days against the 7 before."""

    skus_per_day: float
    per_hour: float
    trend: Direction
    n: int


class Quantiles(Struct):
    """Of the orders that were completed in the window; null where there were none."""

    p50: float | None
    p85: float | None
    p95: float | None
    mean: float | None
    n: int


class Bottleneck(Struct):
    bucket: str
    utilization: float


class Aging(Struct):
    """How many of those in progress are older than half, and than 85 %, of the window's cycle times."""

    p50_hours: float | None
    p85_hours: float | None
    past_p50: int
    past_p85: int
    oldest: Item | None


class FlowDocument(Struct):
    active_work_orders: list[Item]
    throughput_rate: Throughput
    cycle_time_distribution: dict[str, int]
    cycle_time_hours: Quantiles
    lead_time_hours: Quantiles
    bottlenecks: list[Bottleneck]
    aging: Aging
    reopened: int
