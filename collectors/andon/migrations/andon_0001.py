"""Begins: andons and their events."""

import sqlalchemy as sa
from alembic import op

revision = "andon_0001"
down_revision = None
branch_labels = ("andon",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "andon",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("failure_type", sa.Text(), nullable=False),
        sa.Column("sku_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("occurrences", sa.Integer(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("escalated_at", sa.BigInteger(), nullable=True),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("no"),
    )
    op.create_index("andon_newest", "andon", ["timestamp", "no"], unique=False)
    op.create_index("andon_sku", "andon", ["sku_id", "status"], unique=False)
    op.create_index("andon_status", "andon", ["status", "timestamp"], unique=False)
    op.create_table(
        "andon_event",
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("no", "n"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("andon_event")
    op.drop_index("andon_status", table_name="andon")
    op.drop_index("andon_sku", table_name="andon")
    op.drop_index("andon_newest", table_name="andon")
    op.drop_table("andon")
