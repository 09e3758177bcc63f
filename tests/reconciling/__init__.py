"""Bills compared with the ledger."""
