"""What a reload changes, in sentences."""

from __future__ import annotations

from headgate.config.load import Loaded


def changed(before: Loaded, after: Loaded) -> tuple[str, ...]:
    """What a reload changed, and what of it waits for a restart because it is read at start only."""
    if before.config == after.config:
        return ("Nothing changed.",)
    old, new = before.config, after.config
    at_start = {
        "server.host": (old.server.host, new.server.host),
        "server.port": (old.server.port, new.server.port),
        "server.data_dir": (old.server.data_dir, new.server.data_dir),
        "server.log": (old.server.log, new.server.log),
        "server.metrics": (old.server.metrics, new.server.metrics),
        "server.tracing": (old.server.tracing, new.server.tracing),
        "server.ledger": (old.server.ledger, new.server.ledger),
        "database": (old.database, new.database),
        "store": (old.store, new.store),
        "queue": (old.queue, new.queue),
        "embedder": (old.embedder, new.embedder),
        "jobs.pipelines": (old.jobs.pipelines, new.jobs.pipelines),
    }
    waiting = [f"{name} changed and waits for a restart." for name, (was, now) in at_start.items() if was != now]
    return (f"Configuration {before.hash} was replaced by {after.hash}.", *waiting)
