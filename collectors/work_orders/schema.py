"""The tables of work orders. Times are milliseconds; `labels` and `metadata` are JSON."""

import sqlalchemy as sa

from exporter.contract import Statement

TABLES = sa.MetaData()
ORDER = sa.Table(
    "work_order",
    TABLES,
    sa.Column("no", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("bucket", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("sku_id", sa.Text),
    sa.Column("external_id", sa.Text, unique=True),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("current_stage", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("started_at", sa.BigInteger),
    sa.Column("completed_at", sa.BigInteger),
    sa.Column("cancelled_at", sa.BigInteger),
    sa.Column("sla_deadline_at", sa.BigInteger),
    sa.Column("reopened", sa.Integer, nullable=False),
    sa.Index("work_order_newest", "created_at", "no"),
    sa.Index("work_order_queue", "status", "bucket", "priority", "created_at"),
    sa.Index("work_order_status", "status", "created_at", "no"),
    sa.Index("work_order_bucket", "bucket", "created_at"),
    sa.Index("work_order_sku", "sku_id"),
    sa.Index("work_order_started", "started_at"),
)
EVENT = sa.Table(
    "work_order_event",
    TABLES,
    sa.Column("no", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("detail", sa.Text, primary_key=True),  # the stage, the reason, or the activity as a tracker calls it
    sa.Column("by", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
DEPENDENCY = sa.Table(
    "work_order_dependency",
    TABLES,
    sa.Column("no", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("depends_on", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Index("work_order_dependents", "depends_on"),
    sqlite_with_rowid=False,
)

_o, _e, _d = ORDER.c, EVENT.c, DEPENDENCY.c
_no = _o.no == sa.bindparam("n")
LAST = Statement(sa.select(sa.func.max(_o.no)))
ADD = Statement(sa.insert(ORDER))
GET = Statement(sa.select(ORDER).where(_no))
FIND_EXTERNAL = Statement(sa.select(ORDER).where(_o.external_id == sa.bindparam("external_id")))
SETTLE = Statement(
    sa.update(ORDER).where(_no).values(
        {name: sa.bindparam(name) for name in ("status", "current_stage", "created_at", "started_at", "completed_at",
                                               "cancelled_at", "sla_deadline_at", "reopened")}
    )
)  # fmt: skip
CHANGE = Statement(
    sa.update(ORDER).where(_no).values(
        {name: sa.bindparam(name) for name in ("priority", "description", "bucket", "sku_id")}
    )
)  # fmt: skip
ADD_EVENT = Statement(sa.insert(EVENT))
EVENTS = Statement(sa.select(_e.at, _e.what, _e.detail, _e.by).where(_e.no == sa.bindparam("n")).order_by(_e.at))
DROP_EVENTS = Statement(sa.delete(EVENT).where(_e.no == sa.bindparam("n")))
IN_PROGRESS = Statement(
    sa.select(sa.func.count()).where(_o.status == "in_progress", _o.bucket == sa.bindparam("bucket"))
)
WIP = Statement(
    sa.select(_o.bucket, sa.func.count().label("orders")).where(_o.status == "in_progress").group_by(_o.bucket)
)
LAST_STARTED = Statement(sa.select(_o.bucket).where(_o.started_at.is_not(None)).order_by(_o.started_at.desc()).limit(1))
QUEUE = Statement(
    sa.select(ORDER)
    .where(_o.status == "queued", _o.bucket == sa.bindparam("bucket"))
    .order_by(_o.priority.desc(), _o.created_at, _o.no)
    .limit(sa.bindparam("size")).offset(sa.bindparam("skip"))
)  # fmt: skip
OPEN_BUCKETS = Statement(
    sa.select(_o.bucket, sa.func.count().label("orders"))
    .where(sa.or_(*(_o.status == status for status in ("queued", "blocked", "in_progress")))).group_by(_o.bucket)
)  # fmt: skip
ADD_DEPENDENCY = Statement(sa.insert(DEPENDENCY))
DROP_DEPENDENCY = Statement(
    sa.delete(DEPENDENCY).where(_d.no == sa.bindparam("n"), _d.depends_on == sa.bindparam("on"))
)
DEPENDENCIES = Statement(sa.select(_d.depends_on).where(_d.no == sa.bindparam("n")).order_by(_d.depends_on))
DEPENDENTS = Statement(sa.select(_d.no).where(_d.depends_on == sa.bindparam("n")).order_by(_d.no))
OPEN_DEPENDENCIES = Statement(
    sa.select(_d.depends_on)
    .join(ORDER, _o.no == _d.depends_on)
    .where(_d.no == sa.bindparam("n"), _o.status != "completed", _o.status != "cancelled")
    .order_by(_d.depends_on)
)
