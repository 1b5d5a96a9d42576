"""Alembic's entry: runs the steps on the connection, and in the transaction, that it is given."""

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
