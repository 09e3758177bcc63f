"""Counting tokens when a provider reports none."""
