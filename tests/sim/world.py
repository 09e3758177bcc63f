"""A gateway to simulate: the real pipeline, memory stores, and simulated providers with a wiretap on each."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from headgate.config.schema import SimConfig, SimFaults, Spread
from headgate.difficulty.loading import load_difficulty
from headgate.errors import Draining
from headgate.gateway.admission import Admissions
from headgate.gateway.cache import Cache
from headgate.gateway.choosing import Choosing
from headgate.gateway.fleet import DeploymentPlan, DeploymentSpec, ModelSpec, Setup, assemble
from headgate.gateway.idempotency import Idempotency
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.scoring import ModelScorer
from headgate.gateway.settling import Audience, Settler
from headgate.gateway.waiting import WaitingRoom
from headgate.policy.health import BreakerRules
from headgate.policy.routing import Balance
from headgate.ports import Clock, Provider, Take, UpstreamResponse
from headgate.providers.relaying import relay_by_reading
from headgate.providers.sim import SimProvider
from headgate.providers.sim_draws import DRAWN_FAULTS
from headgate.sim.clock import SimClock
from headgate.sim.loop import VirtualLoop, run_virtual
from headgate.sim.traffic import Shape, Visit, drive, visits
from headgate.stores.memory import MemoryJournal, MemoryLedger
from headgate.stores.memory_cache import MemoryCache
from headgate.stores.memory_counters import MemoryCounters
from headgate.stores.memory_idempotency import MemoryIdempotencyStore
from headgate.stores.memory_sessions import MemorySessions
from headgate.telemetry.cache_counts import CacheCounts
from headgate.telemetry.totals import CacheTotals
from headgate.types import Caller, Features, Operation, Price, RequestRecord, Tier
from tests.sim.invariants import Invariant, Referee, Violation

FAULT_SHARE = 0.1
FIRST_TOKEN_SECONDS = 4.0
STALL_SECONDS = 3.0
TOTAL_SECONDS = 20.0
_VISITOR = re.compile(rb'"user":"visitor-(\d+)"')


class Wiretap:
    """A provider that tells the referee what passes through it."""

    def __init__(self, inner: SimProvider, kind: str, referee: Referee) -> None:
        self.name = inner.name
        self.kind = kind
        self.inner = inner
        self._referee = referee

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamResponse:
        visitor = _VISITOR.search(body)
        assert visitor is not None, "every visitor has a number"
        number = int(visitor[1])
        self._referee.provider_asked(number, self.name, simulated=self.kind == "sim")
        response = await self.inner.send(operation, body, endpoint=endpoint, api_key=api_key, headers=headers)
        return TappedResponse(response, number, self._referee)

    async def aclose(self) -> None:
        await self.inner.aclose()


class TappedResponse:
    """An answer on the wiretap."""

    def __init__(self, inner: UpstreamResponse, number: int, referee: Referee) -> None:
        self.status = inner.status
        self.headers = inner.headers
        self._id = inner.headers.get("x-request-id", "")
        self._inner = inner
        self._number = number
        self._referee = referee

    async def read(self) -> bytes:
        data = await self._inner.read()
        self._referee.provider_sent(self._number, self._id, data)
        return data

    async def relay(self, take: Take) -> bool:
        return await relay_by_reading(self, take)

    def close(self) -> None:
        self._inner.close()


class WatchedJournal(MemoryJournal):
    """A journal in memory that tells the referee of every row."""

    def __init__(self, ledger: MemoryLedger, referee: Referee) -> None:
        super().__init__(ledger)
        self._referee = referee

    def append(self, record: RequestRecord) -> None:
        super().append(record)
        self._referee.settled(record)


class SlowCounter:
    """Counts four bytes to a token, after a while."""

    async def count(self, upstream_model: str, texts: Sequence[str]) -> int:
        await asyncio.sleep(0.002)
        return sum(-(-len(text.encode()) // 4) for text in texts)


class Models:
    """The models before a reload and after it. `toy` is simulated, `mixed` partly, the others stand for real ones."""

    prices: ClassVar[dict[str, Price]] = {
        "alpha/1": Price(input=150_000, output=600_000),
        "alpha/2": Price(input=150_000, output=600_000),
        "alpha/3": Price(input=170_000, output=700_000),
        "beta/1": Price(input=2_500_000, output=10_000_000),
        "beta/flaky": Price(input=2_500_000, output=10_000_000),
        "gamma/1": Price(input=40_000, output=160_000),
        "gamma/2": Price(input=50_000, output=190_000),
        "weak/1": Price(input=10_000, output=20_000),
        "vectors/1": Price(input=20_000),
    }
    asked_for = ("alpha", "beta", "weak", "toy", "mixed") * 5 + ("gamma", "gamma", "unknown")
    may_be_simulated = frozenset({"toy", "mixed"})

    def __init__(self, seed: int, clock: Clock, referee: Referee) -> None:
        self.taps: list[Wiretap] = []
        self._seed = seed
        self._clock = clock
        self._referee = referee

    def first(self) -> Mapping[ModelSpec, list[DeploymentPlan]]:
        """Before the reload."""
        return {**self._gone_later(), **self._alpha("alpha/1", "alpha/2"), **self._always()}

    def second(self) -> Mapping[ModelSpec, list[DeploymentPlan]]:
        """After it: `gamma` is gone, and `alpha` has another second deployment."""
        return {**self._alpha("alpha/1", "alpha/3"), **self._always()}

    def _alpha(self, *deployments: str) -> dict[ModelSpec, list[DeploymentPlan]]:
        return {_model("alpha", fallback=("beta",)): [self._plan(name) for name in deployments]}

    def _gone_later(self) -> dict[ModelSpec, list[DeploymentPlan]]:
        deployments = [self._plan("gamma/1", weight=3), self._plan("gamma/2", weight=1)]
        return {_model("gamma", balance=Balance.WEIGHTED, retries=0, fallback=("alpha",)): deployments}

    def _always(self) -> dict[ModelSpec, list[DeploymentPlan]]:
        return {
            _model("beta", balance=Balance.LEAST_BUSY): [self._plan("beta/1"), self._plan("beta/flaky", faults=0.7)],
            _model("weak", fallback=("toy", "mixed", "alpha")): [self._plan("weak/1", faults=0.9)],
            _model("mixed"): [self._plan("alpha/1"), self._plan("toy/mixed", kind="sim")],
            _model("toy", fallback=("alpha",)): [self._plan("toy/1", kind="sim")],
            _model("vectors"): [self._plan("vectors/1")],
        }

    def _plan(
        self, name: str, *, kind: str = "openai", faults: float = FAULT_SHARE, weight: float = 1
    ) -> DeploymentPlan:
        spec = DeploymentSpec(
            name=name,
            provider=name.partition("/")[0],
            kind=kind,
            upstream_model=name.replace("/", "-"),
            endpoints=("sim:",),
            price=self.prices.get(name),
            weight=weight,
            rules=BreakerRules(open_seconds=5.0),
        )
        return DeploymentPlan(spec, lambda: self._tap(name, kind, faults), api_keys=("key-1", "key-2"))

    def _tap(self, name: str, kind: str, faults: float) -> Provider:
        shares = {fault.value: faults / len(DRAWN_FAULTS) for fault in DRAWN_FAULTS}
        config = SimConfig(
            seed=self._seed,
            ttft_seconds=Spread(median=0.3, p99=1.5),
            itl_seconds=Spread(median=0.02, p99=0.1),
            output_tokens=Spread(median=8, p99=30),
            faults=SimFaults(**shares, retry_after_seconds=0.5),
        )
        self.taps.append(Wiretap(SimProvider(name, config, self._clock), kind, self._referee))
        return self.taps[-1]


def _model(name: str, **more: Any) -> ModelSpec:
    return ModelSpec(
        name, first_token_seconds=FIRST_TOKEN_SECONDS, stall_seconds=STALL_SECONDS, total_seconds=TOTAL_SECONDS, **more
    )


def callers() -> list[Caller]:
    """Two tenants that may do everything, and one that may do little."""
    everything = Tier("pro", models=frozenset({"*"}))
    little = Tier(
        "free", frozenset({"alpha", "beta", "toy", "weak", "vectors"}), Features(tools=False), max_output_tokens=6
    )
    pro = [Caller("key_a", "acme", "alice", everything), Caller("key_b", "acme", "bob", everything)]
    return [*pro * 3, Caller("key_c", "hobby", None, little)]


@dataclass(frozen=True)
class Run:
    """What a simulated run came to."""

    event_log: str  # a digest
    outcomes: Mapping[str, int]
    errors: Mapping[str, int]
    virtual_seconds: float


class World:
    """A gateway on a running virtual loop."""

    referee_type: ClassVar[type[Referee]] = Referee

    def __init__(self, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.clock = SimClock(self._loop, seed)
        self.referee = self.referee_type(Models.prices, Models.may_be_simulated, TOTAL_SECONDS)
        self._loop.set_exception_handler(lambda _, context: self.referee.broke_loose(context))
        self.models = Models(seed, self.clock, self.referee)
        ledger, room = MemoryLedger(), WaitingRoom(self.clock)
        self.counters = MemoryCounters(self.clock)
        counter = SlowCounter()
        admissions = Admissions(self.counters, ledger, self.clock, room, counter)
        journal = WatchedJournal(ledger, self.referee)
        self._settler = Settler(journal, counter, self.clock, Audience(settled=admissions.settle))
        self._setups = [Setup(models=assemble(self.models.first(), None), config_hash="first")]
        answers = MemoryCache(self.clock.now, max_entries=200, max_bytes=1_000_000, max_entry_bytes=100_000)
        cache = Cache(answers, self.clock, self._settler, admissions, CacheCounts(CacheTotals()))
        scorer = ModelScorer(lambda path: load_difficulty(path or None), lambda: None)
        choosing = Choosing(self.clock, scorer, MemorySessions(self.clock.monotonic))
        looking = cache, Idempotency(MemoryIdempotencyStore(), self.clock, self._settler, admissions)
        self.pipeline = Pipeline(self._setups[0], self.clock, self._settler, admissions, looking, choosing)

    async def reload(self, after_seconds: float) -> None:
        """As the application does it: the new setup at once; providers that have left it take no new requests."""
        await asyncio.sleep(after_seconds)
        before = self.pipeline.setup
        self.pipeline.setup = Setup(models=assemble(self.models.second(), before), config_hash="second")
        self._setups.append(self.pipeline.setup)
        kept = {id(deployment) for deployment in self.pipeline.setup.deployments()}
        for deployment in before.deployments():
            if id(deployment) not in kept:
                await deployment.provider.aclose()

    async def interrupt(self, after_seconds: float) -> None:
        """As at the end of a drain, but that requests go on coming."""
        await asyncio.sleep(after_seconds)
        self.pipeline.interrupt(lambda: Draining("This process is shutting down.", retry_after_seconds=1))

    async def play(self, traffic: Sequence[Visit]) -> Run:
        """Send the traffic in and check everything. Raises Violation."""
        await drive(self.pipeline, self.clock, iter(traffic), self.referee)
        await self._settler.finish()
        await asyncio.sleep(0)  # for the callbacks of tasks that have just ended
        self.referee.check_end(len(traffic))
        self._check_nothing_left()
        referee = self.referee
        return Run(referee.event_log, dict(referee.outcomes), dict(referee.errors), self._loop.time())

    def _check_nothing_left(self) -> None:
        assert isinstance(self._loop, VirtualLoop)
        deployments = [deployment for setup in self._setups for deployment in setup.deployments()]
        counts = {
            "requests in the pipeline": self.pipeline.in_flight,
            "requests at deployments": sum(deployment.requests_in_flight for deployment in deployments),
            "tokens at deployments": sum(deployment.tokens_in_flight for deployment in deployments),
            "open upstream answers": sum(tap.inner.tally.open for tap in self.models.taps),
            "visits the referee still follows": self.referee.open,
            "tasks": len(asyncio.all_tasks()) - 1,
            "timers": self._loop.timers(),
        }
        if left := {what: count for what, count in counts.items() if count}:
            raise Violation(f"{Invariant.NOTHING_LEFT}: {left}")


def run_world(seed: int, scenario: Callable[[Any], Coroutine[Any, Any, Run]], world: type[World] = World) -> Run:
    """Play a scenario on a fresh virtual loop. Raises Violation, which names the seed."""

    async def main() -> Run:
        return await scenario(world(seed))

    try:
        return run_virtual(main())
    except Exception as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise Violation(f"seed {seed}: {type(first).__name__}: {first}") from first


def play(seed: int, requests: int) -> Run:
    """Simulate traffic of every kind, a reload and an interruption. Raises Violation."""
    shape = Shape(
        requests,
        callers(),
        Models.asked_for,
        ("vectors",),
        leaving_share=0.12,  # of which more than half are answered before they leave
        leaving_moments_seconds=(FIRST_TOKEN_SECONDS, TOTAL_SECONDS),
    )
    seconds = requests / shape.requests_per_second

    async def scenario(world: World) -> Run:
        async with asyncio.TaskGroup() as disturbances:
            disturbances.create_task(world.reload(seconds / 2))
            disturbances.create_task(world.interrupt(seconds * 3 / 4))
            return await world.play(list(visits(shape, random.Random(f"traffic of {seed}"))))

    return run_world(seed, scenario)
