"""Queues, apart from their contract."""
