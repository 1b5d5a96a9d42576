"""Alembic's entry point: run the steps in the given connection and its transaction."""

from __future__ import annotations

from alembic import context

from importer.ledger.connection import VERSION_TABLE
from importer.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # our SQLite connections begin their transactions themselves
)
with context.begin_transaction():
    context.run_migrations()
