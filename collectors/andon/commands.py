"""The cord: pulled, answered, escalated and resolved; while it hangs, its SKU stands still."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from collectors.andon import documents as doc
from collectors.andon import rules
from collectors.andon import schema as sql
from collectors.andon.facts import Acknowledged, Escalated, Raised, Resolved
from exporter import ids
from exporter.contract import Actions, Conflict, Invalid, LineStopped, NotFound, Transaction, stage


def pull_cord(tx: Transaction, body: doc.Raise) -> doc.Andon:
    at = tx.happened(body.occurred_at)
    stopped = None if body.stage is None else stage(tx.settings, body.stage)
    severity = body.severity or rules.severity_of(tx.settings, body.failure_type)
    no = (tx.value(sql.LAST) or 0) + 1
    tx.run(
        sql.ADD, no=no, failure_type=body.failure_type, sku_id=body.sku_id, stage=stopped, severity=severity,
        status="open", details=_json(body.details), occurrences=1, last_seen_at=at, timestamp=at, acknowledged_at=None,
        acknowledged_by=None, note=None, escalated_at=None, resolved_at=None, resolution=None,
    )  # fmt: skip
    _remember(tx, no, at, "open", tx.by)
    name = ids.name("AND", no)
    tx.emit("andon.raised", Raised(name, body.failure_type, body.sku_id, stopped, severity, body.details), at)
    return doc.andon(tx, tx.one(sql.GET, k=no))


def acknowledge(tx: Transaction, body: doc.Acknowledge) -> doc.Andon:
    row = _get(tx, body.id)
    if row.status != "open":
        raise Conflict(f"{body.id} is {row.status} already", code=f"already_{row.status}", field="status")
    at = _later(tx, row, body.occurred_at)
    by = body.by or tx.by
    now = {"status": "acknowledged", "acknowledged_at": at, "acknowledged_by": by, "note": body.note}
    tx.emit("andon.acknowledged", Acknowledged(body.id, row.severity, body.note, at - row.timestamp), at)
    return _settle(tx, row, now, at, "acknowledged", by, body.note)


def escalate(tx: Transaction, body: doc.Escalate) -> doc.Andon:
    """Once, at the moment its time to be answered ran out."""
    row = _get(tx, body.id)
    at = row.timestamp + tx.settings["ack_timeout"]
    if row.status != "open" or row.escalated_at is not None or at > tx.now:
        raise Conflict(f"{body.id} is not due to escalate", code="not_due")
    tx.emit("andon.escalated", Escalated(body.id, row.severity), at)
    return _settle(tx, row, {"escalated_at": at}, at, "escalated", tx.by, None)


def resolve(tx: Transaction, body: doc.Resolve) -> doc.Andon:
    row = _get(tx, body.id)
    if row.status == "resolved":
        raise Conflict(f"{body.id} is resolved already", code="already_resolved", field="status")
    for name in ("root_cause", "fix_applied", "prevention_added", "resolver"):
        if not getattr(body, name).strip():
            raise Invalid(f"{name}: expected some words, got only spaces", field=name)
    at = _later(tx, row, body.occurred_at)
    told = msgspec.structs.asdict(body)
    resolution = {name: value for name, value in told.items() if name not in ("id", "occurred_at")}
    tx.emit("andon.resolved", Resolved(body.id, row.severity, resolution, at - row.timestamp), at)
    now = {"status": "resolved", "resolved_at": at, "resolution": _json(resolution)}
    return _settle(tx, row, now, at, "resolved", body.resolver, body.fix_applied)


def stop_sku(tx: Transaction, subject: Mapping[str, Any]) -> None:
    """Guards what an open andon of the SKU forbids. Raises: LineStopped naming the andons."""
    if subject["sku_id"] is None:
        return
    stopping = tx.settings["stopping_severities"]
    found = [row for row in tx.all(sql.OPEN_OF_SKU, sku_id=subject["sku_id"]) if row.severity in stopping]
    if found:
        names = [ids.name("AND", row.no) for row in found]
        shown = ", ".join(f"{name} ({row.failure_type})" for name, row in zip(names, found, strict=True))
        message = f"{subject['sku_id']} is stopped by {shown}"
        raise LineStopped(message, field="sku_id", details={"sku_id": subject["sku_id"], "andons": names})


def watch_unanswered(actions: Actions) -> Callable[[], None]:
    """The job that looks for cords which nobody answered within ack_timeout."""

    def look() -> None:
        until = actions.now() - actions.settings["ack_timeout"]
        with actions.read() as rows:
            due = [row.no for row in rows.all(sql.UNANSWERED, until=until)]
        for no in due:
            with suppress(Conflict):  # answered in the meantime
                actions.call("andon.escalate", {"id": ids.name("AND", no)}, by="clock")

    return look


def _get(tx: Transaction, name: str) -> Any:
    row = tx.one(sql.GET, k=doc.number(name))
    if row is None:
        raise NotFound(f"there is no andon {name}", field="id")
    return row


def _later(tx: Transaction, row: Any, occurred_at: int | str | None) -> int:
    """The event time, which may not lie before the cord was pulled or answered."""
    last: int = row.acknowledged_at or row.timestamp
    at = max(tx.now, last) if occurred_at is None else tx.happened(occurred_at)
    if at < last:
        raise Invalid(f"occurred_at: expected a time after {last}, when it was last heard of", field="occurred_at")
    return at


def _settle(tx: Transaction, row: Any, now: dict[str, Any], at: int, what: str, by: str, note: str | None) -> doc.Andon:
    fields = ("status", "acknowledged_at", "acknowledged_by", "note", "escalated_at", "resolved_at", "resolution")
    tx.run(sql.SETTLE, k=row.no, **({name: getattr(row, name) for name in fields} | now))
    _remember(tx, row.no, at, what, by, note)
    return doc.andon(tx, tx.one(sql.GET, k=row.no))


def _remember(tx: Transaction, no: int, at: int, what: str, by: str, note: str | None = None) -> None:
    n = len(tx.all(sql.EVENTS, k=no)) + 1
    tx.run(sql.ADD_EVENT, no=no, n=n, at=at, what=what, by=by, note=note)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
