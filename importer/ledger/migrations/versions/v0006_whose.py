"""The ledger's API and organization, hashes of e-mail and candidate id, and the list's lag."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_REACHED = "state IN ('created', 'doubtful', 'duplicate', 'sending')"
_INDEXES = (
    ("submissions_created", ["campaign", "sent_at"], "state IN ('created')"),
    ("submissions_by_external_id", ["external_id"], _REACHED),
    ("submissions_listed", ["listed_s"], "listed_s IS NOT NULL"),
    ("submissions_by_email", ["email"], "email IS NOT NULL"),
    ("submissions_by_candidate", ["candidate"], "candidate IS NOT NULL"),
)


def upgrade() -> None:
    """Add columns that are null in every row, so that a million rows are not rewritten."""
    for column in (
        sa.Column("email", sa.String(64)),
        sa.Column("candidate", sa.String(64)),
        sa.Column("resends", sa.Integer),
        sa.Column("listed_s", sa.Float),
    ):
        op.add_column("submissions", column)
    op.add_column("attempts", sa.Column("request_id", sa.Text))
    for column in (
        sa.Column("api", sa.Text),
        sa.Column("organization", sa.String(64)),
        sa.Column("organization_folded", sa.String(64)),
        sa.Column("key_fingerprint", sa.String(16)),
        sa.Column("writes", sa.Integer),
    ):
        op.add_column("ledger_identity", column)
    for name, columns, condition in _INDEXES:
        where = sa.text(condition)
        op.create_index(name, "submissions", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "campaigns",
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_campaigns"),
    )
    op.execute("INSERT INTO campaigns (name) SELECT DISTINCT campaign FROM submissions")
