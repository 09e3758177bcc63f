"""Embedding by a provider: what it costs is told, and what goes wrong has a name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headgate.clock import SystemClock
from headgate.embedding.provider import EmbeddingPlan, ProviderEmbedder
from headgate.errors import EmbedderUnavailable
from headgate.metering import EmbeddingUse
from headgate.providers.openai import OpenAIProvider
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Counted
from tests.contract.embedders import answer, openai
from tests.providers.loopback import Peer, serving


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]  # a coroutine, as all scenarios are


def test_what_was_used_is_told_once() -> None:
    async def scenario() -> None:
        async with openai() as embedder:
            told: list[EmbeddingUse] = []
            await embedder.embed(["a", "b", "a"], told.append)
            await embedder.embed(["b", "a"], told.append)
            (use,) = told
            assert (use.model, use.usage.input, use.usage.counted) == ("text-embedding-3-small", 7, Counted.REPORTED)
            assert (use.provider, use.cost_picousd, use.price_version) == ("openai", 7 * 20_000, "list")
            assert use.id.startswith("emb_") and use.seconds > 0

    run(scenario)


@pytest.mark.parametrize(
    ("status", "value", "said"),
    [
        (401, {"error": {"message": "Incorrect API key"}}, "401, Incorrect API key"),
        (200, {"data": []}, "0 vectors for 1 texts"),
        (200, {"data": [{"index": 0, "embedding": [1.0]}]}, "1 dimensions instead of 2"),
        (200, {"data": [{"index": 0, "embedding": [0.0, 0.0]}]}, "no direction"),
        (200, {"data": [{"index": 0, "embedding": ["x", "y"]}]}, "cannot be used"),
        (200, {"nothing": 1}, "cannot be used"),
    ],
)
def test_what_goes_wrong_is_unavailable(status: int, value: object, said: str) -> None:
    async def speak(peer: Peer) -> None:
        while True:
            await peer.request()
            await answer(peer, status, value)

    async def scenario() -> None:
        async with serving(speak) as server:
            provider = OpenAIProvider("o", Connector(ConnectSettings()), PoolSettings(), {})
            plan = EmbeddingPlan("openai", "m", 2, server.url, "sk")
            embedder = ProviderEmbedder(provider, plan, SystemClock())
            told: list[EmbeddingUse] = []
            with pytest.raises(EmbedderUnavailable, match=said):
                await embedder.embed(["a"], told.append)
            assert told == []
            await embedder.aclose()

    run(scenario)


def test_a_provider_that_is_not_there_is_unavailable() -> None:
    async def scenario() -> None:
        provider = OpenAIProvider("o", Connector(ConnectSettings()), PoolSettings(), {})
        embedder = ProviderEmbedder(
            provider, EmbeddingPlan("openai", "m", None, "http://127.0.0.1:9/v1", ""), SystemClock()
        )
        with pytest.raises(EmbedderUnavailable, match="The provider o did not embed"):
            await embedder.embed(["a"])
        await embedder.aclose()

    run(scenario)
