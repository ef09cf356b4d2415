"""The tables of andons. Times are milliseconds; `details` and `resolution` are JSON."""

import sqlalchemy as sa

from exporter.contract import Statement

TABLES = sa.MetaData()
ANDON = sa.Table(
    "andon",
    TABLES,
    sa.Column("no", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("failure_type", sa.Text, nullable=False),
    sa.Column("sku_id", sa.Text, nullable=False),
    sa.Column("stage", sa.Text),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("occurrences", sa.Integer, nullable=False),
    sa.Column("last_seen_at", sa.BigInteger, nullable=False),
    sa.Column("timestamp", sa.BigInteger, nullable=False),
    sa.Column("acknowledged_at", sa.BigInteger),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("escalated_at", sa.BigInteger),
    sa.Column("resolved_at", sa.BigInteger),
    sa.Column("resolution", sa.Text),
    sa.Index("andon_newest", "timestamp", "no"),
    sa.Index("andon_status", "status", "timestamp"),
    sa.Index("andon_sku", "sku_id", "status"),
)
EVENT = sa.Table(
    "andon_event",
    TABLES,
    sa.Column("no", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("note", sa.Text),
    sqlite_with_rowid=False,
)

_a, _e = ANDON.c, EVENT.c
_no = _a.no == sa.bindparam("k")
_changing = ("status", "acknowledged_at", "acknowledged_by", "note", "escalated_at", "resolved_at", "resolution")
LAST = Statement(sa.select(sa.func.max(_a.no)))
ADD = Statement(sa.insert(ANDON))
GET = Statement(sa.select(ANDON).where(_no))
SETTLE = Statement(sa.update(ANDON).where(_no).values({name: sa.bindparam(name) for name in _changing}))
ADD_EVENT = Statement(sa.insert(EVENT))
EVENTS = Statement(
    sa.select(_e.n, _e.at, _e.what, _e.by, _e.note).where(_e.no == sa.bindparam("k")).order_by(_e.at, _e.n)
)
OPEN_OF_SKU = Statement(
    sa.select(_a.no, _a.failure_type, _a.stage, _a.severity)
    .where(_a.sku_id == sa.bindparam("sku_id"), _a.status != "resolved")
    .order_by(_a.no)
)
UNANSWERED = Statement(
    sa.select(_a.no)
    .where(_a.status == "open", _a.escalated_at.is_(None), _a.timestamp <= sa.bindparam("until"))
    .order_by(_a.no).limit(100)
)  # fmt: skip
