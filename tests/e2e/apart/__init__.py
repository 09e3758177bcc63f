"""Clients that have an environment of their own (`make test-full`), because they want an older openai package."""
