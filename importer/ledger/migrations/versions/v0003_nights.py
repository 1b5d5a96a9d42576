"""Nights, and the result of each file in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "nights",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("ended_at", moment),
        sa.Column("exit_code", sa.Integer),
        sa.PrimaryKeyConstraint("id", name="pk_nights"),
    )
    op.create_table(
        "night_files",
        sa.Column("night", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("ending", sa.String(20), nullable=False),
        sa.Column("run", sa.String(32)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("night", "position", name="pk_night_files"),
    )
    op.create_index("night_files_by_content", "night_files", ["sha256"])
    op.create_index("night_files_by_time", "night_files", ["at"])
