"""A flushed Redis: what was under way anywhere, and what ends meanwhile, is counted once, before anybody is let in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from headgate.metering import Charge, Verdict
from headgate.stores.redis import losses
from headgate.stores.redis.counters import RedisCounters
from tests.contract.counting import ask, budget, concurrency, rate
from tests.servers import RedisServer, redis
from tests.stores.remote import BUDGET, known, on, until

pytestmark = pytest.mark.server
EACH = 200 * 10**6  # what a request holds


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One that only these tests flush."""
    with redis() as found:
        if found is None:
            pytest.skip("needs the Debian package redis-server")
        yield found


@pytest.fixture(autouse=True)
def emptied(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each test, and nobody waits for long."""
    server.ask("FLUSHALL")
    monkeypatch.setattr(losses, "ANNOUNCE_SECONDS", 0.05)


async def until_held(counters: RedisCounters, picousd: int) -> None:
    for _ in range(6_000):
        (reading,) = await counters.read("acme", [BUDGET])
        if reading.held == picousd:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{reading.held} are held, not {picousd}")


async def standing(counters: RedisCounters) -> tuple[int, int]:
    (reading,) = await counters.read("acme", [BUDGET])
    return reading.used, reading.held


async def admitted(counters: RedisCounters, *holds: str) -> None:
    for hold in holds:
        assert (await counters.admit(hold, "acme", [BUDGET], ask())).refusal is None
        counters.keep(hold, "acme", dispatched=True)


async def lost(server: RedisServer, *processes: RedisCounters) -> None:
    """All of them have heard of it."""
    await asyncio.to_thread(server.ask, "FLUSHALL")
    for number, counters in enumerate(processes):
        assert not (await counters.admit(f"lost {number}", "acme", [BUDGET], ask())).known


def test_what_ends_before_the_counters_are_there_is_counted_once_wherever_its_row_is(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as one, on(server.url) as other:
            await known(one)
            await known(other)
            await admitted(one, "a", "b")
            await admitted(other, "c", "d", "e")
            await lost(server, one, other)
            other.settle("c", "acme", Charge(picousd=7))
            doubtful = await one.doubtful("acme")
            assert sorted(doubtful) == ["a", "b", "c", "d", "e"], "so the ledger is read without them"
            one.settle("a", "acme", Charge(picousd=11))
            other.settle("d", "acme", Charge(released=True))
            assert not await one.rebuild("acme", [(BUDGET, 1_000)], after_loss=True)
            assert (await one.admit("f", "acme", [BUDGET], ask())).refusal is None
            await until(lambda: one.queued + other.queued == 0)
            assert await standing(one) == (1_018, 3 * EACH), "b, e and f"
            other.settle("c", "acme", Charge(picousd=7))
            other.settle("e", "acme", Charge(picousd=13))
            one.settle("b", "acme", Charge(picousd=17))
            one.settle("f", "acme", Charge(released=True))
            await until(lambda: one.queued + other.queued == 0)
            assert await standing(other) == (1_048, 0)

    asyncio.run(scenario())


def test_two_processes_that_rebuild_at_the_same_time_count_nothing_twice(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as one, on(server.url) as other:
            await known(one)
            await known(other)
            await admitted(one, "a", "b")
            await admitted(other, "c")
            await lost(server, one, other)
            both = await asyncio.gather(one.doubtful("acme"), other.doubtful("acme"))
            assert [sorted(each) for each in both] == [["a", "b", "c"]] * 2
            one.settle("a", "acme", Charge(picousd=7))
            spent = [(BUDGET, 100)]
            await asyncio.gather(*[each.rebuild("acme", spent, after_loss=True) for each in (one, other)])
            await until(lambda: one.queued + other.queued == 0)
            assert await standing(one) == (107, 2 * EACH)
            assert sorted(await one.doubtful("acme")) == ["b", "c"], "what is held is counted when it ends"
            other.settle("c", "acme", Charge(picousd=11))
            one.settle("b", "acme", Charge(picousd=13))
            await until(lambda: one.queued + other.queued == 0)
            await one.rebuild("acme", [(BUDGET, 131)], after_loss=True)  # with the rows of all
            assert await standing(one) == (131, 0)

    asyncio.run(scenario())


def test_who_has_nothing_to_ask_hears_of_a_loss_by_itself(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in time for the process that rebuilds."""
    monkeypatch.setattr(losses, "ANNOUNCE_SECONDS", 0.3)
    looked = asyncio.Event()

    class Watched(losses.Losses):
        async def look(self, *places: object) -> None:
            await super().look(*places)  # type: ignore[arg-type]  # whatever it is given
            looked.set()

    monkeypatch.setattr("headgate.stores.redis.counters.Losses", Watched)
    monkeypatch.setattr("headgate.stores.redis.counters.LOOK_SECONDS", 0.01)

    async def scenario() -> None:
        async with on(server.url) as one, on(server.url) as other:
            await known(one)
            await known(other)
            await admitted(other, "c")
            await until(lambda: other.queued == 0)
            await looked.wait()
            await lost(server, one)
            assert list(await one.doubtful("acme")) == ["c"]
            await one.rebuild("acme", [(BUDGET, 5)], after_loss=True)
            assert await standing(one) == (5, EACH)

    asyncio.run(scenario())


def test_what_a_replica_that_lags_has_not_heard_of_is_held_again(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as one:
            await known(one)
            await admitted(one, "a", "b")
            one.settle("a", "acme", Charge(picousd=7))
            await until(lambda: one.queued == 0)
            await admitted(one, "c")
            await until(lambda: one.queued == 0)
            server.ask("HDEL", "headgate:1:{acme}:holds", "c")
            server.ask("HINCRBY", "headgate:1:{acme}:m:budget", "h", str(-EACH))
            server.ask("HSET", "headgate:1:{acme}:tenant", "epoch", "of another server")
            assert not (await one.admit("d", "acme", [BUDGET], ask())).known
            assert sorted(await one.doubtful("acme")) == ["b", "c"]
            await one.rebuild("acme", [(BUDGET, 7)], after_loss=True)
            assert await standing(one) == (7, 2 * EACH)

    asyncio.run(scenario())


def test_a_process_that_is_new_hears_from_others_that_something_was_lost(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as one, on(server.url) as new:
            await known(one)
            await admitted(one, "a", "b")
            await lost(server, one, new)
            assert sorted(await new.doubtful("acme")) == ["a", "b"]
            await new.rebuild("acme", [(BUDGET, 5)], after_loss=True)
            assert await standing(new) == (5, 2 * EACH)

    asyncio.run(scenario())


def test_nobody_waits_for_a_tenant_that_was_never_known(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "ANNOUNCE_SECONDS", 1e6)

    async def scenario() -> None:
        async with on(server.url) as counters, asyncio.timeout(60):
            assert not (await counters.admit("a", "a new one", [BUDGET], ask())).known
            assert not await counters.doubtful("a new one")

    asyncio.run(scenario())


def test_after_a_flush_every_process_counts_what_its_ledger_says(server: RedisServer) -> None:
    """What the second one reads has rows that were not written when the first one read; what is held is in neither."""

    async def scenario() -> None:
        async with on(server.url) as one, on(server.url) as other:
            await known(one)
            await known(other)
            assert (await other.admit("b", "acme", [BUDGET], ask())).refusal is None
            server.ask("FLUSHALL")
            for counters in (one, other):
                assert not (await counters.admit("a", "acme", [BUDGET], ask())).known
            assert not await one.rebuild("acme", [(BUDGET, 100)])
            assert not await other.rebuild("acme", [(BUDGET, 150)])
            (reading,) = await one.read("acme", [BUDGET])
            assert (reading.used, reading.held) == (150, 200 * 10**6)
            assert await other.rebuild("acme", [(BUDGET, 170)]), "nothing is lost any more"
            assert (await one.read("acme", [BUDGET]))[0].used == 150

    asyncio.run(scenario())


def test_requests_under_way_are_held_again_after_a_flush_by_every_process(server: RedisServer) -> None:
    meters, each = [BUDGET, concurrency(9)], 200 * 10**6

    async def scenario() -> None:
        async with on(server.url) as one, on(server.url) as other:
            await known(one)
            for counters, hold in ((one, "a"), (one, "b"), (other, "c"), (other, "d"), (one, "gone")):
                assert (await counters.admit(hold, "acme", meters, ask())).refusal is None
                counters.keep(hold, "acme", dispatched=hold == "c")
            one.settle("gone", "acme", Charge(released=True))
            await one.read("acme", [BUDGET])
            await asyncio.to_thread(server.ask, "FLUSHALL")
            await known(one, spent=5)
            other.keep("d", "acme", dispatched=False)  # it asks for nothing, and is told nevertheless
            await until(lambda: other.queued == 0)
            await until_held(one, 4 * each)
            assert [reading.used for reading in await one.read("acme", meters)] == [5, 4]
            for counters, hold in ((one, "a"), (one, "b"), (other, "c"), (other, "d")):
                counters.settle(hold, "acme", Charge(150, 7))
            await until(lambda: one.queued + other.queued == 0)
            await until_held(one, 0)
            assert [reading.used for reading in await one.read("acme", meters)] == [5 + 4 * 7, 0]

    asyncio.run(scenario())


def test_nobody_is_admitted_after_a_flush_before_what_is_under_way_is_counted(server: RedisServer) -> None:
    """Another process asks all the time; it may hear yes only beside what the first one holds."""
    meters, each, room = [budget(10 * 200 * 10**6), rate(100)], 200 * 10**6, 10

    async def scenario() -> None:
        async with on(server.url) as one, on(server.url) as other:
            await known(one)
            for number in range(room):
                assert (await one.admit(f"a{number}", "acme", meters, ask())).refusal is None
            await asyncio.to_thread(server.ask, "FLUSHALL")
            assert not (await one.admit("b", "acme", meters, ask())).known
            await one.doubtful("acme")
            rebuilt = asyncio.create_task(one.rebuild("acme", [(meters[0], 0), (meters[1], 5)]))
            while not (said := await other.admit("c", "acme", meters, ask())).known:
                pass
            await rebuilt
            assert said.refusal is not None and said.refusal.verdict is Verdict.HELD
            assert [(one.used, one.held) for one in await one.read("acme", meters)] == [(0, room * each), (15, 0)]

    asyncio.run(scenario())


def test_what_ends_while_its_tenant_is_rebuilt_is_not_held_again(server: RedisServer) -> None:
    async def scenario() -> None:
        async with on(server.url) as counters:
            await known(counters)
            for number in range(20):
                await counters.admit(f"a{number}", "acme", [BUDGET], ask())
            await asyncio.to_thread(server.ask, "FLUSHALL")
            assert not (await counters.admit("b", "acme", [BUDGET], ask())).known
            rebuilt = asyncio.create_task(counters.rebuild("acme", [(BUDGET, 0)]))
            for number in range(20):
                counters.settle(f"a{number}", "acme", Charge(picousd=1))
                await asyncio.sleep(0)
            await rebuilt
            await until_held(counters, 0)

    asyncio.run(scenario())
