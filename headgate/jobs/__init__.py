"""Durable jobs: what callers submit, and the workers that do it through the same corridor as every other request."""
