"""Answers that are gone, dropped, old or out of reach: what is still known of their questions."""

from __future__ import annotations

import asyncio

import msgspec

from headgate.cache_types import CacheScope
from headgate.stores.memory_entry_log import MemoryEntryLog
from tests.gateway.corridor import run
from tests.gateway.meaning import LAST, RULES, Meaning, question


def test_an_answer_that_is_gone_is_forgotten() -> None:
    async def scenario() -> None:
        corridor = Meaning(ttl_seconds=1_000)
        await corridor.teach()
        entries = len(corridor.memory)
        await asyncio.sleep(1_000)
        assert await corridor.ask(LAST.format("router")) == "miss"
        assert len(corridor.memory) < entries

    run(scenario)


def test_an_answer_that_is_gone_is_forgotten_too_where_it_would_not_have_been_given() -> None:
    async def scenario() -> None:
        corridor = Meaning(ttl_seconds=1_000)
        await corridor.ask(question(0))
        await asyncio.sleep(1_000)
        for number in (8, 16):  # what means the same, in other words
            assert await corridor.ask(question(number)) == "miss"
        assert len(corridor.memory) == 2, "the first one stands in nobody's way"
        assert corridor.counted.verified["small", "missed", "right"] == 1

    run(scenario)


def test_with_answers_that_are_dropped_goes_what_is_known_of_their_questions() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        await corridor.teach(10)
        known = len(corridor.memory)
        assert known == 10 and corridor.memory.size_bytes > 0
        for other in (CacheScope("other"), CacheScope("acme", user="bob"), CacheScope(prompt_version="2")):
            assert await corridor.pipeline.cache.flush(other) == 0
            assert len(corridor.memory) == known
        assert await corridor.pipeline.cache.flush(CacheScope("acme", "small", user="alice")) == known
        assert len(corridor.memory) == corridor.memory.size_bytes == 0

    run(scenario)


def test_an_answer_that_is_out_of_reach_is_not_forgotten() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        await corridor.teach()
        log = MemoryEntryLog(corridor.semantic.apply)
        corridor.semantic.connect(log)
        entries, get = len(corridor.memory), corridor.answers.get

        async def away(key: bytes) -> None:
            return None

        log.healthy = False
        corridor.answers.get = away  # type: ignore[method-assign]  # the store is away
        assert await corridor.ask(LAST.format("router")) == "miss"
        log.healthy = True
        corridor.answers.get = get  # type: ignore[method-assign]  # it is back
        assert len(corridor.memory) >= entries
        assert await corridor.ask(LAST.format("printer")) == "semantic"

    run(scenario)


def test_an_old_answer_is_not_given_to_another_question() -> None:
    async def scenario() -> None:
        corridor = Meaning(msgspec.structs.replace(RULES, ttl_seconds=600))
        await corridor.teach()
        assert await corridor.ask(LAST.format("router")) == "semantic"
        await asyncio.sleep(600)
        assert await corridor.ask(LAST.format("printer")) == "miss"

    run(scenario)
