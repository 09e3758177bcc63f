"""What every token counter does, whatever it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headgate.ports import TokenCounter
from headgate.tokens.counter import EstimatingCounter, OfflineCounter

MODELS = ("gpt-4o-mini", "claude-sonnet-4-5", "", "nobody/knows-it", "../../etc/passwd", "\ud83d")
TEXTS = [
    "The gate decides how much water enters.",
    "水闸决定有多少水",
    "\x00\u2028\x85",
    "half a \ud83d pair",
    "x" * 50_000,
]


async def estimating(scenario: Callable[[TokenCounter], Awaitable[None]]) -> None:
    await scenario(EstimatingCounter())


async def offline(scenario: Callable[[TokenCounter], Awaitable[None]]) -> None:
    counter = OfflineCounter()
    try:
        await scenario(counter)
    finally:
        await counter.aclose()


@pytest.fixture(params=[estimating, offline], ids=["EstimatingCounter", "OfflineCounter"])
def counted(request: pytest.FixtureRequest) -> Callable[[Callable[[TokenCounter], Awaitable[None]]], None]:
    """Call it with a scenario."""
    return lambda scenario: asyncio.run(request.param(scenario))


Counted = Callable[[Callable[[TokenCounter], Awaitable[None]]], None]


def test_nothing_is_no_token(counted: Counted) -> None:
    async def scenario(counter: TokenCounter) -> None:
        for model in MODELS:
            assert await counter.count(model, []) == await counter.count(model, [""]) == 0

    counted(scenario)


def test_every_text_of_every_model_has_a_count(counted: Counted) -> None:
    async def scenario(counter: TokenCounter) -> None:
        for model in MODELS:
            for text in TEXTS:
                assert 0 < await counter.count(model, [text]) <= len(text.encode("utf-8", "replace"))

    counted(scenario)


def test_texts_are_counted_one_by_one(counted: Counted) -> None:
    async def scenario(counter: TokenCounter) -> None:
        for model in MODELS[:2]:
            one_by_one = [await counter.count(model, [text]) for text in TEXTS]
            assert await counter.count(model, TEXTS) == sum(one_by_one)

    counted(scenario)


def test_a_longer_text_has_more_tokens(counted: Counted) -> None:
    async def scenario(counter: TokenCounter) -> None:
        counts = [await counter.count("gpt-4o", ["the water of the mill. " * times]) for times in (1, 10, 100)]
        assert counts[0] < counts[1] < counts[2]

    counted(scenario)
