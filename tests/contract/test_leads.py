"""What every book of who asks a provider does. One process alone has nothing to agree on: there is none in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headgate.clock import SystemClock
from headgate.ports import Leads
from headgate.stores.redis import leads
from headgate.stores.redis.cache import RedisCache
from headgate.stores.redis.leads import RedisLeads
from tests.contract.test_cache_store import kept
from tests.servers import RedisServer, redis

KEY, QUESTION = b"\x00\xffkey".ljust(24), b"question".ljust(24, b".")
NOW = 1_700_000_000.0
CLOCK = SystemClock()
DEAD_SECONDS = 0.6

pytestmark = pytest.mark.server


@asynccontextmanager
async def process(url: str, limit_seconds: float = 60.0) -> AsyncIterator[tuple[Leads, RedisCache]]:
    cache = RedisCache(
        url, lambda: NOW, max_entries=100, max_bytes=1_000_000, max_entry_bytes=10_000, limit_seconds=limit_seconds
    )
    await cache.start()
    try:
        yield RedisLeads(cache, CLOCK.new_id("process"), dead_seconds=DEAD_SECONDS), cache
    finally:
        await cache.aclose()


def test_one_process_asks_and_the_others_hear_when_it_has(redis_server: RedisServer) -> None:
    async def check() -> None:
        async with process(redis_server.url) as (one, _), process(redis_server.url) as (other, _):
            told = await asyncio.gather(one.claim(KEY, QUESTION), other.claim(KEY, QUESTION))
            assert sorted(bool(name) for name in told) == [False, True]
            asking, waiting = (one, other) if told[0] == "" else (other, one)
            name = max(told)
            assert await waiting.asks(name, KEY)
            assert await waiting.claim(b"another".ljust(24), QUESTION) == ""
            assert await asking.claim(KEY, QUESTION) == ""  # again, by itself
            waiting.release(KEY)  # not its own
            assert await waiting.asks(name, KEY)
            asking.release(KEY)
            assert not await asking.asks(name, KEY)
            assert await waiting.claim(KEY, QUESTION) == ""

    asyncio.run(check())


def test_an_answer_that_has_come_meanwhile_is_nobodys_to_ask_for(redis_server: RedisServer) -> None:
    async def check() -> None:
        async with process(redis_server.url) as (one, cache), process(redis_server.url) as (other, _):
            assert await one.claim(KEY, QUESTION) == ""
            cache.put(kept(QUESTION))
            one.release(KEY)
            assert not await one.asks("somebody", KEY)  # by now it is there
            told = await other.claim(KEY, QUESTION)
            assert told and not await other.asks(told, KEY)

    asyncio.run(check())


def test_a_process_that_is_dead_asks_nothing(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leads, "SIGN_SECONDS", 0.05)

    async def check() -> None:
        async with process(redis_server.url) as (other, _):
            async with process(redis_server.url) as (one, _):
                assert await one.claim(KEY, QUESTION) == ""
                name = await other.claim(KEY, QUESTION)
                await asyncio.sleep(DEAD_SECONDS + 0.1)
                assert await other.asks(name, KEY)  # it gives signs of life
            for _ in range(2_000):
                if not await other.asks(name, KEY):
                    break
                await asyncio.sleep(0.01)
            assert not await other.asks(name, KEY)
            assert await other.claim(KEY, QUESTION) == ""

    asyncio.run(check())


def test_who_is_cancelled_lets_go(redis_server: RedisServer) -> None:
    async def check() -> None:
        async with process(redis_server.url) as (one, _), process(redis_server.url) as (other, _):
            claiming = asyncio.create_task(one.claim(KEY, QUESTION))
            await asyncio.sleep(0)  # it is sent
            claiming.cancel()
            one.release(KEY)
            assert not await one.asks("nobody", KEY)
            assert await other.claim(KEY, QUESTION) == ""

    asyncio.run(check())


def test_without_the_server_everybody_asks() -> None:
    async def check(server: RedisServer) -> None:
        async with process(server.url, 0.1) as (one, _):
            assert await one.claim(KEY, QUESTION) == ""
            server.pause()
            assert await one.claim(KEY, QUESTION) == ""
            assert not await one.asks("somebody", KEY)
            one.release(KEY)

    with redis() as server:
        if server is None:
            pytest.skip("needs the Debian package redis-server")
        asyncio.run(check(server))
