"""Workers on the virtual loop: the real corridor, the simulated model with faults, and jobs in SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, func, select

from headgate.assembly.delivering import Deliveries
from headgate.config.schema import Config, SimConfig, SimFaults, Spread
from headgate.documents.reading import text_of
from headgate.gateway.accounts import Accounts
from headgate.gateway.background import BackgroundGate
from headgate.gateway.budget_shares import BudgetShares
from headgate.gateway.fleet import DeploymentPlan, DeploymentSpec
from headgate.job_types import Counts, Job, JobQuota, NewJob, Owner, RetryRules
from headgate.jobs.built_in import built_in_kinds
from headgate.jobs.dead import DeadLetterOffice
from headgate.jobs.desk import JobDesk, Offices
from headgate.jobs.erasing import Upkeep
from headgate.jobs.file_documents import FileDocuments
from headgate.jobs.kinds import Kind, request_kinds
from headgate.jobs.models import Models
from headgate.jobs.outlook import Outlooks
from headgate.jobs.purse import Purse
from headgate.jobs.tasks import Means
from headgate.jobs.worker import Worker, WorkerSettings
from headgate.policy.background import GateRules
from headgate.policy.health import BreakerRules
from headgate.ports import Provider
from headgate.providers.sim import SimProvider
from headgate.sim.clock import SimClock
from headgate.stores.database import Database
from headgate.stores.job_counts import COUNTED
from headgate.stores.jobs_tables import job_items
from headgate.stores.memory import MemoryKeyStore
from headgate.stores.sql_checkpoints import SqlCheckpoints
from headgate.stores.sql_dead_items import SqlDeadItems
from headgate.stores.sql_dead_letters import SqlDeadLetters
from headgate.stores.sql_files import SqlFiles
from headgate.stores.sql_job_upkeep import SqlJobUpkeep
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_prospects import SqlProspects
from headgate.stores.sql_purses import SqlPurses
from headgate.stores.sql_work import SqlWork
from headgate.telemetry.job_counts import JobCounts
from headgate.telemetry.totals import JobTotals
from headgate.types import KeyRecord, Tier
from tests.gateway.corridor import PRICE, Corridor, model
from tests.stores.tables import with_tables

Result = TypeVar("Result")

EVERYTHING = Tier("pro", models=frozenset({"*"}))
KEY = KeyRecord("key_1", "hash", "hint", "acme", "pro", user="alice")
OWNER = Owner("acme", "key_1", "alice")
NEVER_OPENS = BreakerRules(failures=10**9, error_rate=1.0, minimum_requests=10**9)
NO_FAULTS = SimFaults()


class InlineDatabase(Database):
    """Does its work at once, as the virtual loop has no threads."""

    async def run(
        self, lane: ThreadPoolExecutor, work: Callable[[Connection], Result], *, writes: bool = False
    ) -> Result:
        await asyncio.sleep(0.001)
        return self._perform(work, writes)

    async def aclose(self) -> None:
        self._engine.dispose()


async def read_at_once(name: str, content: bytes) -> str:
    """A file read here, as the virtual loop has no processes."""
    return text_of(name, content)


class Floor:
    """A shop floor with any number of workers. Make it inside the loop."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        faults: SimFaults = NO_FAULTS,
        rules: RetryRules | None = None,
        provider: Provider | None = None,
    ) -> None:
        config = SimConfig(seed=seed, faults=faults, output_tokens=Spread(median=10, p99=30))
        spec = DeploymentSpec("sim/model", "sim", "sim", "sim-small", ("sim:",), PRICE, rules=NEVER_OPENS)
        self.clock = SimClock(asyncio.get_running_loop(), seed)
        plan = DeploymentPlan(spec, lambda: provider or SimProvider("sim", config, self.clock), ("",))
        self.corridor = Corridor(
            model(plan, retries=0, total_seconds=20.0 if provider is None else 10_000.0), seed=seed
        )
        self.database = InlineDatabase("sqlite", with_tables(folder))
        self.jobs = SqlJobs(self.database, self.clock)
        self.work = SqlWork(self.database, self.clock)
        self.settings = WorkerSettings(concurrency=4, rules=rules or RetryRules())
        self.accounts = Accounts(MemoryKeyStore(), self.clock)
        self.accounts.configure([KEY], {"pro": EVERYTHING}, None)
        self.files = SqlFiles(self.database, self.clock)
        documents = FileDocuments(self.files, read_at_once)
        self.kinds: dict[str, Kind] = request_kinds(lambda name: name == "small")
        self.kinds |= built_in_kinds(Models(lambda: self.corridor.setup), documents)
        self.deliveries = Deliveries(self.database, self.jobs, self.clock, Config)
        dead = DeadLetterOffice(SqlDeadItems(self.database, self.clock), SqlDeadLetters(self.database, self.clock))
        outlooks = Outlooks(SqlProspects(self.database), self.clock)
        upkeep = Upkeep(self.jobs, SqlJobUpkeep(self.database, self.clock), self.clock, lambda caller: JobQuota())
        offices = Offices(self.deliveries.desk, dead, outlooks, upkeep, documents)
        self.desk = JobDesk(self.jobs, offices, self.clock, self.kinds, lambda: None)
        corridor = self.corridor
        budgets = BudgetShares(corridor.counters, corridor.admissions, lambda: corridor.setup, self.clock)
        self.gate = BackgroundGate(corridor.pipeline, budgets, self.clock, GateRules)
        self.counts = JobTotals()
        self.purses = SqlPurses(self.database, self.clock)
        self.means = Means(
            pipeline=corridor.pipeline,
            gate=self.gate,
            accounts=self.accounts,
            jobs=self.jobs,
            checkpoints=SqlCheckpoints(self.database, self.clock),
            purse=Purse(self.purses, self.jobs, corridor.pipeline),
            clock=self.clock,
            observer=JobCounts(self.counts),
        )
        self._running: dict[str, tuple[Worker, asyncio.Task[None]]] = {}

    def start(self, name: str) -> Worker:
        """Another worker."""
        worker = Worker(name, self.work, self.kinds, self.means, lambda: self.settings)
        self._running[name] = worker, asyncio.get_running_loop().create_task(worker.run_forever())
        return worker

    @property
    def under_way(self) -> int:
        """Items that workers have."""
        return sum(worker.under_way for worker, _ in self._running.values())

    def kill(self, name: str) -> None:
        """As if its process ended: it says nothing any more."""
        self._running.pop(name)[1].cancel()

    async def stop(self) -> None:
        for name in list(self._running):
            await self.stop_worker(name)
        await self.database.aclose()

    async def stop_worker(self, name: str) -> None:
        """As a process stops that was told to."""
        worker, task = self._running.pop(name)
        await worker.drain(60.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def submit(self, items: int = 1, **more: object) -> Job:
        body = b'{"model": "small", "messages": [{"role": "user", "content": "item %d"}]}'
        requests = tuple(body % number for number in range(1, items + 1))
        kind = more.pop("kind", "chat")
        job = NewJob(self.clock.new_id("job"), OWNER, kind, requests, self.clock.now(), **more)  # type: ignore[arg-type]
        return (await self.jobs.submit(job))[0]

    async def until_over(self, job: Job, seconds: float = 86_400.0) -> Job:
        async with asyncio.timeout(seconds):
            while (job := await self.jobs.get(job.id)).counts.open:  # noqa: ASYNC110  # virtual time
                await asyncio.sleep(0.5)
        return job

    async def true_counts(self, job: Job) -> Counts:
        """As the items say it, not the job's row."""
        query = select(job_items.c.state, func.count()).where(job_items.c.job_id == job.id).group_by(job_items.c.state)
        found = await self.database.run(self.database.jobs, lambda connection: connection.execute(query).all())
        return Counts(**{state: dict(map(tuple, found)).get(state, 0) for state in COUNTED})
