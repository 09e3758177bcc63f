"""What is told about jobs, in SQL: whose turn it is, claims, and what became of attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, select, text, update

from headgate.delivery_types import (
    Delivery,
    DeliveryEnd,
    DeliveryState,
    OutboxStanding,
    Target,
    TargetKind,
    Told,
    Waiting,
)
from headgate.ports import Clock
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.job_counts import database_now
from headgate.stores.outbox_tables import IS_DEAD, outbox, signing_keys

_PENDING = DeliveryState.PENDING.value
_END = (
    "UPDATE outbox SET state = :state, answer = :answer, attempts = attempts + 1, next_at = :next_at, ended_at = "
    ":ended_at WHERE id = :id AND token = :token AND state = 'pending'"
)
_PRUNED_AT_ONCE = 1000


class SqlOutbox:
    """The port `Outbox` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def waiting(self, limit: int, not_tenants: Sequence[str], not_lanes: Sequence[str]) -> list[Waiting]:
        query = select(outbox.c.id, outbox.c.tenant, outbox.c.lane).where(outbox.c.state == _PENDING)
        if not_tenants:
            query = query.where(outbox.c.tenant.not_in(not_tenants))
        if not_lanes:
            query = query.where(outbox.c.lane.not_in(not_lanes))

        def work(connection: Connection) -> list[Waiting]:
            due = query.where(outbox.c.next_at <= database_now(connection, self._clock))
            found = connection.execute(due.order_by(outbox.c.next_at).limit(limit))
            return [Waiting(row.id, row.tenant, row.lane) for row in found]

        return await self._database.run(self._database.jobs, work)

    async def claim(self, ids: Sequence[str], seconds: float) -> list[Delivery]:
        def work(connection: Connection) -> list[Delivery]:
            now = database_now(connection, self._clock)
            due = select(outbox.c.id).where(outbox.c.id.in_(ids), outbox.c.state == _PENDING, outbox.c.next_at <= now)
            mine = [row.id for row in connection.execute(due.with_for_update(skip_locked=True))]
            those = outbox.c.id.in_(mine)
            connection.execute(update(outbox).where(those).values(next_at=now + seconds, token=outbox.c.token + 1))
            return [_delivery(row, now) for row in connection.execute(select(outbox).where(those))]

        return await self._database.run(self._database.jobs, work, writes=True)

    async def finish(self, ends: Sequence[DeliveryEnd]) -> list[bool]:
        def work(connection: Connection) -> list[bool]:
            now = database_now(connection, self._clock)
            return [connection.execute(text(_END), _values(end, now)).rowcount == 1 for end in ends]

        return await self._database.run(self._database.jobs, work, writes=True)

    async def of_job(self, job_id: str, limit: int) -> list[Delivery]:
        query = select(outbox).where(outbox.c.job_id == job_id)
        query = query.order_by(outbox.c.job_version.desc(), outbox.c.id).limit(limit)
        return await self._database.run(
            self._database.reading, lambda connection: [_delivery(row) for row in connection.execute(query)]
        )

    async def redeliver(self, job_id: str) -> list[Delivery]:
        def work(connection: Connection) -> list[Delivery]:
            now = database_now(connection, self._clock)
            its = (outbox.c.job_id == job_id, outbox.c.kind != TargetKind.PUBLISH.value)
            newest = select(func.max(outbox.c.job_version)).where(*its).scalar_subquery()
            those = (*its, outbox.c.job_version == newest)
            ended = (*those, outbox.c.state != _PENDING)
            again = {"state": _PENDING, "attempts": 0, "ended_at": None, "created_at": now}
            connection.execute(update(outbox).where(*ended).values(next_at=now, token=outbox.c.token + 1, **again))
            connection.execute(update(outbox).where(*those, outbox.c.next_at > now).values(next_at=now))
            return [_delivery(row) for row in connection.execute(select(outbox).where(*those).order_by(outbox.c.id))]

        return await self._database.run(self._database.jobs, work, writes=True)

    async def standing(self) -> OutboxStanding:
        dead = select(func.count()).select_from(outbox).where(text(IS_DEAD))

        def work(connection: Connection) -> OutboxStanding:
            pending, oldest = connection.execute(
                select(func.count(), func.min(outbox.c.created_at)).where(outbox.c.state == _PENDING)
            ).one()
            age = 0.0 if oldest is None else max(0.0, database_now(connection, self._clock) - oldest)
            return OutboxStanding(int(pending), int(connection.execute(dead).scalar_one()), age)

        return await self._database.run(self._database.reading, work)

    async def prune(self, seconds: float) -> int:
        def work(connection: Connection) -> int:
            before = database_now(connection, self._clock) - seconds
            old = (
                select(outbox.c.id).where(outbox.c.state != _PENDING, outbox.c.ended_at < before).limit(_PRUNED_AT_ONCE)
            )
            return int(connection.execute(delete(outbox).where(outbox.c.id.in_(old))).rowcount)

        return await self._database.run(self._database.jobs, work, writes=True)


class SqlSigningKeys:
    """The port `SigningKeys` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def key(self, name: str, new: bytes) -> bytes:
        enter = text("INSERT INTO signing_keys (name, key) VALUES (:name, :key) ON CONFLICT (name) DO NOTHING")

        def work(connection: Connection) -> bytes:
            connection.execute(enter, {"name": name, "key": new})
            return bytes(connection.execute(select(signing_keys.c.key).where(signing_keys.c.name == name)).scalar_one())

        return await self._database.run(self._database.keys, work, writes=True)


def _values(end: DeliveryEnd, now: float) -> dict[str, Any]:
    pending = end.state is DeliveryState.PENDING
    return {
        "id": end.id, "token": end.token, "state": end.state.value, "answer": clean(end.answer),
        "next_at": now + end.pause_seconds, "ended_at": None if pending else now,
    }  # fmt: skip


def _delivery(row: Row[Any], now: float = 0.0) -> Delivery:
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        tenant=row.tenant,
        target=Target(TargetKind(row.kind), row.address, row.lane),
        told=msgspec.json.decode(row.told, type=Told),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        created_at=row.created_at,
        next_at=row.next_at,
        answer=row.answer,
        ended_at=row.ended_at,
        token=row.token,
        age_seconds=max(0.0, now - row.created_at),
    )
