"""What people decided about doubtful submissions, also what they corrected later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add a table; decisions of before are copied into it when they are corrected."""
    op.create_table(
        "decisions",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decided_by", sa.Text),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("conversation_id", sa.Text),
        sa.PrimaryKeyConstraint("key", "number", name="pk_decisions"),
        sa.ForeignKeyConstraint(["key"], ["submissions.key"], name="fk_decisions_key"),
    )
