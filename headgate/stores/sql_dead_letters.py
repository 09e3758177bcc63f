"""Dead letters in SQL. Owns the table `dead_letters`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, text

from headgate.errors import NotFound
from headgate.ports import Clock
from headgate.queue_types import DeadLetter, NewDeadLetter
from headgate.stores import locks
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.job_counts import database_now
from headgate.stores.queue_tables import IS_PLACED, dead_letters


class SqlDeadLetters:
    """The port `DeadLetters` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, letter: NewDeadLetter) -> None:
        values = {"source": clean(letter.source), "position": clean(letter.position)}
        same = (
            dead_letters.c.source == values["source"],
            dead_letters.c.position == values["position"],
            text(IS_PLACED),
        )

        def work(connection: Connection) -> None:
            locks.hold(connection, locks.DEAD_LETTERS)
            if letter.position and connection.execute(select(dead_letters.c.id).where(*same)).first():
                return
            values.update(body=letter.body, reason=clean(letter.reason), at=database_now(connection, self._clock))
            connection.execute(insert(dead_letters).values(**values))

        await self._database.run(self._database.jobs, work, writes=True)

    async def page(self, limit: int, after: int | None = None) -> tuple[list[DeadLetter], int | None]:
        query = select(dead_letters).order_by(dead_letters.c.id.desc()).limit(limit + 1)
        if after is not None:
            query = query.where(dead_letters.c.id < after)

        def work(connection: Connection) -> tuple[list[DeadLetter], int | None]:
            found = [_letter(row) for row in connection.execute(query)]
            return found[:limit], found[limit - 1].id if len(found) > limit else None

        return await self._database.run(self._database.reading, work)

    async def get(self, letter_id: int) -> DeadLetter:
        def work(connection: Connection) -> DeadLetter:
            row = connection.execute(select(dead_letters).where(dead_letters.c.id == letter_id)).one_or_none()
            if row is None:
                raise NotFound(f"There is no dead letter {letter_id}.", param="id")
            return _letter(row)

        return await self._database.run(self._database.reading, work)

    async def drop(self, letter_ids: Sequence[int]) -> int:
        dropped = delete(dead_letters).where(dead_letters.c.id.in_(letter_ids))
        return await self._database.run(
            self._database.jobs, lambda connection: int(connection.execute(dropped).rowcount), writes=True
        )


def _letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(row.id, row.source, row.position, bytes(row.body), row.reason, row.at)
