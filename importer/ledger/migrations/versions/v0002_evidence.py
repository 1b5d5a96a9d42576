"""Results of conversations, and who settled a doubt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_KNOWN = sa.text("conversation_id IS NOT NULL")


def upgrade() -> None:
    """Add the columns, and an index to find submissions by their conversation."""
    moment = sa.DateTime(timezone=True)
    op.add_column("submissions", sa.Column("remote_status", sa.Text))
    op.add_column("submissions", sa.Column("remote_at", moment))
    op.add_column("submissions", sa.Column("decided_by", sa.Text))
    op.add_column("submissions", sa.Column("decided_at", moment))
    op.create_index(
        "submissions_by_conversation",
        "submissions",
        ["conversation_id"],
        sqlite_where=_KNOWN,
        postgresql_where=_KNOWN,
    )
