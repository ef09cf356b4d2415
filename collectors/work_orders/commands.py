"""What can be done with a work order: the only writer of its tables."""

from collections.abc import Iterator
from typing import Any

import msgspec

from collectors.work_orders import documents as doc
from collectors.work_orders import rules
from collectors.work_orders import schema as sql
from collectors.work_orders.facts import OrderFact, Standing
from collectors.work_orders.rules import Event
from exporter import ids
from exporter.contract import Conflict, Invalid, LimitReached, NotFound, Refusal, Transaction, stage


class Draft(msgspec.Struct):
    """What of an order is not told by its events."""

    bucket: str
    priority: int
    sku_id: str | None


def create(tx: Transaction, body: doc.Create) -> doc.WorkOrder:
    at = tx.happened(body.occurred_at)
    if body.external_id and tx.one(sql.FIND_EXTERNAL, external_id=body.external_id):
        message = f"external_id: {body.external_id!r} has a work order already"
        raise Conflict(message, code="duplicate_external_id", field="external_id")
    depends_on = [_exists(tx, name) for name in dict.fromkeys(body.dependencies)]
    draft = Draft(bucket_of(tx, body.bucket), rules.priority(body.priority), body.sku_id)
    no = add(
        tx, draft, [Event(at, "created", by=tx.by)], body.description, body.external_id, body.labels, body.metadata
    )
    if depends_on:
        _depend(tx, no, depends_on, at)
    return shown(tx, no)


def start(tx: Transaction, body: doc.Transition) -> doc.WorkOrder:
    order = get(tx, body.id)
    _demand(order, "start", ("queued", "blocked"))
    _may_start(tx, order)
    return _happen(tx, order, "started", body.occurred_at)


def progress(tx: Transaction, body: doc.Progress) -> doc.WorkOrder:
    reached = stage(tx.settings, body.stage)
    order = get(tx, body.id)
    _demand(order, "progress", ("in_progress",))
    return _happen(tx, order, "progressed", body.occurred_at, reached)


def complete(tx: Transaction, body: doc.Transition) -> doc.WorkOrder:
    order = get(tx, body.id)
    _demand(order, "complete", ("in_progress",))
    tx.guard("work_orders.complete", _subject(order))
    return _end(tx, order, _happen(tx, order, "completed", body.occurred_at))


def reopen(tx: Transaction, body: doc.Transition) -> doc.WorkOrder:
    order = get(tx, body.id)
    _demand(order, "reopen", ("completed",))
    return _end(tx, order, _happen(tx, order, "reopened", body.occurred_at))


def cancel(tx: Transaction, body: doc.Cancel) -> doc.WorkOrder:
    order = get(tx, body.id)
    _demand(order, "cancel", rules.OPEN)
    return _end(tx, order, _happen(tx, order, "cancelled", body.occurred_at, body.reason))


def change(tx: Transaction, body: doc.Change) -> doc.WorkOrder:
    order = get(tx, body.id)
    if body.priority is None and body.description is None:
        raise Invalid("expected priority or description", field="priority")
    priority = order.priority if body.priority is None else rules.priority(body.priority)
    description = order.description if body.description is None else body.description
    tx.run(sql.CHANGE, n=order.no, priority=priority, description=description, bucket=order.bucket, sku_id=order.sku_id)
    if priority != order.priority:
        before = stood(order)
        emit(tx, "changed", order.no, before, msgspec.structs.replace(before, priority=priority), tx.now)
    return shown(tx, order.no)


def depend(tx: Transaction, body: doc.Depend) -> doc.WorkOrder:
    order = get(tx, body.id)
    _demand(order, "add dependencies to", ("queued", "blocked"))
    _depend(tx, order.no, [_exists(tx, name, "depends_on") for name in _names(body)], tx.now)
    return shown(tx, order.no)


def release(tx: Transaction, body: doc.Depend) -> doc.WorkOrder:
    order = get(tx, body.id)
    for name in _names(body):
        if not tx.run(sql.DROP_DEPENDENCY, n=order.no, on=doc.number(name, "depends_on")):
            raise NotFound(f"depends_on: {body.id} does not depend on {name}", field="depends_on")
    _settle_queue(tx, order.no, tx.now)
    return shown(tx, order.no)


def pull(tx: Transaction, body: doc.Pull) -> doc.WorkOrder:
    """Starts the first of the levelled order that may start."""
    names = [bucket_of(tx, body.bucket)] if body.bucket else levelled_buckets(tx)
    full: dict[str, LimitReached] = {}
    tx.happened(body.occurred_at)
    for order in rules.levelled([_queue(tx, name, full) for name in names]):
        if order.bucket not in full:
            try:
                _may_start(tx, order)
                return _happen(tx, order, "started", body.occurred_at)
            except LimitReached as refusal:
                full[order.bucket] = refusal
            except Refusal:
                continue
    if full:
        raise next(iter(full.values()))
    where = f" in {body.bucket}" if body.bucket else ""
    raise Conflict(f"no queued work order{where} may start", code="nothing_to_pull")


def add(
    tx: Transaction, draft: Draft, events: list[Event], description: str, external_id: str | None,
    labels: list[str], metadata: dict[str, Any],
) -> int:  # fmt: skip
    """A new order in the light of its first events; its number."""
    no = (tx.value(sql.LAST) or 0) + 1
    now = rules.standing(events, draft, sla_hours(tx, draft.bucket))
    row = msgspec.structs.asdict(now) | {"no": no, "description": description, "external_id": external_id}
    tx.run(sql.ADD, **row, labels=_json(labels), metadata=_json(metadata))
    for event in events:
        tx.run(sql.ADD_EVENT, no=no, at=event.at, what=event.what, detail=event.detail, by=event.by)
    emit(tx, events[0].what, no, None, now, events[0].at, events[0].detail)
    return no


def get(tx: Transaction, name: str, field: str = "id") -> Any:
    """The row of a work order. Raises: NotFound."""
    order = tx.one(sql.GET, n=doc.number(name, field))
    if order is None:
        raise NotFound(f"there is no work order {name}", field=field)
    return order


def shown(tx: Transaction, no: int) -> doc.WorkOrder:
    return doc.work_order(tx, tx.one(sql.GET, n=no), tx.now)


def bucket_of(tx: Transaction, name: str | None) -> str:
    """The first bucket where none is named. Raises: Invalid for one that is not configured."""
    buckets = tx.settings.table("buckets")
    if name is None:
        return next(iter(buckets))
    if name not in buckets:
        raise Invalid(f"bucket: expected one of {', '.join(buckets)}, got {name!r}", field="bucket")
    return name


def sla_hours(tx: Transaction, bucket: str) -> float | None:
    return tx.settings.table("buckets").get(bucket, {}).get("sla_hours")


def levelled_buckets(tx: Any) -> list[str]:
    return rules.turns(list(tx.settings.table("buckets")), tx.value(sql.LAST_STARTED))


def settle(
    tx: Transaction, order: Any, events: list[Event], what: str, at: int, detail: str = "",
    before: Standing | None = None,
) -> Standing:  # fmt: skip
    """Derives the order anew from all its events, given in the order of time, and says so in a fact."""
    now = rules.standing(events, order, sla_hours(tx, order.bucket))
    if now.status in rules.OPEN and order.bucket not in tx.settings.table("buckets"):
        message = f"{ids.name('WO', order.no)} is in the bucket {order.bucket}, which the configuration no longer has"
        raise Conflict(message, code="invalid_state", field="bucket", details={"bucket": order.bucket})
    fields = ("status", "current_stage", "created_at", "started_at", "completed_at", "cancelled_at", "sla_deadline_at")
    tx.run(sql.SETTLE, n=order.no, reopened=now.reopened, **{name: getattr(now, name) for name in fields})
    emit(tx, what, order.no, before or stood(order), now, at, detail)
    return now


def _happen(tx: Transaction, order: Any, what: str, occurred_at: int | str | None, detail: str = "") -> doc.WorkOrder:
    """One more event of an order. What happens now comes at least a millisecond after what happened before."""
    events = rules.ordered(Event(*row) for row in tx.all(sql.EVENTS, n=order.no))
    last = events[-1]
    at = max(tx.now, last.at + 1) if occurred_at is None else tx.happened(occurred_at)
    if at < last.at or (at, what, detail) in [event[:3] for event in events]:
        message = f"occurred_at: expected a time after {last.at}, when {ids.name('WO', order.no)} was {last.what}"
        raise Invalid(message, field="occurred_at")
    events = rules.ordered([*events, Event(at, what, detail, tx.by)])
    tx.run(sql.ADD_EVENT, no=order.no, at=at, what=what, detail=detail, by=tx.by)
    settle(tx, order, events, what, at, detail)
    return shown(tx, order.no)


def _may_start(tx: Transaction, order: Any) -> None:
    if waits_for := tx.all(sql.OPEN_DEPENDENCIES, n=order.no):
        names = [ids.name("WO", row.depends_on) for row in waits_for]
        message = f"{ids.name('WO', order.no)} waits for {', '.join(names)}"
        raise Conflict(message, code="blocked_by_dependencies", details={"dependencies": names})
    in_progress = tx.value(sql.IN_PROGRESS, bucket=order.bucket)
    tx.guard("work_orders.start", _subject(order) | {"in_progress": in_progress})


def _subject(order: Any) -> dict[str, Any]:
    return {"id": ids.name("WO", order.no), "sku_id": order.sku_id, "bucket": order.bucket}


def _demand(order: Any, verb: str, statuses: tuple[str, ...]) -> None:
    if order.status not in statuses:
        name = ids.name("WO", order.no)
        message = f"can't {verb} {name}: it is {order.status}, not {' or '.join(statuses)}"
        raise Conflict(message, code="invalid_state", field="status", details={"status": order.status})


def _depend(tx: Transaction, no: int, depends_on: list[int], at: int) -> None:
    known = {row.depends_on for row in tx.all(sql.DEPENDENCIES, n=no)}
    for other in depends_on:
        if other == no or _reaches(tx, other, no):
            message = f"{ids.name('WO', no)} can't wait for {ids.name('WO', other)}, which waits for it"
            raise Conflict(message, code="dependency_cycle", field="dependencies")
        if other not in known:
            tx.run(sql.ADD_DEPENDENCY, no=no, depends_on=other)
    _settle_queue(tx, no, at)


def _reaches(tx: Transaction, start: int, goal: int) -> bool:
    def next_of(no: int) -> list[int]:
        return [row.depends_on for row in tx.all(sql.DEPENDENCIES, n=no)]

    return rules.reaches(start, goal, next_of)


def _end(tx: Transaction, order: Any, result: doc.WorkOrder) -> doc.WorkOrder:
    tell_dependents(tx, order.no, result.history[-1].timestamp)
    return result


def tell_dependents(tx: Transaction, no: int, at: int) -> None:
    """Orders that wait for this one may be pulled now, or no longer."""
    for row in tx.all(sql.DEPENDENTS, n=no):
        _settle_queue(tx, row.no, at)


def _settle_queue(tx: Transaction, no: int, at: int) -> None:
    """Moves a waiting order between queued and blocked, by whether anything it depends on is open."""
    order = tx.one(sql.GET, n=no)
    due = "blocked" if tx.all(sql.OPEN_DEPENDENCIES, n=no) else "queued"
    if order.status in ("queued", "blocked") and order.status != due:
        events = rules.ordered(Event(*row) for row in tx.all(sql.EVENTS, n=no))
        event = Event(max(at, events[-1].at + 1), due, by=tx.by)
        tx.run(sql.ADD_EVENT, no=no, at=event.at, what=due, detail="", by=tx.by)
        settle(tx, order, [*events, event], due, event.at)


def _queue(tx: Transaction, bucket: str, full: dict[str, LimitReached]) -> Iterator[Any]:
    """The bucket's queue, read as far as it is asked for and while its limit is not reached."""
    skip = 0
    while bucket not in full:
        page = tx.all(sql.QUEUE, bucket=bucket, size=50, skip=skip)
        yield from page
        if len(page) < 50:
            return
        skip += len(page)


def _exists(tx: Transaction, name: str, field: str = "dependencies") -> int:
    try:
        return int(get(tx, name, field).no)
    except NotFound as error:
        raise Invalid(f"{field}: {error.message}", field=field) from error


def _names(body: doc.Depend) -> list[str]:
    return [body.depends_on] if isinstance(body.depends_on, str) else list(dict.fromkeys(body.depends_on))


def stood(order: Any) -> Standing:
    return Standing(**{name: getattr(order, name) for name in Standing.__struct_fields__})


def emit(
    tx: Transaction, what: str, no: int, before: Standing | None, now: Standing, at: int, detail: str = ""
) -> None:
    fact = OrderFact(work_order_id=ids.name("WO", no), before=before, now=now, detail=detail)
    tx.emit(f"work_orders.{what}", fact, at)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
