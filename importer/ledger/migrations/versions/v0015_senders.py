"""Senders on several machines: their leases, turns, rate and guards, and whose each row is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_RULE = "state <> 'sending' OR sender IS NOT NULL"


def upgrade() -> None:
    """Make four tables, and add columns that are null in every row.

    On a server nothing is sent without a sender any more: a process of an older version that still
    has the ledger open is refused its next intent.
    """
    moment = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "senders",
        sa.Column("id", number, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("command", "host", "machine")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("boot_id", "pid_space")),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("born", sa.BigInteger, nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("until", moment, nullable=False),
        sa.Column("over_at", moment),
        sa.Column("ended_at", moment),
        sa.Column("ended_how", sa.Text, nullable=False),
        sa.Column("run", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_senders"),
    )
    op.create_table(
        "turns",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sender", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("taken_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_turns"),
    )
    op.create_table(
        "rates",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("next_at", moment, nullable=False),
        sa.Column("rate", sa.Float, nullable=False),
        sa.Column("grown_at", moment, nullable=False),
        sa.Column("step_s", sa.Float, nullable=False),
        sa.Column("held_until", moment),
        sa.Column("halved_at", moment),
        sa.Column("quota_s", sa.Float),
        sa.Column("quota_until", moment),
        sa.PrimaryKeyConstraint("name", name="pk_rates"),
    )
    op.create_table(
        "run_guards",
        sa.Column("run", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("failed", "in_a_row")),
        sa.Column("unreached_in_a_row", sa.Integer, nullable=False),
        sa.Column("doubtful", sa.Integer, nullable=False),
        sa.Column("reached", sa.Boolean, nullable=False),
        sa.Column("last", sa.Text, nullable=False),
        sa.Column("canary", sa.String(20), nullable=False),
        sa.Column("canary_by", sa.BigInteger, nullable=False),
        sa.Column("stopped", sa.Text, nullable=False),
        sa.Column("exit_code", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run", name="pk_run_guards"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_run_guards_run"),
    )
    op.add_column("submissions", sa.Column("sender", sa.BigInteger))
    op.add_column("attempts", sa.Column("sender", sa.BigInteger))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("UPDATE submissions SET sender = 0 WHERE state = 'sending'")
        op.create_check_constraint("sending_has_sender", "submissions", _RULE)
