"""What single jobs may cost, in SQL. A hold is taken and settled in one transaction each, so that any number of workers
together stay below the limit.

What a lost worker held stays held until the ledger says what came of it. If it says nothing for `ROW_SECONDS`, no
provider was asked, or the machine with the dead process's journal is away for long.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, select, update

from headgate.errors import InvalidRequest
from headgate.job_types import Hold, ItemState
from headgate.ports import Clock
from headgate.stores.database import Database
from headgate.stores.job_counts import database_now
from headgate.stores.jobs_tables import job_attempts, job_items
from headgate.stores.purse_tables import job_holds, job_purses
from headgate.stores.schema import requests

ROW_SECONDS = 600.0


class SqlPurses:
    """The port `Purses` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def has(self, root_id: str) -> bool:
        query = select(job_purses.c.root_id).where(job_purses.c.root_id == root_id)

        def work(connection: Connection) -> bool:
            return connection.execute(query).first() is not None

        return await self._database.run(self._database.reading, work)

    async def hold(self, root_id: str, request_id: str, picousd: int) -> Hold:
        def work(connection: Connection) -> Hold:
            if not _take(connection, root_id, picousd):
                live = _clear(connection, root_id, database_now(connection, self._clock))
                if not _take(connection, root_id, picousd):
                    return Hold.HELD if live else Hold.SPENT
            connection.execute(insert(job_holds).values(request_id=request_id, root_id=root_id, picousd=picousd))
            return Hold.TAKEN

        return await self._database.run(self._database.jobs, work, writes=True)

    async def settle(self, request_id: str, cost_picousd: int) -> None:
        def work(connection: Connection) -> None:
            its = job_holds.c.request_id == request_id
            row = connection.execute(select(job_holds).where(its)).one_or_none()
            if row is not None:
                _replace(connection, row.root_id, request_id, cost_picousd - row.picousd)

        await self._database.run(self._database.jobs, work, writes=True)

    async def resize(self, root_id: str, limit_picousd: int) -> None:
        change = update(job_purses).where(job_purses.c.root_id == root_id).values(limit_picousd=limit_picousd)

        def work(connection: Connection) -> bool:
            return connection.execute(change).rowcount == 1

        if not await self._database.run(self._database.jobs, work, writes=True):
            raise InvalidRequest(f"The job '{root_id}' was submitted without 'max_cost_usd'.", param="max_cost_usd")


def open_purse(connection: Connection, root_id: str, limit_picousd: int) -> None:
    """A new job may cost so much."""
    connection.execute(insert(job_purses).values(root_id=root_id, limit_picousd=limit_picousd, taken_picousd=0))


def limits_of(connection: Connection, root_ids: Collection[str]) -> dict[str, int]:
    """What jobs may cost; those that may cost any amount are left out."""
    query = select(job_purses.c.root_id, job_purses.c.limit_picousd).where(job_purses.c.root_id.in_(root_ids))
    return {root_id: int(limit) for root_id, limit in connection.execute(query)}


def _take(connection: Connection, root_id: str, picousd: int) -> bool:
    fits = job_purses.c.taken_picousd + picousd <= job_purses.c.limit_picousd
    change = update(job_purses).where(job_purses.c.root_id == root_id, fits)
    return connection.execute(change.values(taken_picousd=job_purses.c.taken_picousd + picousd)).rowcount == 1


def _replace(connection: Connection, root_id: str, request_id: str, picousd: int) -> None:
    """A hold by what is to be added for it, unless another was faster."""
    if connection.execute(delete(job_holds).where(job_holds.c.request_id == request_id)).rowcount != 1:
        return
    change = update(job_purses).where(job_purses.c.root_id == root_id)
    connection.execute(change.values(taken_picousd=job_purses.c.taken_picousd + picousd))


def _clear(connection: Connection, root_id: str, now: float) -> int:
    """Holds of requests whose item is no longer in the same hands become what the ledger has of them; how many are
    left. One after the other, or some would not see what others hold."""
    connection.execute(select(job_purses.c.root_id).where(job_purses.c.root_id == root_id).with_for_update()).first()
    of = and_(job_items.c.job_id == job_attempts.c.job_id, job_items.c.number == job_attempts.c.number)
    joined = job_holds.outerjoin(job_attempts, job_attempts.c.request_id == job_holds.c.request_id)
    same = and_(of, job_items.c.token == job_attempts.c.token, job_items.c.state == ItemState.LEASED.value)
    query = select(job_holds.c.request_id, job_holds.c.picousd, job_attempts.c.started_at)
    whole = query.add_columns(job_items.c.number.label("live"), requests.c.cost_picousd)
    tables = joined.outerjoin(job_items, same).outerjoin(requests, requests.c.id == job_holds.c.request_id)
    rows = connection.execute(whole.select_from(tables).where(job_holds.c.root_id == root_id)).all()
    over = [row for row in rows if row.live is None and _is_known(row, now)]
    for row in over:
        _replace(connection, root_id, row.request_id, (row.cost_picousd or 0) - row.picousd)
    return len(rows) - len(over)


def _is_known(row: Row[Any], now: float) -> bool:
    return row.cost_picousd is not None or now >= (row.started_at or 0.0) + ROW_SECONDS
