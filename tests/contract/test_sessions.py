"""What every memory of conversations does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from headgate.errors import StoreUnavailable
from headgate.route_ports import Sessions
from headgate.stores.memory_sessions import MemorySessions
from headgate.stores.redis import scripts
from headgate.stores.redis.line import Line
from headgate.stores.redis.sessions import RedisSessions
from tests.servers import RedisServer, redis

LIMIT_SECONDS = 0.5


class Time:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0


Check = Callable[[Sessions, Time], Awaitable[None]]


@asynccontextmanager
async def process(url: str, time: Time, most: int = 5, limit_seconds: float = 60.0) -> AsyncIterator[RedisSessions]:
    """What one process knows."""
    line = Line(url, scripts.of_sessions(), lambda trouble: None, limit_seconds)
    with_store = RedisSessions(line, lambda: time.now, most)
    try:
        await reached(line)
        yield with_store
    finally:
        await line.aclose()


async def reached(line: Line) -> None:
    """Once a busy machine lets it be in time."""
    for _ in range(3_000):
        try:
            await line.reach()
            return
        except StoreUnavailable:
            await asyncio.sleep(0.02)
    raise AssertionError("it is not there")


async def arrived(sessions: RedisSessions) -> None:
    """What was kept is on the server: answers come in order."""
    await sessions.model(b"nobody")


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.server)])
def run(request: pytest.FixtureRequest) -> Callable[[Check], None]:
    """Runs a check on an empty memory of five conversations."""

    def run_on(check: Check) -> None:
        async def main() -> None:
            time = Time()
            if request.param == "memory":
                await check(MemorySessions(lambda: time.now, most=5), time)
                return
            server: RedisServer = request.getfixturevalue("redis_server")
            async with process(server.url, time) as sessions:
                await check(sessions, time)

        asyncio.run(main())

    return run_on


def test_a_conversation_is_known_until_it_was_silent_for_long(run: Callable[[Check], None]) -> None:
    async def check(sessions: Sessions, time: Time) -> None:
        assert await sessions.model(b"\x00\xff") == ""
        sessions.keep(b"\x00\xff", "großes Modell", 60.0)
        assert await sessions.model(b"\x00\xff") == "großes Modell"
        time.now += 59
        sessions.keep(b"\x00\xff", "small", 60.0)
        time.now += 59
        assert await sessions.model(b"\x00\xff") == "small"
        time.now += 1
        assert await sessions.model(b"\x00\xff") == ""

    run(check)


def test_a_better_model_stays(run: Callable[[Check], None]) -> None:
    async def check(sessions: Sessions, time: Time) -> None:
        sessions.keep(b"one", "large", 60.0)
        sessions.keep(b"one", "small", 600.0, ["medium", "large"])
        assert await sessions.model(b"one") == "large"
        sessions.keep(b"one", "medium", 60.0, ["large"])
        assert await sessions.model(b"one") == "large"
        sessions.keep(b"one", "medium", 60.0)
        assert await sessions.model(b"one") == "medium"
        time.now += 60
        sessions.keep(b"one", "small", 60.0, ["medium", "large"])
        assert await sessions.model(b"one") == "small"  # what is over holds nobody

    run(check)


def test_who_was_silent_for_longest_is_forgotten_first(run: Callable[[Check], None]) -> None:
    async def check(sessions: Sessions, time: Time) -> None:
        for number in range(5):
            sessions.keep(b"%d" % number, "large", 60.0)
            time.now += 1
        sessions.keep(b"0", "large", 60.0)
        time.now += 1
        sessions.keep(b"new", "large", 60.0)
        known = [await sessions.model(name) for name in (b"0", b"1", b"2", b"new")]
        assert known == ["large", "", "large", "large"]

    run(check)


@pytest.mark.server
def test_processes_know_the_same(redis_server: RedisServer) -> None:
    async def check() -> None:
        time = Time()
        async with process(redis_server.url, time) as one, process(redis_server.url, time) as other:
            one.keep(b"talk", "small", 60.0)
            await arrived(one)
            assert await other.model(b"talk") == "small"
            other.keep(b"talk", "large", 60.0)  # it escalated there
            await arrived(other)
            assert await one.model(b"talk") == "large"
            one.keep(b"talk", "small", 60.0, ["large"])  # somebody began with the same words
            await arrived(one)
            assert await other.model(b"talk") == "large"

    asyncio.run(check())


@pytest.mark.server
def test_nothing_is_left_on_a_server_that_nobody_uses(redis_server: RedisServer) -> None:
    async def check() -> None:
        time = Time()
        async with process(redis_server.url, time) as sessions:
            sessions.keep(b"long", "small", 600.0)
            sessions.keep(b"short", "small", 1.0)
            await arrived(sessions)
            for key in ("models", "ends"):
                assert 599_000 < int(redis_server.ask("PTTL", f"headgate:1:sessions:{{sessions}}:{key}")) <= 600_000
            time.now += 2
            sessions.keep(b"long", "small", 600.0)
            await arrived(sessions)
            assert redis_server.ask("HLEN", "headgate:1:sessions:{sessions}:models") == "1"

    asyncio.run(check())


@pytest.mark.server
def test_without_the_server_a_process_goes_by_its_own_memory() -> None:
    async def check(server: RedisServer) -> None:
        clock = Time()
        async with process(server.url, clock, limit_seconds=LIMIT_SECONDS) as sessions:
            sessions.keep(b"talk", "small", 60.0)
            await arrived(sessions)
            server.pause()
            began = time.monotonic()
            assert await sessions.model(b"talk") == "small"
            assert time.monotonic() - began < 5 * LIMIT_SECONDS
            began = time.monotonic()
            assert await sessions.model(b"talk") == "small"  # nobody waits a second time
            assert time.monotonic() - began < LIMIT_SECONDS
            sessions.keep(b"talk", "large", 60.0)  # the server does not hear of it
            server.resume()
            await reached(sessions._line)
            assert sessions._line.healthy
            assert await sessions.model(b"talk") == "large"
            sessions.keep(b"talk", "large", 60.0)
            await arrived(sessions)
            assert "large" in server.ask("HGETALL", "headgate:1:sessions:{sessions}:models")
            server.ask("FLUSHALL")
            assert await sessions.model(b"talk") == "large"

    with redis() as server:
        if server is None:
            pytest.skip("needs the Debian package redis-server")
        asyncio.run(check(server))
