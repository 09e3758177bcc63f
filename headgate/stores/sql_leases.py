"""Leases in SQL. Owns the table `leases`.

Times are those of the process that asks, so the clocks of machines that share a database must not differ by more than
a lease is long. What may not be done twice in any case checks for itself: bookings do (`sql_adjustments.py`).
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from headgate.ports import Clock
from headgate.stores import locks
from headgate.stores.database import Database
from headgate.stores.schema import leases


class SqlLeases:
    """The port `Leases` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, name: str, owner: str, seconds: float) -> int | None:
        now = self._clock.now()

        def work(connection: Connection) -> int | None:
            locks.hold(connection, locks.LEASES)
            held = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
            if held is None:
                connection.execute(insert(leases).values(name=name, owner=owner, token=1, until_at=now + seconds))
                return 1
            # One that is longer than twice what is asked for was taken before a clock was set back.
            if held.owner != owner and now < held.until_at <= now + 2 * seconds:
                return None
            token = int(held.token) if held.owner == owner else int(held.token) + 1
            change = update(leases).where(leases.c.name == name)
            connection.execute(change.values(owner=owner, token=token, until_at=now + seconds))
            return token

        return await self._database.run(self._database.keys, work, writes=True)

    async def release(self, name: str, owner: str) -> None:
        """The row stays, so that the token goes on growing."""
        change = update(leases).where(leases.c.name == name, leases.c.owner == owner).values(owner="", until_at=0)
        await self._database.run(self._database.keys, lambda connection: connection.execute(change), writes=True)
