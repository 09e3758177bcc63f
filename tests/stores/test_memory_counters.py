"""What memory counters forget, and what they must not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from headgate.metering import Ask, Charge, Meter
from headgate.stores.memory_counters import MemoryCounters
from tests.contract.counting import START, USD, HandClock, ask, budget, rate, rolling

DAY = 86_400.0
Scenario = Callable[[MemoryCounters, HandClock], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def main() -> None:
        clock = HandClock()
        counters = MemoryCounters(clock)
        await counters.rebuild("acme", [])
        await scenario(counters, clock)

    asyncio.run(main())


async def crowd(counters: MemoryCounters, number: int = 2_500) -> None:
    """Others come, each with a meter of its own, until what is old is looked for and forgotten."""
    for one in range(number):
        await counters.admit(f"crowd_{one}", "acme", [budget(USD, name=f"session {one}")], ask())
        counters.settle(f"crowd_{one}", "acme", Charge())


async def used(counters: MemoryCounters, meter: Meter) -> int:
    (reading,) = await counters.read("acme", [meter])
    return reading.used


def test_what_is_spent_in_thirty_days_is_known_after_a_quiet_day() -> None:
    async def scenario(counters: MemoryCounters, clock: HandClock) -> None:
        month = rolling(USD, 30 * DAY)
        await counters.admit("req_1", "acme", [month], ask())
        counters.settle("req_1", "acme", Charge(picousd=77))
        clock.at = START + 20 * DAY
        await crowd(counters)
        assert await used(counters, month) == 77

    run(scenario)


def test_what_the_ledger_said_is_not_forgotten_with_the_next_crowd() -> None:
    async def scenario(counters: MemoryCounters, clock: HandClock) -> None:
        hour, session = rolling(USD), Meter("session", budget(USD).rule, "alice s1", None, USD)
        await counters.rebuild("acme", [(hour, 55), (session, 66)])
        await crowd(counters)
        assert (await used(counters, hour), await used(counters, session)) == (55, 66)

    run(scenario)


def test_after_a_restart_a_bucket_is_empty_at_most() -> None:
    async def scenario(counters: MemoryCounters, clock: HandClock) -> None:
        meter = rate(60, burst_seconds=5.0)
        await counters.rebuild("acme", [(meter, 50)])
        refused = await counters.admit("req_1", "acme", [meter], ask())
        assert refused.refusal is not None and refused.wait_seconds is not None and refused.wait_seconds <= 1.0
        for number in range(10):
            clock.at += 1.0
            assert (await counters.admit(f"req_{number}", "acme", [meter], ask())).refusal is None
        assert (await counters.admit("req_late", "acme", [meter], ask())).refusal is not None  # 60 in this minute

    run(scenario)


def test_a_clock_that_is_set_back_stops_nobody(back: float = 7200.0) -> None:
    async def scenario(counters: MemoryCounters, clock: HandClock) -> None:
        meters = [rate(2), rolling(USD), budget(USD)]
        for number in range(2):
            assert (await counters.admit(f"req_{number}", "acme", meters, ask())).refusal is None
        counters.settle("req_0", "acme", Charge(picousd=7))
        clock.at -= back
        refused = await counters.admit("req_2", "acme", meters, ask())
        assert refused.wait_seconds is not None and refused.wait_seconds <= 60.25
        assert refused.requests is not None and abs(refused.requests.resets_at - clock.at) <= 61
        clock.at += 31  # who did not settle is given up meanwhile
        first, spent, month = await counters.read("acme", meters)
        assert first.frees_at is not None and abs(first.frees_at - clock.at) <= 31
        assert (spent.used, month.used, month.frees_at) == (7, 7, START + 30 * DAY)
        clock.at += 30
        assert (await counters.admit("req_3", "acme", meters, ask())).refusal is None
        clock.at += back + 60
        assert (await counters.admit("req_4", "acme", meters, ask())).refusal is None
        assert counters.holds == 1

    run(scenario)


def test_two_limits_on_one_budget_each_tell_of_their_own_shares() -> None:
    async def main() -> None:
        clock, told = HandClock(), list[tuple[int, int]]()
        counters = MemoryCounters(clock, lambda crossing: told.append((crossing.meter.limit, crossing.percent)))
        await counters.rebuild("acme", [])
        wide, narrow = [budget(1000)], [budget(100)]
        assert wide[0].name == narrow[0].name
        for meters, picousd in ((narrow, 10), (wide, 10), (narrow, 40), (wide, 15), (narrow, 10)):
            await counters.admit("a", "acme", meters, Ask(0, 0))
            counters.settle("a", "acme", Charge(picousd=picousd))
        assert told == [(100, 50), (100, 80)]

    asyncio.run(main())
