"""What the ledger knows, counted by every `ports.Counters`: at the beginning, and where something may be missing."""

from __future__ import annotations

import asyncio

from headgate.metering import Charge, Dated
from tests.contract.counting import Open, Stand, ask, budget, concurrency, rate, rolling, run, velocity


def test_the_ledger_says_where_to_begin(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meters = [budget(1000 * 10**6), rate(10), rolling(500 * 10**6)]
        hold, _ = await stand.admit(meters, ask())
        spent = [(meters[0], 700 * 10**6), (meters[1], 9), (meters[2], 100 * 10**6)]
        assert not await stand.counters.rebuild("acme", spent, after_loss=True)
        first, second, third = await stand.counters.read("acme", meters)
        assert (first.used, first.held, second.used, third.used) == (700 * 10**6, 200 * 10**6, 9, 100 * 10**6)
        stand.counters.settle(hold, "acme", Charge(picousd=150 * 10**6))
        assert (await stand.counters.read("acme", meters[:1]))[0].used == 850 * 10**6

    run(counters, scenario)


def test_what_is_held_may_be_in_the_ledger_already_and_is_not_counted_twice(counters: Open) -> None:
    """Its process has written it there, and has not reached the store since."""

    async def scenario(stand: Stand) -> None:
        meters = [budget(1000 * 10**6), rolling(1000 * 10**6), velocity(1000 * 10**6)]
        before, _ = await stand.admit(meters, ask())
        stand.counters.settle(before, "acme", Charge(picousd=10 * 10**6))
        hold, _ = await stand.admit(meters, ask())
        assert await stand.counters.rebuild("acme", [(meter, 160 * 10**6) for meter in meters])
        readings = await stand.counters.read("acme", meters)
        assert [one.used for one in readings] == [10 * 10**6] * 3
        stand.counters.settle(hold, "acme", Charge(picousd=150 * 10**6))
        assert [one.used for one in await stand.counters.read("acme", meters)] == [160 * 10**6] * 3
        await stand.admit(meters, ask())
        dated = [Dated(meters[1], 560 * 10**6, stand.clock.at)]
        await stand.counters.rebuild("acme", [(meter, 560 * 10**6) for meter in meters], dated)
        readings = await stand.counters.read("acme", meters)
        assert [one.used for one in readings] == [360 * 10**6, 360 * 10**6, 160 * 10**6], (
            "what is beyond both is missing"
        )

    run(counters, scenario)


def test_what_was_spent_before_a_restart_frees_when_it_would_have(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        hour = rolling(500, 3_600.0)
        since = [(100, 0), (250, 1_800), (400, 3_000), (900, 4_000)]  # the last is out of the window
        dated = [Dated(hour, amount, stand.clock.at - age) for amount, age in since]
        await stand.counters.rebuild("acme", [(hour, 400)], dated)

        async def used() -> int:
            return (await stand.counters.read("acme", [hour]))[0].used

        assert await used() == 400
        stand.clock.at += 616  # a slice is fifteen seconds
        assert await used() == 250
        stand.clock.at += 1_200
        assert await used() == 100
        await stand.counters.rebuild("acme", [(hour, 130)], [Dated(hour, 130, stand.clock.at)])
        assert await used() == 130
        stand.clock.at += 1_800
        assert await used() == 30

    run(counters, scenario)


def test_what_has_expired_does_not_come_back_with_a_rebuild(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meters = [concurrency(1), budget(1000 * 10**6)]
        await stand.admit(meters, ask())
        stand.clock.at += 31
        await stand.counters.rebuild("acme", [])
        assert [one.used + one.held for one in await stand.counters.read("acme", meters)] == [0, 0]

    run(counters, scenario)


def test_what_a_ledger_says_does_not_trip_a_velocity_again_that_was_closed(counters: Open) -> None:
    async def scenario() -> None:
        meter = velocity(100 * 10**6)
        async with counters() as stand:
            hold, _ = await stand.admit([meter], ask())
            stand.counters.settle(hold, "acme", Charge(picousd=150 * 10**6))
            await stand.counters.reset("acme", meter)
            stand.clock.at += 10
            await stand.counters.rebuild("acme", [(meter, 150 * 10**6)])
            hold, _ = await stand.admit([meter], ask())
            stand.counters.settle(hold, "acme", Charge(picousd=10**6))
            (reading,) = await stand.counters.read("acme", [meter])
            assert (reading.used, reading.tripped) == (10**6, False)

    asyncio.run(scenario())
