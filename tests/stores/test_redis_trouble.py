"""A Redis that is away, hangs, forgets or refuses: what it costs a request, and how it is found again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest

from headgate.errors import StoreUnavailable
from headgate.metering import Charge
from headgate.stores.redis import counters as adapter
from headgate.stores.redis.line import LIMIT_SECONDS
from tests.contract.counting import ask, concurrency
from tests.servers import RedisServer, free_port, redis
from tests.stores.remote import BUDGET, known, on, patiently, until

pytestmark = pytest.mark.server
MOST_SECONDS = 5.0  # of which 0.25 are ours; the rest is a busy machine's
AT_ONCE_SECONDS = 0.2  # less than the limit: nobody waited


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One that a test may stop, and whose scripts it may flush."""
    with redis() as found:
        if found is None:
            pytest.skip("needs the Debian package redis-server")
        yield found


async def seconds_to_fail(call: Callable[[], Awaitable[object]]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(StoreUnavailable):
        await call()
    return loop.time() - began


async def fails_at_once(call: Callable[[], Awaitable[object]]) -> bool:
    """Of several calls most do: a busy machine may stand still during one or two of them."""
    return sorted([await seconds_to_fail(call) for _ in range(5)])[2] < AT_ONCE_SECONDS


def test_a_server_that_was_never_there(server: RedisServer) -> None:
    async def scenario() -> None:
        troubles = list[str]()
        async with on(f"redis://:secret@127.0.0.1:{free_port()}/0", troubles, LIMIT_SECONDS) as counters:
            for _ in range(3):
                assert await seconds_to_fail(lambda: counters.admit("a", "acme", [BUDGET], ask())) < MOST_SECONDS
            assert not counters.healthy and counters.failures == 1 and counters.last_error
            assert len(troubles) == 1 and "secret" not in troubles[0] and "127.0.0.1" in troubles[0]

    asyncio.run(scenario())


def test_stopped_and_started_empty_in_the_middle(server: RedisServer) -> None:
    async def scenario() -> None:
        troubles = list[str]()
        async with on(server.url, troubles) as counters:
            await known(counters)
            assert (await counters.admit("a", "acme", [BUDGET], ask())).refusal is None
            server.stop()
            assert await seconds_to_fail(lambda: counters.admit("b", "acme", [BUDGET], ask())) < MOST_SECONDS
            assert await fails_at_once(lambda: counters.read("acme", [BUDGET])), "it is known to be away"
            counters.settle("a", "acme", Charge(picousd=7))
            server.start()
            await until(lambda: counters.healthy)
            assert not (await counters.admit("c", "acme", [BUDGET], ask())).known
            await counters.rebuild("acme", [(BUDGET, 7)])
            assert (await counters.admit("c", "acme", [BUDGET], ask())).known
            assert (await counters.read("acme", [BUDGET]))[0].used == 7
            assert len(troubles) == 2 and troubles[1] == ""
            await until(lambda: counters.queued == 0)

    asyncio.run(scenario())


def test_one_that_hangs_costs_a_request_a_quarter_of_a_second_once(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url, limit_seconds=LIMIT_SECONDS) as counters:
            await known(counters)
            await patiently(lambda: counters.admit("a", "acme", [BUDGET], ask()))
            server.pause()
            times = await asyncio.gather(
                *[seconds_to_fail(partial(counters.admit, f"b{n}", "acme", [BUDGET], ask())) for n in range(50)]
            )
            assert 0.2 < max(times) < MOST_SECONDS
            assert await fails_at_once(lambda: counters.admit("b", "acme", [BUDGET], ask()))
            counters.settle("a", "acme", Charge(picousd=7))
            server.resume()
            await until(lambda: counters.healthy)
            again = await patiently(lambda: counters.admit("c", "acme", [BUDGET], ask()))
            assert not again.known, "what was served meanwhile counts"
            await patiently(lambda: counters.rebuild("acme", []))
            await until(lambda: counters.queued == 0)
            (reading,) = await patiently(lambda: counters.read("acme", [BUDGET]))
            assert (reading.used, reading.held) == (7, 0)  # nothing is held for those who were told no

    asyncio.run(scenario())


def test_a_flush_under_load_is_noticed_by_the_next_admission(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as counters:
            await known(counters)
            admissions = [counters.admit(f"a{number}", "acme", [BUDGET], ask()) for number in range(100)]
            await asyncio.gather(asyncio.to_thread(server.ask, "FLUSHALL"), *admissions)
            assert not (await counters.admit("b", "acme", [BUDGET], ask())).known
            for number in range(100):
                counters.settle(f"a{number}", "acme", Charge(picousd=1))
            await counters.rebuild("acme", [(BUDGET, 5_000)])
            assert (await counters.admit("b", "acme", [BUDGET], ask())).refusal is None
            (reading,) = await counters.read("acme", [BUDGET])
            assert reading.used == 5_000 and reading.held == 200 * 10**6

    asyncio.run(scenario())


def test_another_epoch_means_other_counters(server: RedisServer) -> None:
    """As after a failover: the data is there, and may lack the last seconds."""

    async def scenario() -> None:
        async with on(server.url) as counters:
            await known(counters, spent=100)
            server.ask("HSET", "headgate:1:{acme}:tenant", "epoch", "of another server")
            assert not (await counters.admit("a", "acme", [BUDGET], ask())).known
            assert await counters.rebuild("acme", [(BUDGET, 250)])
            assert (await counters.read("acme", [BUDGET]))[0].used == 250
            await counters.admit("b", "acme", [BUDGET], ask())
            server.ask("HSET", "headgate:1:{acme}:tenant", "epoch", "of another server")
            await counters.rebuild("acme", [(BUDGET, 260)])  # with what "b" came to
            counters.settle("b", "acme", Charge(picousd=10))
            assert (await counters.read("acme", [BUDGET]))[0].used == 260, "it is counted once"

    asyncio.run(scenario())


def test_flushed_scripts_are_loaded_again(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as counters:
            await known(counters)
            for number in range(5):
                server.ask("SCRIPT", "FLUSH")
                said = await asyncio.gather(
                    *[counters.admit(f"a{number} {one}", "acme", [BUDGET], ask()) for one in range(20)]
                )
                assert all(one.refusal is None for one in said)
            assert counters.failures == 0 and (await counters.read("acme", [BUDGET]))[0].held == 100 * 200 * 10**6

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("break_it", "word"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "noeviction"),
        (("REPLICAOF", "127.0.0.1", "1"), "primary"),
        (("CONFIG", "SET", "requirepass", "secret"), "password"),
    ],
)
def test_a_server_that_refuses_says_what_to_do(server: RedisServer, break_it: tuple[str, ...], word: str) -> None:
    async def scenario() -> None:
        async with on(server.url) as counters:
            await known(counters)
            server.ask(*break_it)
            if "requirepass" in break_it:
                server.ask("-a", "secret", "CLIENT", "KILL", "TYPE", "normal")
                await until(lambda: word in counters.last_error)
            with pytest.raises(StoreUnavailable, match=word):
                for _ in range(3):
                    await counters.admit("a", "acme", [BUDGET], ask())

    asyncio.run(scenario())


def test_what_is_queued_is_bounded(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "MOST_QUEUED", 10)

    async def scenario() -> None:
        async with on(server.url, limit_seconds=LIMIT_SECONDS) as counters:
            await known(counters)
            server.pause()
            assert await seconds_to_fail(lambda: counters.read("acme", [BUDGET])) < MOST_SECONDS
            for number in range(1_000):
                counters.settle(f"a{number}", "acme", Charge(picousd=1))
            assert counters.queued <= 10
            server.resume()
            await until(lambda: counters.healthy)
            assert not (await patiently(lambda: counters.admit("b", "acme", [BUDGET], ask()))).known

    asyncio.run(scenario())


def test_what_is_damaged_does_not_stand_in_the_way(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as counters:
            await known(counters)
            await counters.admit("a", "acme", [BUDGET], ask())
            server.ask("HSET", "headgate:1:{acme}:holds", "a", "1 and what is no MessagePack")
            counters.settle("a", "acme", Charge(picousd=7))
            with pytest.raises(StoreUnavailable, match="damaged"):
                await counters.read("acme", [BUDGET])
            assert counters.healthy and not (await counters.admit("b", "acme", [BUDGET], ask())).known
            await counters.rebuild("acme", [(BUDGET, 7)])
            assert (await counters.admit("b", "acme", [BUDGET], ask())).refusal is None

    asyncio.run(scenario())


def test_many_notes_go_in_several_batches(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as counters:
            await known(counters)
            for number in range(1_700):
                counters.settle(f"nobody {number}", "acme", Charge(picousd=1))
            await until(lambda: counters.queued == 0)

    asyncio.run(scenario())


def test_who_gives_up_waiting_leaves_nothing_held(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as counters:
            await known(counters)
            one = concurrency(1)
            task = asyncio.create_task(counters.admit("a", "acme", [one], ask()))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await counters.admit("b", "acme", [one], ask())).refusal is None

    asyncio.run(scenario())
