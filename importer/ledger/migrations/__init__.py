"""How the ledger's schema came about, one step a file; run by `importer.ledger.connection`."""
