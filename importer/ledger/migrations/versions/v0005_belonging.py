"""A ledger's own id, which is in its inboxes' markers, and the inbox of each night."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table with its single row, and add the column."""
    identity = op.create_table(
        "ledger_identity",
        sa.Column("id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_identity"),
    )
    op.bulk_insert(identity, [{"id": secrets.token_hex(16)}])
    op.add_column("nights", sa.Column("inbox", sa.Text))
