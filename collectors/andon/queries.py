"""Andons as resources, read from the tables: newest first. `status=open` is the literal status."""

from typing import Annotated, Any, Literal

import sqlalchemy as sa
from msgspec import Meta

from collectors.andon import documents as doc
from collectors.andon import schema as sql
from exporter.contract import NotFound, Page, Statement, Struct, after, cursor

_a = sql.ANDON.c
_pages: dict[tuple[str, ...], Statement] = {}


class Filter(Struct):
    status: Literal["open", "acknowledged", "resolved"] | None = None
    severity: doc.Severity | None = None
    sku_id: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: str | None = None


class One(Struct):
    id: str


def find(page: Page, params: Filter) -> doc.Andons:
    asked: dict[str, Any] = {n: v for n in ("status", "severity", "sku_id") if (v := getattr(params, n)) is not None}
    at, no = after(params.cursor)
    found = page.rows.all(_page(tuple(asked)), at=at, n=no, size=params.limit + 1, **asked)
    shown = [doc.andon(page.rows, row) for row in found[: params.limit]]
    last = found[params.limit - 1] if len(found) > params.limit else None
    return doc.Andons(andons=shown, next_cursor=cursor(last.timestamp, last.no) if last else None)


def one(page: Page, params: One) -> doc.Andon:
    row = page.rows.one(sql.GET, k=doc.number(params.id))
    if row is None:
        raise NotFound(f"there is no andon {params.id}", field="id")
    return doc.andon(page.rows, row)


def _page(names: tuple[str, ...]) -> Statement:
    if names not in _pages:
        at: sa.BindParameter[int] = sa.bindparam("at")
        no: sa.BindParameter[int] = sa.bindparam("n")
        older = sa.or_(_a.timestamp < at, sa.and_(_a.timestamp == at, _a.no < no))
        where = [_a[name] == sa.bindparam(name) for name in names]
        core = sa.select(sql.ANDON).where(older, *where).order_by(_a.timestamp.desc(), _a.no.desc())
        _pages[names] = Statement(core.limit(sa.bindparam("size")))
    return _pages[names]
