"""Week over week, waste, proposals and the trend of twelve weeks; null where nothing was measured."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.contract import DAY, Fact, Reading, Settings, Struct, View

WEEKS = 12


class WeekOverWeek(Struct):
    """Ratios of the last 7 days to the 7 before."""

    lead_time_reduction: float | None
    defect_reduction: float | None
    throughput_increase: float | None


class Point(Struct):
    """`week` by ISO 8601, such as 2026-W47."""

    week: str
    value: float | None


class Trend(Struct):
    metric: str
    data: list[Point]


class Waste(Struct):
    category: str
    percentage: float
    hours: float


class Proposal(Struct):
    id: str
    title: str
    estimated_roi: float | None
    status: str
    priority: str


class KaizenDocument(Struct):
    week_over_week: WeekOverWeek
    top_waste_points: list[Waste]
    improvement_proposals: list[Proposal]
    trend_data: list[Trend]


class Kaizen(View):
    def __init__(self, settings: Settings, since: int):
        """It folds nothing yet."""

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return {}

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        weeks = [week(now - back * 7 * DAY) for back in reversed(range(WEEKS))]
        trends = [
            Trend(metric=metric, data=[Point(week=name, value=None) for name in weeks])
            for metric in ("lead_time", "defect_rate", "throughput")
        ]
        nothing = WeekOverWeek(lead_time_reduction=None, defect_reduction=None, throughput_increase=None)
        return Reading(
            KaizenDocument(week_over_week=nothing, top_waste_points=[], improvement_proposals=[], trend_data=trends)
        )


def week(moment: int) -> str:
    """The ISO 8601 week of a moment (ms, UTC)."""
    year, number, _ = datetime.fromtimestamp(moment / 1000, UTC).isocalendar()
    return f"{year}-W{number:02d}"
