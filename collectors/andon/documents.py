"""Requests and answers of andons, as REST and sockets spell them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from collectors.andon.schema import EVENTS
from exporter import ids
from exporter.contract import NotFound, Rows, Struct

Severity = Literal["critical", "warning", "info"]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Time = Annotated[int | str, Meta(description="milliseconds since the epoch, or RFC 3339 with a zone")]


class Raise(Struct):
    """Without a stage it stops every stage of the SKU."""

    failure_type: Annotated[str, Meta(pattern=r"^[a-z0-9_]+$(?!\n)", max_length=100)]
    sku_id: Name
    stage: Name | None = None
    severity: Severity | None = None
    details: dict[str, Any] = {}
    occurred_at: Time | None = None


class Acknowledge(Struct):
    id: str
    by: Name | None = None
    note: Annotated[str, Meta(max_length=2000)] | None = None
    occurred_at: Time | None = None


class Escalate(Struct):
    id: str


class Resolve(Struct):
    """`whys`: one to five answers, from the symptom to a cause in the process."""

    id: str
    root_cause: Text
    fix_applied: Text
    prevention_added: Text
    resolver: Name
    kind: Literal["fixed", "false_alarm"] = "fixed"
    whys: Annotated[list[Text], Meta(min_length=1, max_length=5)] | None = None
    occurred_at: Time | None = None


class Moment(Struct):
    status: str
    timestamp: int
    by: str
    note: str | None


class Andon(Struct):
    id: str
    failure_type: str
    sku_id: str
    stage: str | None
    severity: str
    status: str
    details: dict[str, Any]
    occurrences: int
    last_seen_at: int
    timestamp: int
    acknowledged_at: int | None
    acknowledged_by: str | None
    note: str | None
    escalated: bool
    resolved_at: int | None
    resolution: dict[str, Any] | None
    history: list[Moment]


class Andons(Struct):
    andons: list[Andon]
    next_cursor: str | None = None


def number(text: str) -> int:
    """The number in AND-7. Raises: NotFound."""
    found = ids.number("AND", text)
    if found is None:
        raise NotFound(f"there is no andon {text!r}; ids look like AND-7", field="id")
    return found


def andon(rows: Rows, row: Any) -> Andon:
    """The whole document of a row, its history with it."""
    moments = [Moment(status=e.what, timestamp=e.at, by=e.by, note=e.note) for e in rows.all(EVENTS, k=row.no)]
    return Andon(
        id=ids.name("AND", row.no), failure_type=row.failure_type, sku_id=row.sku_id, stage=row.stage,
        severity=row.severity, status=row.status, details=msgspec.json.decode(row.details),
        occurrences=row.occurrences, last_seen_at=row.last_seen_at, timestamp=row.timestamp,
        acknowledged_at=row.acknowledged_at, acknowledged_by=row.acknowledged_by, note=row.note,
        escalated=row.escalated_at is not None, resolved_at=row.resolved_at,
        resolution=msgspec.json.decode(row.resolution) if row.resolution else None, history=moments,
    )  # fmt: skip
