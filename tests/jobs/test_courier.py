"""Items in providers' batches: handed over once whatever dies, brought back line by line, charged once, and spilled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.config.schema import ProviderConfig
from headgate.errors import DatabaseUnavailable
from headgate.gateway.accounts import Accounts
from headgate.gateway.background import BackgroundGate
from headgate.gateway.budget_shares import BudgetShares
from headgate.job_types import Command, Counts, ItemState, Job, JobState, NewJob, RetryRules
from headgate.jobs.batch_means import CourierMeans
from headgate.jobs.courier import LOOKUP_SECONDS, Courier
from headgate.policy.background import GateRules
from headgate.policy.batching import BatchRules
from headgate.provider_batch_types import Stage
from headgate.providers.batches.opening import open_api
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.stores.database import Database
from headgate.stores.memory import MemoryKeyStore
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_leases import SqlLeases
from headgate.stores.sql_provider_batches import SqlProviderBatches
from headgate.stores.sql_work import SqlWork
from headgate.types import Measure, MeterKind, Outcome, Price, RequestRecord, Rule, Scope, Tier
from tests.contract.stores import TurnedClock
from tests.gateway.corridor import Corridor, deployment, model
from tests.gateway.scripted import ScriptedProvider
from tests.jobs.floor import EVERYTHING, KEY, OWNER
from tests.providers.batch_vendor import VENDORS, Vendor, serving
from tests.stores.tables import with_tables

PRICE = Price(input=1_000, output=10_000, batch=Price(input=400, output=4_000, version="batch-list"))
LINE_PICOUSD = 10 * 400 + 5 * 4_000  # as the vendor counts tokens
RULES = BatchRules(use="auto", min_items=3, min_hours=4.0, spill_hours=1.0, poll_seconds=60.0)
HOUR = 3600.0


class Office:
    """A courier with everything around it, on a database in a folder."""

    def __init__(self, folder: Path, address: str, kind: str, tier: Tier) -> None:
        self.clock = TurnedClock()
        self.rules = RULES
        suffix = "/v1" if kind == "openai" else ""
        plan = deployment(
            ScriptedProvider(kind=kind), price=PRICE, kind=kind, endpoints=(address + suffix,), upstream_model="theirs"
        )
        self.corridor = corridor = Corridor(model(plan))
        self.database = Database("sqlite", with_tables(folder))
        self.jobs = SqlJobs(self.database, self.clock)
        self.work = SqlWork(self.database, self.clock)
        self.batches = SqlProviderBatches(self.database, self.clock)
        self.ledger = SqlLedger(self.database)
        accounts = Accounts(MemoryKeyStore(), self.clock)
        accounts.configure([KEY], {"pro": tier}, None)
        budgets = BudgetShares(corridor.counters, corridor.admissions, lambda: corridor.setup, corridor.clock)
        self.booked: list[RequestRecord] = []
        self.means = CourierMeans(
            batches=self.batches,
            work=self.work,
            ledger=self.ledger,
            leases=SqlLeases(self.database, self.clock),
            accounts=accounts,
            gate=BackgroundGate(corridor.pipeline, budgets, corridor.clock, GateRules),
            clock=self.clock,
            rules=lambda name: self.rules,
            api=lambda one, key: open_api(
                one.spec.endpoints[0],
                ProviderConfig(kind=kind),
                "secret",
                Connector(ConnectSettings()),  # type: ignore[arg-type]
            ),
            booked=self.booked.extend,
        )
        self.courier = Courier("one", self.means)

    async def look(self, seconds: float = 0.0) -> None:
        self.clock.time += seconds
        await self.courier.look()

    async def die(self, **broken: object) -> None:
        """Look once more, and no further than to these means."""
        with pytest.raises(DatabaseUnavailable):
            await Courier("one", msgspec.structs.replace(self.means, **broken)).look()

    def begin_again(self) -> None:
        """Another process, which knows what is in the database."""
        self.clock.time += 400.0
        self.courier = Courier("two", self.means)

    async def submit(self, *prompts: str, hours: float | None = 24.0, model: str = "small") -> Job:
        bodies = [
            json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 9}).encode()
            for prompt in prompts
        ]
        deadline_at = None if hours is None else self.clock.now() + hours * HOUR
        job = NewJob(self.clock.new_id("job"), OWNER, "chat", tuple(bodies), self.clock.now(), deadline_at=deadline_at)
        return (await self.jobs.submit(job))[0]

    async def states(self, job: Job) -> list[ItemState]:
        return [item.state for item in await self.jobs.items(job.id, 99)]

    async def claimable(self) -> int:
        await self.work.sweep(RetryRules())
        return len(await self.work.claim("worker", [self.clock.new_id("req") for _ in range(50)], 30.0))

    async def rows(self) -> list[RequestRecord]:
        return (await self.ledger.page(100))[0]


class Dying:
    """A store that cannot do one thing any more: what kill -9 before it leaves."""

    def __init__(self, inner: object, what: str) -> None:
        self._inner = inner
        self._what = what

    def __getattr__(self, name: str) -> Any:
        if name == self._what:
            raise DatabaseUnavailable("gone")
        return getattr(self._inner, name)


@asynccontextmanager
async def opened(folder: Path, kind: str = "openai", tier: Tier = EVERYTHING) -> AsyncIterator[tuple[Office, Vendor]]:
    vendor = VENDORS[kind]()
    async with serving(vendor) as address:
        office = Office(folder, address, kind, tier)
        try:
            yield office, vendor
        finally:
            await office.database.aclose()


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["openai", "azure", "anthropic", "gemini"])
def test_items_come_back_one_by_one_and_are_charged_at_the_price_of_batches(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, kind) as (office, vendor):
            job = await office.submit("one", "two", "fail 400", "fail 500", "three")
            await office.look()
            assert (await office.jobs.get(job.id)).execution == "batch"
            assert await office.states(job) == [ItemState.LEASED] * 5
            assert await office.claimable() == 0, "no worker has them too"
            vendor.end()
            await office.look(61.0)
            done = await office.jobs.get(job.id)
            assert done.counts == Counts(succeeded=3, failed=1, retrying=1)
            items = await office.jobs.items(job.id, 9)
            assert b"about one" in items[0].result and json.loads(items[0].result)["choices"]
            assert "no: fail 400" in items[2].error
            assert done.cost_picousd == 3 * LINE_PICOUSD == sum(row.cost_picousd for row in office.booked)
            answered = [row for row in await office.rows() if row.outcome is Outcome.DONE]
            assert {row.price_version for row in answered} == {"batch-list"} and len(answered) == 3
            assert {(row.tenant, row.user, row.model) for row in answered} == {("acme", "alice", "small")}
            assert await office.claimable() == 1, "what may go better another time is done live"

    run(scenario)


def test_what_was_handed_over_is_found_again_and_not_handed_over_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            vendor.breaks = 1
            job = await office.submit("one", "two", "three")
            await office.look()
            (batch,) = await office.batches.open()
            assert (batch.stage, batch.provider_id) == (Stage.SENT, "")
            office.begin_again()
            await office.look()
            (batch,) = await office.batches.open()
            assert (batch.stage, batch.provider_id) == (Stage.RUNNING, "batch_1")
            vendor.end()
            await office.look(61.0)
            assert (await office.jobs.get(job.id)).state is JobState.SUCCEEDED
            assert len(vendor.batches) == 1

    run(scenario)


def test_what_died_before_it_was_handed_over_is_handed_over_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            await office.submit("one", "two", "three")
            await office.die(batches=Dying(office.batches, "save"))
            (batch,) = await office.batches.open()
            assert batch.stage is Stage.PREPARED and not vendor.batches
            office.begin_again()
            await office.look()
            assert [len(one.requests) for one in vendor.batches] == [3]

    run(scenario)


def test_what_was_cancelled_before_it_was_handed_over_never_is(tmp_path: Path) -> None:
    """Else its provider would be paid for what nobody wants."""

    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("one", "two", "three")
            await office.die(batches=Dying(office.batches, "save"))
            await office.jobs.command(job.id, Command.CANCEL)
            office.begin_again()
            await office.look()
            assert not vendor.batches and await office.batches.open() == []

    run(scenario)


def test_results_that_are_read_twice_are_booked_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("one", "two", "three")
            await office.look()
            vendor.end()
            office.clock.time += 61.0
            await office.die(work=Dying(office.work, "finish"))
            assert len(await office.rows()) == 3, "they are in the ledger, and their items do not know"
            office.begin_again()
            await office.look()
            done = await office.jobs.get(job.id)
            assert done.state is JobState.SUCCEEDED and done.cost_picousd == 3 * LINE_PICOUSD
            assert len(await office.rows()) == 3

    run(scenario)


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
def test_what_is_not_done_when_the_deadline_nears_is_done_live(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, kind) as (office, vendor):
            job = await office.submit("a", "b", "c", "d", hours=5.0)
            await office.look()
            await office.look(3.9 * HOUR)
            assert vendor.batches[0].state == "running"
            await office.look(0.2 * HOUR)
            assert vendor.batches[0].state == "cancelling"
            vendor.batches[0].state = "cancelled"
            await office.look(61.0)
            spilled = await office.jobs.get(job.id)
            assert spilled.counts == Counts(succeeded=2, retrying=2)
            assert spilled.execution_reason == "2 of its requests were not done in the provider's batch"
            assert await office.claimable() == 2
            assert spilled.cost_picousd == 2 * LINE_PICOUSD

    run(scenario)


def test_lines_that_expired_are_done_live(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("a", "b", "c", hours=72.0)
            await office.look()
            vendor.end("expired")
            await office.look(25 * HOUR)
            assert (await office.jobs.get(job.id)).counts == Counts(succeeded=2, retrying=1)
            assert await office.claimable() == 1
            await office.look(61.0)
            assert len(vendor.batches) == 1

    run(scenario)


def test_a_job_that_is_cancelled_cancels_its_batch_and_pays_for_what_was_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            job = await office.submit("a", "b", "c")
            await office.look()
            await office.jobs.command(job.id, Command.CANCEL)
            await office.look(61.0)
            assert vendor.batches[0].state == "cancelling"
            vendor.batches[0].state = "cancelled"
            await office.look(61.0)
            done = await office.jobs.get(job.id)
            assert (done.state, done.cost_picousd) == (JobState.CANCELLED, 2 * LINE_PICOUSD)
            assert await office.batches.open() == []

    run(scenario)


def test_a_provider_that_refuses_leaves_the_job_to_workers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            vendor.refuses = (400, "this model has no batches")
            job = await office.submit("a", "b", "c")
            await office.look()
            refused = await office.jobs.get(job.id)
            assert refused.execution_reason.endswith(": this model has no batches")
            assert await office.claimable() == 3
            await office.look(61.0)
            assert not vendor.batches

    run(scenario)


def test_items_that_ask_for_different_models_are_done_live(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            bodies = (b'{"model": "small", "messages": []}', b'{"model": "large", "messages": []}') * 2
            deadline = office.clock.now() + 24 * HOUR
            job = NewJob("job_1", OWNER, "chat", bodies, office.clock.now(), deadline_at=deadline)
            await office.jobs.submit(job)
            await office.look()
            assert "ask for 'small' and for 'large'" in (await office.jobs.get("job_1")).execution_reason
            assert await office.claimable() == 4 and not vendor.batches

    run(scenario)


def test_no_more_is_handed_over_than_there_is_money_for(tmp_path: Path) -> None:
    each = 400 * 30 + 4_000 * 9  # roughly: a prompt of some bytes, and the ceiling on its answer
    rule = Rule("budgets.tenant_day", MeterKind.BUDGET, Measure.USD, Scope.TENANT, 3 * each, window="day")
    tier = Tier("pro", models=frozenset({"*"}), rules=(rule,))

    async def scenario() -> None:
        async with opened(tmp_path, tier=tier) as (office, vendor):
            await office.submit("a", "b", "c", "d", "e", "f")
            await office.look()
            assert 0 < len(vendor.batches[0].requests) < 6

    run(scenario)


@pytest.mark.parametrize(
    ("hours", "rules", "reason"),
    [
        (None, RULES, "it has no deadline, so it may be wanted at once"),
        (3.0, RULES, "3.0 hours to its deadline are fewer than batch.min_hours"),
        (24.0, msgspec.structs.replace(RULES, min_items=9), "3 items are fewer than batch.min_items"),
    ],
)
def test_a_job_says_why_it_is_done_live(tmp_path: Path, hours: float | None, rules: BatchRules, reason: str) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            office.rules = rules
            job = await office.submit("a", "b", "c", hours=hours)
            await office.look()
            said = await office.jobs.get(job.id)
            assert (said.execution, said.execution_reason) == ("live", reason)
            assert await office.claimable() == 3 and not vendor.calls

    run(scenario)


def test_a_lookup_waits_until_the_provider_could_know(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as (office, vendor):
            vendor.breaks = 1
            await office.submit("one", "two", "three")
            await office.look()
            calls = len(vendor.calls)
            await office.look(LOOKUP_SECONDS / 2)
            assert len(vendor.calls) == calls

    run(scenario)
