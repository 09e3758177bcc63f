"""Whoever waits exactly as long as a refusal says is let in, alone and among fifty who wait.

Random limits on requests and tokens, bursts, sizes and histories, several scopes at once; clients that round the time
up to whole milliseconds, as the header `retry-after-ms` does. HEADGATE_FULL=1 plays 1,000 cases of each.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from dataclasses import dataclass

import pytest

from headgate.limit_errors import RateLimited
from headgate.metering import Ask, Charge, Meter
from headgate.stores.memory_counters import MemoryCounters
from headgate.types import Measure, MeterKind, Rule, Scope
from tests.contract.counting import START, HandClock
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.limited import caller, plain
from tests.gateway.scripted import ScriptedProvider, answer
from tests.scale import scaled

CASES = scaled(1_000, 50)
WAITERS = 50
LEAST_SHARE = 0.99
SCOPES = (Scope.TENANT, Scope.KEY, Scope.USER, Scope.MODEL)
LIMITS = {Measure.REQUESTS: (3, 20, 60, 600), Measure.TOKENS: (1_000, 20_000, 100_000)}


def some_rules(chance: random.Random, least_limit: int = 0) -> list[Rule]:
    """At least one."""
    rules = []
    for scope in SCOPES:
        for measure, limits in LIMITS.items():
            if chance.random() < 0.5 or (scope is SCOPES[-1] and not rules):
                limit = max(least_limit, chance.choice(limits)) if measure is Measure.TOKENS else chance.choice(limits)
                burst_seconds = chance.choice((0.5, 1.0, 5.0, 30.0, 60.0))
                name = f"{scope}.{measure}"
                rules.append(Rule(name, MeterKind.RATE, measure, scope, limit, burst_seconds=burst_seconds))
    return rules


def some_meters(chance: random.Random) -> list[Meter]:
    return [Meter(rule.name, rule, "", None, rule.limit) for rule in some_rules(chance)]


def some_ask(chance: random.Random) -> Ask:
    return Ask(chance.randint(1, 400), chance.choice((0, 16, chance.randint(1, 600))))


def told(wait_seconds: float) -> float:
    """As a client reads it in the header."""
    return math.ceil(wait_seconds * 1000) / 1000


@dataclass
class Score:
    """How many came back at their time, and how many of them were let in."""

    came: int = 0
    let_in: int = 0

    @property
    def share(self) -> float:
        return self.let_in / self.came

    def add(self, *, let_in: bool) -> None:
        self.came += 1
        self.let_in += let_in


class Queue:
    """Clients of counters in memory, on a clock that is set by hand."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.clock = HandClock(START + chance.random() * 1000)
        self.counters = MemoryCounters(self.clock)
        self.meters = some_meters(chance)
        self._holds = 0

    async def play(self, waiters: int, score: Score) -> None:
        await self.counters.rebuild("acme", [])
        await self._history()
        waiting = [(self.clock.at + number * 1e-4, number, some_ask(self.chance), 0) for number in range(waiters)]
        while waiting:
            at, number, ask, tries = heapq.heappop(waiting)
            self.clock.at = max(self.clock.at, at)
            wait_seconds = await self._come(ask, self.meters)
            if tries == 1:
                score.add(let_in=wait_seconds == 0.0)
            if wait_seconds and tries < 5:
                heapq.heappush(waiting, (self.clock.at + told(wait_seconds), number, ask, tries + 1))

    async def _history(self) -> None:
        """Some came before, as long as they were let in."""
        for _ in range(self.chance.randint(0, 200)):
            if await self._come(some_ask(self.chance), self.meters):
                break
            self.clock.at += self.chance.expovariate(self.chance.choice((1, 5, 50)))

    async def _come(self, ask: Ask, meters: list[Meter]) -> float | None:
        """How long to wait; 0: let in; None: in vain."""
        self._holds += 1
        hold_id = f"req_{self._holds}"
        decision = await self.counters.admit(hold_id, "acme", meters, ask)
        if decision.refusal is not None:
            return decision.wait_seconds
        most = ask.input_tokens + decision.output_tokens
        self.counters.settle(hold_id, "acme", Charge(self.chance.choice((most, self.chance.randint(1, most)))))
        return 0.0


@pytest.mark.parametrize("waiters", [1, WAITERS])
def test_who_waits_as_long_as_told_is_let_in(waiters: int) -> None:
    score = Score()
    for seed in range(CASES):
        asyncio.run(Queue(random.Random(f"retry-after {seed}")).play(waiters, score))
    print(f"\n{waiters} waiting: {score.let_in} of {score.came} let in, {score.share:.2%}")
    assert score.came >= CASES * waiters / 2 and score.share >= LEAST_SHARE


@pytest.mark.parametrize("clients", [WAITERS])
def test_it_is_true_through_the_corridor(clients: int) -> None:
    """One client asks while others wait too: as many as fit, and the rest at the times they are told."""
    score = Score()

    async def scenario(chance: random.Random) -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(*[answer() for _ in range(10 * clients)]))))
        who = caller(*some_rules(chance, least_limit=10_000))

        async def client(number: int) -> None:
            await asyncio.sleep(number * 1e-4)
            members = {"max_tokens": chance.randint(16, 600)}
            for tries in range(5):
                error = (await corridor.visit(plain(corridor, **members), caller=who)).error
                assert error is None or isinstance(error, RateLimited)
                if tries == 1:
                    score.add(let_in=error is None)
                if error is None:
                    return
                assert error.retry_after_seconds is not None
                await asyncio.sleep(told(error.retry_after_seconds))

        await asyncio.gather(*(client(number) for number in range(clients)))

    for seed in range(max(10, CASES // 10)):
        run(lambda seed=seed: scenario(random.Random(f"corridor {seed}")))  # type: ignore[misc]  # a loop variable
    print(f"\nthrough the corridor: {score.let_in} of {score.came} let in, {score.share:.2%}")
    assert score.came >= 100 and score.share >= LEAST_SHARE
