"""What every `ports.Counters` must do about money that is spent fast, and requests that go in circles."""

from __future__ import annotations

from headgate.metering import Charge, Verdict
from tests.contract.counting import (
    Open,
    Stand,
    ask,
    repeat,
    run,
    velocity,
)


def test_velocity_trips_and_recovers_by_one_probe(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = velocity(500 * 10**6)
        for _ in range(3):
            hold, _ = await stand.admit([meter], ask())
            stand.counters.settle(hold, "acme", Charge(picousd=200 * 10**6))
        tripped = (await stand.admit([meter], ask()))[1]
        assert tripped.refusal.verdict is Verdict.TRIPPED and 290 <= tripped.wait_seconds <= 310
        assert [crossing.percent for crossing in stand.told] == [0]
        stand.clock.at += tripped.wait_seconds
        probe, admitted = await stand.admit([meter], ask())
        assert admitted.refusal is None
        assert (await stand.admit([meter], ask()))[1].refusal.verdict is Verdict.TRIPPED
        stand.counters.settle(probe, "acme", Charge(picousd=10**6))
        assert (await stand.admit([meter], ask()))[1].refusal is None

    run(counters, scenario)


def test_an_operator_closes_a_velocity(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = velocity(100 * 10**6)
        hold, _ = await stand.admit([meter], ask())
        stand.counters.settle(hold, "acme", Charge(picousd=200 * 10**6))
        assert (await stand.counters.read("acme", [meter]))[0].tripped
        await stand.counters.reset("acme", meter)
        assert (await stand.admit([meter], ask()))[1].refusal is None

    run(counters, scenario)


def test_a_velocity_that_is_raised_beyond_what_is_spent_is_closed(counters: Open) -> None:
    """And trips again beyond that. Keys of a tier with the lower limit stay refused."""

    async def scenario(stand: Stand) -> None:
        low, high = velocity(100 * 10**6), velocity(500 * 10**6)
        under_way, _ = await stand.admit([high], ask())
        hold, _ = await stand.admit([low], ask())
        stand.counters.settle(hold, "acme", Charge(picousd=200 * 10**6))
        assert [one.tripped for one in await stand.counters.read("acme", [low, high])] == [True, False]
        for _ in range(2):
            hold, admitted = await stand.admit([high], ask())
            assert admitted.refusal is None
            assert (await stand.admit([low], ask()))[1].refusal.verdict is Verdict.TRIPPED
            stand.counters.settle(hold, "acme", Charge(picousd=100 * 10**6))
        assert len(stand.told) == 1
        stand.counters.settle(under_way, "acme", Charge(picousd=200 * 10**6))
        again = (await stand.admit([high], ask()))[1]
        assert again.refusal.verdict is Verdict.TRIPPED
        assert [crossing.meter.limit for crossing in stand.told] == [100 * 10**6, 500 * 10**6]
        stand.clock.at += again.wait_seconds
        for meter in (low, high):
            assert (await stand.admit([meter], ask()))[1].refusal is None

    run(counters, scenario)


def test_spending_is_unusual_beside_its_own_baseline(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = velocity(0, factor=10.0)
        for spent in [20_000] * 14 + [250_000]:
            stand.clock.at += 310
            hold, admitted = await stand.admit([meter], ask())
            assert admitted.refusal is None
            stand.counters.settle(hold, "acme", Charge(picousd=spent * 10**6))
        refused = (await stand.admit([meter], ask()))[1].refusal
        (trip,), (reading,) = stand.told, await stand.counters.read("acme", [meter])
        assert (trip.percent, trip.spent, trip.trips_above) == (0, 250_000 * 10**6, 200_000 * 10**6)
        assert (refused.verdict, refused.trips_above) == (Verdict.TRIPPED, trip.trips_above)
        assert reading.tripped and reading.trips_above == trip.trips_above

    run(counters, scenario)


def test_the_same_request_in_a_row(counters: Open) -> None:
    async def scenario(stand: Stand) -> None:
        meter = repeat(3)
        for _ in range(3):
            assert (await stand.admit([meter], ask(fingerprint=7)))[1].refusal is None
        assert (await stand.admit([meter], ask(fingerprint=7)))[1].refusal.verdict is Verdict.LOOP
        assert (await stand.admit([meter], ask(fingerprint=8)))[1].refusal is None
        assert (await stand.admit([meter], ask(fingerprint=7)))[1].refusal is None

    run(counters, scenario)
