"""The events that the API has sent, and which booking a conversation's meeting is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the table, and add a column that is null in every row."""
    moment = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    pending, stray = sa.text("outcome IS NULL"), sa.text("outcome = 'unknown-conversation'")
    op.create_table(
        "webhook_events",
        sa.Column("number", number, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("received_at", moment, nullable=False),
        sa.Column("happened_at", moment),
        sa.Column("conversation_id", sa.Text),
        sa.Column("external_id", sa.Text),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("outcome", sa.String(40)),
        sa.PrimaryKeyConstraint("number", name="pk_webhook_events"),
    )
    op.create_index("webhook_events_by_id", "webhook_events", ["id"], unique=True)
    op.create_index(
        "webhook_events_pending",
        "webhook_events",
        ["number"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_index(
        "webhook_events_stray",
        "webhook_events",
        ["conversation_id"],
        sqlite_where=stray,
        postgresql_where=stray,
    )
    op.add_column("submissions", sa.Column("meeting_id", sa.Text))
