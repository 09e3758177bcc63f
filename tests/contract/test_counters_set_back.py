"""Counters whose clock is set back, by seconds or by months: nobody waits longer for it, nothing is let in twice."""

from __future__ import annotations

import pytest

from headgate.metering import Charge
from tests.contract.counting import START, USD, Open, Stand, ask, budget, concurrency, rate, rolling, velocity
from tests.contract.test_counters import run

DAY = 86_400.0
BACK_SECONDS = [2.0, 300.0, 7_200.0, 90 * DAY]


async def admitted(stand: Stand, limit: int) -> int:
    """How many come in now of one more than may in a minute."""
    meter, count = rate(limit), 0
    for _ in range(limit + 1):
        hold, said = await stand.admit([meter], ask())
        if said.refusal is None:
            count += 1
            stand.counters.settle(hold, "acme", Charge())
    return count


@pytest.mark.parametrize("back", BACK_SECONDS)
def test_nobody_waits_longer_and_nothing_is_let_in_twice(counters: Open, back: float) -> None:
    async def scenario(stand: Stand) -> None:
        assert await admitted(stand, 10) == 10
        stand.clock.at -= back
        stand.clock.monotonic()
        _, refused = await stand.admit([rate(10)], ask())
        assert refused.wait_seconds is not None and refused.wait_seconds <= 60.25
        assert abs(refused.requests.resets_at - stand.clock.at) <= 61  # as the clock says now
        (reading,) = await stand.counters.read("acme", [rate(10)])
        assert reading.frees_at is not None and abs(reading.frees_at - stand.clock.at) <= 61
        stand.clock.at += 59.0
        assert await admitted(stand, 10) == 0
        stand.clock.at += 1.3
        assert await admitted(stand, 10) == 10

    run(counters, scenario)


@pytest.mark.parametrize("back", BACK_SECONDS)
def test_a_clock_that_goes_to_and_fro_lets_one_window_more_in_at_most(counters: Open, back: float) -> None:
    async def scenario(stand: Stand) -> None:
        count = await admitted(stand, 10)
        for _ in range(5):
            stand.clock.at += back
            count += await admitted(stand, 10)
            stand.clock.at -= back
            stand.clock.monotonic()
            count += await admitted(stand, 10)
        # Forward is as if so much time had passed, which nobody can tell from a pause; back adds nothing.
        assert count <= 10 * (1 + 5) and (count == 10 or back > 2)

    run(counters, scenario)


@pytest.mark.parametrize("back", BACK_SECONDS)
def test_holds_and_money_are_what_they_were(counters: Open, back: float) -> None:
    async def scenario(stand: Stand) -> None:
        money = budget(USD)
        meters = [money, rolling(USD), velocity(USD), concurrency(2)]
        settled, _ = await stand.admit(meters, ask())
        left, _ = await stand.admit(meters, ask())
        stand.counters.settle(settled, "acme", Charge(tokens=5, picousd=7))
        await stand.counters.read("acme", meters)
        stand.clock.at -= back
        stand.clock.monotonic()
        spent, hour, speed, under_way = await stand.counters.read("acme", meters)
        assert (spent.used, hour.used, speed.used, under_way.used) == (7, 7, 7, 1)
        assert spent.frees_at == START + 30 * DAY
        stand.clock.at += 31  # nobody gave a sign of life for the other one, which no provider was asked for
        spent, hour, _, under_way = await stand.counters.read("acme", meters)
        assert (spent.used, spent.held, hour.used, under_way.used) == (7, 0, 7, 0)
        assert hour.frees_at is not None and abs(hour.frees_at - stand.clock.at) <= 3_700
        stand.counters.settle(left, "acme", Charge(released=True))
        stand.clock.at += 2 * 3_600
        _, hour, _, _ = await stand.counters.read("acme", meters)
        assert hour.used == 0

    run(counters, scenario)
