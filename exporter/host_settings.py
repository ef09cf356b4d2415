"""The settings of the host itself, and the names that tables begin with."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exporter.settings import Setting, Settings, load

_KANBAN_KEYS = ("total_wip", "timestamp", "age_seconds", "window_seconds", "stale")
_STAGES = (
    "shacl_validation",
    "compilation",
    "test_execution",
    "security_scan",
    "deterministic_build",
    "quality_metrics",
    "release_verification",
    "smoke_test",
)
_ALIASES = {
    "validation": "shacl_validation",
    "testing": "test_execution",
    "execution": "smoke_test",
    "integration": "release_verification",
    "deployment": "release_verification",
}
HOST: tuple[Setting, ...] = (
    Setting("host", "text", "127.0.0.1", "Address to listen on.", flag="--host"),
    Setting("port", "int", 8080, "Port to listen on; 0 is any free one.", flag="--port", minimum=0, maximum=65535),
    Setting("public_url", "text", None, "Where browsers reach the service: the links in gate, alerts and reports."),
    Setting(
        "database",
        "text",
        "sqlite:///tcps.db",
        "SQLAlchemy URL; SQLite in ./tcps.db if unset.",
        flag="--database",
        secret=True,
    ),
    Setting(
        "log_format",
        "text",
        "auto",
        "Form of log lines; auto is text on a terminal, else JSON.",
        ("auto", "text", "json"),
        "--log-format",
    ),
    Setting("refresh_interval", "duration", 5_000, "Time between two snapshots.", minimum=100, bare_below=1000),
    Setting("cache_ttl", "duration", 60_000, "How long a failed collector's last good document is shown, as stale."),
    Setting("max_body", "size", 1 << 20, "Longest request body.", minimum=1),
    Setting("max_ingest", "size", 32 << 20, "Longest body of an ingest or a hook.", minimum=1),
    Setting("write_queue", "int", 10_000, "Commands that may wait to be written; more are answered 503.", minimum=1),
    Setting(
        "buckets.*.limit", "int", 5, "Most work orders in progress.", nullable=True, minimum=0, reserved=_KANBAN_KEYS
    ),
    Setting(
        "buckets.*.sla_hours",
        "float",
        None,
        "Hours from creation to the deadline: security 24, reliability and compliance 168, cost 720, unless set.",
        nullable=True,
        above=0,
    ),
    Setting("stages", "list", _STAGES, "Stages in the order a SKU passes them."),
    Setting("stage_aliases", "map", _ALIASES, "Other names of stages."),
)
_SLA_HOURS = {"reliability": 168.0, "security": 24.0, "cost": 720.0, "compliance": 168.0}
NAMES: dict[str, dict[str, Any]] = {"buckets": {name: {"sla_hours": hours} for name, hours in _SLA_HOURS.items()}}


def configured(
    rows: Sequence[Setting],
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] = {},
) -> Settings:
    """The host's settings and those of the collectors (`rows`). Raises: SettingsError."""
    return load([*HOST, *rows], file=file, environ=environ, flags=flags, names=NAMES)
