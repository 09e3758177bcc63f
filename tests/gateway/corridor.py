"""The real corridor on the virtual loop: memory stores, scripted providers, and a client that notes what it got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from headgate.difficulty.loading import load_difficulty
from headgate.errors import HeadgateError, LedgerFull
from headgate.gateway.admission import Admissions
from headgate.gateway.answers import AnswerHead
from headgate.gateway.cache import Cache
from headgate.gateway.choosing import Choosing
from headgate.gateway.fleet import Deployment, DeploymentPlan, DeploymentSpec, ModelSpec, Setup, assemble
from headgate.gateway.idempotency import Idempotency
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.quotas import NO_LIMITS
from headgate.gateway.scoring import ModelScorer
from headgate.gateway.settling import Audience, Settler
from headgate.gateway.waiting import WaitingRoom
from headgate.metering import Crossing
from headgate.policy.health import BreakerRules
from headgate.policy.quota import QuotaLimits
from headgate.sim.clock import SimClock
from headgate.sim.loop import run_virtual
from headgate.stores.memory import MemoryJournal, MemoryLedger
from headgate.stores.memory_cache import MemoryCache
from headgate.stores.memory_counters import MemoryCounters
from headgate.stores.memory_idempotency import MemoryIdempotencyStore
from headgate.stores.memory_sessions import MemorySessions
from headgate.telemetry.cache_counts import CacheCounts
from headgate.telemetry.totals import CacheTotals
from headgate.types import Call, Caller, Price, RequestRecord, Route, Tier
from headgate.wire.openai import CallHeaders, parse_call
from tests.gateway.scripted import ScriptedProvider

PRICE = Price(input=1_000, output=10_000, cached_input=100, version="test")
DEFAULT_RULES = BreakerRules()
EVERYTHING = Tier("pro", models=frozenset({"*"}))
ALICE = Caller("key_1", "acme", "alice", EVERYTHING)
CHAT = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
PROMPT_TOKENS = 5 + 4 + 3  # the letters of "hello", the frame of a message, the frame of a reply


class LetterCounter:
    """One token to a letter, after `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.counted: list[str] = []

    async def count(self, upstream_model: str, texts: Sequence[str]) -> int:
        self.counted.extend(texts)
        await asyncio.sleep(self.seconds)
        return sum(map(len, texts))


class BoundedJournal(MemoryJournal):
    """A journal that can be made to refuse. `appended` keeps what it took."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__(ledger)
        self.refuses = False
        self.has_room = True
        self.appended: list[RequestRecord] = []

    def append(self, record: RequestRecord) -> None:
        if self.refuses:
            raise LedgerFull("The journal is full.")
        super().append(record)
        self.appended.append(record)

    def room(self) -> bool:
        return self.has_room


class Tally:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[RequestRecord] = []
        self.itl_counts: list[Sequence[int]] = []

    def settled(self, record: RequestRecord, itl_counts: Sequence[int]) -> None:
        self.records.append(record)
        self.itl_counts.append(itl_counts)


class Visit:
    """What a client got: the head, the pieces, and when each came; or the error instead."""

    def __init__(self) -> None:
        self.head: AnswerHead | None = None
        self.pieces: list[bytes] = []
        self.times: list[float] = []
        self.error: HeadgateError | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def last_error(self) -> dict[str, Any]:
        """The error event a broken stream ended with."""
        data = self.pieces[-1].removeprefix(b"data: ")
        error: dict[str, Any] = json.loads(data)["error"]
        return error


class Corridor:
    """A pipeline and everything around it. Make it inside the loop. `settings` are members of Setup."""

    def __init__(self, *models: tuple[ModelSpec, Sequence[DeploymentPlan]], seed: int = 1, **settings: Any) -> None:
        self.clock = SimClock(asyncio.get_running_loop(), seed)
        self.ledger = MemoryLedger()
        self.journal = BoundedJournal(self.ledger)
        self.counter = LetterCounter()
        self.tally = Tally()
        self.unmarked: list[str] = []  # deployments whose stream ended without [DONE]
        self.database_answers = True
        self.setup = Setup(assemble(dict(models), None), "c0ffee", **settings)
        self.crossings: list[Crossing] = []
        self.counters = MemoryCounters(self.clock, self.crossings.append)
        room = WaitingRoom(self.clock, lambda: self.setup.max_waiting)
        self.admissions = Admissions(self.counters, self.ledger, self.clock, room, self.counter)
        audience = Audience((self.tally,), settled=self.admissions.settle)
        self.settler = Settler(self.journal, self.counter, self.clock, audience, lambda: self.database_answers)
        self.answers = MemoryCache(self.clock.now, max_entries=1_000, max_bytes=10_000_000, max_entry_bytes=1_000_000)
        self.looked_up = CacheTotals()
        cache = Cache(self.answers, self.clock, self.settler, self.admissions, CacheCounts(self.looked_up))
        scorer = ModelScorer(lambda path: load_difficulty(path or None), lambda: None)
        choosing = Choosing(self.clock, scorer, MemorySessions(self.clock.monotonic))
        self.keys = MemoryIdempotencyStore()
        self.idempotency = Idempotency(self.keys, self.clock, self.settler, self.admissions)
        looking = cache, self.idempotency
        self.pipeline = Pipeline(self.setup, self.clock, self.settler, self.admissions, looking, choosing)
        self.pipeline.missing_done = self.unmarked.append

    @property
    def record(self) -> RequestRecord:
        """The only row of the ledger."""
        (record,) = self.journal.appended
        return record

    @property
    def outcomes(self) -> list[str]:
        """Of the attempts in the only row: the status or, without one, the error."""
        return [f"{attempt.deployment} {attempt.status or attempt.error}" for attempt in self.record.attempts]

    def deployment(self, name: str) -> Deployment:
        return next(found for found in self.setup.deployments() if found.spec.name == name)

    def use(self, *models: tuple[ModelSpec, Sequence[DeploymentPlan]]) -> None:
        """From now on, these models."""
        self.setup = msgspec.structs.replace(self.setup, models=assemble(dict(models), self.setup))
        self.pipeline.setup = self.setup

    def call(self, route: Route = Route.CHAT, **members: Any) -> Call:
        body = {**CHAT, "prompt": "hello", "input": "hello", "stream": True, **members}
        return parse_call(route, json.dumps(body).encode(), self.clock.new_id("req"), CallHeaders())

    async def visit(
        self, call: Call | None = None, *, caller: Caller = ALICE, pieces: int | None = None, slowly: float = 0.0
    ) -> Visit:
        """Be a client: read all, or leave after so many pieces; wait `slowly` seconds before each."""
        visit = Visit()
        try:
            async with self.pipeline.handle(caller, call or self.call()) as given:
                visit.head = given.head
                await asyncio.sleep(slowly)
                async for piece in given.events:
                    visit.pieces.append(piece)
                    visit.times.append(self.clock.monotonic())
                    if len(visit.pieces) == pieces:
                        break
                    await asyncio.sleep(slowly)
        except HeadgateError as error:
            visit.error = error
        return visit

    def at_rest(self) -> bool:
        """Nothing is under way any more, anywhere."""
        deployments = self.setup.deployments()
        return (
            self.pipeline.in_flight == 0
            and all(one.tokens_in_flight == one.requests_in_flight == 0 for one in deployments)
            and all(
                one.provider.open_responses == 0 for one in deployments if isinstance(one.provider, ScriptedProvider)
            )
        )


def deployment(
    provider: ScriptedProvider, name: str = "", *, keys: Sequence[str] = ("key-1",), price: Price | None = PRICE,
    rules: BreakerRules = DEFAULT_RULES, limits: QuotaLimits = NO_LIMITS, **more: Any,
) -> DeploymentPlan:  # fmt: skip
    """A deployment served by a scripted provider; `more` are members of DeploymentSpec."""
    spec = DeploymentSpec(
        **{
            "name": name or f"{provider.name}/model",
            "provider": provider.name,
            "kind": provider.kind,
            "upstream_model": "their-model",
            "endpoints": ("http://one",),
            "price": price,
            "rules": rules,
            **more,
        }
    )
    return DeploymentPlan(spec, lambda: provider, tuple(keys), limits)


def model(*deployments: DeploymentPlan, name: str = "small", **more: Any) -> tuple[ModelSpec, Sequence[DeploymentPlan]]:
    """A model with its deployments; `more` are members of ModelSpec."""
    return ModelSpec(name, **more), deployments


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a scenario in virtual time; nothing may be left of it."""

    async def main() -> None:
        await scenario()
        for _ in range(10):
            await asyncio.sleep(0)  # generators that were left close themselves
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    run_virtual(main())
