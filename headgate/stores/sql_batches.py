"""Batches in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, text, update

from headgate.errors import Conflict
from headgate.file_types import Batch, BatchPage
from headgate.job_types import ItemState
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.file_tables import batches
from headgate.stores.jobs_tables import job_items
from headgate.stores.owned import owned_row

_ADD = (
    "INSERT INTO batches (id, tenant, dialect, facts) VALUES (:id, :tenant, :dialect, :facts) "
    "ON CONFLICT (id) DO NOTHING"
)


class SqlBatches:
    """The port `Batches` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Batch) -> None:
        values = {"id": batch.id, "tenant": clean(batch.tenant), "dialect": batch.asked.dialect.value}

        def work(connection: Connection) -> None:
            connection.execute(text(_ADD), {**values, "facts": _facts(batch)})

        await self._database.run(self._database.jobs, work, writes=True)

    async def get(self, batch_id: str, tenant: str | None = None) -> Batch:
        def work(connection: Connection) -> Batch:
            return _batch(owned_row(connection, batches, batch_id, tenant))

        return await self._database.run(self._database.reading, work)

    async def page(self, wanted: BatchPage) -> tuple[list[Batch], bool]:
        query = select(batches).where(batches.c.tenant == wanted.tenant, batches.c.dialect == wanted.dialect.value)
        if wanted.after is not None:
            query = query.where(batches.c.id < wanted.after)
        if wanted.before is not None:
            query = query.where(batches.c.id > wanted.before)
        order = batches.c.id.desc() if wanted.before is None else batches.c.id
        query = query.order_by(order).limit(wanted.limit + 1)

        def work(connection: Connection) -> tuple[list[Batch], bool]:
            found = connection.execute(query).all()
            shown = [_batch(row) for row in found[: wanted.limit]]
            return shown if wanted.before is None else shown[::-1], len(found) > wanted.limit

        return await self._database.run(self._database.reading, work)

    async def change(self, batch_id: str, change: Callable[[Batch], Batch], token: int | None = None) -> Batch:
        its = (job_items.c.job_id == batch_id, job_items.c.number == 1, job_items.c.token == token)
        held = select(job_items.c.number).where(*its, job_items.c.state == ItemState.LEASED.value)

        def work(connection: Connection) -> Batch:
            row = owned_row(connection, batches, batch_id, None, for_update=True)
            if token is not None and connection.execute(held).first() is None:
                raise Conflict(f"The batch '{batch_id}' belongs to another worker by now.")
            changed = change(_batch(row))
            connection.execute(update(batches).where(batches.c.id == batch_id).values(facts=_facts(changed)))
            return changed

        return await self._database.run(self._database.jobs, work, writes=True)

    async def delete(self, batch_id: str) -> None:
        def work(connection: Connection) -> None:
            owned_row(connection, batches, batch_id, None, for_update=True)
            connection.execute(delete(batches).where(batches.c.id == batch_id))

        await self._database.run(self._database.jobs, work, writes=True)


def _batch(row: Row[Any]) -> Batch:
    return msgspec.json.decode(row.facts, type=Batch)


def _facts(batch: Batch) -> str:
    return str(clean(msgspec.json.encode(batch).decode()))
