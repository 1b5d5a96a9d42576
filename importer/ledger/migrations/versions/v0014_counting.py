"""Count the rows of a run from an index, and find opt-outs and codes by one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_NOTE_TAKEN = {
    "sqlite": (
        """
        CREATE TRIGGER submissions_taken AFTER UPDATE OF run ON submissions
        WHEN old.run <> new.run BEGIN
            INSERT OR IGNORE INTO rows_elsewhere (run, source, row, key)
            VALUES (old.run, old.source, old.row, old.key);
        END
        """,
    ),
    "postgresql": (
        """
        CREATE FUNCTION note_taken_submission() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO rows_elsewhere (run, source, row, key)
            VALUES (old.run, old.source, old.row, old.key) ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $$
        """,
        """
        CREATE TRIGGER submissions_taken AFTER UPDATE OF run ON submissions FOR EACH ROW
        WHEN (old.run <> new.run) EXECUTE FUNCTION note_taken_submission()
        """,
    ),
}
_ELSEWHERE = """
INSERT INTO rows_elsewhere (run, source, row, key)
SELECT r.run, r.source, r.row, r.key
FROM run_rows AS r JOIN submissions AS s ON s.key = r.key
WHERE r.status = 'ready' AND (s.run <> r.run OR s.source <> r.source OR s.row <> r.row)
"""


def upgrade() -> None:
    """Make the table, its trigger and the indexes; fill the table from what is known."""
    op.create_table(
        "rows_elsewhere",
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("source", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("row", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_rows_elsewhere_run"),
        sa.PrimaryKeyConstraint("run", "source", "row", name="pk_rows_elsewhere"),
        sqlite_with_rowid=False,
    )
    op.execute(_ELSEWHERE)
    for statement in _NOTE_TAKEN[op.get_bind().dialect.name]:
        op.execute(statement)
    for name in ("submissions_reached", "submissions_by_external_id"):
        op.drop_index(name, "submissions")
    _index("reached", "person", "state <> 'planned'")
    _index("by_external_id", "external_id", "state <> 'planned'")
    _index("by_code", "code", "code <> ''")
    _index(
        "opted_out",
        "person",
        "remote_status IS NOT NULL AND upper(remote_status) = 'OPTED_OUT'",
    )
    op.create_index("submissions_by_run", "submissions", ["run", "state"])


def _index(name: str, column: str, where: str) -> None:
    rows = sa.text(where)
    op.create_index(
        f"submissions_{name}",
        "submissions",
        [column],
        sqlite_where=rows,
        postgresql_where=rows,
    )
