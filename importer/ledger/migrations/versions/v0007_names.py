"""Mask old file names that may contain a person's name, as new ones are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from importer.masking import mask_file_name

revision = "0007"
down_revision = "0006"

_MASKED = (("run_sources", "name"), ("run_sources", "path"), ("night_files", "name"))


def upgrade() -> None:
    """Mask the names, without changing columns: one for each file of a run or night."""
    connection = op.get_bind()
    for table, column in _MASKED:
        name = sa.column(column, sa.Text)
        there = sa.table(table, name)
        kept = connection.scalars(sa.select(name).select_from(there).where(name.is_not(None)))
        for each in set(kept):
            masked = mask_file_name(each)
            if masked != each:
                change = sa.update(there).where(name == each).values({column: masked})
                connection.execute(change)
    path, returned = sa.column("path", sa.Text), sa.column("returned_at", sa.DateTime)
    claims = sa.table("claims", path, returned)
    finished = connection.scalars(sa.select(path).where(returned.is_not(None)))
    for each in set(finished):
        if mask_file_name(each) != each:
            gone = sa.delete(claims).where(path == each, returned.is_not(None))
            connection.execute(gone)
