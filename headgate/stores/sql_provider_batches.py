"""Batches at providers, in SQL: what was handed over is on record before, with the items that are in it.

An item in a batch is leased to the batch as to a worker, so that whoever reads the results says what became of it with
the same fence as everybody else, and no worker has it meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, CursorResult, Row, case, delete, func, insert, or_, select, text, update

from headgate.job_types import ItemState
from headgate.ports import Clock
from headgate.provider_batch_types import LEASE_OF_ITEMS_SECONDS, ProviderBatch, Stage, Taken, WaitingJob
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.inserts import inserter
from headgate.stores.job_counts import Shifts, database_now
from headgate.stores.jobs_tables import ATTEMPT_COLUMNS, FOR_BATCH, SUMMED, TAKE, job_attempts, job_items, jobs
from headgate.stores.off_peak import free_those_due, with_reason, without_reason
from headgate.stores.provider_batch_tables import provider_batch_items, provider_batches

_KINDS = ("chat", "responses", "messages", "embed")
_AT_ONCE = 200
_OPEN_QUESTIONS = ("", "undecided", "batch")  # what is decided to be done live stays so
_WAITING = (ItemState.QUEUED.value, ItemState.RETRYING.value)
_LEASED = ItemState.LEASED.value
_ITEM_COLUMNS = tuple(column.name for column in provider_batch_items.columns)


class SqlProviderBatches:
    """The port `ProviderBatches` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._add_attempts = inserter(job_attempts, ATTEMPT_COLUMNS, database.dialect)
        self._add_items = inserter(provider_batch_items, _ITEM_COLUMNS, database.dialect)

    async def waiting(self) -> list[WaitingJob]:
        begun = (jobs.c.kind.in_(_KINDS), jobs.c.finished_at.is_(None), jobs.c.queued + jobs.c.retrying > 0)
        query = select(jobs).where(*begun, jobs.c.paused == 0, jobs.c.closed == 0, jobs.c.sealed == 1)
        # First what nobody may begin before it is decided, last what workers begin anyway, which may be very many.
        urgency = case((jobs.c.execution == "undecided", 0), (jobs.c.execution == "batch", 1), else_=2)
        query = query.where(jobs.c.execution.in_(_OPEN_QUESTIONS)).order_by(urgency, jobs.c.id)
        first = select(job_items.c.request).where(job_items.c.state.in_(_WAITING)).order_by(job_items.c.number).limit(1)

        def work(connection: Connection) -> list[WaitingJob]:
            now = database_now(connection, self._clock)
            found = connection.execute(query.where(jobs.c.start_at <= now).limit(_AT_ONCE)).all()
            waiting = []
            for row in found:
                request = connection.execute(first.where(job_items.c.job_id == row.id)).scalar_one_or_none()
                if request is not None:
                    whose = (row.tenant, row.key_id, row.user_name)
                    counts = (row.queued + row.retrying, row.deadline_at)
                    waiting.append(WaitingJob(row.id, row.kind, *whose, *counts, row.execution, request.encode()))
            return waiting

        return await self._database.run(self._database.reading, work)

    async def decide(self, job_id: str, execution: str, reason: str) -> None:
        def work(connection: Connection) -> None:
            now = database_now(connection, self._clock)
            said = {"execution": execution, "execution_reason": clean(reason), "version": jobs.c.version + 1}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**said))
            its = update(job_items).where(job_items.c.job_id == job_id, job_items.c.finished_at.is_(None))
            if execution == "batch":
                connection.execute(its.values(held=with_reason(FOR_BATCH), ready=0))
            else:
                connection.execute(its.values(held=without_reason(FOR_BATCH)))
                free_those_due(connection, job_id, now)

        await self._database.run(self._database.jobs, work, writes=True)

    async def prepare(self, batch: ProviderBatch, request_ids: Sequence[str], max_bytes: int) -> list[Taken]:
        its = (job_items.c.job_id == batch.job_id, job_items.c.state.in_(_WAITING), job_items.c.held == FOR_BATCH)
        of_old = case((job_items.c.request_bytes == 0, func.length(job_items.c.request)), else_=0)  # not known exactly
        sizes = select(job_items.c.number, (job_items.c.request_bytes + of_old).label("size")).where(*its)
        in_order = sizes.order_by(job_items.c.number).limit(len(request_ids))
        query = select(job_items).where(*its).order_by(job_items.c.number)

        def work(connection: Connection) -> list[Taken]:
            now = database_now(connection, self._clock)
            numbers = _below(connection.execute(in_order.where(job_items.c.next_at <= now)), max_bytes)
            last = numbers[-1] if numbers else 0
            due = query.where(job_items.c.next_at <= now, job_items.c.number <= last).limit(len(numbers))
            found = connection.execute(due.with_for_update(skip_locked=True)).all()
            if not found:
                return []
            shifts, until = Shifts(), now + LEASE_OF_ITEMS_SECONDS
            taken = [
                Taken(request_id, row.job_id, row.number, row.token + 1, row.request.encode())
                for row, request_id in zip(found, request_ids, strict=False)
            ]
            for row in found:
                shifts.move(row.job_id, row.state, _LEASED)
            whose = {"worker": batch.worker, "until": until}
            connection.execute(text(TAKE), [{"job_id": one.job_id, "number": one.number, **whose} for one in taken])
            self._add_attempts(
                connection,
                [(one.request_id, one.job_id, one.number, one.token, batch.worker, now, SUMMED) for one in taken],
            )
            self._add_items(
                connection, [(batch.id, one.request_id, one.job_id, one.number, one.token) for one in taken]
            )
            values = _values(msgspec.structs.replace(batch, size=len(taken)))
            connection.execute(insert(provider_batches).values(**values))
            shifts.write(connection, now)
            return taken

        return await self._database.run(self._database.jobs, work, writes=True)

    async def taken(self, batch: ProviderBatch) -> list[Taken]:
        same = (job_items.c.job_id == provider_batch_items.c.job_id) & (
            job_items.c.number == provider_batch_items.c.number
        )
        query = select(provider_batch_items, job_items.c.request).outerjoin(job_items, same)
        query = query.where(provider_batch_items.c.batch_id == batch.id).order_by(provider_batch_items.c.number)

        def work(connection: Connection) -> list[Taken]:
            return [
                Taken(row.request_id, row.job_id, row.number, row.token, (row.request or "").encode())
                for row in connection.execute(query)
            ]

        return await self._database.run(self._database.reading, work)

    async def save(self, batch: ProviderBatch, was: Stage | None = None) -> bool:
        its = update(provider_batches).where(provider_batches.c.id == batch.id).values(**_values(batch))
        if was is not None:
            its = its.where(provider_batches.c.stage == was.value)
        items = delete(provider_batch_items).where(provider_batch_items.c.batch_id == batch.id)
        left = delete(provider_batches).where(provider_batches.c.id == batch.id)
        left = left.where(provider_batches.c.job_id.not_in(select(jobs.c.id).where(jobs.c.id == batch.job_id)))

        def work(connection: Connection) -> bool:
            is_changed = connection.execute(its).rowcount == 1
            if batch.stage is Stage.OVER:
                connection.execute(items)
                if not batch.has_files:
                    connection.execute(left)  # its job was erased meanwhile
            return is_changed

        return await self._database.run(self._database.jobs, work, writes=True)

    async def open(self) -> list[ProviderBatch]:
        is_open = or_(provider_batches.c.stage != Stage.OVER.value, provider_batches.c.has_files == 1)
        query = select(provider_batches).where(is_open)

        def work(connection: Connection) -> list[ProviderBatch]:
            found = connection.execute(query.order_by(provider_batches.c.created_at))
            return [_batch(row) for row in found]

        return await self._database.run(self._database.reading, work)

    async def wanted(self, batch: ProviderBatch) -> int:
        """Items of a batch that somebody still waits for: neither cancelled nor expired meanwhile."""
        query = select(func.count()).where(job_items.c.worker == batch.worker, job_items.c.state == _LEASED)
        return await self._database.run(
            self._database.reading, lambda connection: int(connection.execute(query).scalar_one())
        )


def _below(sizes: CursorResult[Any], max_bytes: int) -> list[int]:
    """The numbers of the first items whose requests are below a size together; one at least."""
    numbers, total = list[int](), 0
    for row in sizes.mappings():
        total += row["size"]
        if numbers and total > max_bytes:
            break
        numbers.append(row["number"])
    return numbers


def _values(batch: ProviderBatch) -> dict[str, Any]:
    return {**msgspec.structs.asdict(batch), "stage": batch.stage.value, "has_files": int(batch.has_files)}


def _batch(row: Row[Any]) -> ProviderBatch:
    values = {name: getattr(row, name) for name in ProviderBatch.__struct_fields__}
    return msgspec.convert({**values, "has_files": bool(row.has_files)}, ProviderBatch)
