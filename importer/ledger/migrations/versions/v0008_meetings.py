"""The meeting that a conversation arranged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add columns that are null in every row, so that a million rows are not rewritten."""
    moment = sa.DateTime(timezone=True)
    op.add_column("submissions", sa.Column("meeting_state", sa.String(20)))
    op.add_column("submissions", sa.Column("meeting_at", moment))
    op.add_column("submissions", sa.Column("meeting_known_at", moment))
