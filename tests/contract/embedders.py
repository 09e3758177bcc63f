"""Every embedder, ready to be asked: add one here and the contract is checked for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headgate.clock import SystemClock
from headgate.embedding import prepared
from headgate.embedding.local import LocalEmbedder
from headgate.embedding.provider import EmbeddingPlan, ProviderEmbedder
from headgate.ports import Embedder
from headgate.providers.gemini import GeminiProvider
from headgate.providers.openai import OpenAIProvider
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Price
from tests.providers.loopback import Peer, serving

DIMENSIONS = 8
PRICE = Price(input=20_000, version="list")


@asynccontextmanager
async def local() -> AsyncIterator[Embedder]:
    embedder = LocalEmbedder(prepared.place(""))
    yield embedder
    await embedder.aclose()


def numbers(text: str) -> list[float]:
    """A direction that depends on the text, not of length one."""
    return [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSIONS]]


async def speak_openai(peer: Peer) -> None:
    """An embeddings API of OpenAI's, which answers out of order and refuses empty texts, as it does."""
    while True:
        head, body = await peer.request()
        asked = json.loads(body)
        assert head.startswith("POST /v1/embeddings ") and asked["dimensions"] == DIMENSIONS
        if not all(asked["input"]):
            await answer(peer, 400, {"error": {"message": "'$.input' is invalid."}})
            continue
        data = [{"index": place, "embedding": numbers(text)} for place, text in enumerate(asked["input"])]
        await answer(
            peer, 200, {"object": "list", "data": data[::-1], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
        )


async def speak_gemini(peer: Peer) -> None:
    """Gemini's batchEmbedContents."""
    while True:
        head, body = await peer.request()
        assert ":batchEmbedContents" in head.split("\r\n")[0]
        texts = [each["content"]["parts"][0]["text"] for each in json.loads(body)["requests"]]
        assert len(texts) <= 100
        await answer(peer, 200, {"embeddings": [{"values": numbers(text)} for text in texts]})


async def answer(peer: Peer, status: int, value: object) -> None:
    content = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    await peer.send(head.encode() + content)


@asynccontextmanager
async def openai() -> AsyncIterator[Embedder]:
    async with serving(speak_openai) as server:
        provider = OpenAIProvider("openai", Connector(ConnectSettings()), PoolSettings(), {})
        plan = EmbeddingPlan("openai", "text-embedding-3-small", DIMENSIONS, server.url, "sk-contract", PRICE)
        embedder = ProviderEmbedder(provider, plan, SystemClock())
        yield embedder
        await embedder.aclose()


@asynccontextmanager
async def gemini() -> AsyncIterator[Embedder]:
    async with serving(speak_gemini) as server:
        provider = GeminiProvider("gemini", Connector(ConnectSettings()), PoolSettings(), {})
        plan = EmbeddingPlan("gemini", "gemini-embedding-001", DIMENSIONS, server.url, "key")
        embedder = ProviderEmbedder(provider, plan, SystemClock())
        yield embedder
        await embedder.aclose()


EMBEDDERS = {"LocalEmbedder": local, "ProviderEmbedder, OpenAI": openai, "ProviderEmbedder, Gemini": gemini}
