"""A flood of refused requests is refused without asking Redis again and again, and as Redis would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from headgate.metering import Admission, Ask, Charge, Meter
from headgate.stores.memory_counters import MemoryCounters
from headgate.stores.redis.counters import RedisCounters
from headgate.stores.redis.refused import MOST_SECONDS
from headgate.types import Measure
from tests.contract.counting import PATIENT_SECONDS, HandClock, ask, rate
from tests.servers import RedisServer

pytestmark = pytest.mark.server
TENANT = "acme"
STEP_SECONDS = 0.002
LIMIT = rate(600, burst_seconds=1.0)


class Flooded:
    """Counters in Redis and in memory on one clock, and how often Redis was asked."""

    def __init__(self, server: RedisServer) -> None:
        self.clock = HandClock()
        self.redis = RedisCounters(server.url, clock=self.clock, limit_seconds=PATIENT_SECONDS)
        self.memory = MemoryCounters(self.clock)
        self.asked = 0
        self._sent = 0
        run = self.redis._line.run

        async def counted(*command: Any) -> Any:
            self.asked += 1
            return await run(*command)

        self.redis._line.run = counted  # type: ignore[method-assign]

    async def begin(self) -> None:
        await self.redis.rebuild(TENANT, [])
        await self.memory.rebuild(TENANT, [])

    async def both(self, meters: tuple[Meter, ...], asked: Ask) -> tuple[str, Admission, Admission]:
        self._sent += 1
        hold = f"req_{self._sent}"
        said = await self.redis.admit(hold, TENANT, meters, asked)
        return hold, said, await self.memory.admit(hold, TENANT, meters, asked)

    def settle(self, hold: str, charge: Charge) -> None:
        self.redis.settle(hold, TENANT, charge)
        self.memory.settle(hold, TENANT, charge)


def flooded(server: RedisServer, scenario: Callable[[Flooded], Awaitable[None]]) -> None:
    async def played() -> None:
        one = Flooded(server)
        await one.begin()
        try:
            await scenario(one)
        finally:
            await one.redis.aclose()

    asyncio.run(played())


async def until_turns_are_given_out(one: Flooded, meters: tuple[Meter, ...], asked: Ask) -> None:
    """The flood goes on until a refusal costs no question."""
    for _ in range(3_000):
        before = one.asked
        one.clock.at += STEP_SECONDS
        await one.both(meters, asked)
        if one.asked == before:
            return
    raise AssertionError("every refusal was asked for")


def same(said: Admission, told: Admission) -> None:
    """Both refuse, by the same limit and until the same time; or both let it in."""
    assert (said.refusal is None) == (told.refusal is None)
    if said.refusal is None or told.refusal is None:
        return
    assert said.refusal.verdict is told.refusal.verdict and said.refusal.meter is told.refusal.meter
    assert said.wait_seconds == pytest.approx(told.wait_seconds, abs=1e-5)
    assert said.requests is not None and told.requests is not None
    assert said.requests.remaining == told.requests.remaining
    assert said.requests.reset_seconds == pytest.approx(told.requests.reset_seconds, abs=1e-5)


@pytest.mark.parametrize("burst_seconds", [0.01, 1.0, 5.0])
def test_a_flood_is_told_what_the_policy_says_and_mostly_without_asking(
    redis_server: RedisServer, burst_seconds: float
) -> None:
    meters = (rate(3_000, burst_seconds=burst_seconds), rate(10**8, Measure.TOKENS))

    async def scenario(one: Flooded) -> None:
        accepted = 0
        for number in range(4_000):
            one.clock.at += STEP_SECONDS
            hold, said, told = await one.both(meters, ask(100 + number % 2, 16))
            same(said, told)
            if said.refusal is None:
                accepted += 1
                one.settle(hold, Charge(tokens=60))
            if number == 2_000:
                one.asked = 0
        assert accepted >= 400
        assert one.asked < 0.5 * 2_000

    flooded(redis_server, scenario)


def test_what_is_given_back_here_is_seen_at_once(redis_server: RedisServer) -> None:
    meters, asked = (LIMIT,), ask()

    async def scenario(one: Flooded) -> None:
        hold, said, _ = await one.both(meters, asked)
        assert said.refusal is None
        await until_turns_are_given_out(one, meters, asked)
        one.settle(hold, Charge(tokens=60))  # it counts as a request, whatever it needed
        before = one.asked
        await one.both(meters, asked)
        assert one.asked == before
        hold, *_ = await one.both((rate(10**6),), asked)
        one.settle(hold, Charge(released=True))
        before = one.asked
        _, said, told = await one.both(meters, asked)
        assert one.asked == before + 1
        same(said, told)

    flooded(redis_server, scenario)


def test_what_another_process_gives_back_is_seen_soon(redis_server: RedisServer) -> None:
    meters, asked = (LIMIT,), ask()

    async def scenario(one: Flooded) -> None:
        other = RedisCounters(redis_server.url, clock=one.clock, limit_seconds=PATIENT_SECONDS)
        assert (await other.admit("theirs", TENANT, meters, asked)).refusal is None
        await until_turns_are_given_out(one, meters, asked)
        other.settle("theirs", TENANT, Charge(released=True))
        await other.aclose()
        one.clock.at += MOST_SECONDS
        assert (await one.redis.admit("again", TENANT, meters, asked)).refusal is None

    flooded(redis_server, scenario)


def test_a_larger_request_is_asked_for(redis_server: RedisServer) -> None:
    meters, asked = (LIMIT, rate(1_000, Measure.TOKENS)), ask(1, 1)

    async def scenario(one: Flooded) -> None:
        await until_turns_are_given_out(one, meters, asked)
        _, said, told = await one.both(meters, ask(2_000, 1))
        assert said.refusal is not None and said.refusal == told.refusal

    flooded(redis_server, scenario)


def test_other_limits_are_asked_for(redis_server: RedisServer) -> None:
    meters, asked = (LIMIT,), ask()

    async def scenario(one: Flooded) -> None:
        await until_turns_are_given_out(one, meters, asked)
        raised = (msgspec.structs.replace(LIMIT, limit=6_000),)
        assert (await one.redis.admit("raised", TENANT, raised, asked)).refusal is None

    flooded(redis_server, scenario)


def test_counters_that_are_rebuilt_or_forgotten_are_asked(redis_server: RedisServer) -> None:
    meters, asked = (LIMIT,), ask()

    async def scenario(one: Flooded) -> None:
        await until_turns_are_given_out(one, meters, asked)
        one.redis.forget()
        assert not (await one.redis.admit("unknown", TENANT, meters, asked)).known
        await one.redis.rebuild(TENANT, [])
        before = one.asked
        await one.redis.admit("known", TENANT, meters, asked)
        assert one.asked == before + 1

    flooded(redis_server, scenario)
