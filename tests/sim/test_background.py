"""Background work beside interactive traffic, in virtual time: what people at connections feel of a night's jobs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import cos, pi
from statistics import quantiles

import pytest

from headgate.gateway.background import BackgroundGate
from headgate.gateway.budget_shares import BudgetShares
from headgate.limit_errors import BackgroundHeld
from headgate.policy.background import GateRules
from headgate.policy.health import BreakerRules
from headgate.sim.loop import run_virtual
from tests.gateway.corridor import ALICE, Corridor, deployment, model
from tests.sim.crowded import CrowdedProvider

NEVER_OPENS = BreakerRules(failures=10**9, error_rate=1.0, minimum_requests=10**9)
RULES = GateRules()
SLOTS = 40
MEAN_SECONDS = 4.0 + 0.33  # an answer's, of `CrowdedProvider`
WORKERS = 64


class Night:
    """Interactive streams that come as they like, and background requests of which there are always more."""

    def __init__(self, seed: int, rules: GateRules | None) -> None:
        self.chance = random.Random(seed)
        self.provider = CrowdedProvider("engine", random.Random(seed + 1), slots=SLOTS)
        plan = deployment(self.provider, rules=NEVER_OPENS)  # type: ignore[arg-type]
        self.corridor = corridor = Corridor(model(plan, total_seconds=10_000.0, first_token_seconds=9_000.0))
        budgets = BudgetShares(corridor.counters, corridor.admissions, lambda: corridor.setup, corridor.clock)
        self.gate = BackgroundGate(corridor.pipeline, budgets, corridor.clock, lambda: rules)
        self.ttft_seconds: list[float] = []
        self.done = 0
        self.held = 0

    async def interactive(self, seconds: float, load: Callable[[float], float]) -> None:
        """A Poisson process; `load` is the share of the slots it takes at a time."""
        clock, began = self.corridor.clock, self.corridor.clock.monotonic()
        most = max(load(seconds * step / 100) for step in range(101)) * self.provider.slots / MEAN_SECONDS
        async with asyncio.TaskGroup() as clients:
            while (at := clock.monotonic() - began) < seconds:
                await asyncio.sleep(self.chance.expovariate(most))
                if self.chance.random() * most < load(at) * self.provider.slots / MEAN_SECONDS:
                    clients.create_task(self.client())

    async def client(self) -> None:
        clock, began = self.corridor.clock, self.corridor.clock.monotonic()
        async with self.corridor.pipeline.handle(ALICE, self.corridor.call()) as answer:
            self.ttft_seconds.append(clock.monotonic() - began)
            async for _ in answer.events:
                pass

    async def worker(self) -> None:
        while True:
            call = self.corridor.call(stream=False)
            try:
                async with self.gate.passing(ALICE, call), self.corridor.pipeline.handle(ALICE, call):
                    self.done += 1
            except BackgroundHeld as held:
                self.held += 1
                await asyncio.sleep(held.retry_after_seconds or 0.0)

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.worker()) for _ in range(WORKERS)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def p99_seconds(self) -> float:
        return quantiles(self.ttft_seconds, n=100)[98]


def night(
    seed: int, *, works: bool, load: Callable[[float], float], seconds: float, rules: GateRules | None = RULES
) -> Night:
    async def scenario() -> Night:
        night = Night(seed, rules)
        if works:
            async with night.work():
                await night.interactive(seconds, load)
        else:
            await night.interactive(seconds, load)
        return night

    return run_virtual(scenario())


def diurnal(seconds: float) -> Callable[[float], float]:
    """From a busy evening, at 80 % of what the engine can do, into the small hours and out again."""
    return lambda at: 0.5 + 0.3 * cos(2 * pi * at / seconds)


def busy(at: float) -> float:
    return 0.8


def test_people_do_not_feel_the_work_beside_them_while_the_engine_is_busy() -> None:
    """Interactive traffic at 80 % of capacity: its p99 rises by no more than 10 %, though there is always more work."""
    alone = night(1, works=False, load=busy, seconds=600.0)
    both = night(1, works=True, load=busy, seconds=600.0)
    ungated = night(1, works=True, load=busy, seconds=200.0, rules=None)
    assert both.p99_seconds <= 1.1 * alone.p99_seconds
    assert both.done > 0
    assert ungated.p99_seconds > 3 * alone.p99_seconds, "without the gate it is felt"


def test_work_takes_what_is_left_when_it_is_quiet() -> None:
    seconds = 600.0
    both = night(2, works=True, load=lambda at: 0.4, seconds=seconds)
    could = (1 - 0.4) * SLOTS * seconds / MEAN_SECONDS
    assert both.done > 0.35 * could
    assert both.p99_seconds <= 1.1 * night(2, works=False, load=lambda at: 0.4, seconds=seconds).p99_seconds


def test_without_anybody_else_everything_is_taken() -> None:
    both = night(3, works=True, load=lambda at: 0.001, seconds=400.0)
    assert both.done > 0.8 * SLOTS * 400.0 / MEAN_SECONDS


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(5))
def test_a_whole_night(seed: int) -> None:
    seconds = 8 * 3600.0
    alone = night(seed, works=False, load=diurnal(seconds), seconds=seconds)
    both = night(seed, works=True, load=diurnal(seconds), seconds=seconds)
    print(f"seed {seed}: p99 {alone.p99_seconds:.3f} s alone, {both.p99_seconds:.3f} s beside {both.done} requests")
    assert both.p99_seconds <= 1.1 * alone.p99_seconds
    assert both.done > 20_000
