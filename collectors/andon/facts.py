"""What can happen to an andon. Each fact carries what the numbers need, so that views remember open andons only."""

from typing import Any

import msgspec

from exporter.contract import FactKind


class Raised(msgspec.Struct, gc=False):
    event_id: str
    failure_type: str
    sku_id: str
    stage: str | None
    severity: str
    details: dict[str, Any]


class Acknowledged(msgspec.Struct, gc=False):
    """`waited_ms` from the pull of the cord to this."""

    event_id: str
    severity: str
    note: str | None
    waited_ms: int


class Escalated(msgspec.Struct, gc=False):
    event_id: str
    severity: str


class Resolved(msgspec.Struct, gc=False):
    """`stopped_ms` from the pull of the cord to this."""

    event_id: str
    severity: str
    resolution: dict[str, Any]
    stopped_ms: int


KINDS = (
    FactKind("andon.raised", Raised, "The cord was pulled: a SKU is stopped.", "andon", "andon_triggered"),
    FactKind("andon.acknowledged", Acknowledged, "Somebody answers the call.", "andon", "andon_acknowledged"),
    FactKind("andon.escalated", Escalated, "Nobody answered in time.", "andon", "andon_escalated"),
    FactKind("andon.resolved", Resolved, "The cause is found, mended and prevented.", "andon", "andon_resolved"),
)
