"""Reconciliation: reads the bill and the ledger, lets the policy compare them, and books what differs."""
