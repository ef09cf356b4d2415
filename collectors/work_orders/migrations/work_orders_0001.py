"""Begins: work orders, their events and dependencies."""

import sqlalchemy as sa
from alembic import op

revision = "work_orders_0001"
down_revision = None
branch_labels = ("work_orders",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "work_order",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sku_id", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("current_stage", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("sla_deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("external_id"),
    )
    op.create_index("work_order_bucket", "work_order", ["bucket", "created_at"], unique=False)
    op.create_index("work_order_newest", "work_order", ["created_at", "no"], unique=False)
    op.create_index("work_order_queue", "work_order", ["status", "bucket", "priority", "created_at"], unique=False)
    op.create_index("work_order_sku", "work_order", ["sku_id"], unique=False)
    op.create_index("work_order_started", "work_order", ["started_at"], unique=False)
    op.create_index("work_order_status", "work_order", ["status", "created_at", "no"], unique=False)
    op.create_table(
        "work_order_dependency",
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("depends_on", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("no", "depends_on"),
        sqlite_with_rowid=False,
    )
    op.create_index("work_order_dependents", "work_order_dependency", ["depends_on"], unique=False)
    op.create_table(
        "work_order_event",
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("no", "at", "what", "detail"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("work_order_event")
    op.drop_index("work_order_dependents", table_name="work_order_dependency")
    op.drop_table("work_order_dependency")
    op.drop_index("work_order_started", table_name="work_order")
    op.drop_index("work_order_status", table_name="work_order")
    op.drop_index("work_order_sku", table_name="work_order")
    op.drop_index("work_order_queue", table_name="work_order")
    op.drop_index("work_order_newest", table_name="work_order")
    op.drop_index("work_order_bucket", table_name="work_order")
    op.drop_table("work_order")
