"""Keyed signs of the person's name, which tell that a phone is now another person's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add a column that is null in every row, so that a million rows are not rewritten."""
    op.add_column("submissions", sa.Column("name", sa.Text))
