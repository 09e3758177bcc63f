"""What processes tell each other for their dispatch gates, in SQL: a few small rows, for as long as there are jobs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, delete, insert, or_, select

from headgate.job_types import SeenOfModel
from headgate.ports import Clock
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.gate_tables import gate_board
from headgate.stores.job_counts import database_now

FORGOTTEN_SECONDS = 60.0  # what a process told that is gone


class SqlGateBoard:
    """The port `GateBoard` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def exchange(self, process: str, mine: Sequence[SeenOfModel], seconds: float) -> list[SeenOfModel]:
        def work(connection: Connection) -> list[SeenOfModel]:
            now = database_now(connection, self._clock)
            old = or_(gate_board.c.process == process, gate_board.c.at < now - FORGOTTEN_SECONDS)
            connection.execute(delete(gate_board).where(old))
            if mine:
                rows = [{**msgspec.structs.asdict(seen), "model": clean(seen.model), "at": now} for seen in mine]
                connection.execute(insert(gate_board), rows)
            others = (
                select(gate_board)
                .where(gate_board.c.at >= now - seconds)
                .order_by(gate_board.c.process, gate_board.c.model)
            )
            found = connection.execute(others.where(gate_board.c.process != process)).all()
            names = SeenOfModel.__struct_fields__
            return [SeenOfModel(**{name: getattr(row, name) for name in names}) for row in found]

        return await self._database.run(self._database.jobs, work, writes=True)
