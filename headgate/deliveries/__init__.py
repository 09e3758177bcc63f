"""Telling the submitters of jobs, and the operator's own topics: what the outbox has, until it is delivered."""
