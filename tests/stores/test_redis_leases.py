"""Limits on everybody together, on several processes: each lets requests in from its own slice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from headgate.metering import Charge, Meter, Verdict
from headgate.stores.redis.counters import RedisCounters
from headgate.stores.redis.leases import SLICES
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.contract.counting import PATIENT_SECONDS, HandClock, ask, rate
from tests.servers import RedisServer

pytestmark = pytest.mark.server
PROCESSES = 4


def shared(kind: MeterKind, measure: Measure, limit: int) -> Meter:
    rule = Rule("limits", kind, measure, Scope.GLOBAL, limit, burst_seconds=6.0)
    return Meter(f"global:{kind}:{measure}", rule, "", None, limit)


@asynccontextmanager
async def processes(server: RedisServer, clock: HandClock) -> AsyncIterator[list[RedisCounters]]:
    """As many adapters as there would be processes, each with a tenant of its own."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(PROCESSES):
            counters = RedisCounters(server.url, clock=clock, limit_seconds=PATIENT_SECONDS)
            stack.push_async_callback(counters.aclose)
            await counters.rebuild(f"tenant {number}", [])
            found.append(counters)
        yield found


@pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.TOKENS])
def test_four_processes_together_let_in_what_one_would(redis_server: RedisServer, measure: Measure) -> None:
    """Under three times the load, for three minutes."""
    limit = 600 if measure is Measure.REQUESTS else 60_000
    unit = 1 if measure is Measure.REQUESTS else 100
    meter, clock, came = shared(MeterKind.RATE, measure, limit), HandClock(), list[float]()

    async def scenario() -> None:
        async with processes(redis_server, clock) as all_of_them:
            for step in range(1_300):
                clock.at += 0.14
                for number, counters in enumerate(all_of_them):
                    hold = f"{step} {number}"
                    said = await counters.admit(hold, f"tenant {number}", [meter], ask(60, 40))
                    if said.refusal is None:
                        came.append(clock.at)
                        counters.settle(hold, f"tenant {number}", Charge(tokens=100))
                    else:
                        assert said.refusal.verdict is Verdict.RATE and said.wait_seconds is not None

    asyncio.run(scenario())
    start = 0
    for end, at in enumerate(came):
        while came[start] <= at - 60:
            start += 1
        assert (end - start + 1) * unit <= limit + PROCESSES * limit // SLICES
    assert len(came) * unit >= 0.97 * limit * (1_300 * 0.14 / 60)


def test_what_is_under_way_is_counted_together(redis_server: RedisServer) -> None:
    meter, clock = shared(MeterKind.CONCURRENCY, Measure.REQUESTS, 10), HandClock()

    async def scenario() -> None:
        async with processes(redis_server, clock) as all_of_them:
            inside = list[tuple[int, str]]()
            for turn in range(20):
                number, hold = turn % PROCESSES, f"req_{turn}"
                said = await all_of_them[number].admit(hold, f"tenant {number}", [meter], ask())
                if said.refusal is None:
                    inside.append((number, hold))
                else:
                    assert said.refusal.verdict is Verdict.CONCURRENCY and said.refusal.used == 10
            assert len(inside) == 10
            assert [one.used for one in await all_of_them[0].read("tenant 0", [meter])] == [10]
            number, hold = inside[0]
            all_of_them[number].settle(hold, f"tenant {number}", Charge())
            said = await all_of_them[number].admit("again", f"tenant {number}", [meter], ask())
            assert said.refusal is None

    asyncio.run(scenario())


def test_a_process_that_died_is_forgotten(redis_server: RedisServer) -> None:
    meter, clock = shared(MeterKind.CONCURRENCY, Measure.REQUESTS, 1), HandClock()

    async def scenario() -> None:
        async with processes(redis_server, clock) as (dead, alive, *_):
            assert (await dead.admit("a", "tenant 0", [meter], ask())).refusal is None
            assert (await alive.admit("b", "tenant 1", [meter], ask())).refusal is not None
            clock.at += 31
            assert (await alive.admit("b", "tenant 1", [meter], ask())).refusal is None

    asyncio.run(scenario())


def test_what_the_tenant_may_not_is_given_back_to_everybody(redis_server: RedisServer) -> None:
    everybody, own, clock = shared(MeterKind.RATE, Measure.REQUESTS, 600), rate(1), HandClock()

    async def scenario() -> None:
        async with processes(redis_server, clock) as (counters, *_):
            for _ in range(40):
                await counters.admit("a", "tenant 0", [everybody, own], ask())
            clock.at += 2  # what is left of the slice goes back
            (reading, mine) = await counters.read("tenant 0", [everybody, own])
            assert (reading.used, mine.used) == (1, 1)

    asyncio.run(scenario())


def test_after_many_who_came_at_once_slices_are_taken_as_before(redis_server: RedisServer) -> None:
    meter, clock, slice_of = shared(MeterKind.RATE, Measure.REQUESTS, 600), HandClock(), 600 // SLICES

    async def scenario() -> None:
        async with processes(redis_server, clock) as (counters, other, *_):
            await asyncio.gather(*[counters.admit(f"a{one}", "tenant 0", [meter], ask()) for one in range(20)])
            clock.at += 2  # what is left of their slice is given back with the next call
            await counters.admit("b", "tenant 0", [meter], ask())
            assert (await other.read("tenant 1", [meter]))[0].used == 20 + slice_of

    asyncio.run(scenario())


def test_tokens_that_were_not_used_are_given_back(redis_server: RedisServer) -> None:
    meter, clock = shared(MeterKind.RATE, Measure.TOKENS, 10_000), HandClock()

    async def scenario() -> None:
        async with processes(redis_server, clock) as (counters, *_):
            await counters.admit("a", "tenant 0", [meter], ask(100, 800))
            counters.settle("a", "tenant 0", Charge(tokens=150))
            await counters.admit("b", "tenant 0", [meter], ask(100, 800))
            counters.settle("b", "tenant 0", Charge(released=True))
            clock.at += 2
            assert (await counters.read("tenant 0", [meter]))[0].used == 150

    asyncio.run(scenario())
