"""What every embedder does, whatever it is given."""

from __future__ import annotations

import array
import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from headgate.errors import EmbedderUnavailable
from headgate.ports import Embedder, Vector
from tests.contract.embedders import EMBEDDERS

TEXTS = [
    "How do I reset my password?",
    "水闸决定有多少水",
    "",
    " ",
    "\x00\u2028\x85",
    "half a \ud83d pair",
    "the water of the mill " * 3_000,
]

Scenario = Callable[[Embedder], Awaitable[None]]
Embedding = Callable[[Scenario], None]


@pytest.fixture(params=EMBEDDERS.values(), ids=EMBEDDERS.keys())
def embedding(request: pytest.FixtureRequest) -> Embedding:
    """Call it with a scenario."""

    async def run(scenario: Scenario) -> None:
        async with request.param() as embedder:
            await scenario(embedder)

    return lambda scenario: asyncio.run(run(scenario))


def numbers(vector: Vector) -> array.array[float]:
    return array.array("f", vector)


def product(one: Vector, other: Vector) -> float:
    return math.sumprod(numbers(one), numbers(other)) if hasattr(math, "sumprod") else sum(
        left * right for left, right in zip(numbers(one), numbers(other), strict=True)
    )  # fmt: skip


def test_every_text_has_a_vector_of_length_one(embedding: Embedding) -> None:
    async def scenario(embedder: Embedder) -> None:
        vectors = await embedder.embed(TEXTS)
        assert len(vectors) == len(TEXTS)
        for vector in vectors:
            assert len(numbers(vector)) == embedder.dimensions
            assert product(vector, vector) == pytest.approx(1, abs=1e-5)
        assert embedder.name
        assert await embedder.embed([]) == []

    embedding(scenario)


def test_a_text_has_one_vector_whatever_is_beside_it(embedding: Embedding) -> None:
    async def scenario(embedder: Embedder) -> None:
        together = await embedder.embed([*TEXTS, TEXTS[0]])
        assert together[0] == together[-1]
        for text, vector in zip(reversed(TEXTS), reversed(together[:-1]), strict=True):
            assert await embedder.embed([text]) == [vector]
        assert len(set(together)) >= 5, "different texts, different vectors"

    embedding(scenario)


def test_many_ask_at_once_and_some_leave(embedding: Embedding) -> None:
    async def scenario(embedder: Embedder) -> None:
        texts = [f"question {number % 20}" for number in range(60)]
        asked = [asyncio.ensure_future(embedder.embed([text])) for text in texts]
        await asyncio.sleep(0)
        for task in asked[::7]:
            task.cancel()
        await asyncio.wait(asked)
        for text, task in zip(texts, asked, strict=True):
            if not task.cancelled():
                assert task.result() == await embedder.embed([text])

    embedding(scenario)


def test_closed_it_says_so(embedding: Embedding) -> None:
    async def scenario(embedder: Embedder) -> None:
        await embedder.embed(["a"])
        await embedder.aclose()
        await embedder.aclose()
        with pytest.raises(EmbedderUnavailable):
            await embedder.embed(["b"])

    embedding(scenario)
