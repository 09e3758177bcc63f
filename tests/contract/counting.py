"""Meters, requests and a clock that is set by hand, for the contract of `ports.Counters`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from headgate.metering import Ask, Crossing, Meter
from headgate.ports import Counters
from headgate.stores.memory_counters import SET_BACK_SECONDS, MemoryCounters
from headgate.stores.redis.counters import RedisCounters
from headgate.types import Measure, MeterKind, Rule, Scope

START = 1_767_225_600.0
USD = 10**12
PATIENT_SECONDS = 60.0  # a machine that does much else answers late


class HandClock:
    """Implements `ports.Clock`: time stands still until it is moved. Only `now` ever goes back by much."""

    def __init__(self, now: float = START) -> None:
        self.random = random.Random(1)
        self.at = now
        self._ids = 0
        self._latest, self._ahead_seconds = now, 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        """To be looked at after the clock was set back."""
        behind_seconds = self._latest - self.at - self._ahead_seconds
        if behind_seconds > SET_BACK_SECONDS:
            self._ahead_seconds += behind_seconds
        self._latest = max(self._latest, self.at + self._ahead_seconds)
        return self._latest

    def new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}_{self._ids:026x}"


class Stand:
    """Counters to be tested, the clock they go by, and what they told."""

    def __init__(self, counters: Counters, clock: HandClock, told: list[Crossing]) -> None:
        self.counters = counters
        self.clock = clock
        self.told = told
        self._holds = 0

    async def admit(self, meters: Sequence[Meter], ask: Ask, tenant: str = "acme") -> tuple[str, Any]:
        self._holds += 1
        hold_id = f"req_{self._holds}"
        return hold_id, await self.counters.admit(hold_id, tenant, meters, ask)


Open = Callable[[], AbstractAsyncContextManager[Stand]]


def rate(limit: int, measure: Measure = Measure.REQUESTS, burst_seconds: float = 60.0, **rest: Any) -> Meter:
    rule = Rule("rate", MeterKind.RATE, measure, Scope.TENANT, limit, burst_seconds=burst_seconds, **rest)
    return Meter(f"rate:{measure}", rule, "", None, limit)


def shared_rate(limit: int, measure: Measure, **rest: Any) -> Meter:
    rule = Rule("limits", MeterKind.RATE, measure, Scope.GLOBAL, limit, burst_seconds=60.0, **rest)
    return Meter(f"global:{measure}", rule, "", None, limit)


def concurrency(limit: int) -> Meter:
    return Meter(
        "concurrency", Rule("c", MeterKind.CONCURRENCY, Measure.REQUESTS, Scope.TENANT, limit), "", None, limit
    )


def budget(limit: int, measure: Measure = Measure.USD, name: str = "budget", **rest: Any) -> Meter:
    rule = Rule("budgets.tenant_month", MeterKind.BUDGET, measure, Scope.TENANT, limit, "month", **rest)
    return Meter(name, rule, "", START + 30 * 86_400.0, limit)


def rolling(limit: int, period_seconds: float = 3600.0) -> Meter:
    rule = Rule("rolling", MeterKind.ROLLING, Measure.USD, Scope.USER, limit, period_seconds=period_seconds)
    return Meter("rolling", rule, "alice", None, limit)


def velocity(limit: int, **rest: Any) -> Meter:
    rule = Rule("velocity", MeterKind.VELOCITY, Measure.USD, Scope.KEY, limit, period_seconds=300.0, **rest)
    return Meter("velocity", rule, "key_1", None, limit)


def repeat(limit: int) -> Meter:
    rule = Rule("loop_guard.same_request_in_a_row", MeterKind.REPEAT, Measure.REQUESTS, Scope.SESSION, limit)
    return Meter("repeat", rule, "alice s1", None, limit)


def ask(input_tokens: int = 100, output_tokens: int = 100, **rest: Any) -> Ask:
    """Costs a millionth of a dollar a token each way."""
    return Ask(input_tokens, output_tokens, input_picousd=input_tokens * 10**6, output_price=10**6, **rest)


@asynccontextmanager
async def memory() -> AsyncIterator[Stand]:
    clock, told = HandClock(), list[Crossing]()
    yield Stand(MemoryCounters(clock, told.append), clock, told)


def on_redis(url: str) -> Open:
    """Counters on an empty server, on the clock that is set by hand."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Stand]:
        clock, told = HandClock(), list[Crossing]()
        counters = RedisCounters(url, told.append, clock=clock, limit_seconds=PATIENT_SECONDS)
        try:
            yield Stand(counters, clock, told)
        finally:
            await counters.aclose()

    return opened


Scenario = Callable[[Stand], Awaitable[None]]


def run(counters: Open, scenario: Scenario) -> None:
    """With a tenant "acme" that the counters know."""

    async def opened() -> None:
        async with counters() as stand:
            assert not (await stand.counters.admit("req_0", "acme", [], ask())).known
            await stand.counters.rebuild("acme", [])
            await scenario(stand)

    asyncio.run(opened())
