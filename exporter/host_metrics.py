"""What the exporter tells of itself on /metrics."""

from exporter.contract import Metric

_collector = ("collector",)
HOST_METRICS = (
    Metric("tcps_build_info", "gauge", "Always 1; the version and revision that run.", ("version", "revision")),
    Metric("tcps_collector_success", "gauge", "Whether the collector's last reading succeeded.", _collector),
    Metric("tcps_collector_duration_seconds", "gauge", "How long its last reading took.", _collector),
    Metric("tcps_collector_last_success_timestamp_seconds", "gauge", "When it last succeeded.", _collector),
    Metric("tcps_view_lag_facts", "gauge", "Facts in the ledger that the views have not folded yet."),
    Metric("tcps_store_bytes", "gauge", "Size of the database on disk."),
    Metric(
        "tcps_sink_failures_total", "counter", "Lines or batches that a sink did not take, since the process began.",
        ("sink",), process=True, starts=lambda settings: [("stdout",)],
    ),
)  # fmt: skip
