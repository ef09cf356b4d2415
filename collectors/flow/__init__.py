"""Flow: lead and cycle times, throughput, bottlenecks, and the age of the work in progress."""

from collectors.flow.documents import FlowDocument
from collectors.flow.view import BOUNDS, ORDERS, Flow
from exporter.contract import DAY, Collector, Document, Metric, Setting

COLLECTOR = Collector(
    name="flow",
    summary="Flow: lead and cycle times, throughput, bottlenecks, and the age of the work in progress.",
    reads=ORDERS,
    joins=("kanban",),
    settings=(
        Setting("windows.throughput", "duration", DAY, "How far back throughput looks.", above=0),
        Setting("windows.lead_time", "duration", 30 * DAY, "How far back lead times look.", above=0),
        Setting("windows.cycle_time", "duration", 30 * DAY, "How far back cycle times look.", above=0),
    ),
    view=Flow,
    document=Document(FlowDocument, window="windows.cycle_time"),
    metrics=(
        Metric("tcps_lead_time_avg", "gauge", "Mean lead time (hours) of orders completed in windows.lead_time."),
        Metric("tcps_cycle_time_p50", "gauge", "Median cycle time (hours) of orders completed in windows.cycle_time."),
        Metric("tcps_cycle_time_p95", "gauge", "95th percentile of those cycle times (hours)."),
        Metric("tcps_throughput_per_hour", "gauge", "Orders completed an hour, over windows.throughput."),
        Metric(
            "tcps_work_order_lead_time_seconds", "histogram", "From demand to the last completion.", ("bucket",), BOUNDS
        ),
        Metric(
            "tcps_work_order_cycle_time_seconds", "histogram", "From the first start to the last completion.",
            ("bucket",), BOUNDS,
        ),
        Metric(
            "tcps_work_orders_aging", "gauge",
            "Work orders in progress by their age against the window's cycle times.", ("bucket", "band"),
        ),
    ),
)  # fmt: skip
