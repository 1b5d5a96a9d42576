"""The first ledger: runs, their files and rows, submissions and attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_OPEN = sa.text("state IN ('doubtful', 'sending')")
_REACHED = sa.text("state IN ('created', 'doubtful', 'duplicate', 'sending')")


def upgrade() -> None:
    """Make the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "runs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("plan_hash", sa.String(64), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("stopped", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("runs_by_start", "runs", ["started_at"])
    op.create_table(
        "run_sources",
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run", "position", name="pk_run_sources"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_run_sources_run"),
    )
    op.create_table(
        "run_rows",
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("source", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("row", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("key", sa.String(64)),
        sa.Column("codes", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run", "source", "row", name="pk_run_rows"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_run_rows_run"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "submissions",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("source", sa.Integer, nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("campaign", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("masked", sa.Text, nullable=False),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("conversation_id", sa.Text),
        sa.Column("status", sa.Integer),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("planned_at", moment, nullable=False),
        sa.Column("sent_at", moment),
        sa.Column("settled_at", moment),
        sa.PrimaryKeyConstraint("key", name="pk_submissions"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_submissions_run"),
        sa.CheckConstraint(
            "state IN ('created', 'doubtful', 'duplicate', 'planned', 'rejected', 'sending',"
            " 'unsent')",
            name=op.f("ck_submissions_state"),
        ),
    )
    op.create_index(
        "submissions_open", "submissions", ["state"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index(
        "submissions_reached",
        "submissions",
        ["person"],
        sqlite_where=_REACHED,
        postgresql_where=_REACHED,
    )
    op.create_table(
        "attempts",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("duration_s", sa.Float),
        sa.Column("status", sa.Integer),
        sa.Column("code", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", "run", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(["key"], ["submissions.key"], name="fk_attempts_key"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_attempts_run"),
        sqlite_with_rowid=False,
    )
