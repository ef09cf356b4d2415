"""Requests and answers of work orders, as REST and sockets spell them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from collectors.work_orders.rules import Event, history, ordered, priority_name, sla_status
from collectors.work_orders.schema import DEPENDENCIES, EVENTS
from exporter import ids
from exporter.contract import NotFound, Rows, Struct

Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Time = Annotated[int | str, Meta(description="milliseconds since the epoch, or RFC 3339 with a zone")]
Priority = Annotated[int | str, Meta(description="1 to 10 (10 highest) or low 3, medium 5, high 7, critical 9")]


class Create(Struct):
    description: Text
    priority: Priority | None = None
    bucket: Name | None = None
    sku_id: Name | None = None
    dependencies: Annotated[list[Name], Meta(max_length=100)] = []
    external_id: Name | None = None
    labels: Annotated[list[Name], Meta(max_length=100)] = []
    metadata: dict[str, Any] = {}
    occurred_at: Time | None = None


class Transition(Struct):
    id: str
    occurred_at: Time | None = None


class Progress(Struct):
    id: str
    stage: Name
    occurred_at: Time | None = None


class Cancel(Struct):
    id: str
    reason: Text
    occurred_at: Time | None = None


class Change(Struct):
    id: str
    priority: Priority | None = None
    description: Text | None = None


class Depend(Struct):
    id: str
    depends_on: Name | Annotated[list[Name], Meta(max_length=100)]


class Pull(Struct):
    bucket: Name | None = None
    occurred_at: Time | None = None


class Entry(Struct):
    """One row of history that happened elsewhere: an activity of an item, or (wide) all that is known of it."""

    item: Name
    at: int
    what: Literal["created", "noted", "queued", "blocked", "started", "completed", "cancelled"] = "noted"
    activity: str = ""
    bucket: Name | None = None


class Whole(Struct):
    """All that a table says of one item; what it said before is replaced."""

    item: Name
    created_at: int
    started_at: int | None = None
    completed_at: int | None = None
    cancelled_at: int | None = None
    status: Literal["queued", "blocked", "in_progress", "completed", "cancelled"] | None = None
    bucket: Name | None = None
    priority: Priority | None = None
    sku_id: Name | None = None


class Record(Struct):
    """`entries` belong to items that may be new. An item's first event, by time, says in which bucket it is."""

    entries: list[Entry] = []
    wholes: list[Whole] = []


class Recorded(Struct):
    """How many were new, and how many were known already."""

    accepted: int
    duplicates: int


class Moment(Struct):
    status: str
    stage: str | None
    timestamp: int
    by: str
    detail: str


class WorkOrder(Struct):
    id: str
    description: str
    bucket: str
    priority: int
    priority_name: str
    status: str
    sku_id: str | None
    external_id: str | None
    labels: list[str]
    metadata: dict[str, Any]
    current_stage: str | None
    dependencies: list[str]
    sla_deadline_at: int | None
    sla_status: str | None
    created_at: int
    started_at: int | None
    completed_at: int | None
    cancelled_at: int | None
    history: list[Moment]


class WorkOrders(Struct):
    work_orders: list[WorkOrder]
    next_cursor: str | None = None


def number(text: str, field: str = "id") -> int:
    """The number in WO-42. Raises: NotFound."""
    found = ids.number("WO", text)
    if found is None:
        raise NotFound(f"there is no work order {text!r}; ids look like WO-42", field=field)
    return found


def work_order(rows: Rows, order: Any, now: int) -> WorkOrder:
    """The whole document of a row, its history and dependencies with it."""
    events = ordered(Event(*row) for row in rows.all(EVENTS, n=order.no))
    depends_on = rows.all(DEPENDENCIES, n=order.no)
    return WorkOrder(
        id=ids.name("WO", order.no), description=order.description, bucket=order.bucket, priority=order.priority,
        priority_name=priority_name(order.priority), status=order.status, sku_id=order.sku_id,
        external_id=order.external_id, labels=msgspec.json.decode(order.labels),
        metadata=msgspec.json.decode(order.metadata), current_stage=order.current_stage,
        dependencies=[ids.name("WO", row.depends_on) for row in depends_on],
        sla_deadline_at=order.sla_deadline_at, sla_status=sla_status(order, now), created_at=order.created_at,
        started_at=order.started_at, completed_at=order.completed_at, cancelled_at=order.cancelled_at,
        history=[
            Moment(status=status, stage=stage, timestamp=at, by=by, detail=detail)
            for status, stage, at, by, detail in history(events)
        ],
    )  # fmt: skip
