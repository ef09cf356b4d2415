"""What work orders show on /metrics."""

from exporter.contract import Metric

METRICS = (
    Metric("tcps_work_orders_total", "counter", "Work orders ever recorded."),
    Metric("tcps_work_orders_active", "gauge", "Work orders in progress (WIP) now."),
    Metric(
        "tcps_work_orders_completed_total",
        "counter",
        "Work orders ever completed; one that is reopened stays counted.",
        alias="tcps_work_orders_completed",
    ),
    Metric("tcps_work_orders_reopened_total", "counter", "Times that a completed work order was worked on again."),
    Metric("tcps_work_orders_sla_breached", "gauge", "Open work orders past their SLA deadline now.", ("bucket",)),
    Metric(
        "tcps_work_orders_sla_warning",
        "gauge",
        "Open work orders with less than 25 % of the time to their SLA deadline left now.",
        ("bucket",),
    ),
)
