"""The rules of the cord, pure."""

from exporter.contract import Settings

SEVERITIES = ("critical", "warning", "info")
KNOWN = {
    "shacl_violation": "critical", "compilation_failure": "critical", "non_determinism": "critical",
    "security_violation": "critical", "test_failure": "warning", "missing_receipt": "warning",
    "quality_violation": "warning",
}  # fmt: skip


def severity_of(settings: Settings, failure_type: str) -> str:
    """What the configuration says of this type of failure, else what is known of it; info for any other."""
    severity: str = (KNOWN | settings.mapping("failure_types")).get(failure_type, "info")
    return severity
