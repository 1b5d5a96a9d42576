"""The results ledger: what was meant, what was tried, what became of it."""
