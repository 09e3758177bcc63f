"""How far the ledger was published, in SQL: the number of the last row that others were told of is a counter."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, text, update

from headgate.stores import locks
from headgate.stores.database import Database
from headgate.stores.rows import request_record
from headgate.stores.schema import counters, requests
from headgate.types import RequestRecord

_NAME = "usage_published"
_ENTER = "INSERT INTO counters (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING"


class SqlUsageFeed:
    """The port `UsageFeed` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, limit: int) -> tuple[list[RequestRecord], int]:
        def work(connection: Connection) -> tuple[list[RequestRecord], int]:
            newest = int(connection.execute(select(func.coalesce(func.max(requests.c.sequence), 0))).scalar_one())
            position = connection.execute(select(counters.c.value).where(counters.c.name == _NAME)).scalar_one_or_none()
            if position is None:  # who begins to listen hears of what comes from now on
                connection.execute(text(_ENTER), {"name": _NAME, "value": newest})
                return [], newest
            if newest <= position:
                return [], int(position)
            locks.hold(connection, locks.LEDGER)  # no row with a lower number may come later
            query = select(requests).where(requests.c.sequence > position).order_by(requests.c.sequence).limit(limit)
            rows = connection.execute(query).all()
            return [request_record(row._asdict(), ()) for row in rows], int(rows[-1].sequence) if rows else position

        return await self._database.run(self._database.jobs, work, writes=True)

    async def advance(self, position: int) -> None:
        change = update(counters).where(counters.c.name == _NAME, counters.c.value < position).values(value=position)
        await self._database.run(self._database.jobs, lambda connection: connection.execute(change), writes=True)
