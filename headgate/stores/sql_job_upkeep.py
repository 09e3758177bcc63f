"""What jobs take, and erasing them, in SQL. Rows of the ledger stay, as they have no words of anybody.

A job goes with all that is below it: items with requests and results, steps, whom it tells, its batch. Calls that the
ledger has still to mark as duplicates are remembered by their ids alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, or_, select, text, tuple_, update

from headgate.job_types import Command, EraseScope, JobsHeld
from headgate.ports import Clock
from headgate.provider_batch_types import Stage
from headgate.stores import locks
from headgate.stores.database import Database
from headgate.stores.file_tables import batches, files
from headgate.stores.job_commands import carry_out
from headgate.stores.job_counts import Shifts, database_now
from headgate.stores.jobs_tables import (
    DUPLICATE,
    IS_ERASING,
    IS_FED,
    job_attempts,
    job_checkpoints,
    job_costs,
    job_items,
    jobs,
)
from headgate.stores.outbox_tables import job_targets, outbox
from headgate.stores.provider_batch_tables import provider_batch_items, provider_batches
from headgate.stores.purse_tables import job_holds, job_purses
from headgate.stores.schema import idempotency_keys, judgements, requests
from headgate.stores.sql_files import drop_pieces

LEFT_OPEN = "left_open"  # the error of a job whose caller went away before its last portion
AT_ONCE = 20  # roots that are begun with in one transaction
ROWS_AT_ONCE = 2000  # in one transaction, which workers wait for


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

    async def abandon(self, seconds: float) -> int:
        def work(connection: Connection) -> int:
            now, shifts, count = database_now(connection, self._clock), Shifts(), 0
            late = select(jobs.c.root_id).where(text(IS_FED), jobs.c.fed_at < now - seconds)
            for root_id in connection.execute(late.order_by(jobs.c.root_id).limit(AT_ONCE)).scalars().all():
                locks.hold(connection, locks.of_tree(root_id))  # a portion may have come just now
                if connection.execute(late.where(jobs.c.root_id == root_id)).first() is not None:
                    carry_out(connection, root_id, Command.CANCEL, shifts, now)
                    why = f"Its caller sent no more requests for {seconds / 3600:g} hours, and not the last ones."
                    shifts.failed(root_id, LEFT_OPEN, why)
                    count += 1
            shifts.write(connection, now)
            return count

        return await self._database.run(self._database.jobs, work, writes=True)

    async def expire(self, seconds: float) -> int:
        if gone := await self._erase(text(IS_ERASING)):  # whoever began with them died, or does so now
            return gone
        now = await self._database.run(self._database.jobs, lambda connection: database_now(connection, self._clock))
        return await self._erase(jobs.c.finished_at < now - seconds)

    async def erase_belongings(self, scope: EraseScope) -> int:
        """Files, batches' files among them, answers by idempotency key, and prompts that routers were judged by."""
        assert scope.tenant is not None

        def work(connection: Connection) -> tuple[list[str], int]:
            file_ids = list(connection.execute(select(files.c.id).where(*_of(scope, files))).scalars())
            connection.execute(delete(files).where(*_of(scope, files)))
            asked = select(requests.c.id).where(requests.c.id == idempotency_keys.c.request_id, *_of(scope, requests))
            answered = delete(idempotency_keys).where(asked.exists(), idempotency_keys.c.result.is_not(None))
            keys = connection.execute(answered).rowcount
            if scope.user is None:
                judged = (judgements.c.tenant == scope.tenant, judgements.c.prompt != "")
                connection.execute(update(judgements).where(*judged).values(prompt=""))
            return file_ids, keys

        file_ids, keys = await self._database.run(self._database.jobs, work, writes=True)
        for file_id in file_ids:
            await drop_pieces(self._database, file_id)
        return len(file_ids) + keys

    async def _erase(self, chosen: Any) -> int:
        """Some of those that are over, with all below them."""
        below = jobs.alias()
        is_open = select(below.c.id).where(below.c.root_id == jobs.c.id, _is_under_way(below)).exists()
        roots = select(jobs.c.id).where(jobs.c.parent_id == "", chosen, ~is_open).limit(AT_ONCE)

        def work(connection: Connection) -> tuple[int, bool]:
            left, gone = ROWS_AT_ONCE, 0
            for root_id in sorted(connection.execute(roots).scalars()):
                locks.hold(connection, locks.of_tree(root_id))
                if connection.execute(roots.where(jobs.c.id == root_id)).first() is None:
                    continue  # it has just begun anew, or is gone
                left -= _forget(connection, root_id, left)
                # What is left of it is nobody's any more: it must not begin anew.
                rest = update(jobs).where(jobs.c.root_id == root_id)
                rest = rest.values(erasing=1, idempotency_key=None, origin="")
                if left <= 0 and connection.execute(rest).rowcount:
                    return gone, True
                gone += 1
            return gone, False

        count, is_more = 0, True
        while is_more:
            gone, is_more = await self._database.run(self._database.jobs, work, writes=True)
            count += gone
        return count


def _is_under_way(table: Any) -> ColumnElement[bool]:
    """A job that is not over, or of which a provider has requests yet: what they come to is still to be booked."""
    theirs = (
        provider_batches.c.job_id == table.c.id,
        provider_batches.c.stage != Stage.OVER.value,
        or_(provider_batches.c.stage != Stage.ABANDONED.value, provider_batches.c.provider_id != ""),
    )
    return or_(table.c.finished_at.is_(None), select(provider_batches.c.id).where(*theirs).exists())


def _forget(connection: Connection, root_id: str, most: int) -> int:
    """Erase a job and all below it, or so many rows of that, the job's own last; how many."""
    whole = select(jobs.c.id).where(jobs.c.root_id == root_id)
    # One that may turn up yet has nothing of what was asked, and is booked if it does.
    # The same of one that has yet to be deleted there.
    is_over = and_(provider_batches.c.stage == Stage.OVER.value, provider_batches.c.has_files == 0)
    at_providers = and_(provider_batches.c.job_id.in_(whole), is_over)
    their_items = provider_batch_items.c.batch_id.in_(select(provider_batches.c.id).where(at_providers))
    parts: tuple[tuple[Table, ColumnElement[bool]], ...] = (
        *((table, table.c.job_id.in_(whole)) for table in (job_items, job_checkpoints, job_targets, outbox, job_costs)),
        (job_attempts, and_(job_attempts.c.job_id.in_(whole), job_attempts.c.fate != DUPLICATE)),
        *((table, table.c.root_id == root_id) for table in (job_purses, job_holds)),
        (provider_batch_items, their_items),
        (provider_batches, at_providers),
        (batches, batches.c.id.in_(whole)),
        (jobs, and_(jobs.c.root_id == root_id, jobs.c.id != root_id)),
        (jobs, jobs.c.id == root_id),
    )
    gone = 0
    for table, its in parts:
        if gone < most:
            key = list(table.primary_key)
            some = select(*key).where(its).limit(most - gone)
            gone += connection.execute(delete(table).where(tuple_(*key).in_(some))).rowcount
    return gone


def _in(scope: EraseScope) -> ColumnElement[bool]:
    if scope.job_id is not None:
        of_job = jobs.c.root_id == scope.job_id
        return of_job if scope.tenant is None else of_job & (jobs.c.tenant == scope.tenant)
    of_tenant = jobs.c.tenant == scope.tenant
    return of_tenant if scope.user is None else of_tenant & (jobs.c.user_name == scope.user)


def _of(scope: EraseScope, table: Any) -> list[ColumnElement[bool]]:
    whose: list[ColumnElement[bool]] = [table.c.tenant == scope.tenant]
    return whose if scope.user is None else [*whose, table.c.user_name == scope.user]
