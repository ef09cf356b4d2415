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
    """What comes of a collector that fails is null."""

    total_work_orders: int | None
    active_work_orders: int | None
    open_andons: int | None
    quality_gate_pass_rate: float | None
    avg_lead_time_hours: float | None
    throughput_per_hour: float | None
    system_health: Health


class Overview(View):
    def __init__(self, settings: Settings, since: int):
        self._weights = {part: settings[f"health.weight_{part}"] for part in PARTS}

    def handlers(self) -> Mapping[str, Callable[[Fact], None]]:
        return {}

    def read(self, now: int, documents: Mapping[str, Any]) -> Reading:
        totals, andon, flow, quality = (documents[name] for name in ("work_orders", "andon", "flow", "quality"))
        open_andons = andon and andon.total_open
        throughput = flow and flow.throughput_rate.per_hour
        lead = flow and flow.lead_time_hours.mean
        pass_rate = quality and quality.pass_rate
        begun = bool(totals is None or totals.total or andon is None or andon.recent_events)
        known = parts(pass_rate, open_andons if begun else None, throughput if begun else None, lead)
        return Reading(
            OverviewDocument(
                total_work_orders=totals and totals.total,
                active_work_orders=totals and totals.active,
                open_andons=open_andons,
                quality_gate_pass_rate=pass_rate,
                avg_lead_time_hours=lead,
                throughput_per_hour=throughput,
                system_health=Health(overall=overall(known, self._weights), **known),
            )
        )
