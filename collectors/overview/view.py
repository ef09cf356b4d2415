"""What the overview joins. It remembers nothing of its own."""

from collections.abc import Callable, Mapping
from typing import Any

from collectors.overview.rules import PARTS, overall, parts
from exporter.contract import Fact, Reading, Settings, Struct, View


class Health(Struct):
    """Each from 0 to 1; null where it is unknown, and then its weight is shared by the others."""

    overall: float | None
    quality: float | None
    andon: float | None
    throughput: float | None
    lead_time: float | None


class OverviewDocument(Struct):
    total_work_orders: int
    active_work_orders: int
    open_andons: int
    quality_gate_pass_rate: float | None
    avg_lead_time_hours: float | None
    throughput_per_hour: float
    system_health: Health


class Overview(View):
    def __init__(self, settings: Settings, since: int):
        self._weights = {part: settings[f"health.weight_{part}"] for part in PARTS}

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return {}

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        totals, andon, flow, quality = (documents[name] for name in ("work_orders", "andon", "flow", "quality"))
        throughput, lead = flow.throughput_rate.per_hour, flow.lead_time_hours.mean
        begun = totals.total > 0 or bool(andon.recent_events)
        known = parts(quality.pass_rate, andon.total_open if begun else None, throughput if begun else None, lead)
        health = Health(overall=overall(known, self._weights), **known)
        return Reading(
            OverviewDocument(
                total_work_orders=totals.total,
                active_work_orders=totals.active,
                open_andons=andon.total_open,
                quality_gate_pass_rate=quality.pass_rate,
                avg_lead_time_hours=lead,
                throughput_per_hour=throughput,
                system_health=health,
            )
        )
