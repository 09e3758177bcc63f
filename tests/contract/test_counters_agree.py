"""The scripts in Redis say what the policy says: random sequences of operations on both, compared step by step."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headgate.metering import Ask, Charge, Crossing, Dated, Meter
from headgate.stores.memory_counters import SET_BACK_SECONDS, MemoryCounters
from headgate.stores.redis.counters import RedisCounters
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.contract.counting import PATIENT_SECONDS, START, HandClock
from tests.scale import scaled
from tests.servers import RedisServer

pytestmark = pytest.mark.server

USD, TOKENS, REQUESTS = Measure.USD, Measure.TOKENS, Measure.REQUESTS
BIG = 2**60  # pico-dollars: a million dollars
CENT = 10**10
STEPS = st.one_of(st.floats(0, 2), st.floats(0, 70), st.floats(0, 90_000), st.floats(-100, 0))


def meter(kind: MeterKind, measure: Measure, limit: int, **rest: Any) -> Meter:
    ends = rest.pop("ends", None)
    rule = Rule(f"{kind}.{measure}", kind, measure, rest.pop("scope", Scope.TENANT), limit, **rest)
    return Meter(f"{kind}:{measure}:{rule.window}:{rule.enforce}:{rule.period_seconds}", rule, "somebody", ends, limit)


RATES = (
    [meter(MeterKind.RATE, REQUESTS, limit, burst_seconds=5.0) for limit in (7, 20, 60)],
    [meter(MeterKind.RATE, TOKENS, limit, burst_seconds=17.3) for limit in (900, 5_000)],
    [
        meter(MeterKind.RATE, REQUESTS, limit, burst_seconds=60.0, period_seconds=61.0, enforce=False)
        for limit in (2, 9)
    ],
)
BUDGETS = (
    [meter(MeterKind.BUDGET, USD, limit, window="month", ends=START + 86_400 * 9) for limit in (CENT, 9 * CENT)],
    [
        meter(MeterKind.BUDGET, USD, limit, window="day", ends=START + 86_400)
        for limit in (BIG, BIG + CENT // 3, BIG * 4)
    ],
    [meter(MeterKind.BUDGET, USD, limit, window="", ends=float("inf"), enforce=False) for limit in (CENT, 3 * CENT)],
    [meter(MeterKind.BUDGET, TOKENS, limit, scope=Scope.SESSION) for limit in (4_000, 90_000)],
    [meter(MeterKind.ROLLING, USD, limit, period_seconds=3_600.0) for limit in (2 * CENT, 9 * CENT)],
    [meter(MeterKind.ROLLING, USD, limit, period_seconds=86_400.0, enforce=False) for limit in (CENT, BIG)],
)
GUARDS = (
    [meter(MeterKind.CONCURRENCY, REQUESTS, limit) for limit in (1, 3, 8)],
    [meter(MeterKind.VELOCITY, USD, limit, period_seconds=300.0) for limit in (CENT // 3, 4 * CENT)],
    [meter(MeterKind.VELOCITY, USD, 0, period_seconds=77.0, factor=1.5)],
    [meter(MeterKind.VELOCITY, USD, CENT // 9, period_seconds=60.0, action="alert")],
    [meter(MeterKind.REPEAT, REQUESTS, limit, scope=Scope.SESSION) for limit in (2, 4)],
)
VARIANTS = (*RATES, *BUDGETS, *GUARDS)
ONE_OF_EACH = st.tuples(*[st.sampled_from([None, *variants, variants[0]]) for variants in VARIANTS])
METERS = ONE_OF_EACH.map(lambda chosen: [one for one in chosen if one is not None])
EVERY_METER = [variants[0] for variants in VARIANTS]
ROLLING = [meter for meter in EVERY_METER if meter.rule.kind is MeterKind.ROLLING]
AGES = st.one_of(st.floats(-10, 4_000), st.floats(0, 100_000))  # seconds


def spending(meter: Meter) -> st.SearchStrategy[tuple[Meter, int]]:
    """What a ledger may say of a meter."""
    amounts = [0, 5, 300]
    if meter.rule.measure is USD:
        amounts += [CENT, 7 * CENT]
    if meter.rule.kind in (MeterKind.BUDGET, MeterKind.ROLLING) and meter.rule.measure is USD:
        amounts += [BIG // 2 + 1, 2**53 + 1]
    return st.tuples(st.just(meter), st.sampled_from(amounts))


ASKS = st.builds(
    Ask,
    input_tokens=st.integers(0, 600),
    output_tokens=st.integers(0, 600),
    choices=st.sampled_from([1, 1, 1, 3]),
    input_picousd=st.sampled_from([0, 1, 10**6, CENT // 7, 3 * CENT]),
    output_price=st.sampled_from([0, 1, 60_000_000, 3_333_333]),
    least_output_tokens=st.sampled_from([1, 16]),
    fingerprint=st.sampled_from([0, 1, 2, 2**63 + 1]),
)
CHARGES = st.builds(
    Charge,
    st.integers(0, 900),
    st.sampled_from([0, 1, CENT // 11, CENT, 2**50 + 1]),
    st.sampled_from([False, False, True]),
)
TENANTS = itertools.count()
HOLDS = st.integers(0, 12)
OPERATIONS = st.one_of(
    st.tuples(st.just("admit"), METERS, ASKS),
    st.tuples(st.just("admit"), METERS, ASKS),
    st.tuples(st.just("admit"), METERS, ASKS),
    st.tuples(st.just("settle"), HOLDS, CHARGES),
    st.tuples(st.just("settle"), HOLDS, CHARGES),
    st.tuples(st.just("keep"), HOLDS, st.booleans()),
    st.tuples(st.just("extend"), HOLDS, ASKS),
    st.tuples(st.just("wait"), STEPS),
    st.tuples(st.just("wait"), STEPS),
    st.tuples(st.just("read")),
    st.tuples(st.just("reset"), st.sampled_from(GUARDS[1])),
    st.tuples(
        st.just("rebuild"),
        st.lists(st.sampled_from(EVERY_METER).flatmap(spending), max_size=3),
        st.lists(st.tuples(st.sampled_from(ROLLING).flatmap(spending), AGES), max_size=3),
    ),
)


def same(one: msgspec.Struct, other: msgspec.Struct, where: str = "") -> None:
    """Equal; or which of their parts are not."""
    if one == other:
        return
    for field in one.__struct_fields__:
        left, right = getattr(one, field), getattr(other, field)
        if isinstance(left, msgspec.Struct) and isinstance(right, msgspec.Struct):
            same(left, right, f"{where}.{field}")
        assert left == right, f"{where}.{field}: Redis says {left!r}, memory {right!r}"


class Pair:
    """Both adapters, in the same state as far as anybody can see."""

    def __init__(self, url: str, tenant: str) -> None:
        self.tenant = tenant
        self.clock = HandClock()
        self.told: tuple[list[Crossing], list[Crossing]] = ([], [])
        self.memory = MemoryCounters(self.clock, self.told[0].append)
        self.redis = RedisCounters(url, self.told[1].append, clock=self.clock, limit_seconds=PATIENT_SECONDS)
        self.holds: list[str] = []

    async def do(self, operation: tuple[Any, ...]) -> None:
        name, *rest = operation
        await getattr(self, name)(*rest)

    async def admit(self, meters: list[Meter], ask: Ask) -> None:
        hold = f"req_{len(self.holds)}"
        self.holds.append(hold)
        said = await self.redis.admit(hold, self.tenant, meters, ask)
        same(said, await self.memory.admit(hold, self.tenant, meters, ask))

    async def settle(self, back: int, charge: Charge) -> None:
        for counters in (self.memory, self.redis):
            counters.settle(self._hold(back), self.tenant, charge)

    async def keep(self, back: int, dispatched: bool) -> None:
        for counters in (self.memory, self.redis):
            counters.keep(self._hold(back), self.tenant, dispatched=dispatched)

    async def extend(self, back: int, ask: Ask) -> None:
        hold = self._hold(back)
        said = await self.redis.extend(hold, self.tenant, ask, ask.output_tokens)
        same(said, await self.memory.extend(hold, self.tenant, ask, ask.output_tokens))

    async def wait(self, seconds: float) -> None:
        """What is queued arrives before the clock is set back: its time is the clock's of then in both."""
        if seconds >= -SET_BACK_SECONDS:
            self.clock.at += seconds
            return
        await self.read()
        self.clock.at += seconds
        self.clock.monotonic()
        await self.read()

    async def read(self) -> None:
        said = await self.redis.read(self.tenant, EVERY_METER)
        for one, other in zip(said, await self.memory.read(self.tenant, EVERY_METER), strict=True):
            same(one, other)
        assert self.told[1] == self.told[0]

    async def reset(self, meter: Meter) -> None:
        for counters in (self.memory, self.redis):
            await counters.reset(self.tenant, meter)

    async def rebuild(
        self, spent: list[tuple[Meter, int]], aged: Sequence[tuple[tuple[Meter, int], float]] = ()
    ) -> None:
        dated = [Dated(*one, self.clock.at - age) for one, age in aged]
        for counters in (self.memory, self.redis):
            await counters.rebuild(self.tenant, spent, dated)

    def _hold(self, back: int) -> str:
        return self.holds[-1 - back] if back < len(self.holds) else "req_nobody"


async def both(url: str, tenant: str, operations: list[tuple[Any, ...]]) -> None:
    pair = Pair(url, tenant)
    try:
        await pair.do(("admit", [], Ask(0, 0)))
        await pair.do(("rebuild", []))
        for operation in operations:
            await pair.do(operation)
        await pair.do(("read",))
    except AssertionError as error:
        error.add_note("\n".join(str(operation) for operation in operations))
        raise
    finally:
        await pair.redis.aclose()


@settings(
    max_examples=scaled(2_000, 150),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operations=st.lists(OPERATIONS, min_size=1, max_size=60))
def test_memory_and_redis_agree(redis_server: RedisServer, operations: list[tuple[Any, ...]]) -> None:
    asyncio.run(both(redis_server.url, f"tenant {next(TENANTS)}", operations))
