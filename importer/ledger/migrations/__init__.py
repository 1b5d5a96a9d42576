"""The steps to the present schema, one in each file; `importer.ledger.connection` runs them."""
