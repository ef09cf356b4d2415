"""Work orders as resources, read from the tables: newest first, by pages that stay put when others are added."""

from typing import Annotated, Any, Literal

import sqlalchemy as sa
from msgspec import Meta

from collectors.work_orders import documents as doc
from collectors.work_orders import rules
from collectors.work_orders import schema as sql
from exporter.contract import NotFound, Page, Statement, Struct, after, cursor

_o = sql.ORDER.c
_ended = sa.case((_o.status == "completed", _o.completed_at), (_o.status == "cancelled", _o.cancelled_at))
_late = sa.func.coalesce(_ended, sa.bindparam("now")) > _o.sla_deadline_at
_left, _whole = _o.sla_deadline_at - sa.bindparam("now"), _o.sla_deadline_at - _o.created_at
FILTERS = {
    "status": _o.status == sa.bindparam("status"),
    "bucket": _o.bucket == sa.bindparam("bucket"),
    "sku_id": _o.sku_id == sa.bindparam("sku_id"),
    "breached": _late,
    "warning": sa.and_(_ended.is_(None), ~_late, _left * 4 < _whole),
}
_pages: dict[tuple[str, ...], Statement] = {}


class Status(Struct):
    status: Literal["queued", "blocked", "in_progress", "completed", "cancelled"] | None = None
    bucket: str | None = None
    sku_id: str | None = None
    sla: Literal["breached", "warning"] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: str | None = None


class One(Struct):
    id: str


class Nothing(Struct):
    """Asks for no more than it is."""


class Next(Struct):
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


def find(page: Page, params: Status) -> doc.WorkOrders:
    asked: dict[str, Any] = {n: v for n in ("status", "bucket", "sku_id") if (v := getattr(params, n)) is not None}
    names = (*asked, *([params.sla] if params.sla else []))
    if params.sla:
        asked["now"] = page.now
    at, no = after(params.cursor)
    found = page.rows.all(_page(names), at=at, n=no, size=params.limit + 1, **asked)
    shown = [doc.work_order(page.rows, order, page.now) for order in found[: params.limit]]
    more = len(found) > params.limit
    last = found[params.limit - 1] if more else None
    return doc.WorkOrders(work_orders=shown, next_cursor=cursor(last.created_at, last.no) if last else None)


def one(page: Page, params: One) -> doc.WorkOrder:
    order = page.rows.one(sql.GET, n=doc.number(params.id))
    if order is None:
        raise NotFound(f"there is no work order {params.id}", field="id")
    return doc.work_order(page.rows, order, page.now)


def wip(page: Page, params: Nothing) -> dict[str, int]:
    """Work orders in progress by bucket; buckets without any are absent."""
    return {row.bucket: row.orders for row in page.rows.all(sql.WIP)}


def upcoming(page: Page, params: Next) -> doc.WorkOrders:
    """The levelled order, as far as `limit`."""
    rows, size = page.rows, params.limit
    buckets = rules.turns(list(page.settings.table("buckets")), rows.value(sql.LAST_STARTED))
    queues = [rows.all(sql.QUEUE, bucket=name, size=size, skip=0) for name in buckets]
    orders = list(rules.levelled(queues))[:size]
    return doc.WorkOrders(work_orders=[doc.work_order(rows, order, page.now) for order in orders])


def _page(names: tuple[str, ...]) -> Statement:
    """The page of these filters, compiled when it is first asked for; there are few combinations."""
    if names not in _pages:
        at: sa.BindParameter[int] = sa.bindparam("at")
        no: sa.BindParameter[int] = sa.bindparam("n")
        older = sa.or_(_o.created_at < at, sa.and_(_o.created_at == at, _o.no < no))
        where = [FILTERS[name] for name in names]
        core = sa.select(sql.ORDER).where(older, *where).order_by(_o.created_at.desc(), _o.no.desc())
        _pages[names] = Statement(core.limit(sa.bindparam("size")))
    return _pages[names]
