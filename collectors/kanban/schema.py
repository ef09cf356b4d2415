"""The limits in force. `configured` is what the configuration said when the limit was last taken from it."""

import sqlalchemy as sa

from exporter.contract import Statement

TABLES = sa.MetaData()
LIMIT = sa.Table(
    "kanban_limit",
    TABLES,
    sa.Column("bucket", sa.Text, primary_key=True),
    sa.Column("wip_limit", sa.Integer),
    sa.Column("configured", sa.Integer),
)
_bucket = LIMIT.c.bucket == sa.bindparam("b")
LIMITS = Statement(sa.select(LIMIT))
GET = Statement(sa.select(LIMIT.c.wip_limit).where(_bucket))
ADD = Statement(sa.insert(LIMIT))
SET = Statement(
    sa.update(LIMIT).where(_bucket).values(wip_limit=sa.bindparam("wip_limit"), configured=sa.bindparam("configured"))
)
PUT = Statement(sa.update(LIMIT).where(_bucket).values(wip_limit=sa.bindparam("wip_limit")))
DROP = Statement(sa.delete(LIMIT).where(_bucket))
