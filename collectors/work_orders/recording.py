"""History that happened elsewhere: no limit and no andon refuses it, and telling it again changes nothing.

Identity is (item, activity, time). An order is derived from its events sorted by time, so pieces of a log may come in
any order and end with the same numbers.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from collectors.work_orders import documents as doc
from collectors.work_orders import rules
from collectors.work_orders import schema as sql
from collectors.work_orders.commands import Draft, add, bucket_of, emit, settle, sla_hours, stood, tell_dependents
from collectors.work_orders.facts import Standing
from collectors.work_orders.rules import Event
from exporter.contract import Transaction

LATE = "started after it was completed"


class _Known(NamedTuple):
    order: Any
    events: list[Event]


def record(tx: Transaction, body: doc.Record) -> doc.Recorded:
    accepted = duplicates = 0
    entries = sorted(body.entries, key=lambda entry: entry.item)  # stable: an item's rows keep their order
    for item, group in groupby(entries, key=lambda entry: entry.item):
        new, known = _record_log(tx, item, list(group))
        accepted, duplicates = accepted + new, duplicates + known
    for whole in body.wholes:
        changed = _record_whole(tx, whole)
        accepted, duplicates = accepted + changed, duplicates + (not changed)
    return doc.Recorded(accepted=accepted, duplicates=duplicates)


def _record_log(tx: Transaction, item: str, entries: list[doc.Entry]) -> tuple[int, int]:
    """Adds the events of one item that are not known yet, each as a fact of its own. (new, known)"""
    known = _find(tx, item)
    seen = {(event.at, event.detail) for event in known.events} if known else set()
    fresh: list[Event] = []
    buckets: dict[Event, str | None] = {}
    for entry in entries:
        if (entry.at, entry.activity) not in seen:
            seen.add((entry.at, entry.activity))
            fresh.append(Event(entry.at, entry.what, entry.activity, tx.by))
            buckets[fresh[-1]] = entry.bucket
    if not fresh:
        return 0, len(entries)
    first = rules.ordered(fresh)[0]
    rest = fresh
    if known is None:
        begun, *rest = fresh
        draft = Draft(bucket_of(tx, buckets[first]), rules.priority(None), None)
        no = add(tx, draft, [begun], item, item, [], {})
        known = _Known(tx.one(sql.GET, n=no), [begun])
    if rest:
        _add_events(tx, known, rest, buckets[first] if rules.ordered([first, *known.events])[0] is first else None)
    return len(fresh), len(entries) - len(fresh)


def _add_events(tx: Transaction, known: _Known, fresh: list[Event], bucket: str | None) -> None:
    """One fact an event, one update of the row. `bucket`: what the new first event of the item says."""
    order, events = known
    before = was = stood(order)
    if bucket is not None and bucket != order.bucket:
        draft = Draft(bucket_of(tx, bucket), order.priority, order.sku_id)
        _redraft(tx, order, draft)
        order = tx.one(sql.GET, n=order.no)
    tx.many(sql.ADD_EVENT, [{"no": order.no, **event._asdict()} for event in fresh])
    hours = sla_hours(tx, order.bucket)
    for event in fresh[:-1]:
        events = rules.ordered([*events, event])
        now = rules.standing(events, order, hours)
        emit(tx, event.what, order.no, before, now, event.at, event.detail)
        before = now
    last = fresh[-1]
    now = settle(tx, order, rules.ordered([*events, last]), last.what, last.at, last.detail, before=before)
    _tell(tx, order.no, was, now, max(event.at for event in fresh))


def _redraft(tx: Transaction, order: Any, draft: Draft) -> None:
    told = {"bucket": draft.bucket, "priority": draft.priority, "sku_id": draft.sku_id}
    tx.run(sql.CHANGE, n=order.no, description=order.description, **told)


def _record_whole(tx: Transaction, whole: doc.Whole) -> bool:
    """Makes an order what the table says of it. Whether that changed anything."""
    events = rules.ordered(Event(*event, tx.by) for event in _told(whole))
    known = _find(tx, whole.item)
    if known is None:
        draft = Draft(bucket_of(tx, whole.bucket), rules.priority(whole.priority), whole.sku_id)
        add(tx, draft, events, whole.item, whole.item, [], {})
        return True
    order = known.order
    draft = Draft(
        bucket_of(tx, whole.bucket) if whole.bucket else order.bucket,
        order.priority if whole.priority is None else rules.priority(whole.priority),
        whole.sku_id or order.sku_id,
    )
    kept = [e for e in known.events if e.what == "progressed" or (e.what == "noted" and e.detail != LATE)]
    told = rules.ordered([*kept, *events])
    was = stood(order)
    if rules.standing(told, draft, sla_hours(tx, draft.bucket)) == was:
        return False
    tx.run(sql.DROP_EVENTS, n=order.no)
    tx.many(sql.ADD_EVENT, [{"no": order.no, **event._asdict()} for event in told])
    _redraft(tx, order, draft)
    changed = tx.one(sql.GET, n=order.no)
    now = settle(tx, changed, told, events[-1].what, events[-1].at, before=was)
    _tell(tx, order.no, was, now, told[-1].at)
    return True


def _tell(tx: Transaction, no: int, was: Standing, now: Standing, at: int) -> None:
    if (was.status in rules.OPEN) != (now.status in rules.OPEN):
        tell_dependents(tx, no, at)


def _told(whole: doc.Whole) -> Iterator[tuple[int, str, str]]:
    """The events of a table's row. A start after the completion gives no cycle time, and reopens nothing."""
    created, started, completed = whole.created_at, whole.started_at, whole.completed_at
    yield created, "created", ""
    if started is not None:
        late = completed is not None and started > completed and whole.status in (None, "completed")
        yield (started, "noted", LATE) if late else (started, "started", "")
    if completed is not None:
        yield completed, "completed", ""
        if whole.status == "in_progress":
            yield completed, "reopened", ""
    if whole.cancelled_at is not None:
        yield whole.cancelled_at, "cancelled", ""
    if whole.status == "blocked":
        yield created, "blocked", ""


def _find(tx: Transaction, item: str) -> _Known | None:
    order = tx.one(sql.FIND_EXTERNAL, external_id=item)
    if order is None:
        return None
    return _Known(order, rules.ordered(Event(*row) for row in tx.all(sql.EVENTS, n=order.no)))
