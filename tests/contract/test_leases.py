"""What every `ports.Leases` must do."""

from __future__ import annotations

import asyncio

from tests.contract.stores import Open


def test_one_holds_it_and_may_keep_it(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            leases, clock = opened.leases, opened.clock
            assert await leases.take("nightly", "a", 60) == 1
            assert await leases.take("nightly", "b", 60) is None
            assert await leases.take("other", "b", 60) == 1
            clock.time += 50
            assert await leases.take("nightly", "a", 60) == 1
            clock.time += 50
            assert await leases.take("nightly", "b", 60) is None

    asyncio.run(scenario())


def test_one_that_ran_out_is_taken_over_with_a_larger_number(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            leases, clock = opened.leases, opened.clock
            first = await leases.take("nightly", "a", 60)
            clock.time += 60
            second = await leases.take("nightly", "b", 60)
            assert first is not None and second is not None and second > first
            await leases.release("nightly", "a")  # too late
            assert await leases.take("nightly", "a", 60) is None

    asyncio.run(scenario())


def test_one_from_before_the_clock_was_set_back_is_taken_over(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            leases, clock = opened.leases, opened.clock
            first = await leases.take("nightly", "a", 60)
            clock.time -= 86_400
            second = await leases.take("nightly", "b", 60)
            assert first is not None and second is not None and second > first
            assert await leases.take("nightly", "a", 60) is None

    asyncio.run(scenario())


def test_one_that_is_given_back_is_free_at_once(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            leases = opened.leases
            first = await leases.take("nightly", "a", 60)
            await leases.release("nightly", "a")
            second = await leases.take("nightly", "b", 60)
            assert first is not None and second is not None and second > first
            await leases.release("nobody's", "a")

    asyncio.run(scenario())


def test_of_many_at_once_one_gets_it(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            tried = await asyncio.gather(*(opened.leases.take("nightly", f"owner {n}", 60) for n in range(10)))
            assert [token for token in tried if token is not None] == [1]

    asyncio.run(scenario())
