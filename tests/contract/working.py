"""Every store of jobs, ready to be used: add one here and the contract is checked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from headgate.job_ports import Checkpoints, DeadItems, Jobs, Work
from headgate.job_types import OffPeak
from headgate.ports import Ledger
from headgate.stores.database import Database
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_checkpoints import SqlCheckpoints
from headgate.stores.sql_dead_items import SqlDeadItems
from headgate.stores.sql_jobs import SqlJobs
from headgate.stores.sql_work import SqlWork
from tests.contract.stores import TurnedClock


@dataclass(frozen=True)
class Desk:
    """What one process has. Several may be open on the same place."""

    jobs: Jobs
    work: Work
    checkpoints: Checkpoints
    dead: DeadItems
    ledger: Ledger
    database: Database
    clock: TurnedClock

    async def pass_time(self, seconds: float) -> None:
        """The database's clock cannot be turned where it is a server's: then what is planned comes nearer."""
        if self.database.dialect == "sqlite":
            self.clock.time += seconds
            return
        nearer = text(
            "UPDATE job_items SET lease_until = lease_until - :seconds, next_at = next_at - :seconds, "
            "deadline_at = deadline_at - :seconds"
        )
        earlier = text("UPDATE job_attempts SET started_at = started_at - :seconds")

        def work(connection: Connection) -> None:
            for change in (nearer, earlier):
                connection.execute(change, {"seconds": seconds})

        await self.database.run(self.database.jobs, work, writes=True)


def hours_from(desk: Desk, begins: int, ends: int) -> OffPeak:
    """A window so many hours from now; a server's clock cannot be turned, so windows are laid around it."""
    now = datetime.fromtimestamp(desk.clock.now(), UTC) if desk.database.dialect == "sqlite" else datetime.now(UTC)
    begin, end_ = now + timedelta(hours=begins), now + timedelta(hours=ends)
    return OffPeak(f"{begin:%H:%M}-{end_:%H:%M}", "UTC")


Open = Callable[[], AbstractAsyncContextManager[Desk]]


def on_database(url: str, folder: Path) -> Open:
    clock = TurnedClock()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Desk]:
        database = Database(url, folder)
        try:
            jobs, work = SqlJobs(database, clock), SqlWork(database, clock)
            checkpoints, dead = SqlCheckpoints(database, clock), SqlDeadItems(database, clock)
            yield Desk(jobs, work, checkpoints, dead, SqlLedger(database), database, clock)
        finally:
            await database.aclose()

    return opened
