"""What jobs take, and erasing them, in SQL. Rows of the ledger stay, as they have no words of anybody.

A job goes with all that is below it: items with requests and results, steps, whom it tells, its batch. Calls that the
ledger has still to mark as duplicates are remembered by their ids alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from headgate.job_types import EraseScope, JobsHeld
from headgate.ports import Clock
from headgate.provider_batch_types import Stage
from headgate.stores.database import Database
from headgate.stores.file_tables import batches, file_pieces, files
from headgate.stores.job_counts import database_now
from headgate.stores.jobs_tables import DUPLICATE, job_attempts, job_checkpoints, job_costs, job_items, jobs
from headgate.stores.outbox_tables import job_targets, outbox
from headgate.stores.provider_batch_tables import provider_batch_items, provider_batches
from headgate.stores.purse_tables import job_holds, job_purses
from headgate.stores.schema import idempotency_keys, judgements, requests

AT_ONCE = 20  # jobs with all that is below them, in one transaction


class SqlJobUpkeep:
    """The port `JobUpkeep` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def held(self, tenant: str) -> JobsHeld:
        kept = func.coalesce(func.sum(jobs.c.request_bytes + jobs.c.result_bytes), 0)
        waits = func.coalesce(func.sum(jobs.c.queued + jobs.c.leased + jobs.c.retrying), 0)

        def work(connection: Connection) -> JobsHeld:
            found = connection.execute(select(kept, waits).where(jobs.c.tenant == tenant)).one()
            return JobsHeld(int(found[0]), int(found[1]))

        return await self._database.run(self._database.reading, work)

    async def open(self, scope: EraseScope, limit: int) -> list[str]:
        query = select(jobs.c.root_id).where(_in(scope), _is_under_way(jobs)).distinct().limit(limit)
        return await self._database.run(self._database.reading, lambda one: list(one.execute(query).scalars()))

    async def erase(self, scope: EraseScope) -> int:
        return await self._erase(_in(scope))

    async def expire(self, seconds: float) -> int:
        now = await self._database.run(self._database.jobs, lambda connection: database_now(connection, self._clock))
        return await self._erase(jobs.c.finished_at < now - seconds)

    async def erase_belongings(self, scope: EraseScope) -> int:
        """Files, batches' files among them, answers by idempotency key, and prompts that routers were judged by."""
        assert scope.tenant is not None

        def work(connection: Connection) -> int:
            theirs = _of(scope, files)
            pieces = file_pieces.c.file_id.in_(select(files.c.id).where(*theirs))
            connection.execute(delete(file_pieces).where(pieces))
            gone = int(connection.execute(delete(files).where(*theirs)).rowcount)
            asked = idempotency_keys.c.request_id.in_(select(requests.c.id).where(*_of(scope, requests)))
            answered = delete(idempotency_keys).where(asked, idempotency_keys.c.result.is_not(None))
            gone += int(connection.execute(answered).rowcount)
            if scope.user is None:
                judged = (judgements.c.tenant == scope.tenant, judgements.c.prompt != "")
                connection.execute(update(judgements).where(*judged).values(prompt=""))
            return gone

        return await self._database.run(self._database.jobs, work, writes=True)

    async def _erase(self, chosen: ColumnElement[bool]) -> int:
        """Some of those that are over, with all below them."""
        below = jobs.alias()
        is_open = select(below.c.id).where(below.c.root_id == jobs.c.id, _is_under_way(below)).exists()
        roots = select(jobs.c.id).where(jobs.c.parent_id == "", chosen, ~is_open).limit(AT_ONCE)

        def work(connection: Connection) -> int:
            found = list(connection.execute(roots.with_for_update(skip_locked=True)).scalars())
            if not found:
                return 0
            whole = list(connection.execute(select(jobs.c.id).where(jobs.c.root_id.in_(found))).scalars())
            for start in range(0, len(whole), 500):
                _forget(connection, whole[start : start + 500])
            return len(found)

        return await self._database.run(self._database.jobs, work, writes=True)


def _is_under_way(table: Any) -> ColumnElement[bool]:
    """A job that is not over, or of which a provider has requests yet: what they come to is still to be booked."""
    theirs = (
        provider_batches.c.job_id == table.c.id,
        provider_batches.c.stage != Stage.OVER.value,
        or_(provider_batches.c.stage != Stage.ABANDONED.value, provider_batches.c.provider_id != ""),
    )
    return or_(table.c.finished_at.is_(None), select(provider_batches.c.id).where(*theirs).exists())


def _forget(connection: Connection, job_ids: list[str]) -> None:
    for table in (job_items, job_checkpoints, job_targets, outbox):
        connection.execute(delete(table).where(table.c.job_id.in_(job_ids)))
    attempts = (job_attempts.c.job_id.in_(job_ids), job_attempts.c.fate != DUPLICATE)
    connection.execute(delete(job_attempts).where(*attempts))
    connection.execute(delete(job_costs).where(job_costs.c.job_id.in_(job_ids)))
    connection.execute(delete(job_purses).where(job_purses.c.root_id.in_(job_ids)))
    connection.execute(delete(job_holds).where(job_holds.c.root_id.in_(job_ids)))
    # One that may turn up yet has nothing of what was asked, and is booked if it does.
    over = (provider_batches.c.job_id.in_(job_ids), provider_batches.c.stage == Stage.OVER.value)
    items = provider_batch_items.c.batch_id.in_(select(provider_batches.c.id).where(*over))
    connection.execute(delete(provider_batch_items).where(items))
    connection.execute(delete(provider_batches).where(*over))
    connection.execute(delete(batches).where(batches.c.id.in_(job_ids)))
    connection.execute(delete(jobs).where(jobs.c.id.in_(job_ids)))


def _in(scope: EraseScope) -> ColumnElement[bool]:
    if scope.job_id is not None:
        of_job = jobs.c.root_id == scope.job_id
        return of_job if scope.tenant is None else of_job & (jobs.c.tenant == scope.tenant)
    of_tenant = jobs.c.tenant == scope.tenant
    return of_tenant if scope.user is None else of_tenant & (jobs.c.user_name == scope.user)


def _of(scope: EraseScope, table: Any) -> list[ColumnElement[bool]]:
    whose: list[ColumnElement[bool]] = [table.c.tenant == scope.tenant]
    return whose if scope.user is None else [*whose, table.c.user_name == scope.user]
