"""What every log of entries does: each note reaches all who listen, in one order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from headgate.stores.memory_entry_log import MemoryEntryLog
from headgate.stores.redis.entry_log import KEPT_SECONDS, RedisEntryLog
from headgate.vector_ports import EntryLog
from tests.servers import RedisServer

Heard = list[bytes]
Make = Callable[[Heard], EntryLog]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.server)])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a log that tells a list. On Redis those of one test are replicas."""
    if request.param == "memory":
        return lambda heard: MemoryEntryLog(heard.append)
    server: RedisServer = request.getfixturevalue("redis_server")
    return lambda heard: RedisEntryLog(server.url, "contract", heard.append)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


async def until(condition: Callable[[], bool], what: str = "") -> None:
    for _ in range(6_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what or "it never came true")


def test_a_process_hears_itself_in_order(make: Make) -> None:
    async def scenario() -> None:
        heard: Heard = []
        log = make(heard)
        notes = [b"one", b"", b"\x00\xff", *(b"%d" % number for number in range(300))]
        for note in notes:
            log.write(note)
        await until(lambda: len(heard) == len(notes))
        assert heard == notes
        await log.aclose()
        await log.aclose()
        log.write(b"late")
        assert len(heard) == len(notes)

    run(scenario)


async def ready(log: RedisEntryLog) -> None:
    await until(lambda: log.healthy, "the server is there")


@pytest.mark.server
def test_replicas_hear_the_same_in_one_order(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        heard: list[Heard] = [[], [], []]
        logs = [RedisEntryLog(redis_server.url, "order", one.append) for one in heard[:2]]
        for log in logs:
            await ready(log)
        for number in range(200):
            logs[number % 2].write(b"%d" % number)
        await until(lambda: all(len(one) == 200 for one in heard[:2]))
        current: list[bool] = []

        def hear(note: bytes) -> None:
            heard[2].append(note)
            current.append(late.is_current)

        late = RedisEntryLog(redis_server.url, "order", hear)
        other = RedisEntryLog(redis_server.url, "another embedder", lambda note: pytest.fail("not its stream"))
        await until(lambda: len(heard[2]) == 200, "a new replica reads what is there")
        assert heard[0] == heard[1] == heard[2]
        assert sorted(heard[0]) == sorted(b"%d" % number for number in range(200))
        assert current == [False] * 200, "that was before it was there"
        await until(lambda: late.is_current)
        logs[0].write(b"new")
        await until(lambda: len(heard[2]) == 201)
        assert current[-1] is True
        for log in (*logs, late, other):
            await log.aclose()

    run(scenario)


@pytest.mark.server
def test_the_stream_is_bounded(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        heard, late = Heard(), Heard()
        log = RedisEntryLog(redis_server.url, "bounded", heard.append, most_notes=100)
        await ready(log)
        for number in range(600):  # not faster than they are read: what is dropped before that is lost
            log.write(b"%d" % number)
            if number % 50 == 49:
                await until(lambda written=number + 1: len(heard) == written)  # type: ignore[misc]  # a default of its own
        second = RedisEntryLog(redis_server.url, "bounded", late.append)
        await until(lambda: b"599" in late)
        assert 100 <= len(late) < 300, "about as many as it is to keep"
        async with Redis.from_url(redis_server.url) as client:
            assert KEPT_SECONDS - 60 < await client.ttl("headgate:1:semantic:bounded") <= KEPT_SECONDS
        await log.aclose()
        await second.aclose()

    run(scenario)


@pytest.mark.server
def test_without_the_server_a_process_goes_on_alone(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        heard: Heard = []
        log = RedisEntryLog("redis://127.0.0.1:9/0", "nobody", heard.append)
        log.write(b"alone")
        assert heard == [b"alone"]
        await log.aclose()

        log = RedisEntryLog(redis_server.url, "lost", heard.append)
        await ready(log)
        redis_server.stop()
        await until(lambda: not log.healthy)
        log.write(b"still")
        await until(lambda: heard[-1] == b"still")
        redis_server.start()
        await ready(log)
        log.write(b"again")
        await until(lambda: heard[-1] == b"again")
        await log.aclose()

    run(scenario)


def test_it_can_be_closed_though_the_client_makes_an_error_of_the_cancellation() -> None:
    async def scenario() -> None:
        log, asked = RedisEntryLog("redis://127.0.0.1:9/0", "stubborn", lambda note: None), asyncio.Event()

        async def stubborn(*arguments: object) -> None:
            asked.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ConnectionError("closed while it was read") from None

        log._client.xread = stubborn  # type: ignore[method-assign]  # as redis-py now and then
        await asked.wait()
        async with asyncio.timeout(60):
            await log.aclose()

    run(scenario)
