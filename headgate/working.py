"""The composition root of jobs: the desk where they are submitted, and the worker of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headgate.config.schema import Config
from headgate.gateway.accounts import Accounts
from headgate.gateway.pipeline import Pipeline
from headgate.job_types import RetryRules
from headgate.jobs.desk import JobDesk
from headgate.jobs.worker import Worker, WorkerSettings
from headgate.ports import Clock
from headgate.stores.database import Database
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_work import SqlWork


class Working:
    """Jobs in one process."""

    def __init__(
        self, database: Database, pipeline: Pipeline, accounts: Accounts, clock: Clock, config: Callable[[], Config]
    ) -> None:
        self._config = config
        work = SqlWork(database, clock)
        self.worker = Worker(clock.new_id("worker"), work, pipeline, accounts, clock, lambda: _settings(config()))
        self.desk = JobDesk(
            SqlJobs(database, clock), clock, lambda name: pipeline.setup.has(name), self.worker.bell.ring
        )
        self._task: asyncio.Task[None] | None = None

    async def run_forever(self) -> None:
        """Work, if the configuration wants this process to."""
        if self._config().jobs.workers == "inside":
            await self.worker.run_forever()

    async def drain(self) -> None:
        """Take no more items, and give back what does not end in time."""
        await self.worker.drain(self._config().server.drain_seconds)


def _settings(config: Config) -> WorkerSettings:
    jobs = config.jobs
    return WorkerSettings(
        concurrency=jobs.concurrency,
        lease_seconds=jobs.lease_seconds,
        rules=RetryRules(jobs.retries, jobs.lost_workers),
    )
