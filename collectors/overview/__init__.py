"""Overview: the line in a dozen numbers, joined from the other documents."""

from collectors.overview.view import Overview, OverviewDocument
from exporter.contract import Collector, Document, Setting

COLLECTOR = Collector(
    name="overview",
    summary="Overview: the line in a dozen numbers, joined from the other documents.",
    joins=("work_orders", "andon", "flow", "quality"),
    view=Overview,
    document=Document(OverviewDocument, window="windows.lead_time"),
    settings=(
        Setting("health.weight_quality", "float", 0.3, "Weight of the gates' pass rate in the health.", minimum=0),
        Setting("health.weight_andon", "float", 0.3, "Weight of open andons (10 or more: 0) in it.", minimum=0),
        Setting("health.weight_throughput", "float", 0.2, "Weight of throughput (5 an hour: 1) in it.", minimum=0),
        Setting("health.weight_lead_time", "float", 0.2, "Weight of lead time (100 h: 0) in it.", minimum=0),
    ),
)
