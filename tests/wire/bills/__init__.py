"""Readers of statements."""
