"""The composition root of jobs: the desk where they are submitted, and the worker of a process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

import msgspec

from headgate.assembly.batching import is_undecided
from headgate.assembly.delivering import Deliveries
from headgate.assembly.filing import Filing
from headgate.config.schema import Config
from headgate.errors import HeadgateError
from headgate.gateway.accounts import Accounts
from headgate.gateway.background import BackgroundGate
from headgate.job_types import Backlog, JobQuota, RetryRules, SeenOfModel
from headgate.jobs.built_in import NAMES, built_in_kinds
from headgate.jobs.dead import DeadLetterOffice
from headgate.jobs.desk import JobDesk, Offices
from headgate.jobs.document_desk import DocumentDesk
from headgate.jobs.doorbell import Doorbell
from headgate.jobs.erasing import Upkeep
from headgate.jobs.intake import Hands, Intake, Source
from headgate.jobs.kinds import request_kinds
from headgate.jobs.models import Models
from headgate.jobs.outlook import Outlooks
from headgate.jobs.purse import Purse
from headgate.jobs.tasks import JobObserver, Means
from headgate.jobs.worker import Worker, WorkerSettings
from headgate.pipelines import load_pipelines
from headgate.policy.background import Load, concurrency
from headgate.ports import Clock
from headgate.queue_ports import Queue, Signal
from headgate.queues.opening import open_queue
from headgate.queues.places import place_of
from headgate.queues.signals import PostgresSignal, QueueSignal
from headgate.stores.database import Database
from headgate.stores.sql_checkpoints import SqlCheckpoints
from headgate.stores.sql_dead_items import SqlDeadItems
from headgate.stores.sql_dead_letters import SqlDeadLetters
from headgate.stores.sql_gate_board import SqlGateBoard
from headgate.stores.sql_job_upkeep import SqlJobUpkeep
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_prospects import SqlProspects
from headgate.stores.sql_purses import SqlPurses
from headgate.stores.sql_reports import SqlReports
from headgate.stores.sql_work import SqlWork
from headgate.types import Caller, Frozen

LOOK_SECONDS = 5.0
EXCHANGE_SECONDS = 1.0
HEARD_SECONDS = 5.0  # what a process told longer ago is not so any more
EXPIRE_SECONDS = 600.0

log = logging.getLogger(__name__)


class Taking(Frozen, frozen=True, gc=False):
    """From which queue of somebody else's a process takes requests. `tenant`: whose all of them are."""

    address: str
    tenant: str | None = None
    most_waiting: int = 10_000  # items: while more wait for workers, no message is taken


class Hired(Frozen, frozen=True, gc=False):
    """How a process works that does nothing else; None: as the configuration says."""

    concurrency: int | Literal["auto"] | None = None
    queue: str | None = None  # by which signs of work are given and heard
    works: bool = True
    takes: Taking | None = None


class Working:
    """Jobs in one process. `observer` is told of what its worker does."""

    def __init__(
        self,
        database: Database,
        gate: BackgroundGate,
        accounts: Accounts,
        clock: Clock,
        config: Callable[[], Config],
        observer: JobObserver,
    ) -> None:
        self._config, self._clock = config, clock
        self._gate, pipeline = gate, gate.pipeline
        self._work = SqlWork(database, clock)
        self._board = SqlGateBoard(database, clock)
        jobs = SqlJobs(database, clock)
        self.filing = Filing(database, jobs, clock, config, lambda: self._doorbell.ring())
        models, purses = Models(lambda: pipeline.setup), SqlPurses(database, clock)
        kinds = request_kinds(lambda name: pipeline.setup.has(name)) | built_in_kinds(models, self.filing.documents)
        kinds |= self.filing.kinds
        kinds |= load_pipelines(config().jobs.pipelines, NAMES)
        purse = Purse(purses, jobs, pipeline)
        means = Means(
            pipeline=pipeline,
            gate=gate,
            accounts=accounts,
            jobs=jobs,
            checkpoints=SqlCheckpoints(database, clock),
            purse=purse,
            clock=clock,
            observer=observer,
            is_undecided=lambda job: is_undecided(job, config(), clock.now()),
        )
        self.worker = Worker(clock.new_id("worker"), self._work, kinds, means, self._settings)
        self.deliveries = Deliveries(database, jobs, clock, config, lambda address: open_queue(address, clock))
        dead = DeadLetterOffice(SqlDeadItems(database, clock), SqlDeadLetters(database, clock))
        outlooks = Outlooks(SqlProspects(database), clock)
        self.upkeep = Upkeep(jobs, SqlJobUpkeep(database, clock), clock, lambda caller: quota_of(config(), caller))
        offices = Offices(self.deliveries.desk, dead, outlooks, self.upkeep, self.filing.documents)
        self._doorbell = Doorbell(self.worker.bell, _signal(config().queue, config().database, clock))
        self.desk = JobDesk(jobs, offices, clock, kinds, self._doorbell.ring, means.is_undecided)
        self.documents = DocumentDesk(jobs, purses, SqlReports(database), models, clock, self._doorbell.ring)
        self.backlog = Backlog()  # as it was a few seconds ago
        self._database, self._accounts, self._clock = database, accounts, clock
        self._hired: Hired | None = None
        self._intake: Intake | None = None
        self._talking: list[asyncio.Task[None]] = []  # what talks to queues
        self._queues: list[Queue] = []

    def hire(self, hired: Hired) -> None:
        """This process is there to work, whatever the configuration says of gateways. Before it starts.

        Raises InvalidRequest or MissingExtra for a queue that cannot be opened here.
        """
        self._hired = hired
        if hired.queue is not None:
            self._doorbell.connect(_signal(hired.queue, self._config().database, self._clock))
        if hired.takes is not None:
            self._intake = self._open_intake(hired.takes)

    @property
    def load(self) -> tuple[int, int]:
        """Items that the worker has under way, and how many it would have; nothing if there is none."""
        return (self.worker.under_way, self._settings().concurrency) if self._works else (0, 0)

    @property
    def _works(self) -> bool:
        return self._hired.works if self._hired is not None else self._config().jobs.workers == "inside"

    async def run_forever(self) -> None:
        """Look at what waits, and work, if the configuration wants this process to."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_forever())
            group.create_task(self._exchange_forever())
            group.create_task(self.deliveries.relay.run_forever())
            group.create_task(self.deliveries.usage.run_forever())
            group.create_task(self._expire_forever())
            group.create_task(self.filing.files.sweep_forever())
            self._talking.append(group.create_task(self._doorbell.tell_forever()))
            if self._works:
                group.create_task(self.worker.run_forever())
                self._talking.append(group.create_task(self._doorbell.listen_forever()))
            if self._intake is not None:
                self._talking.append(group.create_task(self._intake.run_forever()))

    def _open_intake(self, taking: Taking) -> Intake:
        place = place_of(taking.address)
        queue, dead = open_queue(place, self._clock), open_queue(place.dead(), self._clock)
        self._queues += [queue, dead]
        source = Source(place.shown, taking.tenant, taking.most_waiting)
        letters = SqlDeadLetters(self._database, self._clock)
        hands = Hands(queue, dead, letters, self.desk, self._accounts, self._clock, lambda: self._waiting)
        return Intake(source, hands)

    @property
    def _waiting(self) -> int:
        return self.backlog.ready + self.backlog.waiting

    async def _look_forever(self) -> None:
        while True:
            try:
                backlog, outbox = await self._work.backlog(), await self.deliveries.standing()
                self.backlog = msgspec.structs.replace(backlog, outbox=outbox, intake=self.backlog.intake)
                if self._intake is not None:
                    self.backlog = msgspec.structs.replace(self.backlog, intake=await self._intake.standing())
            except HeadgateError as error:
                log.warning("what jobs wait is not known: %s", error.message)
            await asyncio.sleep(LOOK_SECONDS)

    async def _exchange_forever(self) -> None:
        """Gates tell each other what they see, as long as there are jobs for which it matters."""
        while True:
            seen: list[SeenOfModel] = []
            try:
                if self.backlog.ready or self.backlog.leased:
                    mine = self._gate.told(self.worker.name)
                    seen = await self._board.exchange(self.worker.name, mine, HEARD_SECONDS)
            except HeadgateError as error:
                log.warning("what other processes do is not known: %s", error.message)
            self._gate.heard(seen)
            await asyncio.sleep(EXCHANGE_SECONDS)

    async def _expire_forever(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SECONDS * (0.5 + self._clock.random.random()))
            jobs = self._config().jobs
            hours, days = jobs.open_hours, jobs.retention_days
            try:
                if left := await self.upkeep.abandon(hours * 3600.0):
                    log.info("%d jobs that waited %g hours for more requests were cancelled", left, hours)
                if erased := await self.upkeep.expire(days * 86_400.0):
                    log.info("%d jobs that were over %d days ago were erased", erased, days)
            except HeadgateError as error:
                log.warning("old jobs were not looked through: %s", error.message)

    async def drain(self) -> None:
        """Take no more items, and give back what does not end in time."""
        seconds = self._config().server.drain_seconds
        for task in self._talking:
            task.cancel()
        await asyncio.gather(*self._talking, return_exceptions=True)
        await self.worker.drain(seconds)
        await self.deliveries.drain(min(seconds, LOOK_SECONDS))
        for queue in self._queues:
            await queue.aclose()
        await self._doorbell.aclose()
        await self.filing.aclose()

    def _settings(self) -> WorkerSettings:
        jobs = self._config().jobs
        wanted = jobs.concurrency if self._hired is None or self._hired.concurrency is None else self._hired.concurrency
        return WorkerSettings(
            concurrency=self._concurrency() if wanted == "auto" else wanted,
            lease_seconds=jobs.lease_seconds,
            rules=RetryRules(jobs.retries, jobs.lost_workers),
        )

    def _concurrency(self) -> int:
        gate = self._gate
        load = Load(self.worker.under_way, gate.held, gate.room, self.backlog.oldest_age_seconds)
        return concurrency(load, self._config().jobs.background.max_concurrency)


def quota_of(config: Config, caller: Caller) -> JobQuota:
    """How much a caller's tenant may leave here: as its tier says, else as the configuration says for all."""
    tier = config.tiers.get(caller.tier.name)
    quota = config.jobs.quota if tier is None or tier.jobs is None else tier.jobs
    return JobQuota(quota.bytes, quota.open_items)


def _signal(queue: str, database: str, clock: Clock) -> Signal | None:
    """How processes tell each other that there is work; None: by looking. Raises MissingExtra or InvalidRequest."""
    if queue != "sql":
        return QueueSignal(open_queue(queue, clock))
    return PostgresSignal(database) if database.startswith("postgresql") else None
