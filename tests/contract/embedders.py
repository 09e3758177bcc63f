"""Every embedder, ready to be asked: add one here and the contract is checked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headgate.embedding import prepared
from headgate.embedding.local import LocalEmbedder
from headgate.ports import Embedder


@asynccontextmanager
async def local() -> AsyncIterator[Embedder]:
    embedder = LocalEmbedder(prepared.place(""))
    yield embedder
    await embedder.aclose()


EMBEDDERS = {"LocalEmbedder": local}
