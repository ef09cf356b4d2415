"""Begins: WIP limits."""

import sqlalchemy as sa
from alembic import op

revision = "kanban_0001"
down_revision = None
branch_labels = ("kanban",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kanban_limit",
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("wip_limit", sa.Integer(), nullable=True),
        sa.Column("configured", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("bucket"),
    )


def downgrade() -> None:
    op.drop_table("kanban_limit")
