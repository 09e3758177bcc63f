"""What workers keep of items that take several steps, in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from headgate.job_types import ItemState, Lease
from headgate.ports import Clock
from headgate.stores import duplicates
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.inserts import inserter
from headgate.stores.job_counts import database_now
from headgate.stores.jobs_tables import ATTEMPT_COLUMNS, SUMMED, job_attempts, job_checkpoints, job_items

_STEP_COLUMNS = tuple(column.name for column in job_checkpoints.columns)


class SqlCheckpoints:
    """The port `Checkpoints` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._add_attempts = inserter(job_attempts, ATTEMPT_COLUMNS, database.dialect)
        self._add_steps = inserter(job_checkpoints, _STEP_COLUMNS, database.dialect)

    async def begin(self, worker: str, lease: Lease, request_id: str) -> bool:
        def work(connection: Connection) -> bool:
            if not _has(connection, worker, lease):
                return False
            now = database_now(connection, self._clock)
            attempt = (request_id, lease.job_id, lease.number, lease.token, worker, now, SUMMED)
            self._add_attempts(connection, [attempt])
            return True

        return await self._database.run(self._database.jobs, work, writes=True)

    async def read(self, lease: Lease) -> dict[str, bytes]:
        its = (job_checkpoints.c.job_id == lease.job_id, job_checkpoints.c.number == lease.number)

        def work(connection: Connection) -> dict[str, bytes]:
            found = connection.execute(select(job_checkpoints.c.name, job_checkpoints.c.result).where(*its))
            return {row.name: row.result.encode() for row in found}

        return await self._database.run(self._database.jobs, work)

    async def write(self, worker: str, lease: Lease, name: str, result: bytes, asked: Sequence[str] = ()) -> bool:
        def work(connection: Connection) -> bool:
            if not _has(connection, worker, lease):
                return False
            step = (lease.job_id, lease.number, name, clean(result.decode(errors="replace")))
            self._add_steps(connection, [(*step, database_now(connection, self._clock))])
            duplicates.keep(connection, asked)
            return True

        return await self._database.run(self._database.jobs, work, writes=True)


def _has(connection: Connection, worker: str, lease: Lease) -> bool:
    """Whether a worker still has an item, which stays so until the transaction ends."""
    its = (job_items.c.job_id == lease.job_id, job_items.c.number == lease.number, job_items.c.token == lease.token)
    held = (job_items.c.worker == worker, job_items.c.state == ItemState.LEASED.value)
    return connection.execute(select(job_items.c.number).where(*its, *held).with_for_update()).first() is not None
