"""Dead items of all jobs, in SQL: looking at them, and what operators do with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, select, text, tuple_

from headgate.job_types import DeadFilter, DeadItem, DeadPlace, Owner
from headgate.policy.jobs import Event
from headgate.ports import Clock
from headgate.stores import locks
from headgate.stores.database import Database
from headgate.stores.job_commands import move_all, redrive
from headgate.stores.job_counts import Shifts, database_now
from headgate.stores.jobs_tables import IS_DEAD, MAX_NUMBER, job_items, jobs

TREES_AT_ONCE = 100  # in one transaction: PostgreSQL has room for some thousand locks
Move = Callable[[Connection, Row[Any], Shifts, float, ColumnElement[bool]], int]


class SqlDeadItems:
    """The port `DeadItems` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def page(self, wanted: DeadFilter, limit: int, after: DeadPlace | None = None) -> list[DeadItem]:
        item = job_items.c
        place = (item.finished_at, item.job_id, item.number)
        query = (
            select(job_items, jobs.c.tenant, jobs.c.key_id, jobs.c.user_name, jobs.c.kind)
            .join(jobs, jobs.c.id == item.job_id)
            .where(_whose(wanted), _which(wanted))
            .order_by(*[part.desc() for part in place])
            .limit(limit)
        )
        if after is not None:
            query = query.where(tuple_(*place) < tuple_(*after))

        def work(connection: Connection) -> list[DeadItem]:
            return [_dead_item(row) for row in connection.execute(query)]

        return await self._database.run(self._database.reading, work)

    async def redrive(self, wanted: DeadFilter) -> int:
        return await self._move(wanted, redrive)

    async def drop(self, wanted: DeadFilter) -> int:
        return await self._move(wanted, _drop)

    async def _move(self, wanted: DeadFilter, move: Move) -> int:
        which, whose = _which(wanted), _whose(wanted)
        theirs = jobs.c.id.in_(select(job_items.c.job_id).where(which))
        trees = select(jobs.c.root_id).where(theirs, whose).distinct()
        found = await self._database.run(self._database.reading, lambda one: sorted(one.execute(trees).scalars()))
        moved = 0
        for first in range(0, len(found), TREES_AT_ONCE):
            some = found[first : first + TREES_AT_ONCE]
            whole = select(jobs).where(jobs.c.root_id.in_(some), theirs, whose).order_by(jobs.c.id.desc())
            moved += await self._move_in(some, whole, which, move)
        return moved

    async def _move_in(self, trees: Sequence[str], whole: Select[Any], which: ColumnElement[bool], move: Move) -> int:
        def work(connection: Connection) -> int:
            for root_id in trees:  # else what is asked of them meanwhile would miss what begins anew
                locks.hold(connection, locks.of_tree(root_id))
            now, shifts = database_now(connection, self._clock), Shifts()
            moved = sum([move(connection, row, shifts, now, which) for row in connection.execute(whole).all()])
            shifts.write(connection, now)
            return moved

        return await self._database.run(self._database.jobs, work, writes=True)


def _drop(connection: Connection, row: Row[Any], shifts: Shifts, now: float, which: ColumnElement[bool]) -> int:
    return move_all(connection, row.id, shifts, Event.DROP, {}, which)


def _whose(wanted: DeadFilter) -> ColumnElement[bool]:
    return and_(jobs.c.erasing == 0, *[jobs.c.tenant == name for name in (wanted.tenant,) if name is not None])


def _which(wanted: DeadFilter) -> ColumnElement[bool]:
    """Conditions on items alone."""
    conditions: list[Any] = [text(IS_DEAD)]
    if wanted.ids is not None:
        possible = [one for one in wanted.ids if one[1] <= MAX_NUMBER]
        conditions.append(tuple_(job_items.c.job_id, job_items.c.number).in_(possible))
    if wanted.job_id is not None:
        conditions.append(job_items.c.job_id == wanted.job_id)
    if wanted.error_code is not None:
        conditions.append(job_items.c.error_code == wanted.error_code)
    return and_(*conditions)


def _dead_item(row: Row[Any]) -> DeadItem:
    return DeadItem(
        job_id=row.job_id,
        number=row.number,
        owner=Owner(row.tenant, row.key_id, row.user_name),
        kind=row.kind,
        label=row.label,
        attempts=row.attempts,
        error_code=row.error_code,
        error=row.error,
        died_at=row.finished_at or 0.0,
        request=row.request.encode(),
    )
