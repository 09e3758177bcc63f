"""What is known of how well routers choose, in SQL. Owns the tables `judgements` and `router_gates`."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from headgate.errors import InvalidRequest
from headgate.judgements import WeakOutcome
from headgate.route_types import Answered, Judged, LossSum, Routed, RouterGate
from headgate.stores.cleaning import MAX_INTEGER, cleaned
from headgate.stores.database import Database
from headgate.stores.schema import judgements, requests, router_gates

PAGE_ROWS = 1000
MONDAY = 4  # 1970-01-05 was the first
_SECONDS_PER_DAY = 86_400
SHADOW = "shadow"


def week_of(at: float) -> int:
    """The Monday before a time, as a day since 1970."""
    day = int(at // _SECONDS_PER_DAY)
    return day - (day - MONDAY) % 7


class SqlRouteRecords:
    """The port `RouteRecords` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def judge(self, judged: Judged) -> None:
        values = {
            **msgspec.structs.asdict(cleaned(judged)),
            "week": week_of(judged.at),
            "outcome": judged.outcome.value,
        }
        known = select(judgements.c.id).where(judgements.c.id == judged.id)

        def work(connection: Connection) -> None:
            if connection.execute(known).one_or_none() is None:
                connection.execute(insert(judgements).values(values))

        await self._database.run(self._database.writing, work, writes=True)

    async def losses(self) -> list[LossSum]:
        table = judgements.c
        group = (table.router, table.week, table.gate)
        found = select(*group, table.outcome, func.count(), func.sum(table.cost_picousd))
        found = found.where(table.source == SHADOW).group_by(*group, table.outcome)
        sums: dict[tuple[str, int, int], LossSum] = {}
        for row in await self._database.run(self._database.reading, lambda connection: connection.execute(found).all()):
            router, week, gate, outcome, count, cost = row
            before = sums.get((router, week, gate), LossSum(router, week, gate))
            name = {"win": "wins", "tie": "ties", "lose": "losses"}[outcome]
            added = {name: count, "cost_picousd": before.cost_picousd + int(cost or 0)}
            sums[router, week, gate] = msgspec.structs.replace(before, **added)
        return sorted(sums.values(), key=lambda one: (-one.week, one.router, -one.gate))

    async def page(self, limit: int, after: str | None = None) -> tuple[list[Judged], str | None]:
        position, count = _position(after), max(1, min(limit, PAGE_ROWS))
        found = select(judgements).where(judgements.c.sequence > position).order_by(judgements.c.sequence)
        rows = await self._database.run(
            self._database.reading, lambda connection: connection.execute(found.limit(count + 1)).all()
        )
        return [_judged(row) for row in rows[:count]], f"j{rows[count - 1].sequence:x}" if len(rows) > count else None

    async def gates(self) -> list[RouterGate]:
        found = select(router_gates).order_by(router_gates.c.router)
        rows = await self._database.run(self._database.reading, lambda connection: connection.execute(found).all())
        return [RouterGate(row.router, row.number, bool(row.closed), row.at, row.reason) for row in rows]

    async def turn(self, gate: RouterGate) -> bool:
        values = {**msgspec.structs.asdict(cleaned(gate)), "closed": int(gate.closed)}
        table = router_gates.c

        def work(connection: Connection) -> bool:
            changed = update(router_gates).where(table.router == gate.router, table.number == gate.number - 1)
            if connection.execute(changed.values(values)).rowcount:
                return True
            if connection.execute(select(table.router).where(table.router == gate.router)).one_or_none() is not None:
                return False
            try:
                with connection.begin_nested():
                    connection.execute(insert(router_gates).values(values))
            except IntegrityError:
                return False
            return True

        return await self._database.run(self._database.writing, work, writes=True)

    async def answered(self, request_id: str) -> Answered | None:
        table = requests.c
        found = select(table.tenant, table.user_name, table.key_id, table.routed).where(table.id == request_id)
        row = await self._database.run(
            self._database.reading, lambda connection: connection.execute(found).one_or_none()
        )
        if row is None or not row.routed:
            return None
        routed = msgspec.json.decode(row.routed, type=Routed)
        return Answered(row.tenant, row.user_name, row.key_id, routed.router, routed.model)


def _position(cursor: str | None) -> int:
    try:
        position = 0 if cursor is None else int(cursor[1:], 16) if cursor.startswith("j") else -1
    except ValueError:
        position = -1
    if not 0 <= position <= MAX_INTEGER:
        raise InvalidRequest("`after` is not a cursor that was given out here.", param="after")
    return position


def _judged(row: Row[Any]) -> Judged:
    return Judged(
        id=row.id,
        at=row.at,
        router=row.router,
        tenant=row.tenant,
        weak=row.weak,
        strong=row.strong,
        outcome=WeakOutcome(row.outcome),
        source=row.source,
        judge=row.judge,
        cost_picousd=row.cost_picousd,
        prompt=row.prompt,
        gate=row.gate,
    )
