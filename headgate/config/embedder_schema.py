"""The block about who turns texts into vectors; part of `schema.py`."""

from __future__ import annotations

from headgate.config.blocks import Block, Count, Usd


class EmbedderConfig(Block, frozen=True):
    """Who turns texts into vectors, for the semantic cache and for routers. Runs only if one of them asks."""

    # local: a small model on this machine, prepared by headgate embedder prepare; any other name: one of the providers
    provider: str = "local"
    model: str = ""  # of a provider, by its name for it, e.g. text-embedding-3-small
    dimensions: Count | None = None  # of a provider's vectors; default: as many as its model makes
    price: Usd | None = None  # of a provider, USD per million tokens; default: as the packaged list says
    directory: str = ""  # of the local model; default: ~/.cache/headgate
